"""Additions that are written while a plan is made: when, and what is told of them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models import Q

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA
from recordsync.backupfile import Limits, UncheckedFile
from recordsync.errors import RegisterMoved
from recordsync.merge import Strategy, decide_by
from recordsync.model.records import Record
from recordsync.model.schema import Model
from recordsync.plan import Plan, adder, adding, apply_plan, make_plan
from tests.builders.records import NOW, company, deletion, record, sections, sections_of, written
from tests.recordsync.support import MemoryStore, opened

SINCE: dict[str, Any] = {
    "backup_type": "incremental",
    "since_date": "2026-01-01T00:00:00.000000Z",
    "deletions": "unknown",
}
DAYS = [record("A", f"{number:03}") for number in range(5)]


def plan_of(store: MemoryStore, data: bytes, seen: list[tuple[str, int, int | None]] | None = None) -> Plan:
    file = opened(data)
    with adding(store, file, NOW) as writer:
        return make_plan(store, file, None, io.BytesIO(), lambda *told: (seen or []).append(told), writer)


def test_an_addition_is_written_when_it_is_found_and_has_no_line() -> None:
    store = MemoryStore(sections())
    plan = plan_of(store, written(sections_of(DAYS)))
    assert plan.size == 0
    assert plan.items.read() == b""
    assert plan.changes == 6
    assert store.content()["attendance_records"] == DAYS
    counts = apply_plan(plan, store, decide_by(Strategy.BACKUP_WINS), NOW)
    assert (counts["attendance_records"].added, counts["companies"].added) == (5, 1)


def test_what_both_sides_have_waits_for_its_decision() -> None:
    other = record("A", "002", status="A")
    store = MemoryStore(sections([company("A")], [other]))
    plan = plan_of(store, written(sections_of(DAYS)))
    assert plan.size == 1
    assert store.rows["attendance_records"][other.key] == other
    apply_plan(plan, store, decide_by(Strategy.BACKUP_WINS), NOW)
    assert store.rows["attendance_records"][other.key] == DAYS[2]


def test_beside_many_records_nothing_is_written_while_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adder, "_HELD", 1)
    store = MemoryStore(sections([company("A")], [DAYS[0], record("A", "9")]))
    plan = plan_of(store, written(sections_of(DAYS)))
    assert (plan.size, plan.changes, store.written) == (4, 4, [])
    plan = plan_of(store, written(sections_of(DAYS), **SINCE))
    assert (plan.size, plan.changes, store.written) == (4, 4, [])


def test_a_record_waits_where_its_company_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are more companies than are held in memory, so a new one is added afterwards, and once."""
    monkeypatch.setattr(adder, "_HELD", 1)
    store = MemoryStore(sections([company("B"), company("C")]))
    plan = plan_of(store, written(sections_of(DAYS)))
    counts = apply_plan(plan, store, decide_by(Strategy.BACKUP_WINS), NOW)
    assert (counts["companies"].added, counts["companies"].created, counts["attendance_records"].added) == (1, 0, 5)
    assert store.content()["attendance_records"] == DAYS


def test_a_company_that_is_not_there_is_created_before_its_records() -> None:
    store = MemoryStore(sections())
    plan = plan_of(store, written(sections([], DAYS), **SINCE))
    assert [name for name, _changes in store.written] == ["companies", "attendance_records"]
    counts = apply_plan(plan, store, decide_by(Strategy.BACKUP_WINS), NOW)
    assert counts["companies"].created == 1
    assert len(store.written) == 2, "it is not created again"


def test_records_are_added_between_those_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adder, "_BATCH", 1)
    ours = [record("A", f"{number:03}") for number in range(0, 200, 2)]
    data = written(sections_of([record("A", f"{number:03}") for number in range(200)]))
    for file in (opened(data), UncheckedFile(io.BytesIO(data), SCHEMA, Limits())):
        store = MemoryStore(sections_of(ours))
        with adding(store, file, NOW) as writer:
            make_plan(store, file, None, io.BytesIO(), adder=writer)
        assert len(store.rows["attendance_records"]) == 200


def test_a_company_stays_to_which_a_record_was_added() -> None:
    """Its deletion is decided last, and knows of what was written before."""
    store = MemoryStore(sections([company("A")]))
    data = written(sections([], [DAYS[0]], [deletion(COMPANIES, company("A"))]), **SINCE)
    counts = apply_plan(plan_of(store, data), store, decide_by(Strategy.BACKUP_WINS), NOW)
    assert counts["companies"].conflicts == 1
    assert list(store.rows["companies"]) == [("A",)]


def test_a_record_that_came_meanwhile_is_noticed() -> None:
    class Moved(MemoryStore):
        def records(self, model: Model, where: Q | None = None) -> Iterator[Record]:
            return iter([]) if model is ATTENDANCE_RECORDS else super().records(model, where)

    store = Moved(sections([company("A")], [DAYS[0]]))
    with pytest.raises(RegisterMoved):
        plan_of(store, written(sections_of(DAYS)))


def test_progress_tells_that_it_is_written() -> None:
    seen: list[tuple[str, int, int | None]] = []
    days = [record("A", f"{number:04}") for number in range(1500)]
    file = opened(written(sections_of(days)))
    store = MemoryStore(sections())
    with adding(store, file, NOW) as writer:
        make_plan(store, file, None, io.BytesIO(), lambda *told: seen.append(told), writer)
    assert seen[0] == ("compare", 0, 1501)
    assert {phase for phase, _done, _total in seen[1:]} == {"apply"}
    assert store.count(ATTENDANCE_RECORDS) == 1500


def test_progress_tells_of_no_writing_while_nothing_is_written() -> None:
    days = [record("A", f"{number:04}") for number in range(1500)]
    data = written(sections_of(days))
    for told in (data, written(sections([company("A")], days), **SINCE)):
        seen: list[tuple[str, int, int | None]] = []
        file = opened(told)
        store = MemoryStore(sections_of(days))
        with adding(store, file, NOW) as writer:
            make_plan(store, file, None, io.BytesIO(), lambda *told, seen=seen: seen.append(told), writer)
        assert {phase for phase, _done, _total in seen} == {"compare"}
        assert len(seen) > 1
