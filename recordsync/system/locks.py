"""Named locks that the system releases when their holder dies.

On PostgreSQL a session-level advisory lock on a connection of its own, seen by every machine that
uses the database. On SQLite (one machine by nature) an ``flock`` on a file beside the database file.

A holder can lose its lock and live: the server restarts, something cuts an idle connection, somebody clears a folder.
So whoever holds a lock looks after it, and takes it again; whoever relies on it asks (:meth:`Lock.confirm`); and who
finds a lock free looks twice before they take its holder for dead (:func:`abandoned`).
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from recordsync.errors import LockLost, LockTimeout

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_SECONDS_BETWEEN_LOOKS = 1.0
"""How often a holder looks whether it still has its lock."""
_SECONDS_TO_TAKE_AGAIN = 3.0
"""By then a living holder has seen that it lost its lock, and has taken it again."""


class Lock(ABC):
    """A lock that is held until its block (:func:`held`) ends. Used by the holder and by the thread that keeps it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.was_lost = False
        """Whether somebody else may have had it since it was taken."""
        self._released = threading.Event()
        self._mutex = threading.Lock()

    def keep(self) -> bool:
        """Whether it is held now. If it was lost it is taken again, unless somebody else has it. Raises Error, OSError
        where that cannot be told."""
        with self._mutex:
            if self._released.is_set() or self._is_held():
                return True
            if not self.was_lost:
                logger.warning("The lock %r was lost while it was held", self.name)
                self.was_lost = True
            if not self._take():
                return False
            if self._released.is_set():  # meanwhile, by a holder that could not wait
                self._close()
            else:
                logger.warning("The lock %r was taken again", self.name)
            return True

    @abstractmethod
    def bind(self, connection: BaseDatabaseWrapper) -> None:
        """Hold it until the connection's transaction ends, whatever else is lost. For the transaction's beginning.

        Raises LockLost where somebody else has it now.
        """

    @abstractmethod
    def confirm(self) -> None:
        """Raises LockLost if somebody else may have had it since :meth:`bind`. For the transaction's end."""

    @abstractmethod
    def leaves_a_trace(self) -> bool:
        """Whether it can be seen that somebody has or had it and did not let go of it."""

    @abstractmethod
    def acquire(self) -> bool:
        """Try to take it; whether it was free."""

    @abstractmethod
    def _take(self) -> bool:
        """Take it if nobody else has it; whether that is so."""

    @abstractmethod
    def _is_held(self) -> bool:
        """Whether the system says that this holder has it."""

    @abstractmethod
    def release(self) -> None:
        """Let go of it. Never raises."""

    @abstractmethod
    def _close(self) -> None:
        """Give back what it is made of, and the lock with it. Never raises."""


@contextmanager
def held(
    name: str,
    using: str,
    *,
    wait: float = 0,
    while_waiting: Callable[[], None] | None = None,
    on_lost: Callable[[], None] | None = None,
) -> Iterator[Lock]:
    """Hold the lock ``name`` of the database ``using`` for the block; wait up to ``wait`` seconds for it.

    ``while_waiting`` is called several times a second while it waits, and may raise to give up. ``on_lost``: called
    in another thread, once, if the lock was lost in the block and somebody else has it now.
    Raises :class:`LockTimeout`. Not re-entrant.
    """
    deadline = time.monotonic() + wait
    lock = _lock(name, using)
    try:
        while not lock.acquire():
            if time.monotonic() >= deadline:
                raise LockTimeout(f"The lock {name!r} is held by someone else.")
            if while_waiting:
                while_waiting()
            time.sleep(_POLL_SECONDS)
        ended = threading.Event()
        keeper = threading.Thread(target=_keep, args=(lock, ended, on_lost), name=f"keeper of {name}", daemon=True)
        keeper.start()
        try:
            yield lock
        finally:
            ended.set()
    finally:
        lock.release()


def _keep(lock: Lock, ended: threading.Event, on_lost: Callable[[], None] | None) -> None:
    unseen = False
    refused_since: float | None = None
    while not ended.wait(_SECONDS_BETWEEN_LOOKS):
        try:
            is_held = lock.keep()
        except (Error, OSError):
            if not unseen:  # once for a server that is away
                logger.warning("Whether the lock %r is held cannot be told", lock.name, exc_info=True)
            unseen = True
            continue
        unseen = False
        if is_held:
            refused_since = None
            continue
        refused_since = refused_since or time.monotonic()
        # Whoever looks whether a lock on a file is free holds it for a moment.
        if on_lost is not None and time.monotonic() - refused_since >= _SECONDS_TO_TAKE_AGAIN:
            logger.error("Somebody else has the lock %r now", lock.name)
            on_lost()
            on_lost = None


