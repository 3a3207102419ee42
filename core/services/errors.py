"""Failures as sentences: what happened, to what, what was not changed, what to do next."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from django.db import DatabaseError, InterfaceError, OperationalError, ProgrammingError

from recordsync.errors import FileError, InvalidFile, RecordSyncError


class OperationFailed(Exception):
    """A backup or restore that did not happen. The text is for the person who asked for it."""

    def __init__(self, message: str, errors: Sequence[FileError] = (), error_count: int | None = None) -> None:
        super().__init__(message)
        self.errors = tuple(errors) or (FileError(message),)
        self.error_count = len(self.errors) if error_count is None else error_count


class FileRefused(OperationFailed):
    """The file is not a whole and valid backup; ``errors`` say why, the first hundred of ``error_count``."""


class ConflictsLeft(OperationFailed):
    """Somebody has to decide conflicts first."""


class RegisterBusy(OperationFailed):
    """Somebody else is restoring or importing."""


class DataMoved(OperationFailed):
    """The register changed between the preview and the restore."""


class Cancelled(OperationFailed):
    """Somebody asked for it to stop."""


_OS_SENTENCES = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.ENOENT: "there is no such file or folder",
    errno.ENOTDIR: "part of the path is not a folder",
    errno.EISDIR: "it is a folder, not a file",
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
    errno.EROFS: "the file system is read-only",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EFBIG: "the file would be larger than allowed",
    errno.EIO: "the disk reports an error",
    errno.EPIPE: "whoever was reading the output has stopped",
}


def explain(error: BaseException) -> str:
    """One sentence on what went wrong, without what it means for the operation."""
    if isinstance(error, OperationFailed | RecordSyncError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        why = _OS_SENTENCES.get(error.errno, error.strerror or str(error))
        return f"{error.filename}: {why}." if error.filename else f"{why[0].upper()}{why[1:]}."
    if isinstance(error, OperationalError | InterfaceError | ProgrammingError) or type(error) is DatabaseError:
        return _explain_database(error)
    if isinstance(error, DatabaseError):
        return f"The database refused: {_first_line(error)}."
    if isinstance(error, MemoryError):
        return "There is not enough memory."
    return f"Unexpected error ({type(error).__name__}: {_first_line(error)}); the log has the details."


def _explain_database(error: Exception) -> str:
    text = _first_line(error)
    low = str(error).lower()
    if "locked" in low or "lock timeout" in low or "lock_not_available" in low:
        return "The database is locked: another program is writing to it and did not finish in time. Try again."
    if "disk is full" in low or "no space left" in low:
        return "The database's disk is full."
    if "readonly" in low or "read-only" in low:
        return "The database cannot be written: its file or folder is read-only for this user."
    if "unable to open database file" in low:
        return "The database file cannot be opened: check DATABASE_URL and the permissions of its folder."
    if any(word in low for word in ("connection", "terminat", "server closed", "consuming input", "ssl")):
        return f"The connection to the database was lost or refused ({text})."
    if "not a database" in low:
        return "The file is not an SQLite database: check DATABASE_URL."
    if any(words in low for words in ("no such table", "no such column", "has no column", "does not exist")):
        return f"The database is not set up ({text}): run manage.py migrate first."
    return f"The database failed: {text}."


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def as_failure(error: Exception, consequence: str) -> OperationFailed:
    """Any error as a failure for people. ``consequence`` says what it means: what was not done."""
    if isinstance(error, OperationFailed):
        return error
    if isinstance(error, InvalidFile):
        return file_refused(error.errors, error.count, consequence)
    return OperationFailed(f"{explain(error)} {consequence}")


def file_refused(errors: Sequence[FileError], count: int, consequence: str) -> FileRefused:
    """A refusal for what is wrong with a file."""
    problems = "1 problem" if count == 1 else f"{count:,} problems"
    return FileRefused(f"The file is not a valid backup ({problems}). {consequence}", errors, count)
