"""Lines that the database makes are those of the reference, byte for byte; and what it takes for legal is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.db import IntegrityError, OperationalError, connections, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from core.models import AttendanceRecord
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA
from recordsync.errors import RecordSyncError
from recordsync.model.fields import Choice, Date, FieldType, Minutes, Text, Time
from recordsync.model.records import Record
from recordsync.model.schema import Model, Schema
from recordsync.stores import open_store
from recordsync.streams import Change
from recordsync.streams.lines import lines_of
from tests.builders.records import NOW, company, record
from tests.recordsync.models import later_fields
from tests.running import databases

MOMENTS: Final = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30))  # noqa: DTZ001 - Hypothesis wants them so
NASTY: Final = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.sampled_from(
    ["\\u0000", "%b%s%%", '"', "\\", "\x7f\u2028", "\ud7ff\ue000\U0010ffff", "a\r\n\t\b\f\x1f"]
)


def legal(kind: FieldType) -> st.SearchStrategy[str | None]:
    """Legal values of a type."""
    values: st.SearchStrategy[Any]
    match kind:
        case Text():
            values = NASTY.map(lambda text: (text or "x" * kind.min_length)[: kind.max_length])
        case Choice():
            values = st.sampled_from(kind.values)
        case Date():
            values = st.dates().map(str)
        case Time():
            values = st.times().map(lambda time: f"{time:%H:%M:%S}")
        case Minutes():
            values = st.integers(0, 599_999).map(lambda minutes: f"{minutes // 60:02}:{minutes % 60:02}")
        case _:
            raise AssertionError(kind)
    return values | st.none() if kind.nullable else values


@st.composite
def some_days(draw: st.DrawFn) -> list[Record]:
    """Records with legal values of every kind, in key order."""
    shape = ATTENDANCE_RECORDS.shape()
    values = st.tuples(*map(legal, shape.types))
    moments = MOMENTS.map(lambda moment: moment.isoformat(timespec="microseconds") + "Z")
    found = {shape.key(one): shape.record(one, draw(moments)) for one in draw(st.lists(values, max_size=4))}
    return [found[key] for key in sorted(found)]


def fill(alias: str, days: list[Record]) -> None:
    databases.empty(alias)
    store = open_store(SCHEMA, alias)
    companies = [company(name) for name in sorted({record.values[0] or "" for record in days})]
    with transaction.atomic(using=alias):
        for model, records in ((COMPANIES, companies), (ATTENDANCE_RECORDS, days)):
            store.write(model, [Change(record.key, None, record) for record in records], NOW)


def outcome(
    alias: str, *, reference: bool, by_blocks: bool = False, model: Model = ATTENDANCE_RECORDS
) -> list[bytes] | str:
    """The lines, made by the database or from records, or why there are none."""
    store = open_store(Schema((COMPANIES, model)), alias)
    try:
        with transaction.atomic(using=alias):
            if reference:
                return list(lines_of(model.shape(), store.records(model)))
            if by_blocks:
                return [line for _partition, lines in store.blocks(model) for line in lines]
            return list(store.lines(model))
    except RecordSyncError as error:
        return str(error)
    except OperationalError as error:  # a text that is no UTF-8: SQLite's text names a column of the query, too
        return str(error)[:25]


LATER: Final = later_fields(ATTENDANCE_RECORDS, "in_time", "in_time_3", "out_time", "overtime_to_mandays")


@given(some_days(), st.sampled_from([ATTENDANCE_RECORDS, LATER]))
def test_lines_are_those_of_the_reference(register_db: str, days: list[Record], model: Model) -> None:
    fill(register_db, days)
    with CaptureQueriesContext(connections[register_db]) as queries:
        lines = outcome(register_db, reference=False, model=model)
    assert lines == outcome(register_db, reference=True, model=model)
    assert lines == outcome(register_db, reference=False, by_blocks=True, model=model)
    assert len(lines) == len(days)
    table = AttendanceRecord._meta.db_table
    assert all("json" in query["sql"] for query in queries if table in query["sql"]), "not made by the database"


@contextmanager
def unchecked(alias: str) -> Iterator[Any]:
    """A cursor that writes what no constraint would let through, as raw SQL past Muster can on SQLite."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA ignore_check_constraints = ON")
        try:
            yield cursor
        finally:
            if connection.vendor == "sqlite":
                cursor.execute("PRAGMA ignore_check_constraints = OFF")


