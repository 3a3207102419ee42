"""A fingerprint is of one moment, and of what a file could hold."""

from __future__ import annotations

import threading

import pytest
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker

from core.history.fingerprint import take_fingerprint
from core.models import AttendanceRecord
from core.operations.errors import OperationFailed
from core.register.database import Register
from tests.builders import trees
from tests.builders.days import XYZ
from tests.builders.registers import SMALL, put
from tests.properties.laws import clear
from tests.recordsync.stores.test_lines import unchecked
from tests.running import databases


@pytest.fixture
def small(register_db: str) -> str:
    clear(register_db)
    put(register_db, SMALL)
    return register_db


def test_what_is_written_meanwhile_is_not_in_it(small: str) -> None:
    def write() -> None:
        AttendanceRecord.objects.using(small).filter(company__name=XYZ).update(shift="changed")
        connections[small].close()

    told = []

    def progress(phase: str, done: int, total: int | None, /) -> None:
        told.append((phase, done, total))
        if not done:
            writer = threading.Thread(target=write)
            writer.start()
            writer.join()

    found = take_fingerprint(register=Register(small), progress=progress)
    assert AttendanceRecord.objects.using(small).filter(shift="changed").exists()
    assert found.digest == trees.tree(SMALL).digest
    assert told == [("read", 0, 3), ("read", 2, 3), ("read", 3, 3)]
    assert take_fingerprint(register=Register(small)).digest != found.digest


def test_a_company_that_is_not_there_has_none(small: str) -> None:
    said = r"There is no company '.*' in the register\. No fingerprint was made\."
    for name in ("Nobody", "\udcff", ""):
        with pytest.raises(OperationFailed, match=said):
            take_fingerprint(name, register=Register(small))


def test_a_record_that_no_file_could_hold_is_named(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    alias = databases.ALIASES["sqlite"]
    with django_db_blocker.unblock():
        clear(alias)
        put(alias, SMALL)
        with unchecked(alias) as cursor:
            cursor.execute("UPDATE core_attendancerecord SET in_time = '24:00:00' WHERE date = '2026-11-21'")
        with pytest.raises(OperationFailed) as failed:
            take_fingerprint(register=Register(alias))
        clear(alias)
    assert str(failed.value) == (
        "The register's attendance_records ABC Corp · E1 · 2026-11-21 has '24:00:00' as in_time, where a time HH:MM:SS "
        "or null is expected. Correct this record first. No fingerprint was made."
    )
