"""Whoever writes to a PostgreSQL that takes the answer to COMMIT with it: done and said so, or not done and said so."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django_tasks_db.models import DBTaskResult
from pytest_django import Settings

from core.attendance import companies as company_service
from core.attendance.records import RecordService
from core.backups import jobs as backup_jobs
from core.backups.backup_service import BackupService
from core.demo.generator import DemoPlan
from core.demo.service import DemoService
from core.models import JOBS, AttendanceRecord, Backup, BackupLog, Company, Installation, Kind, Operation, User
from core.operations import queue as jobs
from core.operations import recovery
from core.operations.errors import NotKnown, OperationFailed
from core.operations.run import Actor
from core.register.database import Register
from core.restores import verification
from core.restores.restore_service import RestoreService
from recordsync.history.snapshots import Occasion
from recordsync.model.json_values import InstallationName
from recordsync.system import transactions
from tests.builders.days import ABC, XYZ
from tests.builders.files import file
from tests.builders.registers import SMALL, put
from tests.builders.sheets import row
from tests.running.services import imported
from tests.running.wire import Wire
from tests.running.work_queue import perform

pytestmark = pytest.mark.postgres
ROOT = "meena"
PLAIN = DemoPlan(companies=1, records=5, seed=1, until=dt.date(2026, 11, 20))


@dataclass(frozen=True)
class Writer:
    """Something that writes: how it is done, and what is seen once it was. ``commits``: before the one that counts."""

    do: Callable[[str], Any]
    is_done: Callable[[str], bool]
    is_operation: bool = False
    commits: int = 0


def root(alias: str) -> User:
    return User.objects.using(alias).get(username=ROOT)


def first(alias: str) -> AttendanceRecord:
    return AttendanceRecord.objects.using(alias).order_by("pk")[0]


def names(alias: str) -> set[str]:
    return set(Company.objects.using(alias).values_list("name", flat=True))


def the_backup(alias: str) -> Backup:
    return Backup.objects.using(alias).get()


def company(alias: str, name: str) -> int:
    return Company.objects.using(alias).get(name=name).pk


def restore(alias: str) -> None:
    RestoreService(register=Register(alias)).restore_backup(file(SMALL).stream())


def take_snapshot(alias: str) -> None:
    """Take one, so that the one before an operation has nothing to commit."""
    installation = InstallationName(str(Installation.current(alias).id), "")
    Register(alias).history.take(Occasion(installation, ROOT, "test"), 0)


def add(alias: str) -> None:
    day = AttendanceRecord(company_id=company(alias, ABC), ep_no="E9", date=dt.date(2026, 11, 20), status="P")
    RecordService(root(alias), Register(alias)).add(day)


def change(alias: str) -> None:
    RecordService(root(alias), Register(alias)).change(first(alias).pk, first(alias).updated_at, {"shift": "NIGHT"})


def delete(alias: str) -> None:
    RecordService(root(alias), Register(alias)).delete(first(alias).pk, first(alias).updated_at)


def verify(alias: str) -> None:
    asked = {"backup": str(the_backup(alias).pk)}
    verification.verify(jobs.submit(Kind.VERIFY, Actor(ROOT), register=Register(alias), parameters=asked))


def seeded(alias: str) -> bool:
    return AttendanceRecord.objects.using(alias).count() == PLAIN.records


WRITERS = {
    "restore": Writer(restore, lambda alias: first(alias).ep_name == "Meena", is_operation=True),
    "import": Writer(lambda alias: imported(alias, row(ep_no="E9")), lambda alias: "E9" in numbers(alias), True),
    "rename": Writer(
        lambda alias: company_service.rename_company(
            company(alias, XYZ), "New", user=root(alias), register=Register(alias)
        ),
        lambda alias: "New" in names(alias),
        is_operation=True,
    ),
    "delete all": Writer(
        lambda alias: RecordService(root(alias), Register(alias)).delete_all(),
        lambda alias: not numbers(alias),
        True,
        commits=1,
    ),
    "demo": Writer(
        lambda alias: DemoService(Register(alias)).seed(PLAIN, password="of the demo"), seeded, is_operation=True
    ),
    "backup": Writer(
        lambda alias: BackupService(register=Register(alias)).create_backup(output=io.BytesIO()),
        lambda alias: Backup.objects.using(alias).count() == 2,
        is_operation=True,
    ),
    "verify": Writer(verify, lambda alias: the_backup(alias).verified_at is not None),
    "protect": Writer(
        lambda alias: backup_jobs.set_protected(the_backup(alias), True, Register(alias)),
        lambda alias: the_backup(alias).protected,
    ),
    "delete a backup": Writer(
        lambda alias: backup_jobs.delete(the_backup(alias), Actor(ROOT), Register(alias)),
        lambda alias: not the_backup(alias).file,
    ),
    "add": Writer(add, lambda alias: "E9" in numbers(alias)),
    "change": Writer(change, lambda alias: first(alias).shift == "NIGHT"),
    "delete": Writer(delete, lambda alias: len(numbers(alias)) == 2),
    "add a company": Writer(
        lambda alias: company_service.add_company("New", user=root(alias), register=Register(alias)),
        lambda alias: "New" in names(alias),
    ),
    "delete a company": Writer(
        lambda alias: company_service.delete_company(
            company(alias, "Empty"), user=root(alias), register=Register(alias)
        ),
        lambda alias: "Empty" not in names(alias),
    ),
}


def numbers(alias: str) -> list[str]:
    return list(AttendanceRecord.objects.using(alias).values_list("ep_no", flat=True))


@pytest.fixture(params=WRITERS)
def writer(
    request: pytest.FixtureRequest,
    wired_db: tuple[Wire, str],
    storage: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> Writer:
    settings.LOCK_WAIT_SECONDS = 0
    monkeypatch.setattr(transactions, "_SECONDS_TO_ASK", 0.3)
    _wire, alias = wired_db
    User.objects.using(alias).create(username=ROOT, role="root")
    if request.param != "demo":
        put(alias, SMALL)
        Company.objects.using(alias).create(name="Empty")
        AttendanceRecord.objects.using(alias).update(ep_name="Somebody")
    if "backup" in request.param or request.param in ("verify", "protect"):
        BackupService(register=Register(alias)).create_backup()
        Operation.objects.using(JOBS).all().delete()
        BackupLog.objects.using(alias).all().delete()
    take_snapshot(alias)
    chosen = WRITERS[request.param]
    assert not chosen.is_done(alias)
    return chosen


def assert_accounted_for(alias: str, writer: Writer, *, succeeded: bool) -> None:
    """Its audit row and its operation say so, and there is one of each."""
    recovery.settle_accounts()
    ended = Operation.objects.using(JOBS).order_by("started_at").first()
    assert (ended is not None) == (writer.is_operation or writer is WRITERS["verify"])
    if ended is not None:
        assert ended.state == ("succeeded" if succeeded else "failed"), ended.message
    if writer.is_operation:
        assert ended is not None
        log = BackupLog.objects.using(alias).get(operation_id=ended.pk)
        assert log.success == succeeded
        assert log.pk == ended.log_id


@pytest.mark.untraced
def test_it_was_committed(writer: Writer, wired_db: tuple[Wire, str]) -> None:
    wire, alias = wired_db
    wire.arm(wire.lose_answer, after=writer.commits)
    writer.do(alias)
    assert wire.acted
    assert writer.is_done(alias)
    assert_accounted_for(alias, writer, succeeded=True)


def test_of_the_snapshot_before_nothing_is_claimed(wired_db: tuple[Wire, str], settings: Settings) -> None:
    """Its answer is lost, and nobody answers: what was asked for has not begun, and can be asked for again."""
    settings.LOCK_WAIT_SECONDS = 0
    wire, alias = wired_db
    put(alias, SMALL)
    AttendanceRecord.objects.using(alias).update(ep_name="Somebody")
    wire.arm(wire.lose_server)
    with pytest.raises(OperationFailed, match="Nothing was changed") as failed:
        restore(alias)
    assert not isinstance(failed.value, NotKnown)
    wire.open = True
    assert first(alias).ep_name == "Somebody"
    restore(alias)
    assert first(alias).ep_name == "Meena"


@pytest.mark.untraced
def test_it_was_not(writer: Writer, wired_db: tuple[Wire, str]) -> None:
    wire, alias = wired_db
    wire.arm(wire.lose_commit, after=writer.commits)
    with pytest.raises(OperationFailed, match=r"lost .* (N|n)o.*\.") as failed:
        writer.do(alias)
    assert wire.acted
    assert not isinstance(failed.value, NotKnown)
    assert not writer.is_done(alias)
    assert_accounted_for(alias, writer, succeeded=False)
    if "backup" not in str(failed.value):
        writer.do(alias)
        assert writer.is_done(alias)


@pytest.mark.parametrize("way", ["lose_server", "lose_all"])
def test_nobody_knows(writer: Writer, wired_db: tuple[Wire, str], way: str) -> None:
    """Nothing is claimed: no audit row says that it failed. What it was is found out when the server answers."""
    wire, alias = wired_db
    wire.arm(getattr(wire, way), after=writer.commits)
    with pytest.raises(NotKnown, match=r"not known whether .* does not answer now\..* it ") as unknown:
        writer.do(alias)
    assert wire.acted
    assert "othing was" not in str(unknown.value)
    if writer.is_operation:
        assert Operation.objects.using(JOBS).order_by("started_at")[0].state == "running", "nobody knows how it ended"
    wire.open = True
    assert writer.is_done(alias) == (way == "lose_server")
    if writer is not WRITERS["verify"]:
        assert_accounted_for(alias, writer, succeeded=way == "lose_server")
    for log in BackupLog.objects.using(alias).filter(success=False):
        assert "not known" not in log.error_message, "by now it is"


@pytest.mark.parametrize("way", ["lose_server", "lose_all"])
def test_a_worker_does_not_know_either(
    wired_db: tuple[Wire, str], storage: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    settings.LOCK_WAIT_SECONDS = 0
    monkeypatch.setattr(transactions, "_SECONDS_TO_ASK", 0.3)
    wire, alias = wired_db
    put(alias, SMALL)
    take_snapshot(alias)
    operation = jobs.submit(Kind.BACKUP_FULL, Actor(ROOT), register=Register(alias))
    wire.arm(getattr(wire, way))
    perform(operation.pk)
    operation.refresh_from_db()
    assert (operation.state, operation.message) == ("running", "")
    DBTaskResult.objects.using(JOBS).update(status="SUCCESSFUL")
    wire.open = True
    recovery.settle_accounts()
    operation.refresh_from_db()
    if way == "lose_server":
        assert operation.state == "succeeded"
        assert operation.result["id"] == str(the_backup(alias).pk)
    else:
        assert operation.state == "failed"
        assert "No backup was entered in the catalogue." in operation.message
