"""The check of a backup file of any version: its content says which reader it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Final, TypeVar

from django.conf import settings

from core.formats.v1_0 import V1File
from core.formats.v1_0_checker import check_v1_0, is_v1_0
from core.models import Phase
from core.operations.errors import NOTHING_CHANGED, as_failure
from core.operations.results import ValidationResult
from core.register.declared import SCHEMA
from recordsync.backupfile import BackupFile, Limits, UncheckedFile, check_backup
from recordsync.errors import CheckNeeded, InvalidFile, InvalidRecord, OutOfOrder
from recordsync.system.inputs import Input, opened_input
from recordsync.system.progress import Progress

T = TypeVar("T")

CheckedFile = BackupFile | V1File
"""A file that was read whole and found valid; a :class:`recordsync.plan.Source`."""

RestoredFile = CheckedFile | UncheckedFile
"""The file that a plan is made of. It is valid once the plan is made."""

_NOT_ON_THE_WAY: Final = (CheckNeeded, InvalidRecord, OutOfOrder)
"""The errors of a file that cannot be checked on the way: something is wrong with it, or with the register."""


def limits() -> Limits:
    """The limits of a file, by the settings."""
    return Limits(content=settings.MUSTER_MAX_FILE_BYTES)


def _unchecked(stream: BinaryIO) -> UncheckedFile | None:
    """The file in a seekable stream, if a plan may check it on the way: a whole 2.0 file; else None.

    Raises :class:`recordsync.errors.CheckNeeded`, and OSError. Touches no database.
    """
    if is_v1_0(stream, limits()):
        return None
    file = UncheckedFile(stream, SCHEMA, limits())
    return file if file.is_complete and file.is_whole else None


@contextmanager
def checked(stream: BinaryIO, progress: Progress) -> Iterator[CheckedFile]:
    """The checked file in a seekable stream, until the block ends.

    Raises :class:`recordsync.errors.InvalidFile` with everything that is wrong with it, and OSError. Touches no
    database.
    """
    if is_v1_0(stream, limits()):
        with check_v1_0(stream, limits(), progress) as file:
            yield file
    else:
        yield check_backup(stream, SCHEMA, limits(), progress)


def used(stream: BinaryIO, use: Callable[[RestoredFile], T], progress: Progress) -> T:
    """The result of ``use`` for the file in a seekable stream.

    ``use`` gets a whole 2.0 file before its check, and checks it on the way. It gets any other file after its check.
    Where a file cannot be checked on the way, ``use`` is called a second time after the check. Raises what
    :func:`checked` and ``use`` raise.
    """
    with suppress(*_NOT_ON_THE_WAY):
        file = _unchecked(stream)
        if file is not None:
            progress(Phase.CHECK, 0, sum(file.counts.values()))
            return use(file)
    with checked(stream, progress) as valid:
        return use(valid)


def validate(source: Input, progress: Progress) -> ValidationResult:
    """What the check of a whole file finds. Touches no database.

    Raises :class:`core.operations.errors.OperationFailed` where the file cannot be read at all.
    """
    try:
        with opened_input(source, limits().content, progress) as stream, checked(stream, progress) as file:
            return ValidationResult(True, [], 0, file.warnings, file.metadata, file.counts, file.digest)
    except InvalidFile as invalid:
        return ValidationResult(False, list(invalid.errors), invalid.count, [], None)
    except OSError as error:
        raise as_failure(error, NOTHING_CHANGED) from error
