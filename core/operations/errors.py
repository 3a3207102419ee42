"""Failures as sentences: what happened, to what, what was not changed, and what to do next."""

from __future__ import annotations

import errno
import re
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings
from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
    connections,
)
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from recordsync.errors import (
    CommitUnknown,
    FileError,
    HistoryUnusable,
    InvalidFile,
    RecordSyncError,
    RegisterMoved,
    printable_path,
)
from recordsync.history.databases import is_history

LazyText = str | Promise
"""Words for people, which may be translated only when they are shown."""

NOTHING_CHANGED: Final = gettext_lazy("Nothing was changed.")
NOTHING_SAVED: Final = gettext_lazy("Nothing was saved.")
_READ_AGAIN: Final = gettext_lazy(
    "Something may have been written past the marks that say where the register changed: run manage.py history verify "
    "--register, which reads everything, and try again."
)


def sentences(*parts: LazyText) -> str:
    """The sentences in one text, without those that are blank."""
    return " ".join(filter(None, map(str, parts)))


class OperationFailed(Exception):
    """An operation failed. The text is for the person who asked for it.

    ``what``: what happened. ``undone``: what was not changed. ``then``: what to do next. All are sentences; the last
    two may be blank. ``helps``: what a page offers in that case; None: nothing.
    """

    helps: str | None = None

    def __init__(
        self,
        what: LazyText,
        errors: Sequence[FileError] = (),
        error_count: int | None = None,
        *,
        undone: LazyText = "",
        then: LazyText = "",
    ) -> None:
        self.what, self.then = str(what), str(then)
        message = sentences(what, undone, then)
        message = message.encode("utf-8", "backslashreplace").decode()  # it is kept in a database as well
        super().__init__(message)
        self.errors = tuple(errors) or (FileError(message),)
        self.error_count = len(self.errors) if error_count is None else error_count


class FileRefused(OperationFailed):
    """The file is not a whole and valid backup. ``errors`` say why: the first hundred of ``error_count``."""


class SheetRefused(FileRefused):
    """The file cannot be read as a sheet at all. ``reason``: a sentence that says why."""

    def __init__(self, message: str) -> None:
        self.reason = message
        super().__init__(message, undone=NOTHING_CHANGED)


class ConflictsLeft(OperationFailed):
    """A person has to decide conflicts first."""


class RegisterBusy(OperationFailed):
    """Somebody else writes to the register and did not finish in time."""


class DiskFull(OperationFailed):
    """A disk is full."""


class NotKnown(OperationFailed):
    """Nobody knows whether it was done: the answer to its commit was lost, and the database does not answer."""


class DataMoved(OperationFailed):
    """The register changed between the preview and the restore."""


class Cancelled(OperationFailed):
    """Somebody cancelled the operation."""


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


def explain(error: BaseException, using: str = DEFAULT_DB_ALIAS) -> str:
    """A sentence that says what went wrong, but not what this means for the operation.

    ``using``: the alias of the database, if the error is one of a database. Of the history database it says so and
    which it is. A HistoryUnusable knows the alias of its database, whatever ``using`` is.
    """
    if isinstance(error, HistoryUnusable) and error.__cause__ is not None:
        return explain(error.__cause__, error.alias)
    return sentences(_which_database(using), _why(error, using))


def _why(error: BaseException, using: str) -> str:
    if isinstance(error, OperationFailed | RecordSyncError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        why = str(_OS_SENTENCES.get(error.errno, error.strerror or str(error)))
        return f"{printable_path(str(error.filename))}: {why}." if error.filename else f"{why[0].upper()}{why[1:]}."
    if isinstance(error, _OF_THE_DATABASE) or type(error) is DatabaseError or _is_of_the_driver(error):
        return _explain_database(error, using)
    if isinstance(error, DatabaseError):
        return _("The database refused: %(reason)s.") % {"reason": _first_line(error)}
    if isinstance(error, MemoryError):
        return _("There is not enough memory.")
    return _("Unexpected error (%(reason)s); the log has the details.") % {
        "reason": f"{type(error).__name__}: {_first_line(error)}"
    }


def _is_of_the_driver(error: BaseException) -> bool:
    """Whether the PostgreSQL driver raised the error where Django does not wrap it. A register on SQLite runs without
    the driver, so the class is told by its name."""
    return any((kind.__module__, kind.__name__) == ("psycopg", "Error") for kind in type(error).__mro__)


def code_of(error: BaseException | None) -> str:
    """The code of a database error: its SQLSTATE or its name in SQLite; blank for an error of another kind.

    The text of the error is no help: a server writes it in its own language.
    """
    while error is not None:
        if code := getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None):
            return str(code)
        error = error.__cause__
    return ""


def is_locked(error: BaseException) -> bool:
    """Whether the database gave up waiting for another writer."""
    return code_of(error).startswith(_LOCKED)


