"""The backup file, version 2.0: one JSON document, one record a line (docs/file-format.md).

:mod:`.metadata` says what a file tells about itself, :mod:`.layout` how its lines follow each other,
:mod:`.writer` writes one and :mod:`.reader` checks and reads one.
"""

from recordsync.backupfile.metadata import BackupType, Deletions, InstallationName, Metadata
from recordsync.backupfile.reader import BackupFile, Limits, Report
from recordsync.backupfile.writer import Content, Written, write_backup

__all__ = [
    "BackupFile",
    "BackupType",
    "Content",
    "Deletions",
    "InstallationName",
    "Limits",
    "Metadata",
    "Report",
    "Written",
    "write_backup",
]
