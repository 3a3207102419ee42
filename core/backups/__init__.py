"""Backups: taking one, what goes into it and what it continues, the catalogue of them, where their files go."""
