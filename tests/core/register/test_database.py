"""The register in one database: what it shows, whom it keeps out, and for how long."""

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.utils import timezone
from pytest_django import Settings

from core.models import AttendanceRecord, Company, User
from core.register import database
from core.register.database import DEFAULT, Register
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES
from recordsync.errors import LockTimeout
from recordsync.stores import OrmStore
from recordsync.streams import Change
from recordsync.system import locks
from recordsync.system.transactions import writing
from tests.builders.records import company, record
from tests.running.databases import LONG, patient
from tests.running.processes import other_process

NOW = dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC)
KEY = ("B", "2026-11-20", "E1")

WRITING = """
from core.register.database import Register
from core.models import Company
with Register(alias).write(5) as store:
    Register(alias).rows(Company).create(name="B")
"""
CHANGING = """
from core.register.database import Register
from core.models import Company
with Register(alias).change([Company], 5):
    Register(alias).rows(Company).create(name="B")
"""
LOCKING = """
from core.register.database import Register
with Register(alias).lock(5):
"""


@pytest.fixture
def register(register_db: str) -> Register:
    return Register(register_db)


def in_another_thread(work: Callable[[], Any]) -> None:
    """Do it over another connection, and wait for its end."""

    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(LONG)
    assert not thread.is_alive(), "it is blocked"


@contextmanager
def released_soon(process: Any) -> Iterator[None]:
    """In the block, the other process lets go of what it holds."""

    def let_go() -> None:
        time.sleep(0.3)
        process.stdin.write("\n")
        process.stdin.flush()

    releasing = threading.Thread(target=let_go)
    releasing.start()
    yield
    releasing.join()


def add(register: Register, name: str, wait: float | None = 5) -> None:
    with register.write(wait) as store:
        store.write(COMPANIES, [Change((name,), None, company(name))], NOW)


def names(register: Register) -> list[str]:
    with register.read() as store:
        return [record.key[0] for record in store.records(COMPANIES)]


def test_two_of_one_database_are_equal(register: Register) -> None:
    other = Register("pg" if register.alias == "default" else "default")
    assert Register(register.alias) == register != other
    assert len({Register(register.alias), register, other}) == 2
    assert Register() == DEFAULT == Register("default")
    assert register.connection is connections[register.alias]


def test_its_rows_are_those_of_its_database(register: Register) -> None:
    other = Register("pg" if register.alias == "default" else "default")
    add(register, "A")
    root = User(role="root", is_active=True)
    assert list(register.rows(Company).visible_to(root).values_list("name", flat=True)) == ["A"]
    assert not other.rows(Company).exists()
    assert not register.rows(AttendanceRecord).visible_to(root).exists()
    assert register.rows(User).db == register.alias


def test_a_look_is_of_one_moment(register: Register) -> None:
    """Also for what is read first after somebody else has written."""
    add(register, "A")
    with register.read() as store:
        in_another_thread(lambda: add(register, "B"))
        assert [record.key for record in store.records(COMPANIES)] == [("A",)]
        in_another_thread(lambda: add(register, "C"))
        assert store.count(COMPANIES) == 1
        assert not list(store.lookup(COMPANIES, [("B",), ("C",)]))
    assert names(register) == ["A", "B", "C"]


def test_a_look_opens_no_transaction_inside_another(register: Register) -> None:
    with register.write(5), pytest.raises(RuntimeError), register.read():
        pass


def test_a_writer_waits_for_another_and_no_longer_than_it_was_told(register: Register) -> None:
    with other_process(register.alias, WRITING) as process:
        assert names(register) == [], "it is not committed"
        patient(register.alias)
        started = time.monotonic()
        with pytest.raises(OperationalError):
            add(register, "A", wait=0.3)
        assert 0.2 <= time.monotonic() - started < LONG / 2
        with released_soon(process):
            add(register, "A", wait=30)
    assert names(register) == ["A", "B"]


def test_nobody_changes_a_table_beside_a_writer(register: Register) -> None:
    with other_process(register.alias, WRITING):
        for model in (Company, AttendanceRecord):
            with pytest.raises(OperationalError), register.change([model], 0.2):
                pass
        if register.alias == "pg":  # what no backup holds is written beside it; SQLite has one writer in all
            with register.change([User], 0.2):
                pass


def test_changes_go_on_beside_each_other_unless_one_wants_to_be_alone(register: Register) -> None:
    with other_process(register.alias, CHANGING):
        if register.alias == "pg":
            with register.change([Company], 0.2):
                register.rows(Company).create(name="A", created_at=NOW, updated_at=NOW)
            assert names(register) == ["A"]
        with pytest.raises(OperationalError), register.change([Company], 0.2, alone=True):
            pass


