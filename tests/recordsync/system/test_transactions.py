"""A consistent look, and a change: what other connections can do meanwhile."""

import datetime as dt
import gc
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.db import Error, IntegrityError, OperationalError, connections, transaction
from django.db.utils import InternalError
from django.utils import timezone

from core.models import AttendanceRecord, Company
from core.register.declared import SCHEMA
from recordsync.errors import CommitUnknown
from recordsync.models import Commit
from recordsync.stores import tables
from recordsync.system import transactions
from recordsync.system.transactions import committed, reading, writing
from tests.running.databases import LONG, patient
from tests.running.processes import kill, other_process
from tests.running.wire import Wire

WRITING = """
from core.register.declared import SCHEMA
from core.models import Company
from recordsync.stores import tables
from recordsync.system.transactions import writing
with writing(alias, tables(SCHEMA), 5):
    Company.objects.using(alias).create(name="theirs")
"""
READING = """
from core.models import Company
from recordsync.system.transactions import reading
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
    thread.join(LONG)
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
        patient(register_db)
        started = time.monotonic()
        with pytest.raises(OperationalError):
            write(register_db, "mine", wait=0.3)
        assert 0.2 <= time.monotonic() - started < LONG / 2

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


def add(alias: str, name: str = "mine", wait: float = 5) -> None:
    with committed(alias, wait):
        Company.objects.using(alias).create(name=name)


@pytest.mark.postgres
@pytest.mark.parametrize("way", ["lose_answer", "lose_sight"])
def test_what_was_committed_is_known_to_be(wired_db: tuple[Wire, str], way: str) -> None:
    between, alias = wired_db
    between.arm(getattr(between, way))
    add(alias)
    assert between.acted
    assert names(alias) == ["mine"]
    add(alias, "next")
    assert names("pg") == ["mine", "next"]


@pytest.mark.postgres
def test_what_was_not_committed_is_known_not_to_be(wired_db: tuple[Wire, str]) -> None:
    between, alias = wired_db
    between.arm(between.lose_commit)
    with pytest.raises(OperationalError):
        add(alias)
    assert between.acted
    assert names(alias) == []
    add(alias, "next")
    assert names("pg") == ["next"]


@pytest.mark.postgres
def test_what_cannot_be_known_is_said_so(wired_db: tuple[Wire, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "_SECONDS_TO_ASK", 0.3)
    between, alias = wired_db
    between.arm(between.lose_server)
    with pytest.raises(CommitUnknown, match="does not answer"):
        add(alias, wait=0.1)
    between.open = True
    assert names(alias) == ["mine"]


@pytest.mark.postgres
def test_a_server_that_comes_back_in_time_is_asked(wired_db: tuple[Wire, str]) -> None:
    between, alias = wired_db
    between.arm(between.lose_server)

    def come_back() -> None:
        assert between.missed.wait(LONG)
        between.open = True

    coming = threading.Thread(target=come_back)
    coming.start()
    add(alias, wait=LONG)
    coming.join()
    assert names(alias) == ["mine"]


@pytest.mark.postgres
@pytest.mark.parametrize("wait", [LONG, 0.2], ids=["waited for", "too long"])
def test_a_server_that_is_still_at_it(wired_db: tuple[Wire, str], monkeypatch: pytest.MonkeyPatch, wait: float) -> None:
    """It goes on with a COMMIT whose client is gone; until it is done, nobody knows how it ends."""
    monkeypatch.setattr(transactions, "_SECONDS_TO_ASK", 0.3)
    between, alias = wired_db
    with connections["pg"].cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$; "
            "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON core_company DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION slow()"
        )
        cursor.execute("SELECT pg_advisory_lock(1)")
    try:
        between.arm(between.lose_sight)
        if wait == LONG:
            letting_go = threading.Timer(0.8, connections["pg"].connection.execute, ["SELECT pg_advisory_unlock(1)"])
            letting_go.start()
            add(alias, wait=wait)
            assert names(alias) == ["mine"]
            letting_go.join()
        else:
            with pytest.raises(CommitUnknown):
                add(alias, wait=wait)
    finally:
        connections["pg"].close()
        with connections["pg"].cursor() as cursor:
            cursor.execute("DROP FUNCTION slow CASCADE")  # waits for it


def test_a_commit_that_the_database_refuses_is_an_error_of_its_own(register_db: str) -> None:
    """Foreign keys are checked at the end of the transaction."""
    with pytest.raises(IntegrityError), committed(register_db, 5):
        AttendanceRecord.objects.using(register_db).create(company_id=1, ep_no="E1", date="2026-11-20", status="P")
    assert AttendanceRecord.objects.using(register_db).count() == 0
    add(register_db)
    assert names(register_db) == ["mine"]


@pytest.mark.postgres
def test_nothing_counts_as_committed_that_the_server_rolled_back(wired_db: tuple[Wire, str]) -> None:
    """It answers a COMMIT after a failed statement with ROLLBACK, which is no error."""

    def swallow() -> None:
        with committed(alias, 5):
            Company.objects.using(alias).create(name="mine")
            with suppress(Error), connections[alias].cursor() as cursor:
                cursor.execute("SELECT 1 / 0")

    _between, alias = wired_db
    with pytest.raises(InternalError, match="aborted"):
        swallow()
    assert names(alias) == []


def test_what_is_kept_for_those_who_ask_is_not_kept_for_ever(register_db: str) -> None:
    commits = Commit.objects.using(register_db)
    if register_db == "default":
        add(register_db)
        assert not commits.exists(), "nobody has to ask SQLite"
        return
    for name in ("a", "b"):
        add(register_db, name)
    assert commits.count() == 2
    commits.update(at=timezone.now() - dt.timedelta(hours=2))
    add(register_db, "c")
    assert commits.count() == 1
