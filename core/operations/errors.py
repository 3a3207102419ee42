"""Failures as sentences: what happened, to what, what was not changed, what to do next."""

from __future__ import annotations

import errno
import re
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from django.db import DatabaseError, InterfaceError, InternalError, OperationalError, ProgrammingError
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from recordsync.errors import CommitUnknown, FileError, InvalidFile, RecordSyncError, printable_path

LazyText = str | Promise
"""Words for people, perhaps translated only when they are shown."""

NOTHING_CHANGED: Final = gettext_lazy("Nothing was changed.")
NOTHING_SAVED: Final = gettext_lazy("Nothing was saved.")


def sentences(*parts: LazyText) -> str:
    """The sentences after each other, without those that are blank."""
    return " ".join(filter(None, map(str, parts)))


class OperationFailed(Exception):
    """What somebody asked for and did not happen. Its text is for that person.

    ``what`` happened, what is ``undone`` (what was not changed), and what to do ``then``: sentences, the last two of
    which ``what`` may say itself.
    """

    def __init__(
        self,
        what: LazyText,
        errors: Sequence[FileError] = (),
        error_count: int | None = None,
        *,
        undone: LazyText = "",
        then: LazyText = "",
    ) -> None:
        message = sentences(what, undone, then)
        message = message.encode("utf-8", "backslashreplace").decode()  # it is kept in a database, too
        super().__init__(message)
        self.errors = tuple(errors) or (FileError(message),)
        self.error_count = len(self.errors) if error_count is None else error_count


class FileRefused(OperationFailed):
    """The file is not a whole and valid backup; ``errors`` say why, the first hundred of ``error_count``."""


class SheetRefused(FileRefused):
    """The file cannot be read as a sheet at all. ``reason``: why, in a sentence."""

    def __init__(self, message: str) -> None:
        self.reason = message
        super().__init__(message, undone=NOTHING_CHANGED)


class ConflictsLeft(OperationFailed):
    """Somebody has to decide conflicts first."""


class RegisterBusy(OperationFailed):
    """Somebody else writes to the register, and did not finish in time."""


class DiskFull(OperationFailed):
    """There is no room on a disk."""


class NotKnown(OperationFailed):
    """It may have happened: the answer to its commit was lost, and the database does not say."""


class DataMoved(OperationFailed):
    """The register changed between the preview and the restore."""


class Cancelled(OperationFailed):
    """Somebody asked for it to stop."""


_OS_SENTENCES: Final = {
    errno.ENOSPC: gettext_lazy("the disk is full"),
    errno.EDQUOT: gettext_lazy("the disk quota is used up"),
    errno.ENOENT: gettext_lazy("there is no such file or folder"),
    errno.ENOTDIR: gettext_lazy("part of the path is not a folder"),
    errno.EISDIR: gettext_lazy("it is a folder, not a file"),
    errno.EACCES: gettext_lazy("permission is denied"),
    errno.EPERM: gettext_lazy("permission is denied"),
    errno.EBUSY: gettext_lazy("it is in use"),
    errno.EROFS: gettext_lazy("the file system is read-only"),
    errno.ENAMETOOLONG: gettext_lazy("the name is too long"),
    errno.EFBIG: gettext_lazy("the file would be larger than allowed"),
    errno.EIO: gettext_lazy("the disk reports an error"),
    errno.EBADF: gettext_lazy("the output is closed"),
    errno.EPIPE: gettext_lazy("whoever was reading the output has stopped"),
}


# A stored preview is an SQLite file too, which is read and written without Django.
_OF_THE_DATABASE: Final = (OperationalError, InterfaceError, InternalError, ProgrammingError, sqlite3.Error)


def explain(error: BaseException) -> str:
    """One sentence on what went wrong, without what it means for the operation."""
    if isinstance(error, OperationFailed | RecordSyncError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        why = str(_OS_SENTENCES.get(error.errno, error.strerror or str(error)))
        return f"{printable_path(str(error.filename))}: {why}." if error.filename else f"{why[0].upper()}{why[1:]}."
    if isinstance(error, _OF_THE_DATABASE) or type(error) is DatabaseError:
        return _explain_database(error)
    if isinstance(error, DatabaseError):
        return _("The database refused: %(reason)s.") % {"reason": _first_line(error)}
    if isinstance(error, MemoryError):
        return _("There is not enough memory.")
    return _("Unexpected error (%(reason)s); the log has the details.") % {
        "reason": f"{type(error).__name__}: {_first_line(error)}"
    }


def code_of(error: BaseException | None) -> str:
    """What the database calls an error: its SQLSTATE, or SQLite's name of it; blank where it was never asked.

    Its text is no help: a server writes it in its own language.
    """
    while error is not None:
        if code := getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None):
            return str(code)
        error = error.__cause__
    return ""


