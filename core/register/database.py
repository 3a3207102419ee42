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

from core.models import AttendanceQuerySet, AttendanceRecord, Company, CompanyQuerySet, Seal, SealQuerySet
from core.register.declared import SCHEMA
from recordsync.history.databases import history_of
from recordsync.history.snapshots import History
from recordsync.history.store import HistoryStore
from recordsync.models import Dirty
from recordsync.stores import Store, open_store, tables
from recordsync.system import locks
from recordsync.system.transactions import committed, reading, writing

REGISTER_LOCK: Final = "register"
"""The name of the register's lock. Restores and imports hold it from their start to their commit. A backup holds it
while it opens its snapshot, and while it is entered into the catalogue."""

_M = TypeVar("_M", bound=Model)


def usual_wait() -> float:
    """The seconds that a command or the worker waits for other writers."""
    return settings.LOCK_WAIT_SECONDS


@dataclass(frozen=True)
class Register:
    """The register in the database of this ``alias``. Two with the same alias are equal. Making one reads nothing.

    A store lives for one transaction: :meth:`read` or :meth:`write` makes it, and it must not be used afterwards.
    ``wait`` is always the seconds to wait for other writers; None: ``LOCK_WAIT_SECONDS``.
    """

    alias: str = DEFAULT_DB_ALIAS

    @property
    def connection(self) -> BaseDatabaseWrapper:
        """This thread's connection to the database."""
        return connections[self.alias]

    def reconnect(self) -> None:
        """Have a connection that was lost, while nothing was asked of it, made anew at its next use."""
        if not self.connection.is_usable():
            self.connection.close()

    @overload
    def rows(self, model: type[AttendanceRecord]) -> AttendanceQuerySet: ...
    @overload
    def rows(self, model: type[Company]) -> CompanyQuerySet: ...
    @overload
    def rows(self, model: type[Seal]) -> SealQuerySet: ...
    @overload
    def rows(self, model: type[_M]) -> QuerySet[_M]: ...
    def rows(self, model: type[Any]) -> QuerySet[Any]:
        """All rows of a model in this database, for the caller to filter. Reads nothing yet."""
        return model._default_manager.using(self.alias).all()

    @contextmanager
    def read(self) -> Iterator[Store]:
        """A store that shows everything as it is when the block begins. Writes nothing.

        Raises RuntimeError inside another transaction.
        """
        with reading(self.alias):
            yield self._store()

    @contextmanager
    def write(self, wait: float | None = None) -> Iterator[Store]:
        """A store in a transaction. Until it ends, nobody else can write what a backup holds or mark it as written, and
        everybody can read.

        Raises what :func:`recordsync.system.transactions.writing` raises.
        """
        with writing(self.alias, [*tables(SCHEMA), Dirty], _seconds(wait)):
            yield self._store()

    def change(
        self, models: Sequence[type[Model]], wait: float | None = None, *, alone: bool = False
    ) -> AbstractContextManager[None]:
        """A transaction that writes the tables of these models. Others may write other rows of them at the same time.

        ``alone``: nobody else can write these tables until it ends. Raises what :meth:`write` raises.
        """
        return writing(self.alias, models, _seconds(wait), alone=alone)

    def commit(self, wait: float | None = None) -> AbstractContextManager[None]:
        """A transaction that is committed if the block ends without an error, and rolled back if the block raises.

        It locks no table. ``wait``: the seconds for which a database that does not answer is asked whether it has
        committed. Raises what :func:`recordsync.system.transactions.committed` raises.
        """
        return committed(self.alias, _seconds(wait))

    def lock(
        self, wait: float | None = None, while_waiting: Callable[[], None] | None = None
    ) -> AbstractContextManager[locks.Lock]:
        """The register's lock, held for the block. It is not a transaction, and it does not stop those who write
        without asking for it.

        ``while_waiting`` is called several times a second during the wait, and may raise to give up. Raises
        LockTimeout.
        """
        return locks.held(REGISTER_LOCK, self.alias, wait=_seconds(wait), while_waiting=while_waiting)

    def is_free(self) -> bool:
        """Whether nobody holds the register's lock now."""
        return locks.is_free(REGISTER_LOCK, self.alias)

    @property
    def history(self) -> History:
        """The history of the register. Reads nothing yet."""
        return History(self.alias, SCHEMA, HistoryStore(history_of(self.alias)), self._store)

    def _store(self) -> Store:
        """A new store: the fast one for this database, or the reference store if the settings say so."""
        return open_store(SCHEMA, self.alias, reference=settings.MUSTER_REFERENCE_STORE)


def _seconds(wait: float | None) -> float:
    return usual_wait() if wait is None else wait


DEFAULT: Final = Register()
"""The register that this installation serves."""
