"""The register in one database: how everything in this project reads, writes and locks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar, overload

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model, QuerySet

from core.models import AttendanceQuerySet, AttendanceRecord, Company, CompanyQuerySet
from core.register.declared import SCHEMA
from recordsync.stores import Store, open_store, tables
from recordsync.system import locks
from recordsync.system.transactions import committed, reading, writing

REGISTER_LOCK: Final = "register"
"""Restores and imports hold it from their start to their commit. A backup holds it while it opens its snapshot, and
while it enters itself into the catalogue."""

_M = TypeVar("_M", bound=Model)


def usual_wait() -> float:
    """The seconds that a command or the worker waits for other writers."""
    return settings.LOCK_WAIT_SECONDS


@dataclass(frozen=True)
class Register:
    """The register in the database of this ``alias``. Two with one alias are equal. Making one reads nothing.

    A store lives for one transaction: it is made by :meth:`read` or :meth:`write` and is of no use afterwards. Wherever
    there is a ``wait``, it is the seconds to wait for other writers; None: ``LOCK_WAIT_SECONDS``.
    """

    alias: str = DEFAULT_DB_ALIAS

    @property
    def connection(self) -> BaseDatabaseWrapper:
        """This thread's connection to the database."""
        return connections[self.alias]

    @overload
    def rows(self, model: type[AttendanceRecord]) -> AttendanceQuerySet: ...
    @overload
    def rows(self, model: type[Company]) -> CompanyQuerySet: ...
    @overload
    def rows(self, model: type[_M]) -> QuerySet[_M]: ...
    def rows(self, model: type[Any]) -> QuerySet[Any]:
        """All rows of a model in this database, for the caller to filter. Reads nothing yet."""
        return model._default_manager.using(self.alias).all()

    @contextmanager
    def read(self) -> Iterator[Store]:
        """A store in which everything is as it was at one moment, when the block begins. Nothing is written.

        Opens no transaction inside another: raises RuntimeError.
        """
        with reading(self.alias):
            yield self._store()

    @contextmanager
    def write(self, wait: float | None = None) -> Iterator[Store]:
        """A store in a transaction in which nobody else writes what a backup holds; readers go on.

        Raises what :func:`recordsync.system.transactions.writing` raises.
        """
        with writing(self.alias, tables(SCHEMA), _seconds(wait)):
            yield self._store()

    def change(
        self, models: Sequence[type[Model]], wait: float | None = None, *, alone: bool = False
    ) -> AbstractContextManager[None]:
        """A transaction that writes these models' tables, beside others who write other rows of them.

        ``alone``: nobody else writes the tables meanwhile. Raises as :meth:`write`.
        """
        return writing(self.alias, models, _seconds(wait), alone=alone)

    def commit(self, wait: float | None = None) -> AbstractContextManager[None]:
        """A transaction that was committed when the block ends without an error, and was not when it raises.

        It locks no table. ``wait``: for how long a database that does not answer is asked about a commit. Raises what
        :func:`recordsync.system.transactions.committed` raises.
        """
        return committed(self.alias, _seconds(wait))

    def lock(
        self, wait: float | None = None, while_waiting: Callable[[], None] | None = None
    ) -> AbstractContextManager[locks.Lock]:
        """The register's one lock, held for the block. It is no transaction, and keeps nobody from writing who does
        not ask for it.

        ``while_waiting`` is called several times a second while it waits, and may raise to give up. Raises LockTimeout.
        """
        return locks.held(REGISTER_LOCK, self.alias, wait=_seconds(wait), while_waiting=while_waiting)

    def is_free(self) -> bool:
        """Whether nobody holds the register's lock now."""
        return locks.is_free(REGISTER_LOCK, self.alias)

    def _store(self) -> Store:
        """A new store: by the database's own fast ways unless the settings say otherwise."""
        return open_store(SCHEMA, self.alias, reference=settings.MUSTER_REFERENCE_STORE)


def _seconds(wait: float | None) -> float:
    return usual_wait() if wait is None else wait


DEFAULT: Final = Register()
"""The register that this installation serves."""
