"""What somebody found right: how long it holds, who may say it, and what becomes of it."""

from __future__ import annotations

import datetime as dt
from unittest.mock import patch

import pytest

from core.attendance import exceptions
from core.attendance.companies import delete_company, rename_company
from core.attendance.exceptions import ExceptionShown
from core.attendance.records import RecordService
from core.models import AttendanceRecord, Company, ExceptionKind, Role, SeenException, User
from core.operations.errors import OperationFailed
from core.register.database import Register

Kind = ExceptionKind
DAY = dt.date(2026, 11, 20)
MONTH = DAY.replace(day=1)


@pytest.fixture
def record(register_db: str) -> AttendanceRecord:
    company = Company.objects.using(register_db).create(name="Asha Builders")
    return AttendanceRecord.objects.using(register_db).create(
        company=company, ep_no="A1", ep_name="Meena", date=DAY, status="A", in_time=dt.time(9), overstay=300
    )


def somebody(record: AttendanceRecord, role: Role = Role.ADMIN) -> User:
    alias = record._state.db
    return User.objects.db_manager(alias).create_user(f"a {role}", role=role, company=record.company)


def found(user: User, kind: ExceptionKind, subject: str = "A1", day: dt.date = DAY) -> ExceptionShown | None:
    register = Register(user._state.db or "default")
    company = register.rows(Company).get().pk
    return exceptions.exception(user, kind, company, subject, day, register)


def find_right(user: User, kind: ExceptionKind, subject: str = "A1", day: dt.date = DAY) -> None:
    looked_at = found(user, kind, subject, day)
    assert looked_at is not None
    register = Register(user._state.db or "default")
    exceptions.find_right(user, looked_at, looked_at.checksum, "the gate was open", register)


def unseen(user: User) -> set[ExceptionKind]:
    register = Register(user._state.db or "default")
    return {one.kind for one in exceptions.exceptions(user, MONTH, register=register).unseen if one.day == DAY}


def test_it_holds_until_what_was_looked_at_changes(record: AttendanceRecord, register_db: str) -> None:
    admin, rows = somebody(record), AttendanceRecord.objects.using(register_db)
    assert unseen(admin) == {Kind.MISSING_PUNCH, Kind.TIME_WITHOUT_PRESENCE, Kind.OVERSTAY}
    find_right(admin, Kind.TIME_WITHOUT_PRESENCE)
    find_right(admin, Kind.OVERSTAY)
    assert unseen(admin) == {Kind.MISSING_PUNCH}
    rows.update(ep_name="Meena Rao", shift="GS", overtime=60)
    assert unseen(admin) == {Kind.MISSING_PUNCH}
    rows.update(overstay=301)
    assert unseen(admin) == {Kind.MISSING_PUNCH, Kind.OVERSTAY}
    rows.update(status="L", overstay=300)
    assert unseen(admin) == {Kind.MISSING_PUNCH, Kind.TIME_WITHOUT_PRESENCE}
    looked_at = found(admin, Kind.OVERSTAY)
    assert looked_at is not None
    assert looked_at.seen is not None
    assert (looked_at.seen.seen_by, looked_at.seen.reason) == ("a admin", "the gate was open")


def test_it_holds_for_the_same_record_in_another_row_and_under_another_name(
    record: AttendanceRecord, register_db: str
) -> None:
    """As after a deletion that was undone, a restore, a company renamed."""
    admin = somebody(record)
    find_right(admin, Kind.OVERSTAY)
    record.delete(using=register_db)
    record.pk = None
    record.save(using=register_db, force_insert=True)
    rename_company(record.company_id, "Asha & Sons", user=admin, register=Register(register_db))
    assert Kind.OVERSTAY not in unseen(admin)


def test_an_absence_that_goes_on_stays_away_and_one_that_begins_elsewhere_does_not(
    record: AttendanceRecord, register_db: str
) -> None:
    admin, rows = somebody(record), AttendanceRecord.objects.using(register_db)

    def absent(*days: int) -> None:
        for day in days:
            rows.create(company=record.company, ep_no="A1", ep_name="Meena", date=DAY.replace(day=day), status="A")

    absent(18, 19)
    find_right(admin, Kind.ABSENT_IN_A_ROW)
    absent(21, 22)
    assert Kind.ABSENT_IN_A_ROW not in unseen(admin)
    absent(17)
    assert found(admin, Kind.ABSENT_IN_A_ROW, day=DAY.replace(day=19)) is not None


