"""Sorted streams of records, and the changes between two of them.

Everything here takes and gives iterators in key order and keeps one record of each in memory.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter, lt
from typing import Any, NamedTuple

from recordsync.errors import OutOfOrder
from recordsync.records import Key, Record


class Change(NamedTuple):
    """What happens to one key: ``before`` is what is there (None: nothing), ``after`` what shall be."""

    key: Key
    before: Record | None
    after: Record | None

    @property
    def kind(self) -> str:
        """``add``, ``update`` or ``delete``."""
        if self.before is None:
            return "add"
        return "delete" if self.after is None else "update"


class Deletion(NamedTuple):
    """A key that a file says was deleted, with the checksum of what it last held there."""

    key: Key
    checksum: str


def in_order(stream: Iterable[Any]) -> Iterator[Any]:
    """The stream, checked: each item's key (its first element) is greater than the one before.

    A database that sorts text by some language's rules would otherwise make a merge silently wrong.
    Raises :class:`OutOfOrder`.
    """
    last: Key | None = None
    for item in stream:
        if last is not None and item[0] <= last:
            raise OutOfOrder(item[0], last)
        last = item[0]
        yield item


def are_in_order(keys: Sequence[Key]) -> bool:
    """As :func:`in_order`, of keys at hand: whether each is greater than the one before."""
    return all(map(lt, keys, keys[1:]))


def join(*streams: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """A merge-join of streams in key order: per key, the item of each stream, or None.

    Items are tuples that start with their key. Raises :class:`OutOfOrder` where a stream is not in
    order or repeats a key.
    """
    advances = [in_order(stream).__next__ for stream in streams]
    heads: list[Any] = []
    for advance in advances:
        try:
            heads.append(advance())
        except StopIteration:
            heads.append(None)
    while True:
        keys = [head[0] for head in heads if head is not None]
        if not keys:
            return
        key = min(keys)
        row: list[Any] = []
        for position, head in enumerate(heads):
            if head is not None and head[0] == key:
                row.append(head)
                try:
                    heads[position] = advances[position]()
                except StopIteration:
                    heads[position] = None
            else:
                row.append(None)
        yield tuple(row)


_PART = 32
"""Records of each stream that :func:`parts` looks at together: few, as one that differs makes all of them slower."""


class Part(NamedTuple):
    """A stretch of two streams: ``alike`` records that both hold with the same content, or what each of them holds."""

    alike: int
    ours: list[Record]
    theirs: list[Record]


def parts(ours: Iterable[Record], theirs: Iterable[Record]) -> Iterator[Part]:
    """Two sorted streams of one shape, cut at the same keys into stretches.

    Whoever is only interested in what differs is spared the Python code per record for what does not.
    Raises :class:`OutOfOrder`.
    """
    mine, other = _Ahead(ours), _Ahead(theirs)
    while True:
        mine.fill()
        other.fill()
        one, two = mine.records, other.records
        if not one and not two:
            return
        if [record.values for record in one] == [record.values for record in two]:
            yield Part(len(one), [], [])
            mine.records, other.records = [], []
            continue
        # What comes later is greater than the last of a stream that has more.
        ends = [ahead.records[-1].key for ahead in (mine, other) if not ahead.ended]
        yield Part(0, mine.up_to(min(ends, default=None)), other.up_to(min(ends, default=None)))


class _Ahead:
    """The next records of a stream, whose order is checked."""

    def __init__(self, stream: Iterable[Record]) -> None:
        self._stream = iter(stream)
        self._last: Key | None = None
        self.records: list[Record] = []
        self.ended = False

    def fill(self) -> None:
        new = list(islice(self._stream, _PART - len(self.records)))
        self.ended = len(self.records) + len(new) < _PART
        keys = [record.key for record in new]
        if self._last is not None:
            keys.insert(0, self._last)
        if not are_in_order(keys):
            for _ in in_order((key,) for key in keys):
                pass
        if keys:
            self._last = keys[-1]
        self.records += new

    def up_to(self, key: Key | None) -> list[Record]:
        """Take the records up to a key (None: all)."""
        count = len(self.records) if key is None else bisect_right(self.records, key, key=itemgetter(0))
        taken, self.records = self.records[:count], self.records[count:]
        return taken


def diff(before: Iterable[Record], after: Iterable[Record]) -> Iterator[Change]:
    """The changeset that leads from one snapshot of a model to another of the same shape."""
    for old, new in join(before, after):
        if old is None or new is None or old.values != new.values:
            yield Change((new if old is None else old).key, old, new)


def invert(changes: Iterable[Change]) -> Iterator[Change]:
    """The changeset that takes these changes back."""
    for change in changes:
        yield Change(change.key, change.after, change.before)
