"""The check of a backup file of any version; and the 1.0 file, which the engine does not know."""
