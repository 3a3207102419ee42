"""What can be merged: snapshots, whatever they come from.

A checked backup file is one, the rows of a sheet are another, and so is the base of a merge. A plan asks all of them
the same; what makes one kind special is part of the protocol, and nobody looks at a snapshot's type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from recordsync.model.records import Record
from recordsync.model.schema import Model, Shape
from recordsync.streams import Deletion, Unparsed

Align = Callable[[Record, Record | None], Record]
"""Theirs as it means beside ours (None: nothing is there): with our value where both are the same to its precision."""


class Pass(Protocol):
    """One pass through a snapshot, the models in the schema's order."""

    def records(self, model: Model) -> Iterable[Record]:
        """The model's records, in key order. Raises :class:`recordsync.errors.SourceChanged` where they are not those
        that were checked."""

    def unparsed(self, model: Model) -> Unparsed | None:
        """The lines of the same records, if they can be compared with those of a register; they are read once, either
        so or as records."""


class Snapshot(Protocol):
    """All that one place says about records at one moment, checked and in key order."""

    @property
    def digest(self) -> str:
        """What identifies the content."""

    @property
    def counts(self) -> Mapping[str, int]:
        """How many records there are, per model."""

    @property
    def deleted(self) -> Mapping[str, int]:
        """How many deletions are listed, per model."""

    @property
    def repeated(self) -> Mapping[str, int]:
        """How many entries say again what another one says, per model that has such: they are read and skipped."""

    @property
    def is_complete(self) -> bool:
        """Whether it speaks about every record, so that what it does not list is not there."""

    def shape(self, model: Model) -> Shape:
        """The fields that its records of a model have."""

    def alignment(self, model: Model) -> Align | None:
        """How its records of a model are read beside ours; None: they mean exactly what they say."""

    def open(self) -> AbstractContextManager[Pass]:
        """Read it all, once."""

    def records(self, model: Model) -> Iterable[Record]:
        """A model's records in key order, read by themselves."""

    def deletions(self, model: Model) -> Iterable[Deletion]:
        """What it lists as deleted of a model, in key order, read by itself."""
