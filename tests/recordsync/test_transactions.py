"""A consistent look, and a change: what other connections can do meanwhile."""

import gc
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction
from django.db.utils import InternalError

from core.models import AttendanceRecord, Company
from core.register import SCHEMA
from recordsync.store import tables
from recordsync.transactions import reading, writing
from tests.recordsync.processes import kill, other_process

WRITING = """
from core.register import SCHEMA
from core.models import Company
from recordsync.store import tables
from recordsync.transactions import writing
with writing(alias, tables(SCHEMA), 5):
    Company.objects.using(alias).create(name="theirs")
"""
READING = """
from core.models import Company
from recordsync.transactions import reading
with reading(alias):
"""


def elsewhere(work: Callable[[], Any]) -> Any:
    """What ``work`` gives over a connection of its own; its error is raised here."""
    result: list[Any] = []
    error: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as caught:
            error.append(caught)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it is blocked"
    if error:
        raise error[0]
    return result[0]


def names(alias: str) -> list[str]:
    return sorted(Company.objects.using(alias).values_list("name", flat=True))


def write(alias: str, name: str, wait: float = 5) -> None:
    with writing(alias, tables(SCHEMA), wait):
        Company.objects.using(alias).create(name=name)


def test_reading_sees_one_moment_while_others_write(register_db: str) -> None:
    write(register_db, "before")
    with reading(register_db):
        elsewhere(lambda: write(register_db, "meanwhile"))
        assert names(register_db) == ["before"], "the moment is when the block started, not its first query"
        elsewhere(lambda: write(register_db, "and again"))
        assert names(register_db) == ["before"]
        assert AttendanceRecord.objects.using(register_db).count() == 0
    assert names(register_db) == ["and again", "before", "meanwhile"]


def test_what_is_written_is_seen_by_others_only_once_it_is_committed(register_db: str) -> None:
    with writing(register_db, tables(SCHEMA), 5):
        Company.objects.using(register_db).create(name="mine")
        assert elsewhere(lambda: names(register_db)) == [], "readers go on, and see what was there"
    assert elsewhere(lambda: names(register_db)) == ["mine"]


def test_an_error_leaves_everything_as_it_was(register_db: str) -> None:
    def fail() -> None:
        with writing(register_db, tables(SCHEMA), 5):
            Company.objects.using(register_db).create(name="mine")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert names(register_db) == []
    write(register_db, "next")


def test_writing_keeps_other_writers_out_of_the_tables(register_db: str) -> None:
    def plain_write() -> None:
        with connections[register_db].cursor() as cursor:
            if register_db == "pg":
                cursor.execute("SET lock_timeout = 200")
            else:
                cursor.execute("PRAGMA busy_timeout = 200")
        Company.objects.using(register_db).create(name="theirs")

    with writing(register_db, tables(SCHEMA), 5):
        with pytest.raises(OperationalError):
            elsewhere(lambda: write(register_db, "theirs", wait=0.2))
        with pytest.raises(OperationalError):
            elsewhere(plain_write)
    elsewhere(plain_write)
    assert names(register_db) == ["theirs"]


def test_writing_waits_for_who_writes_and_no_longer_than_it_was_told(register_db: str) -> None:
    with other_process(register_db, WRITING) as process:
        assert names(register_db) == []
        started = time.monotonic()
        with pytest.raises(OperationalError):
            write(register_db, "mine", wait=0.3)
        assert 0.2 <= time.monotonic() - started < 5

        def let_go() -> None:
            time.sleep(0.3)
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()

        releasing = threading.Thread(target=let_go)
        releasing.start()
        write(register_db, "mine", wait=30)
        releasing.join()
    assert names(register_db) == ["mine", "theirs"]


def test_a_writer_that_is_killed_leaves_nothing_and_blocks_nobody(register_db: str) -> None:
    with other_process(register_db, WRITING) as process:
        kill(process)
        write(register_db, "mine", wait=30)
    assert names(register_db) == ["mine"]


def test_readers_do_not_keep_a_writer_waiting(register_db: str) -> None:
    with other_process(register_db, READING):
        write(register_db, "mine", wait=1)
    assert names(register_db) == ["mine"]


def test_neither_opens_inside_another_transaction(register_db: str) -> None:
    for inner in (reading(register_db), writing(register_db, tables(SCHEMA), 5)):
        with transaction.atomic(using=register_db), pytest.raises(RuntimeError, match="durable"), inner:
            raise AssertionError("opened")
    with reading(register_db), pytest.raises(RuntimeError), writing(register_db, tables(SCHEMA), 5):
        raise AssertionError("opened")


def test_reading_cannot_write(register_db: str) -> None:
    if register_db == "default":
        pytest.skip("SQLite's deferred transaction could; nothing in the engine does")
    with pytest.raises(InternalError), reading(register_db):
        Company.objects.using(register_db).create(name="mine")


def test_the_connection_is_afterwards_as_it_was(register_db: str) -> None:
    connection = connections[register_db]
    sqlite = connection.vendor == "sqlite"

    def state() -> tuple[Any, ...]:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout" if sqlite else "SHOW lock_timeout")
            wait = cursor.fetchone()
        return wait, getattr(connection, "transaction_mode", None), connection.in_atomic_block

    before = state()
    write(register_db, "mine", wait=0)
    assert state() == before
    with reading(register_db):
        assert names(register_db) == ["mine"]
    assert state() == before
    with pytest.raises(ZeroDivisionError), writing(register_db, tables(SCHEMA), 1.5):
        raise ZeroDivisionError
    assert state() == before
    Company.objects.using(register_db).create(name="by itself")


def test_a_connection_lost_while_writing_hides_no_error_and_the_next_one_works(register_db: str) -> None:
    def lose() -> None:
        # A cursor that waits for the collector in an earlier test's traceback would keep SQLite's file locked.
        gc.collect()
        with writing(register_db, tables(SCHEMA), 5):
            connections[register_db].connection.close()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lose()
    connections[register_db].close()
    write(register_db, "mine")
    assert names(register_db) == ["mine"]
