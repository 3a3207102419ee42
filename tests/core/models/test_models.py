"""What the database itself refuses, whoever writes."""

import datetime as dt

import pytest
from django.db import IntegrityError, connections, transaction

from core.models import TIME_FIELDS, AttendanceRecord, BackupLog
from tests.builders.days import blank_day
from tests.builders.registers import put_day


@pytest.fixture
def record(register_db: str) -> AttendanceRecord:
    return put_day(register_db, blank_day())


def _set(alias: str, column: str, value: str | int | None) -> None:
    """As a client that knows nothing of Django would."""
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute(f"UPDATE core_attendancerecord SET {column} = %s", [value])


@pytest.mark.parametrize("column", TIME_FIELDS)
@pytest.mark.parametrize("text", ["09:00:00.5", "garbage", "9:00", "25:99:00", ""])
def test_a_time_is_a_time_in_whole_seconds(register_db: str, record: AttendanceRecord, column: str, text: str) -> None:
    if text == "9:00" and connections[register_db].vendor == "postgresql":
        _set(register_db, column, text)  # PostgreSQL stores a time, and gives it back as 09:00:00
        record.refresh_from_db()
        assert getattr(record, column) == dt.time(9)
        return
    with pytest.raises(Exception, match=r"CHECK|check constraint|invalid input|out of range"):
        _set(register_db, column, text)
    _set(register_db, column, "23:59:59")
    _set(register_db, column, None)


@pytest.mark.usefixtures("record")
@pytest.mark.parametrize("text", ["", "2026-13-45", "20/11/26 x", "2026-02-30"])
def test_a_day_is_a_day(register_db: str, text: str) -> None:
    with pytest.raises(Exception, match=r"CHECK|check constraint|invalid input|out of range"):
        _set(register_db, "date", text)
    for day in ("0001-01-01", "9999-12-31", "2024-02-29"):
        _set(register_db, "date", day)


@pytest.mark.usefixtures("record")
@pytest.mark.parametrize(
    ("column", "value"),
    [("status", "X"), ("ep_no", ""), ("overstay", -1), ("overtime", 600_000), ("ep_no", "E" * 51), ("shift", "S" * 51)],
)
def test_what_no_file_could_carry_is_refused(register_db: str, column: str, value: str | int) -> None:
    with pytest.raises(Exception, match=r"CHECK|check constraint|too long"):
        _set(register_db, column, value)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)  # its bytecode is looked at
def test_sqlite_builds_no_table_for_every_row_that_is_added(register_db: str) -> None:
    columns = "ep_no, ep_name, date, shift, status, company_id, created_at, updated_at"
    with connections[register_db].cursor() as cursor:
        cursor.execute(f"EXPLAIN INSERT INTO core_attendancerecord ({columns}) VALUES (1, 2, 3, 4, 5, 6, 7, 8)")
        operations = {operation for _address, operation, *_operands in cursor.fetchall()}
    assert "Insert" in operations
    assert not {operation for operation in operations if "Ephemeral" in operation}


def test_the_natural_key_is_held(register_db: str, record: AttendanceRecord) -> None:
    record.pk = None
    record._state.adding = True
    with pytest.raises(IntegrityError):
        record.save(using=register_db)


def test_the_audit_trail_is_found_by_its_indexes(register_db: str) -> None:
    """Its pages ask for the newest, and for a person's."""
    with connections[register_db].cursor() as cursor:
        table = connections[register_db].introspection.get_constraints(cursor, BackupLog._meta.db_table)
    indexed = {tuple(one["columns"]) for one in table.values() if one["index"]}
    assert {("user_id", "created_at"), ("created_at",)} <= indexed
