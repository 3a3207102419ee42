"""The dashboard's totals, on each engine."""

from __future__ import annotations

import datetime as dt

from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from core.attendance.dashboard import dashboard
from core.attendance.employees import last_records
from core.models import AttendanceRecord, Backup, Company, User
from core.register.database import Register
from tests.builders.people import DAY
from tests.running.services import backup


def test_no_total_is_older_than_what_was_written_last(register_db: str) -> None:
    """Where the database proves that nothing was written, the register is not counted again."""
    root = User.objects.db_manager(register_db).create_superuser("root")
    company = Company.objects.using(register_db).create(name="Asha Builders")
    records = AttendanceRecord.objects.using(register_db)

    def totals() -> tuple[int, int, int]:
        figures = dashboard(root, Register(register_db)).figures
        return figures.records, figures.employees, figures.not_recorded

    def counted() -> bool:
        with CaptureQueriesContext(connections[register_db]) as queries:
            totals()
        return any("RECURSIVE" in query["sql"] for query in queries)

    def add(number: str, day: dt.date = DAY) -> None:
        records.create(company=company, ep_no=number, date=day, status="P")

    add("A1")
    assert totals() == totals() == (1, 1, 0)
    assert any(not counted() for _ in range(100))  # others may write to the same server of PostgreSQL
    add("A2", DAY - dt.timedelta(1))
    assert totals() == (2, 2, 1)
    with transaction.atomic(using=register_db):
        add("A3")
        assert totals() == (3, 3, 1)
        records.filter(ep_no="A1").delete()
        assert totals() == (2, 2, 1)
        transaction.set_rollback(True, using=register_db)
    assert totals() == (2, 2, 1)
    records.filter(ep_no="A2").delete()
    assert totals() == (1, 1, 0)


def test_a_backup_that_was_deleted_is_not_the_last_one(register_db: str) -> None:
    root = User.objects.db_manager(register_db).create_superuser("root")
    kept, deleted = backup(register_db), backup(register_db)
    Backup.objects.using(register_db).filter(pk=deleted.id).update(file="", location="")
    last = dashboard(root, Register(register_db)).last_backup
    assert last is not None
    assert last.pk == kept.id


def test_the_last_day_of_the_calendar_may_be_the_last_record_of_somebody(register_db: str) -> None:
    root = User.objects.db_manager(register_db).create_superuser("root")
    company = Company.objects.using(register_db).create(name="Asha Builders")
    records = AttendanceRecord.objects.using(register_db)
    for date in (DAY, dt.date.max):
        records.create(company=company, ep_no="A1", date=date, status="P")
    assert [one.date for one in records.filter(last_records(root, Register(register_db)))] == [dt.date.max]
