"""The steps of a decided plan: for each merge the change that is written, and its account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import NamedTuple

from recordsync.merge import Counts, Effect, Merged, addition
from recordsync.model.records import Key, Record
from recordsync.model.schema import Model, Shape
from recordsync.streams import Change


class Step(NamedTuple):
    """A step of a decided plan, with the change that it writes (None: nothing).

    ``merged`` is None for a record that is created because others refer to it. A step that is not decided has no change
    and cannot be applied. ``sealed``: whether only a person may decide that the record changes, and it would;
    ``is_stopped``: whether the person decided that it stays, or nobody has decided.
    """

    model: Model
    merged: Merged | None
    change: Change | None
    effect: Effect
    sealed: bool = False
    is_stopped: bool = False

    @property
    def blocked(self) -> bool:
        """Whether a record should be deleted and something still refers to it, or should get a name that is taken."""
        return self.effect is Effect.BLOCKED

    @property
    def held_effect(self) -> Effect:
        """The effect, as :meth:`recordsync.plan.References.settled` wants it: an update is another name."""
        is_other = self.effect is Effect.UPDATE and not (self.change is not None and self.change.is_rename)
        return Effect.KEEP if is_other else self.effect

    def blocked_one(self) -> Step:
        """The same step without what is blocked: a deletion, or another name."""
        change = self.change
        if change is not None and change.before is not None and change.after is not None:
            shape = self.model.shape()
            names = {name: shape.content(change.before)[name] for name in self.model.key_names}
            after = shape.from_mapping({**shape.content(change.after), **names}, change.after.created_at)
            change = None if after == change.before else change._replace(after=after)
        else:
            change = None
        return self._replace(change=change, effect=Effect.BLOCKED)

    @property
    def undecided(self) -> bool:
        """Whether a unit is in conflict, or the record is sealed, and nobody has decided it."""
        return self.effect is Effect.UNDECIDED

    @property
    def to_decide(self) -> bool:
        """Whether both sides changed the same unit, so that somebody or a strategy decides."""
        return self.merged is not None and bool(self.merged.conflicts) and not self.is_stopped

    @property
    def is_conflict(self) -> bool:
        return self.blocked or self.to_decide

    def changes(self) -> list[Change]:
        """The changes that the step writes."""
        return [] if self.change is None else [self.change]

    def names(self) -> Mapping[Key, int]:
        """For each :meth:`Model.names_in` a key, the number of records that the step adds or deletes."""
        change = self.change
        if change is None or self.effect is Effect.UPDATE:
            return {}
        return {self.model.names_in(change.key): 1}

    def tally(self, counts: Counts) -> None:
        """Account for this step."""
        counts.tally(self.effect, listed=self.merged is None or self.merged.listed, to_decide=self.to_decide)
        if self.sealed:
            counts.sealed += 1


class Additions(NamedTuple):
    """Consecutive steps that add records of one model.

    Nobody decides them, and a plan that writes much has little else. So they are decided, accounted for and written
    together.
    """

    model: Model
    shape: Shape
    theirs: list[Record]
    """Of the shape ``shape``, as theirs has them."""

    @property
    def effect(self) -> Effect:
        """The effect on each record."""
        return Effect.ADD

    def names(self) -> Mapping[Key, int]:
        """As :meth:`Step.names`."""
        keys = [record.key for record in self.theirs]
        return Counter(zip(*(map(itemgetter(position), keys) for position in self.model.name_positions), strict=True))

    def records(self) -> list[Record]:
        """The records that the steps add, with every field."""
        if self.shape.is_whole:
            return self.theirs
        whole = self.model.shape()
        return [whole.project(record, self.shape) for record in self.theirs]

    def changes(self) -> list[Change]:
        """The changes that the steps write, as :func:`recordsync.merge.effect_and_change` gives them."""
        return [Change(record.key, None, record) for record in self.records()]

    def steps(self) -> Iterator[Step]:
        """The steps one by one."""
        units = tuple(self.shape.units)
        for record, change in zip(self.theirs, self.changes(), strict=True):
            yield Step(self.model, addition(record, units), change, Effect.ADD)

    def tally(self, counts: Counts) -> None:
        """Account for these steps."""
        counts.tally(Effect.ADD, len(self.theirs))
