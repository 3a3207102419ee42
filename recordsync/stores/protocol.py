"""What the engine asks of a database.

Transactions are the caller's (:mod:`recordsync.system.transactions`). A store lives for one transaction: it is made
inside it and not used after it. What it has read it may keep, for in its transaction nobody else writes what it holds.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from django.db.models import Q

from recordsync.model.records import Key, Record
from recordsync.model.schema import Model, Schema
from recordsync.streams import Change

Filters = Mapping[str, Q]
"""Per model's name, the rows that are meant. Models without one: all rows."""


class Store(Protocol):
    """A database as the engine sees it, in one transaction. Records have every field of their model; streams are in
    key order."""

    schema: Schema

    def count(self, model: Model, where: Q | None = None) -> int:
        """How many records there are."""

    def records(self, model: Model, where: Q | None = None) -> Iterator[Record]:
        """All records. Nothing may be written to the model's table while the stream is read."""

    def lines(self, model: Model, where: Q | None = None) -> Iterator[bytes]:
        """The line of each of :meth:`records`, as a file has it (:mod:`recordsync.streams.lines`). Raises
        :class:`recordsync.errors.InvalidRecord` for one that could not be read back."""

    def updated(self, model: Model, where: Q | None = None) -> Iterator[str | None]:
        """When each record of :meth:`records` was last changed, in the same order. For a model that refers to one."""

    def lookup(self, model: Model, keys: Iterable[Key]) -> Iterator[Record]:
        """The records among these keys (sorted, each once) that are there. Reads ``keys`` in batches."""

    def references(self, model: Model, key: Key) -> int:
        """How many rows of any table, declared or not, refer to this record and forbid its deletion."""

    def write(self, model: Model, changes: Sequence[Change], now: dt.datetime) -> None:
        """Write one batch of changes; written rows get ``updated_at`` = ``now``.

        An added row keeps its record's ``created_at`` (``now`` where it has none). Raises
        :class:`RegisterMoved` where the database does not hold what a change says it replaces.
        """
