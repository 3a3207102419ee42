"""Writing the additions of a plan while the plan is made, so that they are read once and never stored in between."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from recordsync.merge import Counts, Effect
from recordsync.model.records import Record
from recordsync.model.schema import Model
from recordsync.plan.apply import require_valid
from recordsync.plan.plan import Plan
from recordsync.plan.references import References
from recordsync.plan.source import Source
from recordsync.plan.steps import Additions
from recordsync.stores import Store
from recordsync.system.progress import EVERY

_HELD: Final = 10_000
"""How many records of ours are held in memory, so that their table can be written while a plan is made."""

_BATCH: Final = 5 * EVERY
"""How many records are written together. PostgreSQL takes a tenth less time for one COPY of so many than for five."""


class Adder:
    """Writes additions in the current transaction as a plan finds them. Nobody has to decide them.

    Whoever uses it rolls the transaction back where the plan or the rest of it cannot be applied.
    """

    def __init__(self, store: Store, now: dt.datetime) -> None:
        """``now``: what written rows get as ``updated_at``."""
        self._store = store
        self._now = now
        self._references: References | None = None
        self._waiting: list[Record] = []

    def takes(self, model: Model) -> bool:
        """Whether additions of the model can be written at once: all of ours are first read into memory, so there must
        be few."""
        return not self._store.has_more_than(model, _HELD)

    def add(self, plan: Plan, additions: Additions) -> None:
        """Write the additions, and before them the records that they name and the database does not have.

        Raises :class:`recordsync.errors.RegisterMoved` for a record that is there, and RecordSyncError for one that no
        register holds.
        """
        model, names = additions.model, additions.names()
        if self._references is None:
            self._references = plan.references()
        for step in self._references.follow(model, Effect.ADD, names):
            step.tally(plan.settled.setdefault(step.model.name, Counts()))
            self._store.write(step.model, step.changes(), self._now)
            plan.written[step.model.name].update(step.names())
        additions.tally(plan.settled[model.name])
        plan.written[model.name].update(names)
        records = additions.records()
        if not additions.shape.is_whole:
            require_valid(model, records)
        self._waiting += records
        if len(self._waiting) >= _BATCH:
            self.flush(model)

    def flush(self, model: Model) -> None:
        """Write what waits, which is of this model."""
        if self._waiting:
            self._store.add(model, self._waiting, self._now)
            self._waiting = []


@contextmanager
def adding(store: Store, theirs: Source, now: dt.datetime, *, alone: bool = False) -> Iterator[Adder]:
    """An adder for a plan of ``theirs``, in a block in which the plan is made and applied. ``alone``: see
    :meth:`Store.filling`."""
    with store.filling(sum(theirs.counts.values()), alone=alone):
        yield Adder(store, now)
