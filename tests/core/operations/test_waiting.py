"""Who writes while a restore holds the register: it waits a little, then says who that is; readers wait for nobody."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from itertools import islice

import psycopg
import pytest
from django.contrib.auth.hashers import make_password
from django.db import connections
from django.db.models import Model
from pytest_django import Settings

from core.accounts import accounts as account_service
from core.attendance import companies as company_service
from core.attendance.records import RecordService
from core.models import AttendanceRecord, Company, Role, User
from core.operations import holding, waiting
from core.operations.errors import OperationFailed, RegisterBusy
from core.register.database import Register
from recordsync.system.transactions import writing
from tests.builders.days import blank_day
from tests.builders.registers import LONG_AGO, everything, put_day
from tests.running.databases import LONG
from tests.running.holder import held

DAY = dt.date(2026, 11, 20)


@pytest.fixture(autouse=True)
def _quick(settings: Settings) -> None:
    settings.SAVE_WAIT_SECONDS = 0.3
    settings.LOCK_WAIT_SECONDS = LONG


@pytest.fixture
def root(register_db: str) -> User:
    return User.objects.db_manager(register_db).create_superuser("root", password="a good one")


@pytest.fixture
def record(register_db: str, root: User) -> AttendanceRecord:
    return put_day(register_db, blank_day("Own", "A1"))


@pytest.fixture
def company(record: AttendanceRecord) -> Company:
    return record.company


def test_whatever_is_changed_by_hand_waits_and_then_says_who_holds_the_register(
    register_db: str, root: User, record: AttendanceRecord
) -> None:
    records = RecordService(root, Register(register_db))
    own = record.company
    new = AttendanceRecord(company=own, ep_no="A2", date=DAY, status="P")
    changes: list[Callable[[], object]] = [
        lambda: records.add(new),
        lambda: records.change(record.pk, LONG_AGO, {"status": "A"}),
        lambda: records.delete(record.pk, LONG_AGO),
        lambda: company_service.add_company("Other", user=root, register=Register(register_db)),
        lambda: company_service.rename_company(own.pk, "Other", user=root, register=Register(register_db)),
        lambda: company_service.delete_company(own.pk, user=root, register=Register(register_db)),
    ]
    accounts: list[Callable[[], object]] = [
        lambda: account_service.save(User(username="new", company=own), by=root, register=Register(register_db)),
        lambda: account_service.save(root, by=root, register=Register(register_db)),
        lambda: account_service.save_password(root, Register(register_db)),
    ]
    if register_db == "default":  # PostgreSQL's restores leave accounts alone
        changes += accounts
    before = everything(register_db)
    with held(register_db):
        for change in changes:
            started = time.monotonic()
            with waiting.at_a_page(), pytest.raises(RegisterBusy) as busy:
                change()
            assert 0.25 < time.monotonic() - started < LONG / 2, "it waits as long as a page does, not as a command"
            told = str(busy.value)
            assert told.startswith("meena has been running a restore since "), told
            assert "Nothing was " in told
        assert everything(register_db) == before
        if register_db != "default":
            for change in accounts:
                change()
    for change in changes[:2]:
        change()


def test_of_many_who_would_wait_most_are_told_at_once(register_db: str, root: User, settings: Settings) -> None:
    """Each who waits keeps a thread of the web server from somebody who only reads."""
    settings.SAVE_WAIT_SECONDS = LONG

    def add(number: int) -> str | None:
        """What the person is told; None: the company was added."""
        try:
            with waiting.at_a_page():
                company_service.add_company(f"Company {number}", user=root, register=Register(register_db))
        except RegisterBusy as busy:
            return str(busy)
        finally:
            connections.close_all()
        return None

    with ThreadPoolExecutor(6) as people:
        with held(register_db):
            adding = [people.submit(add, number) for number in range(6)]
            told = [one.result() for one in islice(as_completed(adding, timeout=LONG / 2), 4)]
            assert all(said and said.startswith("meena has been running a restore since") for said in told), told
            assert sum(one.done() for one in adding) == 4, "nobody waits"
        assert [one.result() for one in adding].count(None) == 2, "who waited did not get the register"


def test_people_who_save_at_the_same_time_do_not_hinder_each_other(
    register_db: str, root: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wait for each other: nobody holds the register for longer than a moment."""
    settings.SAVE_WAIT_SECONDS = LONG
    monkeypatch.setattr(waiting, "_MOMENT", LONG)

    def add(number: int) -> None:
        try:
            with waiting.at_a_page():
                company_service.add_company(f"Company {number}", user=root, register=Register(register_db))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as people:
        list(people.map(add, range(24)))
    assert Company.objects.using(register_db).count() == 24


def test_what_is_written_without_more_ado_waits_no_longer_in_a_page(register_db: str, root: User) -> None:
    """By the database's own limit. Elsewhere nothing changes."""

    def limits() -> tuple[str, ...]:
        connections[register_db].close()
        with connections[register_db].cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout" if register_db == "default" else "SHOW lock_timeout")
            return tuple(map(str, cursor.fetchone()))

    with waiting.at_a_page():
        assert limits() == (("300",) if register_db == "default" else ("300ms",))
    assert limits() == (("20000",) if register_db == "default" else ("0",))