THREE: Final = [record("A", "1"), record("A", "2"), record("B", "1")]
WRONG: Final = {
    "sqlite": {
        "ep_no": ["''", "'%s'" % ("x" * 51), "x'41ff'", "'a' || char(0)"],
        "ep_name": ["x'41'", "'%s'" % ("é" * 256), "char(0)", "CAST(x'ff' AS TEXT)"],
        "shift": ["x''", "'%s'" % ("x" * 51)],
        "status": ["'X'", "''", "x'50'", "'p'", "'P '"],
        "date": ["'2026-02-30'", "'0000-01-01'", "'2026-1-1'", "20261120", "'2026-11-20 '", "x'32'", "'-4713-11-25'"],
        "in_time": ["'24:00:00'", "'09:00'", "'09:00:00.5'", "'9:00:00'", "32400", "x'30'", "'09:00:00Z'"],
        "overstay": ["-1", "1.5", "600000", "'abc'", "x'31'", "1e300"],
        "created_at": [
            "'2026-11-20'", "'2026-11-20 25:00:00'", "'0001-01-01 00:00:00'", "'9999-12-31 00:00:00'", "'now'", "7",
            "'2026-11-20T18:40:00'", "'2026-11-20 18:40:00.12345x'", "'2026-02-30 00:00:00'", "x'32'",
            "'2026-11-20 18:40:00.123'", "'2026-11-20 24:00:00'", "'2026-11-20 18:40'",
        ],
    },
    "postgres": {
        "date": ["'infinity'", "'0044-03-15 BC'", "'10000-01-01'"],
        "in_time": ["'24:00:00'"],
        "created_at": [
            "'infinity'", "'-infinity'", "'0001-01-01 00:00:00+00'", "'9999-12-31 00:00:00+00'", "'0044-03-15 BC'",
        ],
    },
}  # fmt: skip


def test_what_no_file_can_hold_is_named_as_the_reference_names_it(engine: str, register_db: str) -> None:
    fill(register_db, THREE)
    for column, values in WRONG[engine].items():
        for value in values:
            with unchecked(register_db) as cursor:
                cursor.execute(f"UPDATE core_attendancerecord SET {column} = {value} WHERE ep_no = '2'")
            found = outcome(register_db, reference=False)
            assert found == outcome(register_db, reference=True), (column, value)
            assert found == outcome(register_db, reference=False, by_blocks=True), (column, value)
            fill(register_db, THREE)


ANYTHING: Final = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text() | st.binary()


@given(
    st.sampled_from(["ep_no", "ep_name", "shift", "status", "date", "in_time", "out_time_3", "overstay", "created_at"]),
    ANYTHING,
)
def test_anything_that_sqlite_can_hold_is_told_alike(
    django_db_setup: None, django_db_blocker: Any, column: str, value: object
) -> None:
    alias = databases.ALIASES["sqlite"]
    with django_db_blocker.unblock():
        fill(alias, THREE)
        try:
            with unchecked(alias) as cursor:
                cursor.execute(f"UPDATE core_attendancerecord SET {column} = %s WHERE ep_no = '2'", [value])
        except (IntegrityError, UnicodeEncodeError):
            return
        found = outcome(alias, reference=False)
        assert found == outcome(alias, reference=True)
        assert found == outcome(alias, reference=False, by_blocks=True)
        databases.empty(alias)
