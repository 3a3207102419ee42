"""The commands as processes: what they print, write and exit with."""