def is_full(error: BaseException) -> bool:
    """Whether the disk of the database or of a file is full."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return code_of(error).startswith(_FULL)


def is_taken(error: BaseException) -> bool:
    """Whether another row has the key of the row to save already."""
    return code_of(error) in _TAKEN


def is_of_a_query(error: BaseException) -> bool:
    """Whether the query is at fault and not the database."""
    return code_of(error) == "SQLITE_ERROR"  # on PostgreSQL these are not operational errors


_TAKEN: Final = ("SQLITE_CONSTRAINT_UNIQUE", "23505")
_LOCKED: Final = ("SQLITE_BUSY", "SQLITE_LOCKED", "55P03", "40P01")
# SQLite's readers share a small file beside the database, which the first of them makes.
_FULL: Final = ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "53100")
_READ_ONLY: Final = ("SQLITE_READONLY", "25006")
_UNKNOWN_NAMES: Final = ("42P01", "42703")  # of a table, of a column
_CLASSES_OF_LOSS: Final = ("08", "57P")  # connections; servers that stop or start


def _which_database(using: str) -> str:
    """A sentence that tells the history database apart from the register's; blank for any other."""
    if not is_history(using):
        return ""
    config = connections[using].settings_dict
    place = printable_path(config["NAME"])
    if host := config["HOST"]:
        place = f"{place}, {host}"
    return _("The history database (%(place)s) failed; the register is not concerned.") % {"place": place}


def _explain_database(error: BaseException, using: str) -> str:
    code, text = code_of(error), _first_line(error)
    if is_locked(error):
        return _("The database is locked: another program is using it and did not finish in time. Try again.")
    if is_full(error):
        return _("The database's disk is full.")
    if code.startswith(_READ_ONLY):
        return _("The database cannot be written: its file or folder is read-only for this user.")
    if code.startswith("SQLITE_CANTOPEN"):
        return _(
            "The database file cannot be opened: check %(variable)s, the permissions of its folder, and whether its "
            "disk is full."
        ) % {"variable": _variable(using)}
    if code.startswith("SQLITE_IOERR"):
        return _("The disk of the database reports an error (%(reason)s).") % {"reason": text}
    if code == "SQLITE_NOTADB":
        return _("The file is not an SQLite database: check %(variable)s.") % {"variable": _variable(using)}
    if code in _UNKNOWN_NAMES or (code == "SQLITE_ERROR" and re.search(r"no such (table|column)|has no column", text)):
        return _("The database is not set up (%(reason)s): run manage.py migrate first.") % {"reason": text}
    is_loss = isinstance(error, OperationalError | InterfaceError) or _is_of_the_driver(error)
    if code.startswith(_CLASSES_OF_LOSS) or (not code and is_loss):
        return _("The connection to the database was lost or refused (%(reason)s).") % {"reason": text}
    return _("The database failed: %(reason)s.") % {"reason": text}


def _variable(using: str) -> str:
    """The variable that names the database of this alias."""
    return settings.DATABASE_VARIABLES.get(using, settings.DATABASE_VARIABLES[DEFAULT_DB_ALIAS])


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def as_failure(error: Exception, undone: LazyText = "") -> OperationFailed:
    """The error as a failure for people. ``undone``: a sentence that says what it leaves undone."""
    if isinstance(error, OperationFailed):
        return error
    if isinstance(error, InvalidFile):
        return file_refused(error.errors, error.count, undone)
    if isinstance(error, CommitUnknown):
        return not_known(_("this was saved"), _("Look at it when it does, before you try again."))
    kind = RegisterBusy if is_locked(error) else DiskFull if is_full(error) else OperationFailed
    return kind(explain(error), undone=undone, then=_READ_AGAIN if isinstance(error, RegisterMoved) else "")


def not_known(perhaps: LazyText, look: LazyText) -> NotKnown:
    """A failure for an unknown outcome. ``perhaps``: what may have happened. ``look``: where a person can see it."""
    text = _(
        "It is not known whether %(what)s: the connection to the database was lost during the commit, and the database "
        "does not answer now."
    )
    return NotKnown(text % {"what": perhaps}, then=look)


def file_refused(errors: Sequence[FileError], count: int, undone: LazyText) -> FileRefused:
    """A failure that says how many errors a file has, and lists them."""
    text = ngettext(
        "The file is not a valid backup (%(count)s problem).",
        "The file is not a valid backup (%(count)s problems).",
        count,
    )
    return FileRefused(text % {"count": f"{count:,}"}, errors, count, undone=undone)


def shown_error(error: FileError) -> dict[str, Any]:
    """The error as a database can keep it: characters that none can store (NUL, surrogates) are written as escapes."""
    return {name: _storable(value) for name, value in error.as_dict().items()}


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    return [_storable(part) for part in value] if isinstance(value, list | tuple) else value
