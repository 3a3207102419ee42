"""The steps of a decided plan: what is written for each merge, and how it is accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from recordsync.merge import Counts, Effect, Merged, addition
from recordsync.model.records import Record
from recordsync.model.schema import Model, Shape
from recordsync.streams import Change


class Step(NamedTuple):
    """One item of a decided plan: ``change`` is what is to be written (None: nothing).

    ``merged`` is None for a record that is created because others refer to it. What is not decided has no change, and
    cannot be applied.
    """

    model: Model
    merged: Merged | None
    change: Change | None
    effect: Effect

    @property
    def blocked(self) -> bool:
        """Whether something still refers to the record that was to be deleted."""
        return self.effect is Effect.BLOCKED

    @property
    def undecided(self) -> bool:
        """Whether nobody has decided about some unit that is in conflict."""
        return self.effect is Effect.UNDECIDED

    @property
    def to_decide(self) -> bool:
        """Whether both sides changed the same, so that somebody or a strategy decides."""
        return self.merged is not None and bool(self.merged.conflicts)

    @property
    def is_conflict(self) -> bool:
        return self.blocked or self.to_decide

    def changes(self) -> list[Change]:
        """What is to be written."""
        return [] if self.change is None else [self.change]

    def names(self) -> Mapping[str, int]:
        """How many records it adds or deletes, of each name (:attr:`Model.name_position`)."""
        change = self.change
        if change is None or self.effect is Effect.UPDATE:
            return {}
        return {change.key[self.model.name_position]: 1}

    def tally(self, counts: Counts) -> None:
        """Account for this step."""
        counts.tally(self.effect, listed=self.merged is None or self.merged.listed, to_decide=self.to_decide)


class Additions(NamedTuple):
    """Steps in a row that add records of one model. Nobody decides about them, and plans consist of little else when
    much is written: so they are decided, accounted for and written together."""

    model: Model
    shape: Shape
    theirs: list[Record]
    """Of ``shape``: as theirs has them."""

    @property
    def effect(self) -> Effect:
        """What becomes of each."""
        return Effect.ADD

    def names(self) -> Mapping[str, int]:
        """As :meth:`Step.names`."""
        place = self.model.name_position
        return Counter([record.key[place] for record in self.theirs])

    def changes(self) -> list[Change]:
        """What is to be written. As :func:`recordsync.merge.resolve` says it of each."""
        records, whole = self.theirs, self.model.shape()
        if not self.shape.is_whole:
            records = [whole.project(record, self.shape) for record in records]
        return [Change(record.key, None, record) for record in records]

    def steps(self) -> Iterator[Step]:
        """One by one."""
        units = tuple(self.shape.units)
        for record, change in zip(self.theirs, self.changes(), strict=True):
            yield Step(self.model, addition(record, units), change, Effect.ADD)

    def tally(self, counts: Counts) -> None:
        """Account for these steps."""
        counts.tally(Effect.ADD, len(self.theirs))
