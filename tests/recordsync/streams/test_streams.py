"""Joins of sorted streams, and the stretches in which two of them are alike."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordsync.errors import OutOfOrder
from recordsync.model.records import Key, Record
from recordsync.streams import in_order, join, stretches
from tests.builders.records import record
from tests.strategies.records import snapshots

keyed = st.lists(st.integers(0, 9).map(str), unique=True).map(lambda keys: [((key,), key) for key in sorted(keys)])


def values(snapshot: Iterable[Record]) -> list[tuple[str | None, ...]]:
    return [record.values for record in snapshot]


@given(st.lists(keyed, max_size=4))
def test_a_join_meets_every_key_once_in_order_with_the_item_of_each_stream(streams: list[list[Any]]) -> None:
    rows = list(join(*streams))
    expected = sorted({key for stream in streams for key, _value in stream})
    assert [next(item[0] for item in row if item) for row in rows] == expected
    for position, stream in enumerate(streams):
        assert [row[position] for row in rows if row[position] is not None] == stream


def test_a_join_reads_no_further_than_one_item_ahead() -> None:
    read: list[int] = []

    def stream(start: int) -> Iterator[tuple[Key, int]]:
        for number in range(start, 10):
            read.append(number)
            yield (str(number),), number

    rows = join(stream(0), stream(5))
    assert next(rows) == ((("0",), 0), None)
    assert read == [0, 5, 1]


@given(snapshots().filter(lambda snapshot: len(snapshot) > 1), st.data())
def test_a_stream_out_of_order_is_refused(snapshot: list[Record], data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(snapshot) - 1))
    twice = [*snapshot[:at], snapshot[at - 1], *snapshot[at:]]
    swapped = [*snapshot[: at - 1], snapshot[at], snapshot[at - 1], *snapshot[at + 1 :]]
    for wrong in (twice, swapped):
        for streams in ((wrong, snapshot), (snapshot, wrong), ([], wrong)):
            with pytest.raises(OutOfOrder):
                list(join(*streams))


def test_order_is_by_code_point_and_not_by_any_language() -> None:
    right = [record("A", name) for name in ("E10", "E9", "Z", "a", "é", "\uffee", "😀")]
    assert list(in_order(right)) == right
    with pytest.raises(OutOfOrder, match="order: A · 2026-11-20 · Z after A · 2026-11-20 · a"):
        list(in_order([record("A", "a"), record("A", "Z")]))


@given(snapshots(), snapshots(), st.integers(1, 5))
def test_stretches_hold_both_streams_and_say_what_is_alike(ours: list[Record], theirs: list[Record], size: int) -> None:
    mine, others = iter(ours), iter(theirs)
    last: Key = ()
    with mock.patch("recordsync.streams.stretches._STRETCH", size):
        for stretch in stretches(ours, theirs):
            alike = list(islice(mine, stretch.alike))
            assert values(alike) == values(islice(others, stretch.alike))
            assert list(stretch.ours) == list(islice(mine, len(stretch.ours)))
            assert list(stretch.theirs) == list(islice(others, len(stretch.theirs)))
            keys = [record.key for record in (*alike, *stretch.ours, *stretch.theirs)]
            assert min(keys) > last, "no key of a stretch comes before one of the stretch before"
            last = max(keys)
    assert (list(mine), list(others)) == ([], [])


@pytest.mark.parametrize("size", [1, 2, 32])
@pytest.mark.parametrize("numbers", ["21", "11", "132"])
def test_stretches_refuse_what_is_out_of_order(numbers: str, size: int) -> None:
    stream = [record("A", number) for number in numbers]
    with mock.patch("recordsync.streams.stretches._STRETCH", size), pytest.raises(OutOfOrder):
        list(stretches(stream, list(stream)))
