"""The backup file, version 2.0: one JSON document, one record a line (docs/file-format.md).

:mod:`.metadata` describes what a file says about itself, :mod:`.ancestry` what it says of its snapshot, :mod:`.blocks`
its list of blocks, and :mod:`.layout` the order of its lines. :mod:`.writer` writes a file, and :mod:`.from_blocks`
puts one together from stored blocks. :mod:`.scanner` splits one into lines, :mod:`.parsers` parse a line,
:mod:`.checker` finds everything that is wrong, and :mod:`.reader` reads a file that was checked.
"""

from recordsync.backupfile.checker import Findings, check_backup
from recordsync.backupfile.from_blocks import write_from_blocks
from recordsync.backupfile.metadata import BackupType, Deletions, Metadata
from recordsync.backupfile.reader import BackupFile
from recordsync.backupfile.scanner import Limits
from recordsync.backupfile.unchecked import UncheckedFile
from recordsync.backupfile.writer import Rows, Written, write_backup
from recordsync.model.json_values import InstallationName

__all__ = [
    "BackupFile",
    "BackupType",
    "Deletions",
    "Findings",
    "InstallationName",
    "Limits",
    "Metadata",
    "Rows",
    "UncheckedFile",
    "Written",
    "check_backup",
    "write_backup",
    "write_from_blocks",
]