def test_two_names_that_were_found_right_stay_away_in_every_month(record: AttendanceRecord, register_db: str) -> None:
    admin, rows = somebody(record), AttendanceRecord.objects.using(register_db)
    rows.create(company=record.company, ep_no="A2", ep_name="Meena", date=DAY, status="A")
    find_right(admin, Kind.TWO_NUMBERS, "Meena")
    day = DAY - dt.timedelta(31)
    for number in ("A1", "A2"):
        rows.create(company=record.company, ep_no=number, ep_name="Meena", date=day, status="A")
    looked_at = found(admin, Kind.TWO_NUMBERS, "Meena", day)
    assert looked_at is not None
    assert looked_at.seen is not None
    rows.create(company=record.company, ep_no="A3", ep_name="Meena", date=day, status="A")
    looked_at = found(admin, Kind.TWO_NUMBERS, "Meena", day)
    assert looked_at is not None
    assert (looked_at.seen, list(looked_at.numbers)) == (None, ["A1", "A2", "A3"])


def test_a_name_is_compared_with_the_last_one_before_the_month(record: AttendanceRecord, register_db: str) -> None:
    admin, rows = somebody(record), AttendanceRecord.objects.using(register_db)
    for days, name in ((60, "Asha"), (40, "Ivan"), (25, "")):
        rows.create(
            company=record.company, ep_no="A1", ep_name=name, date=DAY - dt.timedelta(days), status="WO"
        )  # fmt: skip
    looked_at = found(admin, Kind.TWO_NAMES)
    assert looked_at is not None
    assert looked_at.finding.details == ("Ivan", "Meena")


def test_what_changed_while_somebody_looked_is_not_found_right(record: AttendanceRecord, register_db: str) -> None:
    admin = somebody(record)
    before = found(admin, Kind.OVERSTAY)
    AttendanceRecord.objects.using(register_db).update(overstay=301)
    now = found(admin, Kind.OVERSTAY)
    assert before is not None
    assert now is not None
    with pytest.raises(OperationFailed, match="Look again"):
        exceptions.find_right(admin, now, before.checksum, "late", Register(register_db))
    assert not SeenException.objects.using(register_db).exists()


@pytest.mark.parametrize("is_elsewhere", [True, False])
def test_only_who_may_change_a_record_finds_it_right(
    record: AttendanceRecord, register_db: str, is_elsewhere: bool
) -> None:
    root = User.objects.db_manager(register_db).create_superuser("root")
    looked_at = found(root, Kind.OVERSTAY)
    assert looked_at is not None
    other = somebody(record, Role.ADMIN if is_elsewhere else Role.USER1)
    if is_elsewhere:
        other.company = Company.objects.using(register_db).create(name="Borealis Works")
    with pytest.raises(PermissionError):
        exceptions.find_right(other, looked_at, looked_at.checksum, "x", Register(register_db))
    with pytest.raises(PermissionError):
        exceptions.take_back(other, looked_at, Register(register_db))
    exceptions.find_right(root, looked_at, looked_at.checksum, "x", Register(register_db))


def test_it_does_not_keep_a_company_from_being_deleted(record: AttendanceRecord, register_db: str) -> None:
    register = Register(register_db)
    root = User.objects.db_manager(register_db).create_superuser("root")
    find_right(root, Kind.OVERSTAY)
    RecordService(root, register).delete(record.pk, record.updated_at)
    delete_company(record.company_id, user=root, register=register)
    assert not SeenException.objects.using(register_db).exists()


def test_days_to_come_and_today_are_not_yet_missing(record: AttendanceRecord, register_db: str) -> None:
    admin, rows = somebody(record), AttendanceRecord.objects.using(register_db)
    rows.create(company=record.company, ep_no="A1", date=DAY + dt.timedelta(4), status="P")
    with patch("django.utils.timezone.localdate", lambda: DAY + dt.timedelta(2)):
        listed = exceptions.exceptions(admin, MONTH, register=Register(register_db)).unseen
        later = exceptions.exceptions(admin, MONTH + dt.timedelta(30), register=Register(register_db))
    assert {one.day for one in listed if one.kind == Kind.NOT_RECORDED} == {DAY + dt.timedelta(1)}
    assert {one.day for one in listed if one.kind != Kind.NOT_RECORDED} == {DAY}
    assert (list(later.unseen), later.counts().total()) == ([], 0)
