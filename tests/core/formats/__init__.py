"""Files of version 1.0, read and written."""
