"""Named locks that the system releases when their holder dies.

On PostgreSQL a lock is a session-level advisory lock on a connection of its own, which every machine that uses the
database sees. On SQLite, which one machine uses, it is an ``flock`` on a file beside the database file.

A holder can lose its lock and live: the server restarts, an idle connection is cut, somebody clears a folder. So a
thread watches each lock that is held and takes it again (:meth:`Lock.keep`), a writer confirms it before the commit
(:meth:`Lock.confirm`), and nobody takes a holder for dead after one look (:func:`abandoned`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from django.db import Error, connections

from recordsync.errors import LockTimeout
from recordsync.system.advisory_lock import AdvisoryLock
from recordsync.system.file_lock import FileLock
from recordsync.system.lock import Lock

__all__ = ["Lock", "abandoned", "held", "is_free"]

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_SECONDS_BETWEEN_LOOKS = 1.0
"""How often the thread of a holder checks that the lock is still held."""
_SECONDS_TO_TAKE_AGAIN = 3.0
"""Within this time a living holder notices that it lost its lock, and takes it again."""


@contextmanager
def held(
    name: str,
    using: str,
    *,
    wait: float = 0,
    while_waiting: Callable[[], None] | None = None,
    on_lost: Callable[[], None] | None = None,
) -> Iterator[Lock]:
    """The lock ``name`` of the database ``using``, held for the block. Waits up to ``wait`` seconds for it.

    ``while_waiting`` is called several times a second during the wait, and may raise to give up. ``on_lost`` is called
    once, in another thread, if the lock is lost in the block and somebody else has it now.
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
    """Watch the lock until its block has ended."""
    is_unknown = False
    refused_since: float | None = None
    while not ended.wait(_SECONDS_BETWEEN_LOOKS):
        try:
            is_held = lock.keep()
        except (Error, OSError):
            if not is_unknown:  # log once while the server is away
                logger.warning("Whether the lock %r is held cannot be told", lock.name, exc_info=True)
            is_unknown = True
            continue
        is_unknown = False
        if is_held:
            refused_since = None
            continue
        refused_since = refused_since or time.monotonic()
        # A process that checks whether a lock on a file is free holds it for a moment.
        if on_lost is not None and time.monotonic() - refused_since >= _SECONDS_TO_TAKE_AGAIN:
            logger.error("Somebody else has the lock %r now", lock.name)
            on_lost()
            on_lost = None


def is_free(name: str, using: str) -> bool:
    """Whether nobody holds the lock now. Asks the database, or the system about the file."""
    connection = connections[using]
    if connection.vendor == "postgresql":
        return not AdvisoryLock(name, connection).exists()
    lock = _lock(name, using)
    try:
        return lock.acquire()
    finally:
        lock.release()


def abandoned(names: Iterable[str], using: str) -> set[str]:
    """Those of these locks whose holders are dead.

    Takes some seconds if a lock is free and leaves no trace: a living holder may have lost it, and takes it again.
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
    return AdvisoryLock(name, connection) if connection.vendor == "postgresql" else FileLock(name, connection)
