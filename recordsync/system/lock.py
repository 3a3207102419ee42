"""A named lock: held by one holder, watched while it is held, taken again if it is lost."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod

from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger(__name__)


class Lock(ABC):
    """A lock that its holder has until a block (:func:`recordsync.system.locks.held`) ends. The holder uses it, and the
    thread that watches it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.was_lost = False
        """Whether somebody else may have had the lock since it was taken."""
        self._released = threading.Event()
        self._mutex = threading.Lock()

    def keep(self) -> bool:
        """Whether the lock is held now. If it was lost, it is taken again, unless somebody else has it.

        Raises Error or OSError if that cannot be known.
        """
        with self._mutex:
            if self._released.is_set() or self._is_held():
                return True
            if not self.was_lost:
                logger.warning("The lock %r was lost while it was held", self.name)
                self.was_lost = True
            if not self._take():
                return False
            if self._released.is_set():  # while this waited for the server
                self._close()
            else:
                logger.warning("The lock %r was taken again", self.name)
            return True

    @abstractmethod
    def bind(self, connection: BaseDatabaseWrapper) -> None:
        """Hold the lock until the connection's transaction ends, even if it is lost otherwise.

        Called when the transaction begins. Raises LockLost if somebody else has the lock now.
        """

    @abstractmethod
    def confirm(self) -> None:
        """Raises LockLost if somebody else may have had the lock since :meth:`bind`. Called before the commit."""

    @abstractmethod
    def leaves_a_trace(self) -> bool:
        """Whether there is a sign that a holder has the lock, or died with it."""

    @abstractmethod
    def acquire(self) -> bool:
        """Whether the lock was free. If so, it is taken."""

    @abstractmethod
    def _take(self) -> bool:
        """Whether nobody else has the lock. If so, it is taken."""

    @abstractmethod
    def _is_held(self) -> bool:
        """Whether the system says that this holder has the lock."""

    @abstractmethod
    def release(self) -> None:
        """Release the lock. Never raises."""

    @abstractmethod
    def _close(self) -> None:
        """Close what the lock is made of, which releases it. Never raises."""
