"""Settings, routing between the databases, the log."""
