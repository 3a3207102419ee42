"""The lock on SQLite: an ``flock`` on a file beside the database file."""

from __future__ import annotations

import fcntl
import logging
import os
from contextlib import suppress
from pathlib import Path

from django.db.backends.base.base import BaseDatabaseWrapper

from recordsync.errors import LockLost
from recordsync.system.lock import Lock

logger = logging.getLogger(__name__)


class FileLock(Lock):
    """A lock on a file that its holder removes on release. After a holder that died the file stays."""

    def __init__(self, name: str, connection: BaseDatabaseWrapper) -> None:
        super().__init__(name)
        database = Path(str(connection.settings_dict["NAME"]))
        self._path = database.with_name(f"{database.name}.locks") / f"{name}.lock"
        self._descriptor = -1

    def leaves_a_trace(self) -> bool:
        return self._path.exists()

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
            # A holder removes its file on release, and a lock on a removed file keeps nobody out.
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
