"""Restores: check, plan, decide, apply."""
