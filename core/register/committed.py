"""Whether anything was written to a register's database since an earlier look, as far as the database can prove it."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Hashable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

from core.register.database import Register


def committed_state(register: Register) -> Hashable | None:
    """What stands for all that is committed in the register's database: while it stays the same, nothing was written.

    None where the database cannot prove it: on another engine, for a database in memory, and inside a transaction that
    may have written something itself. Reads the database.
    """
    if register.connection.vendor == "postgresql":
        return _of_postgresql(register)
    if register.connection.vendor == "sqlite" and not register.connection.in_atomic_block:
        with suppress(OSError, sqlite3.Error):
            return _of_sqlite(str(register.connection.settings_dict["NAME"]))
    return None


def _of_postgresql(register: Register) -> Hashable | None:
    """Every write begins a transaction, which changes the server's snapshot. No snapshot shows what the current
    transaction has written."""
    sql = """
        SELECT current_database(), pg_postmaster_start_time()::text, pg_current_snapshot()::text
        WHERE pg_current_xact_id_if_assigned() IS NULL"""
    with register.connection.cursor() as cursor:
        cursor.execute(sql)
        state: tuple[str, ...] | None = cursor.fetchone()
    return state


class _Watcher(NamedTuple):
    """A connection that never writes: its ``data_version`` changes with every commit of another one."""

    connection: sqlite3.Connection
    file: tuple[int, ...]
    number: int


_watchers: Final[dict[str, _Watcher]] = {}
_numbers: Final = count()
_watching: Final = threading.Lock()


def _of_sqlite(path: str) -> Hashable:
    """Raises OSError if there is no such file, and sqlite3.Error if it cannot be read."""
    found = os.stat(path)
    file = (os.getpid(), found.st_dev, found.st_ino)  # a copy may have taken the file's place
    with _watching:
        watcher = _watchers.get(path)
        if watcher is None or watcher.file != file:
            uri = f"{Path(path).as_uri()}?mode=ro"
            watcher = _Watcher(sqlite3.connect(uri, uri=True, check_same_thread=False), file, next(_numbers))
            _watchers[path] = watcher
        version: int = watcher.connection.execute("PRAGMA data_version").fetchone()[0]
    return watcher.number, version