def is_locked(error: BaseException) -> bool:
    """Whether the database would not wait any longer for somebody who is writing."""
    return code_of(error).startswith(_LOCKED)


def is_full(error: BaseException) -> bool:
    """Whether there is no room on a disk: the database's, or that of a file."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return code_of(error).startswith(_FULL)


def is_taken(error: BaseException) -> bool:
    """Whether what was to be saved has a key that another row has."""
    return code_of(error) in _TAKEN


def is_of_a_query(error: BaseException) -> bool:
    """Whether the database is well, and a query was not."""
    return code_of(error) == "SQLITE_ERROR"  # PostgreSQL's are no operational errors


_TAKEN: Final = ("SQLITE_CONSTRAINT_UNIQUE", "23505")
_LOCKED: Final = ("SQLITE_BUSY", "SQLITE_LOCKED", "55P03", "40P01")
# SQLite's readers share a small file beside the database, which the first of them makes.
_FULL: Final = ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "53100")
_READ_ONLY: Final = ("SQLITE_READONLY", "25006")
_UNKNOWN_NAMES: Final = ("42P01", "42703")  # of a table, of a column
_CLASSES_OF_LOSS: Final = ("08", "57P")  # connections; servers that stop or start


def _explain_database(error: Exception) -> str:
    code, text = code_of(error), _first_line(error)
    if is_locked(error):
        return _("The database is locked: another program is writing to it and did not finish in time. Try again.")
    if is_full(error):
        return _("The database's disk is full.")
    if code.startswith(_READ_ONLY):
        return _("The database cannot be written: its file or folder is read-only for this user.")
    if code.startswith("SQLITE_CANTOPEN"):
        return _(
            "The database file cannot be opened: check DATABASE_URL, the permissions of its folder, and whether its "
            "disk is full."
        )
    if code.startswith("SQLITE_IOERR"):
        return _("The disk of the database reports an error (%(reason)s).") % {"reason": text}
    if code == "SQLITE_NOTADB":
        return _("The file is not an SQLite database: check DATABASE_URL.")
    if code in _UNKNOWN_NAMES or (code == "SQLITE_ERROR" and re.search(r"no such (table|column)|has no column", text)):
        return _("The database is not set up (%(reason)s): run manage.py migrate first.") % {"reason": text}
    if code.startswith(_CLASSES_OF_LOSS) or (not code and isinstance(error, OperationalError | InterfaceError)):
        return _("The connection to the database was lost or refused (%(reason)s).") % {"reason": text}
    return _("The database failed: %(reason)s.") % {"reason": text}


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def as_failure(error: Exception, undone: LazyText = "") -> OperationFailed:
    """Any error as a failure for people. ``undone``: what it leaves undone, a sentence."""
    if isinstance(error, OperationFailed):
        return error
    if isinstance(error, InvalidFile):
        return file_refused(error.errors, error.count, undone)
    if isinstance(error, CommitUnknown):
        return not_known(_("this was saved"), _("Look at it when it does, before you try again."))
    kind = RegisterBusy if is_locked(error) else DiskFull if is_full(error) else OperationFailed
    return kind(explain(error), undone=undone)


def not_known(perhaps: LazyText, look: LazyText) -> NotKnown:
    """A failure of which it is not known whether it is one: ``perhaps`` it happened; ``look``: where it is seen."""
    text = _(
        "It is not known whether %(what)s: the connection to the database was lost during the commit, and the database "
        "does not answer now."
    )
    return NotKnown(text % {"what": perhaps}, then=look)


def file_refused(errors: Sequence[FileError], count: int, undone: LazyText) -> FileRefused:
    """A refusal for what is wrong with a file."""
    text = ngettext(
        "The file is not a valid backup (%(count)s problem).",
        "The file is not a valid backup (%(count)s problems).",
        count,
    )
    return FileRefused(text % {"count": f"{count:,}"}, errors, count, undone=undone)


def shown_error(error: FileError) -> dict[str, Any]:
    """An error as a database keeps it: what none can store (NUL, half a surrogate pair) is written out."""
    return {name: _storable(value) for name, value in error.as_dict().items()}


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    return [_storable(part) for part in value] if isinstance(value, list | tuple) else value
