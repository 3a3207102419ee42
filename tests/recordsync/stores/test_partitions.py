"""One partition's lines, where partitions are in a table, and records that are few for each of many names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import pytest
from django.db import connections, transaction
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from hypothesis import strategies as st

from core.models import AttendanceRecord, Company
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA
from recordsync.errors import InvalidRecord, RecordSyncError
from recordsync.model.records import Partition, Record
from recordsync.model.schema import Schema
from recordsync.stores import PostgresStore, SqliteStore, Store, open_store, orm, sql
from recordsync.stores.places import Places
from recordsync.stores.sql import SqlStore
from recordsync.streams import Change
from recordsync.streams.lines import lines_of
from tests.builders.records import NOW, company, record, sections
from tests.properties.laws import for_all
from tests.recordsync.stores.test_blocks import days, expected
from tests.recordsync.stores.test_lines import fill, unchecked
from tests.recordsync.support import MemoryStore
from tests.running import databases

DAY: Final = "2026-11-20"
CUTS: Final = st.sampled_from(["company_name date", "company_name", ""])


def stores(alias: str, records: Sequence[Record], schema: Schema) -> Iterator[Store]:
    """The three stores, and the one in memory."""
    names = [company(name) for name in sorted({record.key[0] for record in records})]
    yield MemoryStore(sections(names, list(records)), schema=schema)
    yield open_store(schema, alias, reference=True)
    yield open_store(schema, alias)


@contextmanager
def in_small_portions() -> Iterator[None]:
    """Few rows and few names are read together already, and more rows are streamed."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(orm, "_COUNTED", 2)
        patched.setattr(orm, "_TOGETHER", 3)
        patched.setattr(sql, "_FETCH", 2)
        yield


@for_all(records=days(), cut=CUTS)
def test_one_partition_is_read_by_itself(alias: str, records: list[Record], cut: str) -> None:
    model = replace(ATTENDANCE_RECORDS, partition=tuple(cut.split()))
    fill(alias, records)
    partitions = dict(expected(model, records))
    beside: set[Partition] = {(*p[:-1], "22" if p[-1] == "01" else "01") for p in partitions if len(p) == 3}
    beside |= {("Nobody", *p[1:]) for p in partitions if p} | {()} if cut == "" else set()
    for store in stores(alias, records, Schema((COMPANIES, model))):
        for small in (False, True):
            with in_small_portions() if small else transaction.atomic(using=alias):
                for partition in sorted({*partitions, *beside}):
                    assert list(store.partition(model, partition)) == partitions.get(partition, [])


@for_all(records=days(), cut=CUTS)
def test_places_are_told_both_ways_as_a_row_tells_them(alias: str, records: list[Record], cut: str) -> None:
    model = replace(ATTENDANCE_RECORDS, partition=tuple(cut.split()))
    fill(alias, records)
    _memory, *stored = stores(alias, records, Schema((COMPANIES, model)))
    parent, slice_ = "company_name" in cut, "date" in cut
    for store in stored:
        fast = open_store(SCHEMA, alias)
        assert isinstance(fast, SqliteStore | PostgresStore)
        with connections[alias].cursor() as cursor:
            cursor.execute(
                f"SELECT name, CAST(date AS TEXT), CAST(company_id AS TEXT), {fast.slice_in_sql('r.date')} "
                "FROM core_attendancerecord AS r JOIN core_company ON core_company.id = company_id"
            )
            rows = cursor.fetchall()
        assert len(rows) == len(records)
        places = store.places(model)
        for name, date, pk, first in rows:
            partition = model.partition_of((name, date, ""))
            place = (pk if parent else "", first if slice_ else "")
            assert (places.place(partition), places.partition(place)) == (place, partition)
            assert places.names(place[0]) == ((name,) if parent else ())
        if parent:
            assert places.place(("Nobody", *("2026-11", "08")[: 2 * slice_])) is None
            assert places.partition(("-1", "2026-11-08")) is None


