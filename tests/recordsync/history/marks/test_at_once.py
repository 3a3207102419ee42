"""Marks that writers set while a snapshot is taken: whatever the snapshot did not see is marked after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations_with_replacement
from typing import Any
from unittest.mock import patch

import pytest
from django.db import OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from core.register.database import Register
from core.register.declared import SCHEMA
from recordsync.history import marks
from recordsync.system.transactions import reading
from tests.builders.days import ABC, FRIDAY, XYZ, day
from tests.builders.registers import put, register
from tests.properties.test_snapshots import take
from tests.recordsync.history.marks import places
from tests.recordsync.history.marks.places import Spot, execute
from tests.running import databases

TABLE = "core_attendancerecord"
ROWS = register(*(day(company, number, FRIDAY) for company in (ABC, XYZ) for number in ("E1", "E2")))
ON_POSTGRES = pytest.mark.parametrize("engine", [pytest.param("postgres", marks=pytest.mark.postgres)])


@contextmanager
def connection_of_its_own(alias: str) -> Iterator[BaseDatabaseWrapper]:
    """Another connection to the database, in a transaction."""
    own = connections[alias].copy()
    own.set_autocommit(False)
    try:
        yield own
    finally:
        own.rollback()
        own.close()


def change(connection: BaseDatabaseWrapper, number: str, shift: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {TABLE} SET shift = %s WHERE ep_no = %s", [shift, number])


def snapshot(alias: str, at: Callable[[str], None]) -> dict[Spot, Any]:
    """What a snapshot saw, which is taken as the history takes it. ``at`` is called with each of its steps."""
    at("begin")
    if connections[alias].vendor == "sqlite":
        with transaction.atomic(using=alias):
            generation = marks.raise_generation(alias)
        at("raised")
        with reading(alias):
            at("reads")
            seen = places.contents(alias)
            at("has read")
        with transaction.atomic(using=alias):
            marks.clear(alias, generation)
    else:
        with transaction.atomic(using=alias):
            generation = marks.raise_generation(alias)
            execute(alias, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            at("raised")
            execute(alias, "SELECT 1")
            at("reads")
            seen = places.contents(alias)
            at("has read")
            marks.clear(alias, generation)
            at("cleared")
    at("end")
    return seen


STEPS = {
    "sqlite": ("raised", "reads", "has read"),
    "postgres": ("begin", "raised", "reads", "has read", "cleared", "end"),
}
"""The steps at which others can write. On SQLite a snapshot that writes waits for other writers, and they for it."""


@pytest.mark.untraced
@pytest.mark.parametrize("is_marked", [False, True], ids=["a first mark", "a mark that is there"])
def test_what_is_written_meanwhile_is_marked_afterwards(register_db: str, engine: str, is_marked: bool) -> None:
    """Whenever a writer writes, and whenever it commits."""
    put(register_db, ROWS)
    for writes, commits in combinations_with_replacement(STEPS[engine], 2):
        places.take(register_db)
        with connection_of_its_own(register_db) as writer:
            if is_marked:
                change(writer, "E2", f"{writes}, {commits}")
                writer.commit()

            def at(
                step: str, writer: BaseDatabaseWrapper = writer, writes: str = writes, commits: str = commits
            ) -> None:
                if step == writes:
                    change(writer, "E1", f"{writes} {commits}")
                if step == commits:
                    writer.commit()

            seen = snapshot(register_db, at)
        lost = places.differing(seen, places.contents(register_db))
        assert lost <= places.covered(lost, marks.read(register_db)), (writes, commits)


def test_what_nobody_writes_meanwhile_is_not_marked_afterwards(register_db: str) -> None:
    put(register_db, ROWS)
    assert marks.read(register_db)
    snapshot(register_db, lambda step: None)
    assert marks.read(register_db) == frozenset()


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_snapshot_leaves_the_marks_that_a_later_one_has_to_read(register_db: str) -> None:
    first = marks.raise_generation(register_db)
    second = marks.raise_generation(register_db)
    put(register_db, ROWS)
    before = marks.read(register_db)
    marks.clear(register_db, first)
    marks.clear(register_db, second)
    assert (first < second, marks.read(register_db)) == (True, before)
    marks.clear(register_db, marks.raise_generation(register_db))
    assert marks.read(register_db) == frozenset()


@ON_POSTGRES
def test_of_two_snapshots_at_once_one_clears(register_db: str) -> None:
    put(register_db, ROWS)

    def another(step: str) -> None:
        if step == "has read":
            with connection_of_its_own(register_db) as other, other.cursor() as cursor:
                cursor.execute(f"DELETE FROM {marks.marked.MARKS}")
                other.commit()

    with pytest.raises(OperationalError, match="could not serialize access"):
        snapshot(register_db, another)


@ON_POSTGRES
def test_marks_are_not_cleared_by_a_transaction_that_sees_what_others_commit(register_db: str) -> None:
    put(register_db, ROWS)
    with pytest.raises(RuntimeError), transaction.atomic(using=register_db):
        marks.clear(register_db, 0)
    assert marks.read(register_db)


@ON_POSTGRES
def test_two_writers_of_one_place_never_wait_for_each_other(register_db: str) -> None:
    """Neither has a lock on a mark that the other would wait for: no key is locked, and the table only as by INSERT."""
    databases.patient(register_db)
    put(register_db, ROWS)
    with connection_of_its_own(register_db) as one, connection_of_its_own(register_db) as other:
        for number, writer in (("E1", one), ("E2", other)):
            with writer.cursor() as cursor:
                cursor.execute(f"SET lock_timeout = {1000 * databases.LONG}")  # an error, and no test that hangs
            change(writer, number, "changed")
        with connections[register_db].cursor() as cursor:
            cursor.execute(
                "SELECT mode, granted, count(DISTINCT pid) FROM pg_locks WHERE locktype <> 'virtualxid' "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
                f"AND (relation = '{marks.marked.MARKS}'::regclass OR NOT granted) GROUP BY 1, 2"
            )
            assert cursor.fetchall() == [("RowExclusiveLock", True, 2)]
        other.commit()
        one.commit()


@ON_POSTGRES
def test_triggers_are_not_made_anew_while_somebody_reads_for_long(register_db: str) -> None:
    """Everybody else would wait for that reader, too. All of the register is read."""
    put(register_db, ROWS)
    take(register_db)
    execute(register_db, f"SET lock_timeout = {1000 * databases.LONG}")  # an error, and no test that hangs
    execute(register_db, f"DROP TRIGGER recordsync_mark_update ON {TABLE}")
    try:
        with (
            connection_of_its_own(register_db) as reader,
            reader.cursor() as cursor,
            patch("recordsync.history.snapshots._TO_REPAIR", 0.05),
        ):
            cursor.execute(f"SELECT count(*) FROM {TABLE}")
            assert "is missing" in take(register_db).notes[0]
        assert marks.faults(register_db, SCHEMA)
        assert take(register_db).notes
        assert marks.faults(register_db, SCHEMA) == []
        assert take(register_db).notes == ()
    finally:
        execute(register_db, "RESET lock_timeout")
        if marks.faults(register_db, SCHEMA):
            marks.install(register_db, SCHEMA)


@ON_POSTGRES
def test_nobody_sets_a_mark_while_all_marks_are_cleared(register_db: str) -> None:
    """As an operator does by hand, who writes nothing else: who is alone in the register clears all marks that there
    are at the end."""
    put(register_db, ROWS)
    with connection_of_its_own(register_db) as operator, operator.cursor() as cursor:
        cursor.execute("SET lock_timeout = 50")
        with Register(register_db).write(databases.LONG), pytest.raises(OperationalError, match="lock timeout"):
            cursor.execute(f"INSERT INTO {marks.marked.MARKS} (model, parent, slice) VALUES ('companies', '*', '*')")


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize("clause", ["ROLLBACK", "ABORT", "FAIL", "IGNORE", "REPLACE"])
def test_what_a_statement_says_of_conflicts_is_not_said_of_marks(register_db: str, clause: str) -> None:
    put(register_db, ROWS)
    before = marks.read(register_db)
    added = f"SELECT company_id, date, 'added', '', '', 'P', created_at, updated_at FROM {TABLE} LIMIT 1"
    columns = "(company_id, date, ep_no, ep_name, shift, status, created_at, updated_at)"
    with transaction.atomic(using=register_db):
        assert execute(register_db, f"INSERT OR {clause} INTO {TABLE} {columns} {added}") == 1
        assert execute(register_db, f"UPDATE OR {clause} {TABLE} SET shift = 'changed'") == 5
    assert marks.read(register_db) == before
    with connections[register_db].cursor() as cursor:
        cursor.execute(f"SELECT count(*) = count(DISTINCT model || parent || slice) FROM {marks.marked.MARKS}")
        assert cursor.fetchone()[0]
