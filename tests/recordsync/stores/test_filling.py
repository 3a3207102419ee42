"""Indexes that are made afterwards: nothing is missing then, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA
from recordsync.errors import RecordSyncError
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


_OF_AN_ADMINISTRATOR = {
    "sqlite": [f'CREATE INDEX "an odd "" name %" ON {TABLE} (shift) WHERE status = \'P\''],
    "postgresql": [
        f'CREATE INDEX "an odd "" name %" ON {TABLE} (shift) WHERE status = \'P\'',
        f"CREATE INDEX spoken_of ON {TABLE} (shift)",
        "COMMENT ON INDEX spoken_of IS 'for the pay office'",
        f"ALTER TABLE {TABLE} ADD CONSTRAINT alone EXCLUDE (id WITH =)",
        f'ALTER TABLE {TABLE} ADD team bigint, ADD CONSTRAINT "of a "" team" '
        "FOREIGN KEY (team) REFERENCES core_company DEFERRABLE NOT VALID",
        f"CREATE VIEW days AS SELECT company_id, count(*) FROM {TABLE} GROUP BY 1",
        f"CREATE TABLE pay (of bigint REFERENCES {TABLE}, by bigint REFERENCES core_company DEFERRABLE)",
        # A table of another schema comes first, and its index has the name of one of ours.
        "CREATE SCHEMA first",
        "CREATE TABLE first.plan (day date)",
        "CREATE INDEX attendance_day ON first.plan (day)",
        "SET LOCAL search_path = first, public",
    ],
}


@pytest.mark.usefixtures("before")
def test_what_an_administrator_made_is_as_before(register_db: str) -> None:
    connection = connections[register_db]
    told = "SELECT obj_description(indexrelid) FROM pg_index UNION ALL SELECT 'first.plan ' || count(*) "
    told += "FROM pg_index WHERE indrelid = 'first.plan'::regclass ORDER BY 1"
    with transaction.atomic(using=register_db), connection.cursor() as cursor:
        for statement in _OF_AN_ADMINISTRATOR[connection.vendor]:
            cursor.execute(statement)

        def seen() -> list[Any]:
            if connection.vendor == "sqlite":
                return objects(register_db)
            cursor.execute(told)
            return [objects(register_db), cursor.fetchall()]

        made = seen()
        store = open_store(SCHEMA, register_db)
        with store.filling(3, alone=True):
            assert seen() != made
            fill(store, 3)
        assert seen() == made
        transaction.set_rollback(True, using=register_db)


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("engine", [pytest.param("postgres", marks=pytest.mark.postgres)])
def test_only_the_owner_takes_indexes_away(register_db: str) -> None:
    with transaction.atomic(using=register_db), connections[register_db].cursor() as cursor:
        cursor.execute("CREATE ROLE who_owns_nothing")
        cursor.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO who_owns_nothing")
        cursor.execute("SET LOCAL ROLE who_owns_nothing")
        store = open_store(SCHEMA, register_db)
        with (
            pytest.raises(RecordSyncError, match="Restore without --exclusive, or as the owner"),
            store.filling(3, alone=True),
        ):
            pass
        transaction.set_rollback(True, using=register_db)
