"""Backups as the web takes them, and what it does with the catalogue; the jobs are run in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.files.storage import storages
from django.test import Client
from django.utils import timezone
from django.utils.html import strip_tags
from pytest_django import Settings

from core import tasks
from core.models import AttendanceRecord, Backup, BackupLog, Installation, Operation, User
from core.services import backup_jobs, operations, stored_preview
from core.services.backup_jobs import BackupRequest
from core.services.errors import OperationFailed, RegisterBusy
from core.services.operations import JOBS, Actor
from recordsync import locks
from tests.properties.registers_content import put
from tests.services.support import SMALL
from tests.services.test_targets import storage

__all__ = ["storage"]

# The web works on the register of DATABASE_URL alone; the services themselves are tested on both engines.
pytestmark = pytest.mark.parametrize("engine", ["sqlite"])

ACTOR = Actor("Meena")


@pytest.fixture(autouse=True)
def small(register_db: str, storage: Path) -> None:
    put(register_db, SMALL)


def taken(asked: BackupRequest = BackupRequest()) -> Backup:  # noqa: B008 # it is frozen
    operation = backup_jobs.submit_backup(ACTOR, asked)
    tasks.take_backup.call(str(operation.pk))
    operation.refresh_from_db()
    assert operation.outcome == Operation.Outcome.SUCCEEDED, operation.message
    return Backup.objects.get(file=operation.filename)


def verified(backup: Backup) -> Operation:
    operation = backup_jobs.submit_verify(ACTOR, backup)
    tasks.verify_backup.call(str(operation.pk))
    operation.refresh_from_db()
    backup.refresh_from_db()
    return operation


def test_full_then_incremental() -> None:
    full = taken()
    Backup.objects.filter(pk=full.pk).update(taken_at=timezone.now())
    AttendanceRecord.objects.update(updated_at="2026-01-01T00:00:00Z")
    changed = AttendanceRecord.objects.all()[0]
    AttendanceRecord.objects.filter(pk=changed.pk).update(updated_at=timezone.now(), shift="NIGHT")
    incremental = taken(BackupRequest("incremental"))
    assert (incremental.kind, incremental.parent) == (Backup.Kind.INCREMENTAL, full.pk)
    assert (full.records_count, incremental.records_count) == (3, 1)
    with storages["backups"].open(incremental.file) as file:
        assert [record["shift"] for record in json.load(file)["attendance_records"]] == ["NIGHT"]
    assert [log.actor_name for log in BackupLog.objects.all()] == ["Meena", "Meena"]


def test_an_incremental_without_a_backup_says_what_to_do() -> None:
    operation = backup_jobs.submit_backup(ACTOR, BackupRequest("incremental"))
    tasks.take_backup.call(str(operation.pk))
    operation.refresh_from_db()
    assert operation.outcome == Operation.Outcome.FAILED
    assert "Take a full backup first" in operation.message


def test_verifying_reads_the_whole_file() -> None:
    backup = taken()
    seen = [backup.verified_at]
    assert verified(backup).outcome == Operation.Outcome.SUCCEEDED
    seen.append(backup.verified_at)
    assert [moment is None for moment in seen] == [True, False]
    path = Path(storages["backups"].path(backup.file))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"shift":"GS"', b'"shift":"GX"', 1))
    damaged = verified(backup)
    assert damaged.outcome == Operation.Outcome.FAILED
    assert "not a valid backup" in damaged.message
    assert damaged.result["errors"][0]["field"] == "checksum"
    path.write_bytes(Path(storages["backups"].path(taken().file)).read_bytes())
    swapped = verified(backup)
    assert "it was replaced" in swapped.message
    assert backup.verified_at == seen[1]
    assert not BackupLog.objects.filter(operation="verify").exists()


def test_a_protected_backup_is_not_deleted() -> None:
    backup = taken()
    backup_jobs.set_protected(backup, True)
    with pytest.raises(OperationFailed, match="is protected"):
        backup_jobs.delete(backup, ACTOR)
    assert storages["backups"].exists(backup.file)
    backup_jobs.set_protected(backup, False)
    with locks.held(operations.REGISTER_LOCK, "default"), pytest.raises(RegisterBusy, match="Nothing was deleted"):
        backup_jobs.delete(backup, ACTOR)
    backup_jobs.delete(backup, ACTOR)
    assert not storages["backups"].exists(backup.file)
    assert Backup.objects.get(pk=backup.pk).file == "", "its entry stays: later backups name it as their parent"


def test_one_of_those_there_are_is_chosen_and_restored(tmp_path: Path, settings: Settings) -> None:
    """The page shows the last backup and offers each one to download and to restore."""
    settings.DATA_DIR = tmp_path
    first = taken()
    AttendanceRecord.objects.all().delete()
    second = taken()
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    page = client.get("/backup/")
    assert page.context["last"].pk == second.pk
    assert {row.file for row in page.context["page"]} == {first.file, second.file}
    download = client.get(f"/backup/download/{first.pk}/")
    assert download["Content-Disposition"] == f'attachment; filename="{first.file}"'
    assert json.loads(download.getvalue())["metadata"]["id"] == str(first.pk)
    form = client.get(f"/restore/?backup={first.pk}").content.decode()
    assert f'<option value="{first.pk}" selected>' in form, "the strategy is chosen beside it"
    client.post("/restore/", {"backup": first.pk, "strategy": "manual"})
    check = Operation.objects.using(JOBS).get(kind="check")
    tasks.check_backup.call(str(check.pk))
    with stored_preview.opened(check.pk) as preview:
        assert preview.counts()["attendance_records"].added == 3
        version = preview.version
    shown = strip_tags(client.get(f"/restore/preview/{check.pk}/").content.decode())
    taken_at = f"{timezone.localtime(first.taken_at):%-d %b %Y %H:%M %Z}"
    assert f"Backup from {Installation.current().name}, {taken_at}" in shown
    client.post(f"/restore/apply/{check.pk}/", {"version": version})
    tasks.apply_restore.call(str(Operation.objects.using(JOBS).get(kind="restore").pk))
    assert AttendanceRecord.objects.count() == 3
