"""Restoring a backup: see :mod:`core.restores.restore_service`."""

from core.restores.restore_service import RestoreService

__all__ = ["RestoreService"]
