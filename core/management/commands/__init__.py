"""The commands, each a module that Django finds by its name."""