@pytest.mark.parametrize("kind", ["write", "change", "commit"])
def test_what_fails_is_not_written(register: Register, kind: str) -> None:
    ways: dict[str, Callable[[], AbstractContextManager[object]]] = {
        "write": lambda: register.write(5),
        "change": lambda: register.change([Company], 5),
        "commit": lambda: register.commit(5),
    }

    def fail() -> None:
        with ways[kind]():
            register.rows(Company).create(name="A")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert names(register) == []
    with ways[kind]():
        register.rows(Company).create(name="A")
    assert names(register) == ["A"]


def test_the_lock_is_one_for_a_register(register: Register) -> None:
    other = Register("pg" if register.alias == "default" else "default")
    assert register.is_free()
    with other_process(register.alias, LOCKING) as process:
        assert not register.is_free()
        assert other.is_free(), "another register has a lock of its own"
        add(register, "A", wait=1)  # whoever does not ask for it
        with pytest.raises(LockTimeout), register.lock(0):
            pass
        with pytest.raises(LockTimeout), register.lock(0.3):
            pass
        waited: list[None] = []

        def give_up() -> None:
            waited.append(None)
            if len(waited) == 3:
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError), register.lock(LONG, give_up):
            pass
        with released_soon(process), register.lock(30):
            assert not register.is_free()
    assert register.is_free()


@pytest.mark.parametrize("kind", ["write", "change", "lock"])
def test_without_a_wait_it_is_the_one_of_the_settings(
    register: Register, settings: Settings, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LOCK_WAIT_SECONDS = 0.4
    given: list[float] = []

    def noted(using: str, models: object, wait: float, *, alone: bool = True) -> AbstractContextManager[None]:
        given.append(wait)
        return writing(using, [Company], wait, alone=alone)

    def noted_lock(name: str, using: str, *, wait: float, **options: Any) -> AbstractContextManager[locks.Lock]:
        given.append(wait)
        return held(name, using, wait=wait, **options)

    held = locks.held
    monkeypatch.setattr(database, "writing", noted)
    monkeypatch.setattr(locks, "held", noted_lock)
    ways: dict[str, Callable[[], AbstractContextManager[object]]] = {
        "write": register.write,
        "change": lambda: register.change([Company]),
        "lock": register.lock,
    }
    with (
        other_process(register.alias, LOCKING if kind == "lock" else WRITING),
        pytest.raises((OperationalError, LockTimeout)),
        ways[kind](),
    ):
        pass
    assert given == [0.4]


def test_each_look_has_a_store_of_its_own_that_sees_what_others_added_since(register: Register) -> None:
    """A company that somebody else adds between two looks is known to the second, with its records."""
    add(register, "A")
    with register.read() as first:
        assert not list(first.lookup(ATTENDANCE_RECORDS, [KEY]))
    in_another_thread(lambda: add(register, "B"))
    with register.write(5) as writer:
        writer.write(ATTENDANCE_RECORDS, [Change(KEY, None, record("B", "E1"))], timezone.now())
    with register.read() as second:
        assert second is not first
        assert [record.key for record in second.lookup(ATTENDANCE_RECORDS, [KEY])] == [KEY]
        assert [record.key for record in second.records(ATTENDANCE_RECORDS)] == [KEY]


def test_companies_of_a_transaction_that_was_rolled_back_are_forgotten(register: Register) -> None:
    """Their primary keys may be given to others."""

    def ghost() -> None:
        with register.write(5) as store:
            store.write(COMPANIES, [Change(("Ghost",), None, company("Ghost"))], NOW)
            store.write(ATTENDANCE_RECORDS, [Change(("Ghost", KEY[1], "E1"), None, record("Ghost", "E1"))], NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ghost()
    add(register, "B")
    with register.write(5) as store:
        store.write(ATTENDANCE_RECORDS, [Change(KEY, None, record("B", "E1"))], NOW)
        assert [record.key for record in store.records(ATTENDANCE_RECORDS)] == [KEY]
        assert not list(store.lookup(ATTENDANCE_RECORDS, [("Ghost", KEY[1], "E1")]))


@pytest.mark.parametrize("reference", [True, False])
def test_the_settings_choose_the_store(register: Register, settings: Settings, reference: bool) -> None:
    settings.MUSTER_REFERENCE_STORE = reference
    with register.read() as read:
        pass
    with register.write(5) as written:
        pass
    assert [type(store) is OrmStore for store in (read, written)] == [reference, reference]
