"""Taking a backup: see :mod:`core.backups.backup_service`."""

from core.backups.backup_service import BackupService, FileFormat

__all__ = ["BackupService", "FileFormat"]