def test_places_of_the_store_in_memory_are_told_both_ways() -> None:
    store = MemoryStore(sections([company("A"), company("B")]))
    places = store.places(ATTENDANCE_RECORDS)
    assert places.partition(places.place(("B", "2026-11", "08")) or ("", "")) == ("B", "2026-11", "08")
    assert store.places(COMPANIES).place(()) == ("", "")
    assert store.places(COMPANIES).partition(("", "")) == ()


def test_keys_with_a_comma_are_refused_where_they_are_joined() -> None:
    """Else two partitions would have one place."""
    with pytest.raises(RecordSyncError, match="cannot be told apart by primary keys: 'b,c' has a comma"):
        Places(ATTENDANCE_RECORDS, [{"A": "a"}, {"B": "b,c"}])
    assert Places(ATTENDANCE_RECORDS, [{"A": "a,b"}]).names("a,b") == ("A",)


def test_a_store_knows_the_places_of_what_it_writes_itself(register_db: str) -> None:
    fill(register_db, [record("A", "1")])
    for reference in (False, True):
        with transaction.atomic(using=register_db):
            store = open_store(SCHEMA, register_db, reference=reference)
            assert store.places(ATTENDANCE_RECORDS).place(("B", "2026-11", "15")) is None
            store.write(COMPANIES, [Change(("B",), None, company("B"))], NOW)
            pk = Company.objects.using(register_db).get(name="B").pk
            assert store.places(ATTENDANCE_RECORDS).place(("B", "2026-11", "15")) == (str(pk), "2026-11-15")
            store.write(COMPANIES, [Change(("B",), company("B"), None)], NOW)


def test_a_partition_costs_one_query_which_the_index_answers(register_db: str) -> None:
    records = [record(name, str(n), f"2026-11-{day:02}") for name in "AB" for day in range(8, 15) for n in range(3)]
    fill(register_db, records)
    store = open_store(SCHEMA, register_db)
    with transaction.atomic(using=register_db), CaptureQueriesContext(connections[register_db]) as asked:
        for name in "AB":
            assert len(list(store.partition(ATTENDANCE_RECORDS, (name, "2026-11", "08")))) == 21
    connection = connections[register_db]
    what = "EXECUTE recordsync_" if connection.vendor == "postgresql" else AttendanceRecord._meta.db_table
    queries = [one["sql"] for one in asked.captured_queries if what in one["sql"]]
    assert len(queries) == 2
    for query in queries:
        with transaction.atomic(using=register_db), connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                # Of so few records, sorting all is as cheap.
                cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
                cursor.execute("SET LOCAL enable_sort = off; SET LOCAL enable_incremental_sort = off")
                cursor.execute("SET LOCAL plan_cache_mode = force_custom_plan")
            cursor.execute(("EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN ") + query)
            plan = str(cursor.fetchall())
        assert "TEMP B-TREE" not in plan, plan
        assert "Sort" not in plan, plan


@pytest.mark.parametrize("engine", [pytest.param("postgres", marks=pytest.mark.postgres)])
def test_a_session_parses_the_query_for_partitions_once_and_plans_it_each_time(register_db: str) -> None:
    fill(register_db, [record("A", "1")])
    partition = ("A", "2026-11", "08")
    prepared = []
    for _session in range(2):
        for _store in range(2):
            store = open_store(SCHEMA, register_db)
            with transaction.atomic(using=register_db), CaptureQueriesContext(connections[register_db]) as asked:
                lines = [list(store.partition(ATTENDANCE_RECORDS, partition)) for _time in range(2)]
            assert lines[0] == lines[1]
            statements = [one["sql"] for one in asked.captured_queries]
            prepared.append(sum(sql.startswith("PREPARE") for sql in statements))
            assert statements.count("SET LOCAL plan_cache_mode = force_custom_plan") == 1
        connections[register_db].close()
    assert prepared[1:] == [0, 1, 0], "whether the first store finds it depends on who had the session before"


