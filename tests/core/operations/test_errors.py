"""Failures as sentences for people."""

from __future__ import annotations

import ast
import errno
from pathlib import Path

import psycopg
import pytest
from django.db import DataError, InterfaceError, OperationalError

from core.operations.errors import Cancelled, FileRefused, OperationFailed, as_failure, explain
from recordsync.errors import FileError, InvalidFile, LockTimeout
from tests.running.installation import PROJECT
from tests.running.services import database_error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full."),
        (OSError(errno.EACCES, "Permission denied", "/a/b"), "/a/b: permission is denied."),
        (OSError(errno.EPIPE, "Broken pipe"), "Whoever was reading the output has stopped."),
        (OSError(errno.EXDEV, "Cross-device link"), "Cross-device link."),
        (database_error("SQLITE_BUSY"), "another program is using it"),
        (database_error("SQLITE_BUSY_SNAPSHOT"), "another program is using it"),
        (database_error(psycopg.errors.LockNotAvailable), "another program is using it"),
        (database_error("SQLITE_FULL"), "The database's disk is full."),
        (database_error("SQLITE_IOERR_SHMSIZE"), "The database's disk is full."),
        (database_error(psycopg.errors.DiskFull), "The database's disk is full."),
        (database_error("SQLITE_FULL").__cause__, "The database's disk is full."),
        (database_error("SQLITE_IOERR_READ"), "The disk of the database reports an error (पाठ)."),
        (database_error("SQLITE_READONLY_DBMOVED"), "cannot be written"),
        (database_error(psycopg.errors.ReadOnlySqlTransaction), "cannot be written"),
        (database_error("SQLITE_CANTOPEN"), "check DATABASE_URL"),
        (database_error("SQLITE_NOTADB"), "not an SQLite database"),
        (database_error("SQLITE_ERROR", "no such table: core_company"), "run manage.py migrate first"),
        (
            database_error("SQLITE_ERROR", "table backup has no column named version"),
            "run manage.py migrate first",
        ),
        (database_error(psycopg.errors.UndefinedTable), "run manage.py migrate first"),
        (database_error(psycopg.errors.UndefinedColumn), "run manage.py migrate first"),
        (database_error(psycopg.errors.AdminShutdown), "was lost or refused"),
        (OperationalError("server closed the connection unexpectedly\nmore"), "was lost or refused"),
        (InterfaceError("the connection is closed"), "was lost or refused"),
        (psycopg.OperationalError("consuming input failed: server closed the connection"), "was lost or refused"),
        (database_error(psycopg.errors.OutOfMemory, "something new."), "The database failed: something new."),
        (DataError("value too long\nDETAIL: x"), "The database refused: value too long."),
        (MemoryError(), "There is not enough memory."),
        (RuntimeError(""), "Unexpected error (RuntimeError: RuntimeError); the log has the details."),
        (LockTimeout("The lock is held."), "The lock is held."),
    ],
)
def test_every_error_is_one_sentence(error: Exception, sentence: str) -> None:
    assert sentence in explain(error)
    assert "\n" not in explain(error)
    assert str(as_failure(error, "Nothing was changed.")).endswith(" Nothing was changed.")


def test_a_failure_stays_what_it_is() -> None:
    cancelled = Cancelled("It was cancelled.")
    assert as_failure(cancelled, "Nothing was changed.") is cancelled
    assert cancelled.errors == (FileError("It was cancelled."),)


def test_what_is_wrong_with_a_file_is_kept() -> None:
    errors = [FileError("one", 3), FileError("two", 4)]
    failure = as_failure(InvalidFile(errors, 1234), "Nothing was changed.")
    assert isinstance(failure, FileRefused)
    assert isinstance(failure, OperationFailed)
    assert str(failure) == "The file is not a valid backup (1,234 problems). Nothing was changed."
    assert (failure.errors, failure.error_count) == (tuple(errors), 1234)


@pytest.mark.parametrize("room", ["accounts", "attendance", "backups", "operations", "preview", "restores", "sheets"])
def test_what_a_page_may_say_goes_through_gettext(room: str) -> None:
    """No failure of these rooms' modules is made from a text of its own."""
    for path in (PROJECT / "core" / room).glob("*.py"):
        _require_gettext(path)


def _require_gettext(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Raise | ast.Return) and isinstance(made := _made_by(node), ast.Call) and made.args:
            kind = ast.unparse(made.func)
            if kind[:1].isupper() and kind not in ("PermissionError", "ValueError"):
                assert not _words(made.args[0]), f"{path.name}:{node.lineno}"


def _made_by(node: ast.Raise | ast.Return) -> ast.expr | None:
    return node.exc if isinstance(node, ast.Raise) else node.value


def _words(text: ast.expr) -> bool:
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    own = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return any(map(str.isalpha, "".join(own)))
