"""Settings, routing between the two databases, the log."""