def test_what_no_file_can_hold_is_named_in_its_partition_alone(register_db: str) -> None:
    fill(register_db, [record("A", "1"), record("A", "2", DAY), record("B", "1")])
    wrong = {"default": "date = '2026-11-20 ', status = 'X'", "pg": "created_at = 'infinity'"}[register_db]
    with unchecked(register_db) as cursor:
        cursor.execute(f"UPDATE core_attendancerecord SET {wrong} WHERE ep_no = '2'")
    store = open_store(SCHEMA, register_db)
    with transaction.atomic(using=register_db):
        with pytest.raises(InvalidRecord, match="2"):
            list(store.partition(ATTENDANCE_RECORDS, ("A", "2026-11", "15")))
        assert len(list(store.partition(ATTENDANCE_RECORDS, ("B", "2026-11", "15")))) == 1


# --- Few records for each of many names


@for_all(records=days())
def test_names_with_few_records_are_read_together(alias: str, records: list[Record]) -> None:
    fill(alias, records)
    for reference in (False, True):
        store = open_store(SCHEMA, alias, reference=reference)
        with in_small_portions(), transaction.atomic(using=alias):
            assert [found.key for found in store.records(ATTENDANCE_RECORDS)] == [found.key for found in records]
            assert list(store.lines(ATTENDANCE_RECORDS)) == list(lines_of(ATTENDANCE_RECORDS.shape(), records))
            blocks = [(partition, list(lines)) for partition, lines in store.blocks(ATTENDANCE_RECORDS)]
            assert blocks == expected(ATTENDANCE_RECORDS, records)
            assert len(list(store.updated(ATTENDANCE_RECORDS))) == len(records)
            of_some = [found for found in records if found.key[1] >= DAY]
            assert [r.key for r in store.records(ATTENDANCE_RECORDS, Q(date__gte=DAY))] == [r.key for r in of_some]


def test_the_moments_of_records_that_are_read_together_are_in_their_order(register_db: str) -> None:
    fill(register_db, [record(name, number) for name in "ABC" for number in "12"])
    rows = AttendanceRecord.objects.using(register_db)
    for row in rows.select_related("company"):
        moment = f"2026-11-2{'ABC'.index(row.company.name)}T0{row.ep_no}:00:00.000000Z"
        rows.filter(pk=row.pk).update(updated_at=moment)
    wanted = [f"2026-11-2{day}T0{hour}:00:00.000000Z" for day in range(3) for hour in (1, 2)]
    for reference in (False, True):
        store = open_store(SCHEMA, register_db, reference=reference)
        with in_small_portions(), transaction.atomic(using=register_db):
            assert list(store.updated(ATTENDANCE_RECORDS)) == wanted


@pytest.mark.untraced
def test_hundreds_of_names_take_few_queries(register_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with few records, beside one with many."""
    many: list[Any] = [record("C250", f"{number:05}") for number in range(3000)]
    records = sorted([*many, *(record(f"C{n:03}", "1") for n in range(700) if n != 250)])
    fill(register_db, records)
    held: list[int] = []

    def counted(self: SqlStore, query: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        rows = at_once(self, query, parameters)
        held.append(len(rows))
        return rows

    at_once = SqlStore._fetch_at_once
    monkeypatch.setattr(SqlStore, "_fetch_at_once", counted)
    for reference in (False, True):
        store = open_store(SCHEMA, register_db, reference=reference)
        with CaptureQueriesContext(connections[register_db]) as asked, transaction.atomic(using=register_db):
            assert [found.key for found in store.records(ATTENDANCE_RECORDS)] == [found.key for found in records]
            assert list(store.lines(ATTENDANCE_RECORDS)) == list(lines_of(ATTENDANCE_RECORDS.shape(), records))
        assert len(asked) < 20
    assert max(held) < 1000, "the one with many was held in memory"
    databases.empty(register_db)
