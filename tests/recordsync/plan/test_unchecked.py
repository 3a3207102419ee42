"""A plan that checks the file on the way is the plan of the checked file, or there is none."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.register.declared import SCHEMA
from recordsync.backupfile import Limits, UncheckedFile, check_backup
from recordsync.errors import CheckNeeded, InvalidFile, InvalidRecord, OutOfOrder
from recordsync.model.records import Record
from recordsync.plan import Plan, Source, make_plan
from recordsync.stores import Store
from tests.builders.records import record, sections_of, written
from tests.recordsync.support import MemoryStore, resealed
from tests.strategies.records import snapshots

Made = tuple[str, bytes, dict[str, object]]


def planned(store: Store, file: Source) -> Made:
    """All that a plan says."""
    with io.BytesIO() as items:
        plan: Plan = make_plan(store, file, None, items)
        return plan.digest, items.getvalue(), dict(plan.settled)


def in_one_pass(store: Store, data: bytes) -> tuple[Made, str] | None:
    """The plan, and the digest of the file, which nobody had checked; None where that has to be done first."""
    try:
        file = UncheckedFile(io.BytesIO(data), SCHEMA, Limits())
        return planned(store, file), file.digest
    except (CheckNeeded, OutOfOrder, InvalidRecord):
        return None


def checked_first(store: Store, data: bytes) -> tuple[Made, str] | None:
    """The same of the checked file; None where it is not valid."""
    try:
        file = check_backup(io.BytesIO(data), SCHEMA)
    except InvalidFile:
        return None
    return planned(store, file), file.digest


def with_other_moments(days: list[Record]) -> list[Record]:
    return [day._replace(created_at="2020-02-02T02:02:02.000000Z") for day in days]


@given(snapshots(), snapshots(), st.booleans())
def test_of_a_valid_file_it_is_the_same_plan(ours: list[Record], theirs: list[Record], are_moved: bool) -> None:
    store = MemoryStore(sections_of(ours))
    data = written(sections_of(with_other_moments(theirs) if are_moved else theirs))
    found = in_one_pass(store, data)
    assert found is not None
    assert found == checked_first(store, data)


def longer(numbers: range) -> list[Record]:
    return [record("A", f"{number:03}") for number in numbers]


@pytest.mark.parametrize("theirs", [range(100), range(50, 150), range(0, 100, 3), range(200, 300), range(0)])
def test_more_than_one_stretch(theirs: range) -> None:
    store = MemoryStore(sections_of(longer(range(100))))
    data = written(sections_of(longer(theirs)))
    assert in_one_pass(store, data) == checked_first(store, data) is not None


@pytest.mark.parametrize("lacking", [([], []), ([5], [20]), ([5], [6]), ([31], [32]), ([], [40]), ([0], [99])])
@pytest.mark.parametrize("changed", [{}, {7}, {7, 8, 64}, {31, 32}, set(range(0, 100, 3)), set(range(100))])
def test_lines_that_stand_opposite_each_other(lacking: tuple[list[int], list[int]], changed: set[int]) -> None:
    """Few changes are found without parsing their neighbours; a key that one side lacks moves the others."""
    ours, theirs = ([number for number in range(100) if number not in gone] for gone in lacking)
    store = MemoryStore(sections_of([record("A", f"{number:03}") for number in ours]))
    data = written(
        sections_of([record("A", f"{number:03}", shift="N" if number in changed else "") for number in theirs])
    )
    assert in_one_pass(store, data) == checked_first(store, data) is not None


@given(snapshots(), snapshots(), st.randoms(use_true_random=False), st.booleans())
def test_of_any_other_it_is_that_plan_or_none(
    ours: list[Record], theirs: list[Record], choose: random.Random, is_sealed: bool
) -> None:
    """Lines are lost, repeated, swapped and changed in a byte; the digest is that of what is there, or was before."""
    lines = written(sections_of(theirs)).splitlines(keepends=True)
    for _ in range(choose.choice([1, 1, 2])):
        at = choose.randrange(len(lines))
        match choose.randrange(4):
            case 0:
                del lines[at]
            case 1:
                lines.insert(choose.randrange(len(lines)), lines[at])
            case 2:
                other = choose.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            case _:
                spot = choose.randrange(len(lines[at]))
                flipped = bytes([lines[at][spot] ^ 1 << choose.randrange(8)])
                lines[at] = lines[at][:spot] + flipped + lines[at][spot + 1 :]
        if not lines:
            return
    try:
        data = resealed(lines) if is_sealed else b"".join(lines)
    except ValueError:  # what was the last line has no trailer
        return
    store = MemoryStore(sections_of(ours))
    found = in_one_pass(store, data)
    assert found is None or found == checked_first(store, data)


def test_a_line_that_the_register_has_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    days = longer(range(100))
    data = written(sections_of(days))
    parsed: list[int] = []
    parser = "recordsync.backupfile.parsers.RecordParser.records"
    monkeypatch.setattr(parser, lambda self, rows: parsed.append(len(rows)))
    assert in_one_pass(MemoryStore(sections_of(days)), data) is not None
    assert not parsed


def test_a_file_that_lists_deletions_is_checked_first() -> None:
    data = written(sections_of([record("A", "1")]))
    assert in_one_pass(MemoryStore(sections_of([])), data) is not None
    gone = b'"deleted":{"companies":[\n{"checksum":"%b","name":"Z"}\n]' % (b"0" * 64)
    changed = data.replace(b'"deleted":{"companies":[]', gone)
    assert changed != data
    assert in_one_pass(MemoryStore(sections_of([])), changed) is None


def test_what_the_register_cannot_say_as_a_line_is_left_to_the_check() -> None:
    store = MemoryStore(sections_of([record("A", "1", status="X")]))
    assert in_one_pass(store, written(sections_of([record("A", "1")]))) is None
