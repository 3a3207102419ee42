"""The check of a backup file of any version: its content says which reader it needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from django.conf import settings

from core.formats.v1_0 import V1File
from core.formats.v1_0_checker import check_v1_0, is_v1_0
from core.operations.errors import NOTHING_CHANGED, as_failure
from core.operations.results import ValidationResult
from core.register.declared import SCHEMA
from recordsync.backupfile import BackupFile, Limits, check_backup
from recordsync.errors import InvalidFile
from recordsync.system.inputs import Input, opened_input
from recordsync.system.progress import Progress

CheckedFile = BackupFile | V1File
"""A file that was read whole and found valid; a :class:`recordsync.plan.Snapshot`."""


def limits() -> Limits:
    """What a file may hold, by the settings."""
    return Limits(content=settings.MUSTER_MAX_FILE_BYTES)


@contextmanager
def opened_backup(source: Input, progress: Progress) -> Iterator[tuple[CheckedFile, BinaryIO]]:
    """The checked file, and the seekable stream that it is read from, until the block ends.

    Raises :class:`recordsync.errors.InvalidFile` with everything that is wrong with it, and OSError. Touches no
    database.
    """
    of_file = limits()
    with opened_input(source, of_file.content, progress) as stream:
        if is_v1_0(stream, of_file):
            with check_v1_0(stream, of_file, progress) as old:
                yield old, stream
        else:
            yield check_backup(stream, SCHEMA, of_file, progress), stream


def validate(source: Input, progress: Progress) -> ValidationResult:
    """What the check of a whole file finds. Touches no database.

    Raises :class:`core.operations.errors.OperationFailed` where the file cannot be read at all.
    """
    try:
        with opened_backup(source, progress) as (file, _stream):
            return ValidationResult(True, [], 0, file.warnings, file.metadata, file.counts, file.digest)
    except InvalidFile as invalid:
        return ValidationResult(False, list(invalid.errors), invalid.count, [], None)
    except OSError as error:
        raise as_failure(error, NOTHING_CHANGED) from error
