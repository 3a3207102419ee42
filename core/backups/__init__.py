"""Backups: taking one, the catalogue of them, where their files go."""
