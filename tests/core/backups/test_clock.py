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
from tests.running.work_queue import perform
from tests.running.writers import WRITERS, clock

NOON = dt.datetime(2027, 6, 1, 12, tzinfo=dt.UTC)
HOUR = 3600
DAY = 24 * HOUR


def changed(alias: str) -> list[dt.datetime]:
    """When the rows were written that were written since the beginning."""
    there = rows(alias)
    written = [row.updated_at for row in (*there.companies.values(), *there.records.values())]
    return [moment for moment in written if moment != LONG_AGO]


@pytest.mark.untraced
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
        if taken == "whole":
            with pytest.raises(OperationFailed, match="Set the clock right and take a full backup"):
                backup(register_db, "incremental")
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


@pytest.mark.untraced
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


@pytest.mark.untraced
def test_an_incremental_goes_on_when_the_clock_is_right_again(register_db: str) -> None:
    """Set back for a while after the last backup: what was written then is in the next one."""
    put(register_db, SMALL)
    with clock(NOON) as time:
        parent = backup(register_db)
        time.step(-3 * HOUR)
        WRITERS["change"](register_db, 1)
        with pytest.raises(OperationFailed, match="the clock was set back, or was ahead then"):
            backup(register_db, "incremental")
        time.step(4 * HOUR)
        incremental = backup(register_db, "incremental")
        assert (incremental.records, incremental.metadata.parent) == (1, str(parent.id))


@pytest.mark.untraced
def test_records_from_the_future_are_in_every_incremental_until_it_comes(register_db: str) -> None:
    """Written while the clock was ahead: listed once too often, and never missed."""
    put(register_db, SMALL)
    with clock(NOON) as time:
        time.step(DAY)
        WRITERS["change"](register_db, 1)
        time.step(-DAY)
        backup(register_db)
        time.step(HOUR)
        assert [backup(register_db, "incremental").records for _ in range(2)] == [1, 1]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_the_pages_say_that_the_clock_cannot_be_right(register_db: str, client: Client) -> None:
    put(register_db, SMALL)
    with clock(NOON) as time:
        client.force_login(User.objects.create_superuser("root"))
        backup(register_db)
        assert "It begins five minutes before that." in client.get("/backup/").content.decode()
        assert not client.get("/").context["backup_is_old"]
        time.step(-HOUR)
        page = client.get("/backup/").content.decode()
        assert (
            "The last backup says that it was taken on 2027-06-01 12:00:00 UTC, and now it is 2027-06-01 11:00" in page
        )
        assert "Set the clock right and take a full backup." in page
        assert "An incremental one begins" not in page
        dashboard = client.get("/")
        assert dashboard.context["backup_is_old"], "nobody knows how old it is"
        assert "That is in the future: the clock was wrong then, or is wrong now." in dashboard.content.decode()
        client.post("/backup/", {"backup_type": "incremental"})
        operation = Operation.objects.using(JOBS).latest("started_at")
        perform(operation.pk)
        page = client.get(f"/operations/{operation.pk}/").content.decode()
        assert "The last backup says that it was taken on" in page
        assert "No backup was written." in page


def test_the_order_of_backups_is_not_told_by_the_clock(register_db: str) -> None:
    """The last one that was entered is continued, and shown, whatever its date."""
    put(register_db, SMALL)
    with clock(NOON) as time:
        backup(register_db)
        time.step(-HOUR)
        full = backup(register_db)
        time.step(1)
        assert catalogue.last_taken(Register(register_db)) == Backup.objects.using(register_db).get(pk=full.id)
        assert backup(register_db, "incremental").metadata.parent == str(full.id)


@pytest.mark.untraced
def test_one_that_is_known_to_be_from_the_future_is_never_continued(register_db: str) -> None:
    """Not even when its moment has come, and the later one whose date gives it away is deleted."""
    put(register_db, SMALL)
    with clock(NOON) as time:
        first = backup(register_db)
        time.step(DAY)
        backup(register_db)
        time.step(HOUR - DAY)
        last = backup(register_db)
        time.step(1)
        WRITERS["change"](register_db, 1)
        Backup.objects.using(register_db).filter(pk=last.id).update(location="")
        time.step(DAY)
        incremental = backup(register_db, "incremental")
        assert (incremental.metadata.parent, incremental.records) == (str(first.id), 1)


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
