"""Joins of sorted streams, and the laws of changesets."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordsync import changes
from recordsync.changes import Change, diff, in_order, invert, join, parts
from recordsync.errors import OutOfOrder
from recordsync.records import Key, Record
from tests.recordsync.strategies import snapshots
from tests.recordsync.support import day

keyed = st.lists(st.integers(0, 9).map(str), unique=True).map(lambda keys: [((key,), key) for key in sorted(keys)])


def applied(changes: Iterable[Change], to: Iterable[Record]) -> list[Record]:
    """The snapshot that a changeset leads to; what it replaces must be what is there."""
    there = {record.key: record for record in to}
    for change in changes:
        old = there.pop(change.key, None)
        assert (old and old.values) == (change.before and change.before.values)
        if change.after is not None:
            there[change.key] = change.after
    return [there[key] for key in sorted(there)]


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


@given(snapshots(), snapshots())
def test_a_difference_leads_from_one_snapshot_to_the_other(one: list[Record], other: list[Record]) -> None:
    assert values(applied(diff(one, other), one)) == values(other)


@given(snapshots(), snapshots())
def test_a_difference_has_only_what_differs_in_key_order(one: list[Record], other: list[Record]) -> None:
    changes = list(diff(one, other))
    assert list(in_order(changes)) == changes
    mine = {record.key: record.values for record in one}
    theirs = {record.key: record.values for record in other}
    assert {change.key for change in changes} == {key for key in {*mine, *theirs} if mine.get(key) != theirs.get(key)}
    for change in changes:
        assert (change.before and change.before.values) == mine.get(change.key)
        assert (change.after and change.after.values) == theirs.get(change.key)
        assert change.kind == ("add" if change.key not in mine else "update" if change.key in theirs else "delete")


@given(snapshots(), snapshots())
def test_inverted_a_difference_leads_back(one: list[Record], other: list[Record]) -> None:
    changes = list(diff(one, other))
    assert list(invert(changes)) == list(diff(other, one))
    assert list(invert(invert(changes))) == changes
    assert values(applied(invert(changes), other)) == values(one)


@given(snapshots())
def test_nothing_differs_from_itself(one: list[Record]) -> None:
    assert not list(diff(one, one))
    elsewhere = [record._replace(created_at="2001-01-01T00:00:00.000000Z") for record in one]
    assert not list(diff(one, elsewhere)), "when a record was made is not content"


@given(snapshots().filter(lambda snapshot: len(snapshot) > 1), st.data())
def test_a_stream_out_of_order_is_refused(snapshot: list[Record], data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(snapshot) - 1))
    twice = [*snapshot[:at], snapshot[at - 1], *snapshot[at:]]
    swapped = [*snapshot[: at - 1], snapshot[at], snapshot[at - 1], *snapshot[at + 1 :]]
    for wrong in (twice, swapped):
        for streams in ((wrong, snapshot), (snapshot, wrong), ([], wrong)):
            with pytest.raises(OutOfOrder):
                list(diff(*streams))


def test_order_is_by_code_point_and_not_by_any_language() -> None:
    right = [day("A", name) for name in ("E10", "E9", "Z", "a", "é", "\uffee", "😀")]
    assert list(in_order(right)) == right
    with pytest.raises(OutOfOrder, match="order: A · Z · 2026-11-20 after A · a · 2026-11-20"):
        list(in_order([day("A", "a"), day("A", "Z")]))


@given(snapshots(), snapshots(), st.integers(1, 5))
def test_parts_hold_both_streams_and_say_what_is_alike(ours: list[Record], theirs: list[Record], size: int) -> None:
    mine, others = iter(ours), iter(theirs)
    last: Key = ()
    with mock.patch.object(changes, "_PART", size):
        for part in parts(ours, theirs):
            alike = list(islice(mine, part.alike))
            assert values(alike) == values(islice(others, part.alike))
            assert list(part.ours) == list(islice(mine, len(part.ours)))
            assert list(part.theirs) == list(islice(others, len(part.theirs)))
            keys = [record.key for record in (*alike, *part.ours, *part.theirs)]
            assert min(keys) > last, "no key of a part comes before one of the part before"
            last = max(keys)
    assert (list(mine), list(others)) == ([], [])


@pytest.mark.parametrize("size", [1, 2, 32])
@pytest.mark.parametrize("numbers", ["21", "11", "132"])
def test_parts_refuse_what_is_out_of_order(numbers: str, size: int) -> None:
    stream = [day("A", number) for number in numbers]
    with mock.patch.object(changes, "_PART", size), pytest.raises(OutOfOrder):
        list(parts(stream, list(stream)))
