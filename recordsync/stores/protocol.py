"""What the engine asks of a database.

Transactions are the caller's (:mod:`recordsync.system.transactions`). A store is made inside a transaction and used
until its end. It may remember what it has read, because nobody else writes the register in its transaction.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from django.db.models import Q

from recordsync.model.records import Key, Partition, Record
from recordsync.model.schema import Model, Schema
from recordsync.stores.places import Places
from recordsync.streams import Change

Filters = Mapping[str, Q]
"""For the name of a model, which of its rows are meant. Models without an entry: all rows."""


class Store(Protocol):
    """A database as the engine sees it, in one transaction. Records have every field of their model, and streams are in
    key order. ``where`` restricts the rows of a model."""

    schema: Schema

    def count(self, model: Model, where: Q | None = None) -> int:
        """The number of records."""

    def has_more_than(self, model: Model, number: int) -> bool:
        """Whether there are more than ``number`` records. Costs no more than to read so many."""

    def records(self, model: Model, where: Q | None = None) -> Iterator[Record]:
        """The records. Nothing may be written to the model's table while the stream is read."""

    def lines(self, model: Model, where: Q | None = None) -> Iterator[bytes]:
        """The line (:mod:`recordsync.streams.lines`) of each of :meth:`records`, as a file has it. Raises
        :class:`recordsync.errors.InvalidRecord` for a record that no reader would accept."""

    def blocks(self, model: Model, where: Q | None = None) -> Iterator[tuple[Partition, Iterator[bytes]]]:
        """Each partition with its lines, which are those of :meth:`lines`. They are streamed: the lines of a block can
        be read until the next block is asked for. Raises what :meth:`lines` raises."""

    def partition(self, model: Model, partition: Partition) -> Iterator[bytes]:
        """The lines of one partition, which are those of :meth:`blocks`; none if it has no records. Costs what they do:
        a model's query is compiled once. Raises what :meth:`lines` raises."""

    def places(self, model: Model) -> Places:
        """Where the model's partitions are in its table. Read once, until :meth:`write` writes what they refer to."""

    def updated(self, model: Model, where: Q | None = None) -> Iterator[str | None]:
        """The moment when each of :meth:`records` was last changed, in the same order."""

    def lookup(self, model: Model, keys: Iterable[Key]) -> Iterator[Record]:
        """The records with these keys, where there are any. ``keys`` are sorted and unique, and are read in batches."""

    def references(self, model: Model, key: Key) -> int:
        """The number of rows, of any table, that refer to the record and forbid its deletion."""

    def filling(self, most: int, *, alone: bool = False) -> AbstractContextManager[None]:
        """A block in which up to ``most`` changes are written. Where they are many beside the rows that are there,
        what no change needs (indexes that are not unique, foreign keys) may be taken away meanwhile and made anew at
        its end. ``alone``: also where nobody else can then read until the transaction ends."""

    def add(self, model: Model, records: Sequence[Record], now: dt.datetime) -> None:
        """Write records that are not there, as :meth:`write` does."""

    def write(self, model: Model, changes: Sequence[Change], now: dt.datetime) -> None:
        """Write one batch of changes.

        Written rows get ``now`` as ``updated_at``. An added row gets its record's ``created_at``; without one, it gets
        ``now``. Raises :class:`RegisterMoved` if the database does not hold what a change replaces.
        """

    def rename(self, model: Model, changes: Sequence[Change], now: dt.datetime) -> None:
        """Write changes that give records of a model to which others refer another name, all of them together.

        To others, what refers to them is changed too: its rows get ``now`` as ``updated_at``. Raises as :meth:`write`.
        """
