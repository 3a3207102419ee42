"""Two sorted streams of records, cut into stretches, so that equal records are passed over together."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import NamedTuple

from recordsync.model.records import Key, Record
from recordsync.streams.join import are_in_order, in_order
from recordsync.streams.lines import are_same_but_created
from recordsync.system.progress import EVERY

_STRETCH = 32
"""How many records of each stream are compared at once. They are few, because one that differs makes the whole stretch
slower."""


class Stretch(NamedTuple):
    """A stretch of two streams. ``alike``: the number of its records, if they are alike in both streams; otherwise 0,
    and ``ours`` and ``theirs`` are the records."""

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
        # A stretch ends at the last key that was read of a stream that has more: all later records are above it.
        ends = [ahead.records[-1].key for ahead in (our_side, their_side) if not ahead.ended]
        yield Stretch(0, our_side.up_to(min(ends, default=None)), their_side.up_to(min(ends, default=None)))


class _Ahead:
    """The next records of a stream, whose order is checked."""

    def __init__(self, stream: Iterable[Record]) -> None:
        self._stream = iter(stream)
        self._last: Key | None = None
        self.records: list[Record] = []
        self.ended = False

    def fill(self) -> None:
        """Read on until there are enough records for a stretch, or the stream ends. Raises OutOfOrder."""
        new = list(islice(self._stream, _STRETCH - len(self.records)))
        self.ended = len(self.records) + len(new) < _STRETCH
        keys = [record.key for record in new]
        if self._last is not None:
            keys.insert(0, self._last)
        if not are_in_order(keys):
            for _ in in_order((key,) for key in keys):  # raises at the first wrong key
                pass
        if keys:
            self._last = keys[-1]
        self.records += new

    def up_to(self, key: Key | None) -> list[Record]:
        """The records up to and including a key (None: all). They are removed from here."""
        count = len(self.records) if key is None else bisect_right(self.records, key, key=itemgetter(0))
        taken, self.records = self.records[:count], self.records[count:]
        return taken


class Unparsed(NamedTuple):
    """Lines of records in key order, and the function that parses them. Equal lines are equal records."""

    rows: Iterator[bytes]
    parse: Callable[[Sequence[bytes]], list[Record]]


def stretches_of_lines(ours: Unparsed, theirs: Unparsed) -> Iterator[Stretch]:
    """The stretches of two sorted streams of lines. They are parsed only where they differ.

    Ours are known to be in order. So are lines of theirs that equal ours, because what was taken before ended at a key
    of ours or below it. Raises :class:`OutOfOrder`, and what parsing raises.
    """
    our_side, their_side = _AheadOfLines(ours), _AheadOfLines(theirs)
    while True:
        our_side.fill()
        # When ours have ended, the rest of theirs are additions.
        their_side.fill(EVERY if our_side.ended and not our_side.rows else _STRETCH)
        if not our_side.rows and not their_side.rows:
            return
        if our_side.rows == their_side.rows or are_same_but_created(our_side.rows, their_side.rows):
            yield Stretch(len(our_side.rows), [], [])
            our_side.take(None)
            their_side.take(None)
            continue
        if (changed := _changed(our_side, their_side)) is not None:
            before, after = changed
            yield Stretch(len(our_side.rows) - len(before), [], [])
            yield Stretch(0, before, after)
            our_side.take(None)
            their_side.take(None)
            continue
        our_side.parse()
        their_side.parse()
        ends = [ahead.records[-1].key for ahead in (our_side, their_side) if not ahead.ended]
        end = min(ends, default=None)
        our_records, their_records = our_side.take(end), their_side.take(end)
        alike = [record.values for record in our_records] == [record.values for record in their_records]
        yield Stretch(len(our_records), [], []) if alike else Stretch(0, our_records, their_records)


def _changed(ours: _AheadOfLines, theirs: _AheadOfLines) -> tuple[list[Record], list[Record]] | None:
    """The records of either side that differ, if every line stands opposite one with the same key; else None.

    Theirs are then in order, because ours are.
    """
    if len(ours.rows) != len(theirs.rows):
        return None
    pairs = [(our, their) for our, their in zip(ours.rows, theirs.rows, strict=True) if our != their]
    if len(pairs) > len(ours.rows) // 2:
        return None
    before, after = ours.read([our for our, _their in pairs]), theirs.read([their for _our, their in pairs])
    is_opposite = [record.key for record in before] == [record.key for record in after]
    return (before, after) if is_opposite else None


class _AheadOfLines:
    """The next lines of a stream, and the records of those that are parsed, which are the first ones."""

    def __init__(self, unparsed: Unparsed) -> None:
        self._stream, self.read = unparsed
        self._last_row: list[bytes] = []
        self.rows: list[bytes] = []
        self.records: list[Record] = []
        self.ended = False

    def fill(self, size: int = _STRETCH) -> None:
        """Read on until there are ``size`` lines, or the stream ends."""
        self.rows += islice(self._stream, size - len(self.rows))
        self.ended = len(self.rows) < size

    def parse(self) -> None:
        """Parse all lines. Raises OutOfOrder."""
        new = self.read(self.rows[len(self.records) :])
        before = self.records[-1:] or self.read(self._last_row)
        keys = [record.key for record in (*before, *new)]
        if not are_in_order(keys):
            for _ in in_order((key,) for key in keys):  # raises at the first wrong key
                pass
        self.records += new

    def take(self, key: Key | None) -> list[Record]:
        """The parsed records up to and including a key (None: all). They and their lines are removed from here."""
        count = len(self.rows) if key is None else bisect_right(self.records, key, key=itemgetter(0))
        taken, self.records = self.records[:count], self.records[count:]
        self._last_row = self.rows[:count][-1:] or self._last_row
        self.rows = self.rows[count:]
        return taken
