"""The steps of a decided plan: what is written for each merge, and how it is accounted for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from recordsync.merge import Counts, Merged, addition
from recordsync.model.records import Record
from recordsync.model.schema import Model, Shape
from recordsync.streams import Change


class Step(NamedTuple):
    """One item of a decided plan: ``change`` is what is to be written (None: nothing).

    ``merged`` is None for a record that is created because others refer to it. ``blocked``: a deletion that
    cannot be, because something still refers to the record: a conflict, but one that nobody can decide.
    ``undecided``: a conflict of which nobody has decided some unit; it has no change, and cannot be applied.
    """

    model: Model
    merged: Merged | None
    change: Change | None
    blocked: bool = False
    undecided: bool = False

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

    def tally(self, counts: Counts) -> None:
        """Account for this step."""
        counts.conflicts += self.is_conflict
        if self.merged is None:
            counts.created += 1
        elif self.undecided:
            counts.undecided += self.merged.listed
            counts.absent_undecided += not self.merged.listed
        elif not self.merged.listed:
            if self.change is None:
                counts.absent_kept += 1
            else:
                counts.absent_deleted += 1
        elif self.change is None:
            counts.kept += 1
        elif self.change.kind == "add":
            counts.added += 1
        elif self.change.kind == "update":
            counts.updated += 1
        else:
            counts.deleted += 1


class Additions(NamedTuple):
    """Steps in a row that add records of one model. Nobody decides about them, and plans consist of little else when
    much is written: so they are decided, accounted for and written together."""

    model: Model
    shape: Shape
    theirs: list[Record]
    """Of ``shape``: as theirs has them."""

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
            yield Step(self.model, addition(record, units), change)

    def tally(self, counts: Counts) -> None:
        """Account for these steps."""
        counts.added += len(self.theirs)
