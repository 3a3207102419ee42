"""Blocks: every store cuts its lines alike, each block a stretch of the key order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from django.db import connections, transaction
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from core.models import AttendanceRecord, Company
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA
from recordsync.model.records import Key, Partition, Record
from recordsync.model.schema import Model, Schema
from recordsync.stores import PostgresStore, SqliteStore, open_store
from recordsync.streams.lines import lines_of
from tests.builders.records import record
from tests.properties.laws import for_all
from tests.recordsync.stores.test_lines import fill
from tests.strategies.registers import company_names, employee_numbers

BORDERS: Final = [
    f"{month}-{day:02}"
    for month in ("0001-01", "0001-02", "1900-02", "2024-02", "2026-11", "2026-12", "9999-12")
    for day in (1, 7, 8, 14, 15, 21, 22, 28, 29, 30, 31)
    if not (month.endswith("02") and day > (29 if month == "2024-02" else 28)) and not (month == "2026-11" and day > 30)
]
DAYS: Final = st.sampled_from(BORDERS) | st.dates().map(dt.date.isoformat)


@st.composite
def days(draw: st.DrawFn) -> list[Record]:
    """Records in key order, of few companies and many days."""
    names = draw(st.lists(company_names, min_size=1, max_size=3))
    keys = st.tuples(st.sampled_from(names), DAYS, employee_numbers)
    chosen = draw(st.lists(keys, max_size=12, unique=True))
    return [record(name, number, date) for name, date, number in sorted(chosen)]


def by_calendar(key: Key) -> Partition:
    """The partition of a day, told without the program."""
    company, date, _number = key
    day = dt.date.fromisoformat(date)
    first = 1 + 7 * min((day.day - 1) // 7, 3)
    return company, f"{day.year:04}-{day.month:02}", f"{first:02}"


def expected(model: Model, records: Sequence[Record]) -> list[tuple[Partition, list[bytes]]]:
    """The blocks of records whose partition the test tells."""
    cuts = {0: lambda key: (), 1: lambda key: key[:1], 2: by_calendar}
    groups = groupby(records, lambda record: cuts[len(model.partition)](record.key))
    return [(partition, list(lines_of(model.shape(), group))) for partition, group in groups]


def found(alias: str, model: Model, where: Q | None = None, *, reference: bool) -> list[tuple[Partition, list[bytes]]]:
    store = open_store(Schema((COMPANIES, model)), alias, reference=reference)
    with transaction.atomic(using=alias):
        return [(partition, list(lines)) for partition, lines in store.blocks(model, where)]


@given(days())
def test_a_partition_is_a_stretch_of_the_key_order(records: list[Record]) -> None:
    partitions = [ATTENDANCE_RECORDS.partition_of(record.key) for record in records]
    assert partitions == [by_calendar(record.key) for record in records]
    assert partitions == sorted(partitions)


@for_all(records=days(), cut=st.sampled_from(["company_name date", "company_name", ""]))
def test_every_store_cuts_alike(alias: str, records: list[Record], cut: str) -> None:
    model = replace(ATTENDANCE_RECORDS, partition=tuple(cut.split()))
    fill(alias, records)
    with CaptureQueriesContext(connections[alias]) as queries:
        blocks = found(alias, model, reference=False)
    assert blocks == expected(model, records)
    assert blocks == found(alias, model, reference=True)
    table = AttendanceRecord._meta.db_table
    assert all("json" in query["sql"] for query in queries if table in query["sql"]), "not made by the database"


@for_all(records=days())
def test_sql_tells_the_partition_from_columns_of_any_name(alias: str, records: list[Record]) -> None:
    """As a trigger has them: with a prefix, and the primary key of the company in place of its name."""
    fill(alias, records)
    store = open_store(SCHEMA, alias)
    assert isinstance(store, SqliteStore | PostgresStore)
    names = dict(Company.objects.using(alias).values_list("pk", "name"))
    with connections[alias].cursor() as cursor:
        cursor.execute(
            f"SELECT NEW.company_id, {store.slice_in_sql('NEW.date')} FROM core_attendancerecord AS NEW, core_company "
            "WHERE core_company.id = NEW.company_id"
        )
        told = sorted((names[company], first[:7], first[8:]) for company, first in cursor.fetchall())
    assert told == [by_calendar(record.key) for record in records]


def test_blocks_of_some_rows_only(register_db: str) -> None:
    records = [record("A", number, date) for date in ("2026-11-07", "2026-11-08") for number in ("1", "2")]
    fill(register_db, records)
    for where, kept in ((Q(ep_no="1"), records[::2]), (Q(date="2026-11-08"), records[2:]), (Q(pk__in=[]), [])):
        for reference in (False, True):
            blocks = found(register_db, ATTENDANCE_RECORDS, where, reference=reference)
            assert blocks == expected(ATTENDANCE_RECORDS, kept)


def test_a_model_that_refers_to_no_other_is_one_block(register_db: str) -> None:
    fill(register_db, [record("B", "1"), record("A", "1")])
    for reference in (False, True):
        ((partition, lines),) = found(register_db, COMPANIES, reference=reference)
        assert partition == ()
        assert [line.rpartition(b'"name":')[2] for line in lines] == [b'"A"}', b'"B"}']
    fill(register_db, [])
    assert found(register_db, COMPANIES, reference=False) == []
