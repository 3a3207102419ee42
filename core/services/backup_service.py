"""Taking a backup: see :mod:`core.backups.backup_service`."""

from core.backups.backup_service import BackupService, FileFormat, unfit_for_1_0

__all__ = ["BackupService", "FileFormat", "unfit_for_1_0"]
