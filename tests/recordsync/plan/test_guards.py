"""Sealed records, which change only where a person has decided so, and merge drivers: everything else is as without."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from core.register.declared import ATTENDANCE_RECORDS, SEALS
from recordsync.errors import RecordSyncError
from recordsync.merge import Effect, Merged, Outcome, Side, Strategy, decide_by
from recordsync.model.records import Key, Record
from recordsync.model.schema import Model, Shape
from recordsync.plan import Plan, adding, apply_plan, make_plan
from tests.builders.records import NOW, cut, record, sections_of, written
from tests.recordsync.plan.test_plan import SINCE, fields_of
from tests.recordsync.support import MemoryStore, opened
from tests.running.bases import RecordsAsBase
from tests.strategies.records import shapes, snapshots

WHOLE = ATTENDANCE_RECORDS.shape()


@given(
    snapshots(),
    snapshots(),
    snapshots() | st.none(),
    shapes(),
    st.sampled_from(list(Strategy)),
    st.integers(0, 1),
    st.booleans(),
    st.booleans(),
)
def test_sealed_records_change_only_where_a_person_has_decided_so(
    ours: list[Record],
    theirs: list[Record],
    base: list[Record] | None,
    shape: Any,
    strategy: Strategy,
    some: int,
    incremental: bool,
    at_once: bool,
) -> None:
    def seal_of(model: Model, key: Key, of_ours: Record | None) -> str:
        assert of_ours is None or of_ours == before.rows[model.name][key], "it is told what we have"
        return "a seal" if model is ATTENDANCE_RECORDS and is_sealed_key(key, some) else ""

    fields: dict[str, Any] = {"fields": {**fields_of(shape), SEALS.name: list(SEALS.shape().names)}}
    file = opened(written(sections_of([cut(one, shape) for one in theirs]), **fields, **(SINCE if incremental else {})))
    based = None
    if base is not None:
        based = RecordsAsBase(opened(written(sections_of([cut(one, shape) for one in base]), **fields)))
    before = MemoryStore(sections_of(ours, "A"))

    def merged(choice: Side | None, *, sealed: bool) -> tuple[MemoryStore, Plan, Any, bool]:
        """The register after the merge, its plan, its counts, and whether it was applied."""
        store = MemoryStore(sections_of(ours, "A"))
        decide = decide_by(strategy, choice)
        chosen = seal_of if sealed else None
        if not at_once:
            plan = make_plan(store, file, based, io.BytesIO(), seal_of=chosen)
            counts = plan.counts(decide)
        try:
            with adding(store, file, NOW) as adder:
                plan = make_plan(store, file, based, io.BytesIO(), adder=adder if at_once else None, seal_of=chosen)
                if at_once:
                    counts = plan.counts(decide)
                assert apply_plan(plan, store, decide, NOW) == counts
        except RecordSyncError:
            return store, plan, counts, False
        return store, plan, counts, True

    free, plan, free_counts, is_decided = merged(None, sealed=False)
    days, kept = ATTENDANCE_RECORDS.name, [key for key in before.rows["attendance_records"] if is_sealed_key(key, some)]
    found = {choice: merged(choice, sealed=True) for choice in (None, *Side)}
    for choice, (store, with_seals, counts, applied) in found.items():
        assert with_seals.sealed == found[None][1].sealed
        assert (with_seals.digest == plan.digest) == (not with_seals.sealed)
        assert counts[days].sealed == found[None][2][days].sealed
        assert counts[days].read == free_counts[days].read
        assert len(list(with_seals.sealed_steps(decide_by(strategy, choice)))) == counts[days].sealed
        for key in kept:
            if choice is not Side.THEIRS:
                assert store.rows[days][key] == before.rows[days][key], "a sealed record is as before"
        if choice is not Side.THEIRS:
            added = [key for key in store.rows[days] if is_sealed_key(key, some) and key not in before.rows[days]]
            assert not added, "no sealed record is added, not even before it is all refused"
        if choice is Side.THEIRS:
            assert applied == is_decided
            assert not applied or store.rows == free.rows
            assert {name: replace(of, sealed=0) for name, of in counts.items()} == free_counts
        elif choice is None and counts[days].sealed:
            assert not applied
            assert counts[days].undecided + counts[days].absent_undecided >= counts[days].sealed
        elif applied and is_decided:
            rows, expected = (
                {key: row for key, row in of.rows[days].items() if not is_sealed_key(key, some)} for of in (store, free)
            )
            assert rows == expected
    event(f"sealed {bool(plan.size and found[None][2][days].sealed)}, {strategy}")


def is_sealed_key(key: Key, some: int) -> bool:
    return sum(map(ord, "".join(key))) % 2 == some


def test_a_sealed_line_is_told_from_others_and_read_back() -> None:
    changed = [record("A", "1", shift="N"), record("A", "2", shift="N"), record("A", "3")]
    store = MemoryStore(sections_of([record("A", "1"), record("A", "2")]))
    plan = make_plan(
        store,
        opened(written(sections_of(changed))),
        None,
        io.BytesIO(),
        seal_of=lambda model, key, ours: {"2": "one", "3": "another"}.get(key[-1], ""),
    )
    assert [merged.sealed for _model, merged in plan.merged()] == ["", "one", "another"]
    plan.items.seek(0)
    assert [line.partition(b",")[0] for line in plan.items] == [b'["merged"', b'["sealed"', b'["sealed"']
    steps = list(plan.steps(decide_by(Strategy.BACKUP_WINS)))
    assert [(step.sealed, step.is_stopped, step.undecided) for step in steps] == [
        (False, False, False),
        (True, True, True),
        (True, True, True),
    ]
    with pytest.raises(RecordSyncError, match="Nobody has decided"):
        apply_plan(plan, store, decide_by(Strategy.BACKUP_WINS), NOW)


@given(snapshots(), snapshots(), snapshots() | st.none(), st.sampled_from(list(Strategy)), st.booleans())
def test_a_driver_decides_how_the_records_of_its_model_merge_that_differ(
    ours: list[Record], theirs: list[Record], base: list[Record] | None, strategy: Strategy, keeps: bool
) -> None:
    """One that changes nothing leaves the plan as it is; one that keeps ours leaves them as they are."""
    file = opened(written(sections_of(theirs)))
    based = None if base is None else RecordsAsBase(opened(written(sections_of(base))))
    seen: set[Key] = set()

    def driver(part: Merged, shape: Shape, stays: bool) -> Merged:
        assert shape.names == WHOLE.names
        assert part.outcome is not Outcome.SAME
        assert part.ours is None or stays or part.theirs is None
        seen.add(part.key)
        return part._replace(outcome=Outcome.KEEP, units=(), conflicts=()) if keeps else part

    before = MemoryStore(sections_of(ours, "A"))
    decide = decide_by(strategy)
    free = make_plan(before, file, based, io.BytesIO())
    plan = make_plan(before, file, based, io.BytesIO(), drivers={ATTENDANCE_RECORDS.name: driver})
    rows = before.rows[ATTENDANCE_RECORDS.name]
    if not keeps:
        assert plan.is_same_as(free)
        assert plan.counts(decide) == free.counts(decide)
        return
    changed = {other.key for other in theirs if other.key in rows and rows[other.key].values != other.values}
    assert changed <= seen
    assert all(
        step.merged is None or step.effect is Effect.ADD
        for step in plan.steps(decide)
        if step.model is ATTENDANCE_RECORDS
    )


def test_a_driver_is_told_whether_what_a_record_refers_to_stays() -> None:
    """A company that is deleted with all of its records goes; one that keeps a record, or is here, stays."""
    told: dict[Key, bool] = {}

    def driver(part: Merged, shape: Shape, stays: bool) -> Merged:
        told[part.key] = stays
        return part

    base = [record("A", "1"), record("A", "2"), record("B", "1"), record("B", "2"), record("C", "1"), record("D", "1")]
    ours = [record("A", "1"), record("A", "2"), record("B", "1"), record("B", "2", shift="N"), record("D", "2")]
    store = MemoryStore(sections_of(ours))
    theirs = opened(written(sections_of([record("C", "1", shift="N"), record("D", "1", shift="N")])))
    drivers = {ATTENDANCE_RECORDS.name: driver}
    make_plan(store, theirs, RecordsAsBase(opened(written(sections_of(base)))), io.BytesIO(), drivers=drivers)
    assert {(key[0], key[2]): stays for key, stays in told.items()} == {
        ("A", "1"): False,
        ("A", "2"): False,
        ("B", "1"): True,
        ("B", "2"): True,
        ("C", "1"): False,
        ("D", "1"): True,
        ("D", "2"): True,
    }
