"""Named locks that the system releases when their holder dies.

On PostgreSQL a session-level advisory lock on a connection of its own, seen by every machine that
uses the database. On SQLite (one machine by nature) an ``flock`` on a file beside the database file.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from recordsync.errors import LockTimeout

_POLL_SECONDS = 0.1


@contextmanager
def held(name: str, using: str, *, wait: float = 0, while_waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock ``name`` of the database ``using`` for the block; wait up to ``wait`` seconds for it.

    ``while_waiting`` is called several times a second while it waits, and may raise to give up.
    Raises :class:`LockTimeout`. Not re-entrant.
    """
    deadline = time.monotonic() + wait
    with _candidate(name, using) as (acquire, release):
        while not acquire():
            if time.monotonic() >= deadline:
                raise LockTimeout(f"The lock {name!r} is held by someone else.")
            if while_waiting:
                while_waiting()
            time.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            release()


def is_free(name: str, using: str) -> bool:
    """Whether nobody holds the lock now."""
    try:
        with held(name, using):
            return True
    except LockTimeout:
        return False


Candidate = tuple[Callable[[], bool], Callable[[], None]]


@contextmanager
def _candidate(name: str, using: str) -> Iterator[Candidate]:
    connection = connections[using]
    if connection.vendor == "postgresql":
        with _advisory(name, connection) as candidate:
            yield candidate
    else:
        with _file_lock(_lock_path(name, connection)) as candidate:
            yield candidate


@contextmanager
def _advisory(name: str, connection: BaseDatabaseWrapper) -> Iterator[Candidate]:
    # A connection of its own: the caller's may be in a transaction, and one whose server went away
    # must not take the answer with it.
    own = connection.copy()
    key = int.from_bytes(hashlib.sha256(f"muster:{name}".encode()).digest()[:8], "big", signed=True)

    def acquire() -> bool:
        with own.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
            return bool(cursor.fetchone()[0])

    def release() -> None:
        # Closing the session releases it too, but only when the server comes to it.
        with suppress(Exception), own.cursor() as cursor:  # the server may be gone, and its locks with it
            cursor.execute("SELECT pg_advisory_unlock(%s)", [key])

    try:
        yield acquire, release
    finally:
        with suppress(Exception):
            own.close()


def _lock_path(name: str, connection: BaseDatabaseWrapper) -> Path:
    database = Path(str(connection.settings_dict["NAME"]))
    return database.with_name(f"{database.name}.locks") / f"{name}.lock"


@contextmanager
def _file_lock(path: Path) -> Iterator[Candidate]:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = -1

    def acquire() -> bool:
        nonlocal descriptor
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A holder removes its file on release: a lock on a removed file is nobody's.
            if os.fstat(descriptor).st_nlink:
                return True
        except BlockingIOError:
            pass
        os.close(descriptor)
        descriptor = -1
        return False

    def release() -> None:
        with suppress(FileNotFoundError):
            path.unlink()

    try:
        yield acquire, release
    finally:
        if descriptor >= 0:
            os.close(descriptor)
