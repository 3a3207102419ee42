"""Sealed records: they change only where a person has decided so, and everything else is as without seals."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from core.register.declared import ATTENDANCE_RECORDS, SEALS
from recordsync.errors import RecordSyncError
from recordsync.merge import Side, Strategy, decide_by
from recordsync.model.records import Key, Record
from recordsync.model.schema import Model
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
    def is_sealed(model: Model, key: Key, of_ours: Record | None) -> bool:
        assert of_ours is None or of_ours == before.rows[model.name][key], "it is told what we have"
        return model is ATTENDANCE_RECORDS and sum(map(ord, "".join(key))) % 2 == some

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
        chosen = is_sealed if sealed else None
        if not at_once:
            plan = make_plan(store, file, based, io.BytesIO(), sealed=chosen)
            counts = plan.counts(decide)
        try:
            with adding(store, file, NOW) as adder:
                plan = make_plan(store, file, based, io.BytesIO(), adder=adder if at_once else None, sealed=chosen)
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
        sealed=lambda model, key, ours: key[-1] in "23",
    )
    assert [merged.sealed for _model, merged in plan.merged()] == [False, True, True]
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
