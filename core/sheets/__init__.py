"""Sheets of attendance: read, imported, exported."""
