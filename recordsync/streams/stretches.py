"""Two sorted streams of records, cut into stretches, so that equal records are passed over together."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import itemgetter
from typing import NamedTuple

from recordsync.model.records import Key, Record
from recordsync.streams.join import are_in_order, in_order

_STRETCH = 32
"""Records of each stream that are compared together. Few, because one that differs makes the whole stretch slower."""


class Stretch(NamedTuple):
    """A stretch of two streams: the number of records, if all are ``alike`` in both; else the records of each."""

    alike: int
    ours: list[Record]
    theirs: list[Record]


def stretches(ours: Iterable[Record], theirs: Iterable[Record]) -> Iterator[Stretch]:
    """The stretches of two sorted streams of one shape, cut at the same keys.

    A stretch that is alike costs one comparison; only stretches that differ cost Python code for each record. Raises
    :class:`OutOfOrder`.
    """
    our_side, their_side = _Ahead(ours), _Ahead(theirs)
    while True:
        our_side.fill()
        their_side.fill()
        if not our_side.records and not their_side.records:
            return
        if [record.values for record in our_side.records] == [record.values for record in their_side.records]:
            yield Stretch(len(our_side.records), [], [])
            our_side.records, their_side.records = [], []
            continue
        # Later records have greater keys than the last one of a stream that has more.
        ends = [ahead.records[-1].key for ahead in (our_side, their_side) if not ahead.ended]
        yield Stretch(0, our_side.up_to(min(ends, default=None)), their_side.up_to(min(ends, default=None)))


class _Ahead:
    """The next records of a stream, in checked order."""

    def __init__(self, stream: Iterable[Record]) -> None:
        self._stream = iter(stream)
        self._last: Key | None = None
        self.records: list[Record] = []
        self.ended = False

    def fill(self) -> None:
        """Read on until there are as many records as a stretch has, or the stream ends. Raises OutOfOrder."""
        new = list(islice(self._stream, _STRETCH - len(self.records)))
        self.ended = len(self.records) + len(new) < _STRETCH
        keys = [record.key for record in new]
        if self._last is not None:
            keys.insert(0, self._last)
        if not are_in_order(keys):
            for _ in in_order((key,) for key in keys):  # raises at the key that is wrong
                pass
        if keys:
            self._last = keys[-1]
        self.records += new

    def up_to(self, key: Key | None) -> list[Record]:
        """The records up to a key, and including it (None: all). They are taken out."""
        count = len(self.records) if key is None else bisect_right(self.records, key, key=itemgetter(0))
        taken, self.records = self.records[:count], self.records[count:]
        return taken
