"""The lock on PostgreSQL: advisory locks of the server on a connection of their own."""

from __future__ import annotations

import hashlib
from contextlib import suppress

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from recordsync.system.lock import Lock

_IS_GRANTED = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND "
_KEY = "(classid::bigint << 32) | objid::bigint"  # pg_locks shows the key of an advisory lock in two halves


class AdvisoryLock(Lock):
    """Two advisory locks: one of the session, and one of the transactions that the holder binds to it.

    The lock is free if nobody has either, so that nobody overtakes a holder that loses its session in the middle of a
    transaction.
    """

    def __init__(self, name: str, connection: BaseDatabaseWrapper) -> None:
        super().__init__(name)
        # The caller's connection may be in a transaction, and a lost one must not take the lock with it.
        self._own = connection.copy()
        self._own.inc_thread_sharing()
        self._session, self._bound = _key(f"muster:{name}"), _key(f"muster:{name}:bound")

    def exists(self) -> bool:
        """Whether anybody holds the lock. Takes nothing."""
        try:
            return self._ask(
                f"{_IS_GRANTED}database = (SELECT oid FROM pg_database WHERE datname = current_database()) "  # noqa: S608 - of constants
                f"AND {_KEY} IN (%s, %s))",
                self._session,
                self._bound,
            )
        finally:
            self._close()

    def leaves_a_trace(self) -> bool:
        return False

    def acquire(self) -> bool:
        if not self._take():
            return False
        if self._ask("SELECT pg_try_advisory_xact_lock(%s)", self._bound):
            return True
        self._ask("SELECT pg_advisory_unlock(%s)", self._session)
        return False

    def bind(self, connection: BaseDatabaseWrapper) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [self._bound])

    def confirm(self) -> None:
        """Never raises: the transaction itself holds the lock."""

    def _take(self) -> bool:
        return self._ask("SELECT pg_try_advisory_lock(%s)", self._session)

    def _is_held(self) -> bool:
        try:
            return self._ask(
                f"{_IS_GRANTED}pid = pg_backend_pid() AND {_KEY} = %s)",
                self._session,
            )
        except Error:
            self._close()  # the next question opens it again
            return False

    def _ask(self, question: str, *keys: int) -> bool:
        with self._own.cursor() as cursor:
            cursor.execute(question, keys)
            return bool(cursor.fetchone()[0])

    def release(self) -> None:
        waited = self._mutex.acquire(timeout=1)  # the other thread may be waiting for a lost server
        self._released.set()
        try:
            # Closing the session releases the lock too, but later.
            with suppress(Exception):  # the server may be lost, and its locks with it
                if waited and self._own.connection is not None:
                    self._ask("SELECT pg_advisory_unlock(%s)", self._session)
        finally:
            self._close()
            if waited:
                self._mutex.release()

    def _close(self) -> None:
        with suppress(Exception):
            self._own.close()


def _key(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)