def is_free(name: str, using: str) -> bool:
    """Whether nobody holds the lock now."""
    connection = connections[using]
    if connection.vendor == "postgresql":
        return not _Advisory(name, connection).exists()
    lock = _lock(name, using)
    try:
        return lock.acquire()
    finally:
        lock.release()


def abandoned(names: Iterable[str], using: str) -> set[str]:
    """Those of these locks whose holders are dead.

    Takes some seconds where one is free and a holder that lives could have lost it, and would take it again.
    """
    dead: set[str] = set()
    doubtful: set[str] = set()
    for name in names:
        leaves_a_trace = _lock(name, using).leaves_a_trace()
        if is_free(name, using):
            (dead if leaves_a_trace else doubtful).add(name)
    if doubtful:
        time.sleep(_SECONDS_TO_TAKE_AGAIN)
    return dead | {name for name in doubtful if is_free(name, using)}


def _lock(name: str, using: str) -> Lock:
    connection = connections[using]
    return _Advisory(name, connection) if connection.vendor == "postgresql" else _File(name, connection)


_KEY = "(classid::bigint << 32) | objid::bigint"  # as the server splits the key of an advisory lock


class _Advisory(Lock):
    """Two advisory locks: one of the session, one of the transactions that the holder binds to it. Free is what has
    neither: a holder that loses the session cannot be overtaken in the middle of its transaction."""

    def __init__(self, name: str, connection: BaseDatabaseWrapper) -> None:
        super().__init__(name)
        # A connection of its own: the caller's may be in a transaction, and one whose server went away
        # must not take the answer with it.
        self._own = connection.copy()
        self._own.inc_thread_sharing()
        self._session, self._bound = _key(f"muster:{name}"), _key(f"muster:{name}:bound")

    def exists(self) -> bool:
        """Whether anybody holds it. Looks, and takes nothing."""
        try:
            return self._ask(
                f"SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted "  # noqa: S608
                f"AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
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
        """The transaction itself holds it."""

    def _take(self) -> bool:
        return self._ask("SELECT pg_try_advisory_lock(%s)", self._session)

    def _is_held(self) -> bool:
        try:
            return self._ask(
                f"SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted "  # noqa: S608
                f"AND pid = pg_backend_pid() AND {_KEY} = %s)",
                self._session,
            )
        except Error:
            self._close()  # the next question opens it anew
            return False

    def _ask(self, question: str, *keys: int) -> bool:
        with self._own.cursor() as cursor:
            cursor.execute(question, keys)
            return bool(cursor.fetchone()[0])

    def release(self) -> None:
        waited = self._mutex.acquire(timeout=1)  # the other thread may be waiting for a server that is gone
        self._released.set()
        try:
            # Closing the session releases it too, but only when the server comes to it.
            with suppress(Exception):  # the server may be gone, and its locks with it
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


class _File(Lock):
    def __init__(self, name: str, connection: BaseDatabaseWrapper) -> None:
        super().__init__(name)
        database = Path(str(connection.settings_dict["NAME"]))
        self._path = database.with_name(f"{database.name}.locks") / f"{name}.lock"
        self._descriptor = -1

    def leaves_a_trace(self) -> bool:
        return self._path.exists()  # who dies does not remove it

    def acquire(self) -> bool:
        return self._take()

    def bind(self, connection: BaseDatabaseWrapper) -> None:
        if not self.keep():
            raise self._lost()
        self.was_lost = False

    def confirm(self) -> None:
        self.keep()
        if self.was_lost:
            raise self._lost()

    def _lost(self) -> LockLost:
        logger.error("The lock file %s was removed while it was in use", self._path)
        return LockLost(
            "A lock file beside the database was removed while it was in use: others could have come between."
        )

    def _take(self) -> bool:
        self._close()
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        with suppress(BlockingIOError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A holder removes its file on release: a lock on a removed file is nobody's.
            if self._is_held():
                return True
        self._close()
        return False

    def _is_held(self) -> bool:
        with suppress(FileNotFoundError):
            return self._descriptor >= 0 and os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        return False

    def release(self) -> None:
        with self._mutex:
            self._released.set()
            with suppress(OSError):
                if self._is_held():
                    self._path.unlink()
            self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1
