"""Import and export of sheets of attendance."""
