"""With which operation a record became what it is, and when that is not told."""

from __future__ import annotations

import datetime as dt

import pytest

from core.attendance.records import RecordService
from core.history.origins import came_with
from core.models import AttendanceRecord, Kind, User
from core.register.database import Register
from recordsync.history.databases import history_of
from recordsync.models import Block, HeadMove
from tests.builders.days import XYZ, day
from tests.builders.registers import put, register
from tests.builders.sheets import row
from tests.running.services import imported


def told(alias: str, number: str) -> HeadMove | None:
    records = AttendanceRecord.objects.using(alias).select_related("company")
    return came_with(records.get(ep_no=number), Register(alias))


@pytest.fixture
def two_imports(register_db: str) -> str:
    """E1 was here before any history, E2 came with one import, E3 with another, which changed E2 as well."""
    put(register_db, register(day(XYZ, "E1")))
    imported(register_db, row(ep_no="E2", ep_name="Meena", company_name=XYZ))
    imported(register_db, row(ep_no="E3", company_name=XYZ), row(ep_no="E2", ep_name="Another", company_name=XYZ))
    return register_db


def test_a_record_came_with_the_import_that_changed_it_last(two_imports: str) -> None:
    last = HeadMove.objects.using(two_imports).order_by("-pk")[0]
    for number in ("E2", "E3"):
        move = told(two_imports, number)
        assert move is not None
        assert (move.pk, move.cause) == (last.pk, Kind.IMPORT)
    assert told(two_imports, "E1") is None


def test_nothing_is_told_of_a_change_by_hand_even_after_a_further_import(two_imports: str) -> None:
    record = AttendanceRecord.objects.using(two_imports).get(ep_no="E2")
    root = User.objects.using(two_imports).create(username="root", role="root", is_superuser=True)
    RecordService(root, Register(two_imports)).change(record.pk, record.updated_at, {"status": "A"})
    assert told(two_imports, "E2") is None
    imported(two_imports, row(ep_no="E9", company_name=XYZ))
    assert told(two_imports, "E2") is None
    assert told(two_imports, "E9") is not None


def test_a_clock_that_is_wrong_proves_nothing(two_imports: str) -> None:
    """What was changed past Muster, and dated as the import is: the import does not have it."""
    records = AttendanceRecord.objects.using(two_imports)
    records.filter(ep_no="E3").update(status="A")
    assert told(two_imports, "E3") is None
    first, last = HeadMove.objects.using(two_imports).filter(cause=Kind.IMPORT).order_by("pk")
    records.filter(ep_no="E1").update(updated_at=first.moment - dt.timedelta(microseconds=1))
    assert told(two_imports, "E1") is None
    records.filter(ep_no="E2").update(updated_at=first.moment)
    assert last.pk != first.pk
    assert told(two_imports, "E2") is None


def test_nothing_is_told_where_the_history_is_gone(two_imports: str) -> None:
    Block.objects.using(history_of(two_imports)).all().delete()
    assert told(two_imports, "E3") is None
