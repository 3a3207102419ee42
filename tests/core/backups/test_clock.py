"""A clock that is wrong, and what is dated by it."""

from __future__ import annotations

import datetime as dt
from unittest.mock import patch

import pytest
from django.test import Client

from core.attendance.records import RecordService
from core.backups import catalogue
from core.backups.backup_service import BackupService
from core.demo.generator import DemoPlan
from core.demo.service import DemoService
from core.models import JOBS, AttendanceRecord, Backup, Company, Operation, User
from core.operations.errors import DataMoved, OperationFailed
from core.register.database import Register
from tests.builders.registers import LONG_AGO, SMALL, put, rows
from tests.running.services import backup
from tests.running.writers import WRITERS, clock

NOON = dt.datetime(2027, 6, 1, 12, tzinfo=dt.UTC)
HOUR = 3600
DAY = 24 * HOUR


def changed(alias: str) -> list[dt.datetime]:
    """When the rows were written that were written since the beginning."""
    there = rows(alias)
    written = [row.updated_at for row in (*there.companies.values(), *there.records.values())]
    return [moment for moment in written if moment != LONG_AGO]


@pytest.mark.parametrize("writer", sorted(WRITERS))
@pytest.mark.parametrize("taken", ["whole", "since a moment"])
def test_what_is_written_is_dated_after_the_last_backup(register_db: str, writer: str, taken: str) -> None:
    put(register_db, SMALL)
    with clock(NOON) as time:
        backup(register_db)
        time.step(DAY)
        if taken == "whole":
            backup(register_db)
        else:
            backup(register_db, "incremental", NOON)
        ahead = time.now
        time.step(-DAY + HOUR)
        WRITERS[writer](register_db, 1)
        assert changed(register_db)
        assert min(changed(register_db)) > ahead
        assert max(changed(register_db)) < ahead + dt.timedelta(seconds=2)
        backup(register_db)
        time.step(HOUR)
        assert catalogue.stamp(Register(register_db)) == time.now, "a full backup taken since puts an end to it"


@pytest.mark.parametrize("engine", ["sqlite"])
def test_so_is_what_the_administration_site_writes(register_db: str, client: Client) -> None:
    company = Company.objects.create(name="ABC Corp", created_at=LONG_AGO, updated_at=LONG_AGO)
    ahead = NOON + dt.timedelta(days=1)
    with clock(ahead):
        backup(register_db)
    with clock(NOON):
        client.force_login(User.objects.create_superuser("root"))
        form = {"ep_no": "EMP7", "company": company.pk, "date": "2026-11-20", "status": "A"}
        assert client.post("/admin/core/attendancerecord/add/", form).status_code == 302
        record = AttendanceRecord.objects.get()
        assert record.updated_at > ahead
        AttendanceRecord.objects.update(updated_at=LONG_AGO)
        assert client.post(f"/admin/core/attendancerecord/{record.pk}/change/", {"status": "P"}).status_code == 302
        assert AttendanceRecord.objects.get().updated_at > ahead


def test_what_is_written_while_a_backup_is_read_is_dated_after_it(register_db: str) -> None:
    """The clock is set back meanwhile; the backup is not in the catalogue before its file is whole."""
    put(register_db, SMALL)
    stamps = []
    with clock(NOON) as time:

        def progress(phase: str, done: int, total: int | None, /) -> None:
            if phase == "write":
                assert not Backup.objects.using(register_db).exists()
                with clock(NOON - dt.timedelta(hours=1)):
                    stamps.append(catalogue.stamp(Register(register_db)))

        backup(register_db, progress_callback=progress)
        time.step(-HOUR)
        assert min(stamps) > NOON
        assert catalogue.stamp(Register(register_db)) > NOON


def test_two_states_of_a_record_never_bear_one_date(register_db: str) -> None:
    """Whoever has seen the first does not save over the second, although the clock stands before both."""
    put(register_db, SMALL)
    with clock(NOON) as time:
        backup(register_db)
        time.step(-HOUR + 0.25)
        WRITERS["change"](register_db, 1)
        seen = max(changed(register_db))
        time.step(0.001)
        WRITERS["import"](register_db, 2)
        assert seen not in changed(register_db)


def test_the_order_of_backups_is_not_told_by_the_clock(register_db: str) -> None:
    """The last one that was entered is continued, and shown, whatever its date. What changed since is told by what
    there is, whatever it is dated."""
    put(register_db, SMALL)
    with clock(NOON) as time:
        time.step(DAY)
        backup(register_db)
        time.step(-DAY)
        WRITERS["change"](register_db, 1)
        full = backup(register_db)
        time.step(-HOUR)
        AttendanceRecord.objects.using(register_db).filter(shift="N").update(shift="M")
        assert catalogue.last_taken(Register(register_db)) == Backup.objects.using(register_db).get(pk=full.id)
        incremental = backup(register_db, "incremental")
        assert full.metadata.snapshot is not None
        assert (incremental.metadata.parent, incremental.records) == (full.metadata.snapshot.id, 1)
        assert backup(register_db, "incremental").records == 0


@pytest.mark.parametrize("engine", ["sqlite"])
def test_the_dashboard_says_that_the_clock_cannot_be_right(register_db: str, client: Client) -> None:
    put(register_db, SMALL)
    with clock(NOON) as time:
        client.force_login(User.objects.create_superuser("root"))
        backup(register_db)
        assert not client.get("/").context["backup_is_old"]
        time.step(-HOUR)
        dashboard = client.get("/")
        assert dashboard.context["backup_is_old"], "nobody knows how old it is"
        assert "That is in the future: the clock was wrong then, or is wrong now." in dashboard.content.decode()


def test_a_demo_register_that_somebody_changed_is_kept(register_db: str) -> None:
    """Even if the clock was set back between."""
    demo = DemoService(Register(register_db))
    with clock(NOON) as time:
        demo.seed(DemoPlan(2, 30, 1, dt.date(2026, 10, 31)), password="only here")
        time.step(-HOUR)
        WRITERS["change"](register_db, 1)
        with pytest.raises(OperationFailed, match="nobody has changed"):
            demo.seed(DemoPlan(2, 30, 2, dt.date(2026, 10, 31)), password="only here")


def test_delete_all_is_not_stopped_by_what_was_written_ahead(register_db: str) -> None:
    put(register_db, SMALL)
    root = User.objects.db_manager(register_db).create_superuser("root", password="a good one")
    taking = BackupService.create_backup

    def and_then_somebody_saves(service: BackupService, **options: object) -> object:
        result = taking(service, **options)  # type: ignore[arg-type]
        WRITERS["change"](register_db, 2)
        return result

    with clock(NOON) as time:
        time.step(DAY)
        WRITERS["change"](register_db, 1)
        time.step(-DAY)
        with patch.object(BackupService, "create_backup", and_then_somebody_saves), pytest.raises(DataMoved):
            RecordService(root, Register(register_db)).delete_all()
        assert RecordService(root, Register(register_db)).delete_all().records == 3


def test_a_killed_backup_pins_no_date(register_db: str) -> None:
    put(register_db, SMALL)
    Operation.objects.using(JOBS).create(
        kind="backup_full", database=register_db, actor_name="meena",
        result={"snapshot_at": (NOON + dt.timedelta(days=400)).isoformat()},
    )  # fmt: skip
    with clock(NOON):
        assert catalogue.stamp(Register(register_db)) > NOON + dt.timedelta(days=400)
        backup(register_db)
        assert catalogue.stamp(Register(register_db)) < NOON + dt.timedelta(seconds=2)
