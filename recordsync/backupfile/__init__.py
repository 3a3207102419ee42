"""The backup file, version 2.0: one JSON document, one record a line (docs/file-format.md).

:mod:`.metadata` says what a file tells about itself, :mod:`.layout` how its lines follow each other. :mod:`.writer`
writes one; :mod:`.scanner` takes one apart into lines, :mod:`.parsers` know what a line says, :mod:`.checker` finds
everything that is wrong, and :mod:`.reader` reads what was checked.
"""

from recordsync.backupfile.checker import Findings, check_backup
from recordsync.backupfile.metadata import BackupType, Deletions, InstallationName, Metadata
from recordsync.backupfile.reader import BackupFile
from recordsync.backupfile.scanner import Limits
from recordsync.backupfile.writer import Rows, Written, write_backup

__all__ = [
    "BackupFile",
    "BackupType",
    "Deletions",
    "Findings",
    "InstallationName",
    "Limits",
    "Metadata",
    "Rows",
    "Written",
    "check_backup",
    "write_backup",
]