def test_the_holder_that_cannot_be_asked_for_is_not_named(register_db: str, root: User) -> None:
    with held(register_db), pytest.MonkeyPatch.context() as patch:
        patch.setattr(holding, "current", lambda register: 1 / 0 if register.alias == "" else None)
        with waiting.at_a_page(), pytest.raises(RegisterBusy, match=r"another program is using it .* not"):
            company_service.add_company("Own", user=root, register=Register(register_db))


def test_a_last_root_stays(register_db: str, root: User, company: Company) -> None:
    users = User.objects.using(register_db)
    without = User.objects.db_manager(register_db).create_superuser("without a password")

    def refused(**fields: object) -> None:
        account = users.get(pk=root.pk)
        for name, value in fields.items():
            setattr(account, name, value)
        with pytest.raises(account_service.LastRoot, match=r"last active root account .* Nothing was saved\."):
            account_service.save(account, by=root, register=Register(register_db))
        assert users.filter(pk=root.pk, role=Role.ROOT, is_active=True).exclude(password__startswith="!").exists()

    refused(role=Role.ADMIN, company=company)
    refused(is_active=False)
    refused(password=make_password(None))
    with pytest.raises(account_service.LastRoot), account_service.changing_accounts(Register(register_db)):
        users.filter(pk=root.pk).delete()
    without.set_password("a good one")
    account_service.save(without, by=root, register=Register(register_db))
    root.role, root.company = Role.ADMIN, company
    account_service.save(root, by=without, register=Register(register_db))
    assert not users.filter(pk=root.pk, role=Role.ROOT).exists()


def test_two_roots_who_take_the_role_from_each_other_leave_one(register_db: str, root: User, company: Company) -> None:
    other = User.objects.db_manager(register_db).create_superuser("other", password="a good one")
    both_loaded = threading.Barrier(2)

    def demote(pk: int) -> bool:
        try:
            account = User.objects.using(register_db).get(pk=pk)
            account.role, account.company_id = Role.ADMIN, company.pk
            both_loaded.wait(LONG)
            account_service.save(account, by=account, register=Register(register_db))
        except account_service.LastRoot:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(2) as people:
        assert sorted(people.map(demote, [root.pk, other.pk])) == [False, True]
    assert User.objects.using(register_db).filter(role=Role.ROOT).count() == 1


def test_a_deleted_account_does_not_come_back_by_being_saved(register_db: str, root: User) -> None:
    gone = User.objects.db_manager(register_db).create_superuser("gone", password="a good one")
    User.objects.using(register_db).filter(pk=gone.pk).delete()
    with pytest.raises(OperationFailed, match="deleted this account meanwhile"):
        account_service.save(gone, by=root, register=Register(register_db))
    with pytest.raises(OperationFailed, match="deleted this account meanwhile"):
        account_service.save_password(gone, Register(register_db))
    assert not User.objects.using(register_db).filter(username="gone").exists()


def test_a_password_is_saved_alone(register_db: str, root: User) -> None:
    """What else was changed since the account was read stays."""
    other = User.objects.db_manager(register_db).create_superuser("other", password="a good one")
    User.objects.using(register_db).filter(pk=other.pk).update(role=Role.ROOT, is_active=False)
    other.set_password("another")
    account_service.save_password(other, Register(register_db))
    other.refresh_from_db(using=register_db)
    assert not other.is_active
    assert other.check_password("another")


def test_two_accounts_of_one_name_at_the_same_moment(register_db: str, root: User) -> None:
    with pytest.raises(OperationFailed, match=r"at the same moment\. Nothing was saved\. Try again\."):
        account_service.save(User(username="root", role=Role.ROOT), by=root, register=Register(register_db))


def test_signing_in_waits_for_nobody_even_where_the_hash_is_old(
    register_db: str, root: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make_password("a good one", salt="short")
    users = User.objects.using(register_db)
    users.filter(pk=root.pk).update(password=old)
    person = users.get(pk=root.pk)
    waits = []

    def noted(using: str, models: Sequence[type[Model]], wait: float, *, alone: bool) -> AbstractContextManager[None]:
        waits.append(wait)
        return writing(using, models, wait, alone=alone)

    monkeypatch.setattr("core.models.accounts.writing", noted)
    with held(register_db):
        if register_db != "default":  # where accounts can be written meanwhile: somebody writes them
            with psycopg.connect(**connections[register_db].get_connection_params()) as blocker:
                blocker.execute("LOCK TABLE core_user IN SHARE ROW EXCLUSIVE MODE")
                assert person.check_password("a good one")
        else:
            assert person.check_password("a good one")
        assert waits == [0]
        assert person.password == old, "the session would not be that of the stored password"
    assert person.check_password("a good one")
    assert users.get(pk=root.pk).password == person.password != old


def test_a_renewed_hash_does_not_bring_an_old_password_back(register_db: str, root: User) -> None:
    root.password = make_password("a good one", salt="short")
    root.save()
    late = User.objects.using(register_db).get(pk=root.pk)
    root.set_password("another")
    root.save()
    assert late.check_password("a good one")
    assert User.objects.using(register_db).get(pk=root.pk).check_password("another")
