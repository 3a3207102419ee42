"""Two sorted streams of records cut into stretches, so that what is alike is passed over together."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import itemgetter
from typing import NamedTuple

from recordsync.model.records import Key, Record
from recordsync.streams.join import are_in_order, in_order

_STRETCH = 32
"""Records of each stream that are looked at together: few, as one that differs makes all of them slower."""


class Stretch(NamedTuple):
    """A stretch of two streams: ``alike`` records that both hold with the same content, or what each of them holds."""

    alike: int
    ours: list[Record]
    theirs: list[Record]


def stretches(ours: Iterable[Record], theirs: Iterable[Record]) -> Iterator[Stretch]:
    """Two sorted streams of one shape, cut at the same keys into stretches.

    Only what differs costs Python code per record; what is alike is passed over in one comparison.
    Raises :class:`OutOfOrder`.
    """
    one, other = _Ahead(ours), _Ahead(theirs)
    while True:
        one.fill()
        other.fill()
        if not one.records and not other.records:
            return
        if [record.values for record in one.records] == [record.values for record in other.records]:
            yield Stretch(len(one.records), [], [])
            one.records, other.records = [], []
            continue
        # What comes later is greater than the last of a stream that has more.
        ends = [ahead.records[-1].key for ahead in (one, other) if not ahead.ended]
        yield Stretch(0, one.up_to(min(ends, default=None)), other.up_to(min(ends, default=None)))


class _Ahead:
    """The next records of a stream, whose order is checked."""

    def __init__(self, stream: Iterable[Record]) -> None:
        self._stream = iter(stream)
        self._last: Key | None = None
        self.records: list[Record] = []
        self.ended = False

    def fill(self) -> None:
        new = list(islice(self._stream, _STRETCH - len(self.records)))
        self.ended = len(self.records) + len(new) < _STRETCH
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
