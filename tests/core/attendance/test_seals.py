"""Closing and reopening a company's month, on each engine."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from core.attendance.companies import rename_company
from core.attendance.exceptions import exceptions
from core.attendance.seals import close_month, month_seals, reopen_month, require_open, to_close
from core.history.snapshots import list_snapshots
from core.models import AttendanceRecord, BackupLog, Company, Seal, User
from core.operations.closed import MonthsAreClosed
from core.operations.errors import DataMoved, OperationFailed
from core.register.database import Register
from core.restores.undo import offer, undoable
from recordsync.models import HeadMove
from tests.builders.days import ABC, XYZ, Content, day
from tests.builders.registers import put, register
from tests.running import databases

OCTOBER = dt.date(2025, 10, 1)
WORKED = day(date="2025-10-31")


def start(alias: str, *days: Content) -> tuple[User, Company, Register]:
    databases.empty(alias, "jobs")
    put(alias, register(*(days or [WORKED]), companies=(ABC, XYZ)))
    root = User.objects.db_manager(alias).create_superuser("root")
    return root, Company.objects.using(alias).get(name=ABC), Register(alias)


def close(user: User, company: Company, here: Register, first: dt.date = OCTOBER, accepted: int = 100) -> None:
    seen = to_close(user, company.pk, first.replace(day=1), here).digest
    close_month(user, company.pk, first, seen=seen, accepted=accepted, register=here)


def reopen(user: User, company: Company, here: Register) -> None:
    seen = month_seals(company, OCTOBER, here).seen
    reopen_month(user, company.pk, OCTOBER, seen=seen, register=here)


def test_who_reopens_a_month_has_seen_who_closed_it(register_db: str) -> None:
    """Somebody else reopens it meanwhile, and another person closes it again."""
    root, company, here = start(register_db)
    close(root, company, here)
    seen = month_seals(company, OCTOBER, here).seen
    reopen(root, company, here)
    zoya = User.objects.db_manager(register_db).create_superuser("zoya")
    close(zoya, company, here)
    with pytest.raises(
        DataMoved, match=r"closed or reopened October 2025 of ABC Corp since you looked at it\. Nothing"
    ):
        reopen_month(root, company.pk, OCTOBER, seen=seen, register=here)
    (standing,) = month_seals(company, OCTOBER, here).standing
    assert standing.seal.closed_by == "zoya"
    reopen(root, company, here)


def test_who_closed_and_reopened_it_when_is_kept(register_db: str) -> None:
    root, company, here = start(register_db)
    assert not month_seals(company, OCTOBER, here).closings
    digest = to_close(root, company.pk, OCTOBER, here).digest
    close(root, company, here, OCTOBER.replace(day=31))  # any day of the month names it
    (closing,) = month_seals(company, OCTOBER, here).standing
    assert (closing.seal.closed_by, closing.seal.closed_as, closing.seal.digest) == ("root", ABC, digest)
    assert closing.proof == f"{digest[:5]} {digest[5:10]}"
    rename_company(company.pk, "Renamed", user=root, register=here)
    company.refresh_from_db()
    assert month_seals(company, OCTOBER, here).standing == [closing], "a rename is no change"
    reopen(root, company, here)
    reopened = Seal.objects.using(register_db).get().reopened_at
    with pytest.raises(OperationFailed, match=r"October 2025 of Renamed is not closed\. Nothing was changed"):
        reopen(root, company, here)
    close(root, company, here)
    first, second = (closing.seal for closing in month_seals(company, OCTOBER, here).closings)
    assert (first.closed_as, first.reopened_by) == (ABC, "root")
    assert reopened is not None
    assert first.reopened_at == reopened
    assert first.closed_at < reopened < second.closed_at
    assert (second.closed_as, second.reopened_at) == ("Renamed", None)
    rows = BackupLog.objects.using(register_db).filter(operation__in=["close_month", "reopen_month"]).order_by("pk")
    assert list(rows.values_list("filename", "success")) == [
        (f"October 2025 of {ABC}", True),
        ("October 2025 of Renamed", True),
        ("October 2025 of Renamed", False),
        ("October 2025 of Renamed", True),
    ]
    assert HeadMove.objects.using(register_db).filter(cause="close_month").count() == 2, "each with a snapshot"


def test_a_month_closed_here_and_elsewhere_is_reopened_as_a_whole(register_db: str) -> None:
    root, company, here = start(register_db)
    close(root, company, here)
    Seal.objects.using(register_db).create(
        company=company, month=dt.date(2025, 10, 9), closed_by="ravi", closed_as=ABC, digest="0" * 64
    )
    both = month_seals(company, OCTOBER, here)
    assert [closing.fits for closing in both.standing] == [True, False]
    assert (both.shown, both.changed) == (both.standing[0], None), "it is what one of them closed"
    AttendanceRecord.objects.using(register_db).filter(company=company).update(shift="N")
    changed = month_seals(company, OCTOBER, here)
    assert changed.shown is changed.changed is changed.standing[1]
    reopen(root, company, here)
    assert not month_seals(company, OCTOBER, here).is_closed
    require_open([(company.pk, OCTOBER)], here, "")


def test_when_it_is_not_closed(register_db: str) -> None:
    today = timezone.localdate()
    root, company, here = start(register_db, WORKED, day(date=today.isoformat()))
    with pytest.raises(OperationFailed, match=r"of ABC Corp is not over yet\. Nothing was changed"):
        close(root, company, here, today)
    with pytest.raises(OperationFailed, match=r"September 2025 of ABC Corp has no records\."):
        close(root, company, here, dt.date(2025, 9, 1))
    with pytest.raises(DataMoved, match=r"changed since you looked at it\. Nothing was changed\. Look at it again"):
        close_month(root, company.pk, OCTOBER, seen="0" * 64, register=here)
    with pytest.raises(OperationFailed, match=r"October 2025 of ABC Corp is not closed\. Nothing was changed"):
        reopen(root, company, here)
    close(root, company, here)
    with pytest.raises(OperationFailed, match=r"is closed already \(by root, 20.*\)\. Nothing was changed"):
        close(root, company, here)
    assert Seal.objects.using(register_db).count() == 1


def test_exceptions_that_nobody_has_looked_at_are_accepted_by_their_number(register_db: str) -> None:
    root, company, here = start(register_db, day(date="2025-10-31", out_time=None), day(ep_no="E2", date="2025-10-31"))
    found = len(exceptions(root, OCTOBER, company.pk, here).unseen)
    assert found
    with pytest.raises(DataMoved, match=rf"has {found} exceptions? that nobody has looked at\. Nothing was changed\."):
        close(root, company, here, accepted=found - 1)
    close(root, company, here, accepted=found)


def test_only_root_and_the_administrator_of_the_company_close_its_months(register_db: str) -> None:
    root, company, here = start(register_db)
    create = User.objects.db_manager(register_db).create_user
    other = Company.objects.using(register_db).get(name=XYZ)
    digest = to_close(root, company.pk, OCTOBER, here).digest
    admin = create("admin", role="admin", company=company)
    for user in (
        create("other", role="admin", company=other),
        create("supervisor", role="user1", company=company),
        create("gone", role="admin", company=company, is_active=False),
    ):
        with pytest.raises(PermissionError):
            close_month(user, company.pk, OCTOBER, seen=digest, register=here)
        close(admin, company, here)
        with pytest.raises(PermissionError):
            reopen(user, company, here)
        reopen(root, company, here)
    assert not BackupLog.objects.using(register_db).filter(success=False).exists()


def test_a_sentence_names_the_closed_months(register_db: str) -> None:
    months = [dt.date(2025, month, 1) for month in range(1, 9)]
    root, company, here = start(register_db, *(day(date=month.isoformat()) for month in months))
    for month in months:
        close(root, company, here, month)
    days = [(company.pk, month) for month in months]
    is_open = (company.pk, dt.date(2025, 9, 1))
    with pytest.raises(MonthsAreClosed) as one:
        require_open(days[:1], here, "Nothing was saved.")
    assert str(one.value).startswith("January 2025 of ABC Corp is closed (by root, 20")
    assert str(one.value).endswith("). Nothing was saved. Reopen the month first.")
    with pytest.raises(MonthsAreClosed, match=r"Reopen the month first, or leave its days out\.$"):
        require_open([days[0], is_open], here, "Nothing was saved.")
    with pytest.raises(
        MonthsAreClosed, match=r"February 2025 of ABC Corp is closed .* 3 more months are closed\. .*their"
    ):
        require_open([*days, is_open], here, "Nothing was saved.")
    require_open([(company.pk, dt.date(2025, 9, 1))], here, "")
    require_open([], here, "")


def test_it_is_not_undone(register_db: str) -> None:
    root, company, here = start(register_db)
    close(root, company, here)
    with pytest.raises(OperationFailed, match=r"is reopened on its roll.*Nothing was changed"):
        undoable(here)
    operation = BackupLog.objects.using(register_db).get(operation="close_month").operation_id
    assert str(operation) not in [move.operation for move in list_snapshots(None, here).moves]
    assert offer(operation, root, here).ways == ()
