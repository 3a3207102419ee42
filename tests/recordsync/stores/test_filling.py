"""Indexes that are made afterwards: nothing is missing then, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA
from recordsync.stores import Store, open_store, sql
from recordsync.streams import Change
from tests.builders.records import NOW, company, record

TABLE = "core_attendancerecord"


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "_MANY", 2)


def objects(alias: str) -> list[tuple[Any, ...]]:
    """Everything that belongs to the table, as the database says it."""
    with connections[alias].cursor() as cursor:
        if connections[alias].vendor == "sqlite":
            cursor.execute("SELECT type, name, sql FROM sqlite_master WHERE tbl_name = %s", [TABLE])
        else:
            cursor.execute(
                "SELECT 'index', indexname, indexdef FROM pg_indexes WHERE tablename = %s UNION ALL "
                "SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint "
                "WHERE conrelid = %s::regclass",
                [TABLE, TABLE],
            )
        return sorted(map(tuple, cursor.fetchall()), key=str)


def fill(store: Store, count: int) -> None:
    days = [record("A", f"{number:03}") for number in range(count)]
    for model, records in ((COMPANIES, [company("A")]), (ATTENDANCE_RECORDS, days)):
        store.write(model, [Change(one.key, None, one) for one in records], NOW)


@pytest.fixture
def before(register_db: str) -> Iterator[list[tuple[Any, ...]]]:
    found = objects(register_db)
    yield found
    assert objects(register_db) == found


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("alone", [False, True])
def test_they_are_gone_meanwhile_and_there_afterwards(
    register_db: str, before: list[tuple[Any, ...]], alone: bool
) -> None:
    store = open_store(SCHEMA, register_db)
    with transaction.atomic(using=register_db):
        with store.filling(3, alone=alone):
            is_sqlite = connections[register_db].vendor == "sqlite"
            # On PostgreSQL whoever reads is locked out then.
            assert (len(objects(register_db)) < len(before)) is (alone or is_sqlite)
            fill(store, 3)
        assert objects(register_db) == before
    assert store.count(ATTENDANCE_RECORDS) == 3


@pytest.mark.usefixtures("before")
def test_they_stay_where_few_rows_are_added(register_db: str, before: list[tuple[Any, ...]]) -> None:
    store = open_store(SCHEMA, register_db)
    with transaction.atomic(using=register_db):
        fill(store, 3)
        with store.filling(6):
            assert objects(register_db) == before


def stop(alias: str) -> None:
    raise InterruptedError


def lose_the_company(alias: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute(f"UPDATE {TABLE} SET company_id = 999999999 WHERE ep_no = '001'")


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize(("fault", "error"), [(stop, InterruptedError), (lose_the_company, DatabaseError)])
def test_what_fails_leaves_them(register_db: str, fault: Callable[[str], None], error: type[Exception]) -> None:
    """The foreign key is checked although it was away."""
    store = open_store(SCHEMA, register_db)

    def filled() -> None:
        with transaction.atomic(using=register_db), store.filling(3, alone=True):
            fill(store, 3)
            fault(register_db)

    with pytest.raises(error):
        filled()
    assert store.count(ATTENDANCE_RECORDS) == 0
