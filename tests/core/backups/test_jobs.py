"""Backups as the web takes them, and what it does with the catalogue; the jobs are run in this process."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import cast
from unittest.mock import patch

import pytest
from django.core.files.storage import storages
from django.db import connections
from django.http import HttpResponse
from django.test import Client
from django.utils.html import strip_tags
from pytest_django import Settings

from core import moments
from core.backups import catalogue, parents
from core.backups import jobs as backup_jobs
from core.backups.jobs import BackupRequest
from core.models import JOBS, AttendanceRecord, Backup, BackupLog, Installation, Operation, User
from core.operations import queue as jobs
from core.operations.errors import OperationFailed, RegisterBusy
from core.operations.run import Actor
from core.preview import stored as stored_preview
from core.register.database import DEFAULT, Register
from core.restores import jobs as restore_jobs
from core.restores import verification
from core.restores.restore_service import RestoreService
from recordsync.backupfile import BackupType
from recordsync.merge import Strategy
from tests.builders.files import file
from tests.builders.registers import SMALL, put
from tests.running.services import database_error, some_id
from tests.running.work_queue import perform

# The web works on the register of DATABASE_URL alone; the services themselves are tested on both engines.
pytestmark = pytest.mark.parametrize("engine", ["sqlite"])

ACTOR = Actor("Meena")


@pytest.fixture(autouse=True)
def small(register_db: str, storage: Path) -> None:
    put(register_db, SMALL)


def taken(asked: BackupRequest = BackupRequest()) -> Backup:  # noqa: B008 # it is frozen
    operation = backup_jobs.submit_backup(ACTOR, asked)
    perform(operation.pk)
    operation.refresh_from_db()
    assert operation.state == Operation.State.SUCCEEDED, operation.message
    return Backup.objects.get(file=operation.filename)


def after_a_change(backup_type: BackupType = "full") -> Backup:
    AttendanceRecord.objects.update(shift=some_id())
    return taken(BackupRequest(backup_type))


def test_full_then_incremental() -> None:
    """By default since the last backup, or since the one that was asked for."""
    full = taken()
    changed, gone = AttendanceRecord.objects.all()[:2]
    AttendanceRecord.objects.filter(pk=changed.pk).update(shift="NIGHT")
    between = taken()
    gone.delete()
    last = taken(BackupRequest("incremental"))
    assert (last.backup_type, last.parent_snapshot) == (Backup.Type.INCREMENTAL, between.snapshot)
    assert (last.records_count, last.deleted_count) == (0, 1)
    incremental = taken(BackupRequest("incremental", parent=str(full.pk)))
    assert (incremental.parent_snapshot, incremental.snapshot) == (full.snapshot, last.snapshot)
    assert (full.records_count, incremental.records_count, incremental.deleted_count) == (3, 1, 1)
    with storages["backups"].open(incremental.file) as file:
        assert [record["shift"] for record in json.load(file)["attendance_records"]] == ["NIGHT"]
    assert {log.actor_name for log in BackupLog.objects.all()} == {"Meena"}


def test_an_incremental_without_a_backup_says_what_to_do() -> None:
    operation = backup_jobs.submit_backup(ACTOR, BackupRequest("incremental"))
    perform(operation.pk)
    operation.refresh_from_db()
    assert operation.state == Operation.State.FAILED
    assert "Take a full backup first" in operation.message


def test_a_protected_backup_is_not_deleted(settings: Settings) -> None:
    settings.LOCK_WAIT_SECONDS = 0
    backup = taken()
    backup_jobs.set_protected(backup, True)
    with pytest.raises(OperationFailed, match="is protected"):
        backup_jobs.delete(backup, ACTOR)
    assert storages["backups"].exists(backup.file)
    backup_jobs.set_protected(backup, False)
    with DEFAULT.lock(0), pytest.raises(RegisterBusy, match="Nothing was deleted"):
        backup_jobs.delete(backup, ACTOR)
    backup_jobs.delete(backup, ACTOR)
    assert not storages["backups"].exists(backup.file)
    entry = Backup.objects.get(pk=backup.pk)
    assert (entry.file, entry.verified_at) == ("", None), "its entry stays: later backups name it as their parent"


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.EACCES, "permission is denied."),
        (errno.EROFS, "the file system is read-only."),
        (errno.EBUSY, "it is in use."),
    ],
)
def test_a_file_that_cannot_be_deleted_stays_in_the_catalogue(root: Client, number: int, why: str) -> None:
    backup = taken()
    perform(verification.submit_verify(ACTOR, backup).pk)
    backup.refresh_from_db()
    path = storages["backups"].path(backup.file)
    with patch("os.remove", side_effect=OSError(number, os.strerror(number), path)):
        answer = confirm(root, backup)
    page = strip_tags(answer.content.decode())
    assert f"{path}: {why} Nothing was deleted, and the catalogue has it as before." in page
    before = (backup.file, backup.verified_at)
    backup.refresh_from_db()
    assert (backup.file, backup.verified_at) == before
    assert storages["backups"].exists(backup.file)


def test_a_file_that_is_not_there_any_more_is_deleted_and_that_is_said(root: Client) -> None:
    backup = taken()
    Path(storages["backups"].path(backup.file)).unlink()
    answer = confirm(root, backup)
    assert f"The file {backup.file} did not exist any more." in strip_tags(answer.content.decode())
    backup.refresh_from_db()
    assert backup.file == ""


def test_a_process_that_ends_between_file_and_entry_leaves_what_is_true() -> None:
    backup = taken()
    really = os.remove

    def and_then_end(path: str) -> None:
        really(path)
        raise KeyboardInterrupt

    with patch("os.remove", and_then_end), pytest.raises(KeyboardInterrupt):
        backup_jobs.delete(backup, ACTOR)
    backup.refresh_from_db()
    (entry,) = catalogue.entries([backup])
    assert (bool(backup.file), entry.is_there) == (True, False), "its file is not in the folder: that is what is said"
    assert not backup_jobs.delete(backup, ACTOR)


def test_a_catalogue_that_cannot_be_told_is_not_called_untouched() -> None:
    backup = taken()
    commit = patch.object(connections["default"], "commit", side_effect=database_error("SQLITE_FULL"))
    with (
        commit,
        pytest.raises(OperationFailed, match=r"is deleted, but the catalogue could not be updated.*disk is full"),
    ):
        backup_jobs.delete(backup, ACTOR)
    backup.refresh_from_db()
    assert backup.file
    assert not backup_jobs.delete(backup, ACTOR)


def test_of_two_who_delete_a_file_one_is_told() -> None:
    backup = taken()
    assert backup_jobs.delete(backup, ACTOR)
    with pytest.raises(OperationFailed, match="Somebody else deleted this file just now"):
        backup_jobs.delete(backup, ACTOR)


def test_a_file_that_cannot_be_read_is_not_downloaded(root: Client) -> None:
    backup = taken()
    with patch("builtins.open", side_effect=PermissionError(errno.EACCES, "Permission denied", "/backups/full.json")):
        answer = root.get(f"/backup/download/{backup.pk}/")
    assert answer.status_code == 302
    assert "permission is denied. Nothing was downloaded." in strip_tags(root.get("/backup/").content.decode())


def page_of(client: Client, backup: Backup) -> str:
    """What somebody is asked before the file is deleted."""
    return " ".join(strip_tags(client.post(f"/backup/{backup.pk}/", {"action": "delete"}).content.decode()).split())


def confirm(client: Client, backup: Backup, told: str = "") -> HttpResponse:
    """Delete the file, as somebody who has read what is lost with it."""
    form = {"action": "delete", "confirmed": told or told_about(client, backup)}
    return cast(HttpResponse, client.post(f"/backup/{backup.pk}/", form, follow=True))


def told_about(client: Client, backup: Backup) -> str:
    return str(client.post(f"/backup/{backup.pk}/", {"action": "delete"}).context["fingerprint"])


@pytest.fixture
def root(tmp_path: Path, settings: Settings) -> Client:
    settings.DATA_DIR = tmp_path
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.mark.untraced
def test_what_is_lost_with_a_backup_is_told_before_it_is_deleted(root: Client) -> None:
    first = taken()
    assert "It is the only full backup that is kept here" in page_of(root, first)
    assert "The next incremental backup would continue it." in page_of(root, first)
    chain = [after_a_change("incremental") for _ in range(12)]
    page = page_of(root, first)
    assert "12 incremental backups continue it and need it:" in page
    assert [one.file in page for one in chain] == [True] * 10 + [False] * 2
    page = page_of(root, chain[-2])
    assert "One incremental backup continues it" in page
    assert chain[-1].file in page
    assert "only full" not in page
    second = after_a_change()
    harmless = page_of(root, chain[-1])
    assert "continue" not in harmless
    assert "Delete the file for good" in harmless
    assert "Delete the file all the same" in page_of(root, second)
    answer = confirm(root, first)
    page = strip_tags(answer.content.decode())
    assert f"Deleted the file {first.file}." in page
    assert page.count(f"It needs snapshot {first.snapshot[:10]}, directly or through others, and no file") == 12
    assert "It is the only full backup that is kept here" in page_of(root, second)
    backup_jobs.delete(second, ACTOR)
    assert parents.next_parent(Register()) is None
    assert "Take a full backup first" in root.get("/backup/").content.decode()


def test_nothing_is_deleted_on_a_confirmation_of_something_else(root: Client) -> None:
    """Another tab, or a backup every night, takes an incremental one while somebody reads what is lost."""
    first, second = taken(), after_a_change()
    harmless = told_about(root, second)
    after_a_change("incremental")
    page = strip_tags(confirm(root, second, harmless).content.decode())
    assert "The backup or its files have changed meanwhile. Nothing was deleted. Look again." in page
    assert "One incremental backup continues it" in page
    assert Backup.objects.get(pk=second.pk).file
    assert "Deleted the file" in strip_tags(confirm(root, second).content.decode())
    assert Backup.objects.get(pk=first.pk).file


def test_a_full_backup_counts_as_kept_only_while_it_brings_all_back(root: Client) -> None:
    first, second = taken(), taken()
    assert "only full" not in page_of(root, first)
    Backup.objects.filter(pk=second.pk).update(version="1.0")
    assert "It is the only full backup that is kept here" in page_of(root, first), "1.0 has no seconds"
    Backup.objects.filter(pk=second.pk).update(version="2.0")
    Path(storages["backups"].path(second.file)).unlink()
    assert "It is the only full backup that is kept here" in page_of(root, first), "the file of the other is gone"
    assert "only full" not in page_of(root, second), "nothing is lost with it"


def test_the_copy_from_before_everything_was_deleted_says_what_it_is(root: Client) -> None:
    safety = taken()
    Backup.objects.filter(pk=safety.pk).update(purpose=Backup.Purpose.SAFETY)
    taken()
    assert "It was taken before all records were deleted" in page_of(root, safety)


def test_what_somebody_is_about_to_read_is_not_deleted(root: Client) -> None:
    backup = taken()
    for submitted in (
        restore_jobs.submit_check(ACTOR, Strategy.MANUAL, backup=backup),
        verification.submit_verify(ACTOR, backup),
    ):
        with pytest.raises(RegisterBusy, match=r"Meena asked for a (check|verification) .* Nothing was deleted"):
            backup_jobs.delete(backup, ACTOR)
        told = root.post(f"/backup/{backup.pk}/", {"action": "delete"}, follow=True).content.decode()
        assert "Nothing was deleted" in told
        jobs.cancel(submitted)
    check = restore_jobs.submit_check(ACTOR, Strategy.BACKUP_WINS, backup=backup)
    perform(check.pk)
    assert "One preview of it is open, and could then not be applied." in page_of(root, backup)
    with stored_preview.opened(check.pk) as preview:
        restore_jobs.submit_apply(ACTOR, preview)
    with pytest.raises(RegisterBusy, match="a restore"):
        backup_jobs.delete(backup, ACTOR)
    other = taken()
    backup_jobs.delete(other, ACTOR)
    backup_jobs.set_protected(backup, True)
    told = root.post(f"/backup/{backup.pk}/", {"action": "delete"}, follow=True).content.decode()
    assert "is protected. Nothing was deleted" in told


def test_a_file_that_somebody_took_away_is_not_called_verified(root: Client) -> None:
    backup = taken()
    perform(verification.submit_verify(ACTOR, backup).pk)
    after_a_change("incremental")
    path = Path(storages["backups"].path(backup.file))
    path.rename(path.with_name("elsewhere"))
    page = " ".join(strip_tags(root.get("/backup/").content.decode()).split())
    assert f"Its file, {backup.file}, is not in the folder of backups" in page
    assert page.count("verified") == page.count("not verified yet") == 1, "of the incremental"
    assert page.count("Restore from it") == 1
    assert f"It needs snapshot {backup.snapshot[:10]}, directly or through others, and no file" in page
    assert "The file is no longer in the folder of backups." in page_of(root, backup)
    path.with_name("elsewhere").rename(path)
    page = root.get("/backup/").content.decode()
    assert "It needs " not in page
    assert page.count("verified") == 2


@pytest.mark.parametrize("is_the_stored_one", [True, False])
def test_a_restore_from_the_catalogue_has_verified_the_file(root: Client, is_the_stored_one: bool) -> None:
    """Not one from a copy of it: what is in the storage may be another by now."""
    backup = taken()
    stored = Path(storages["backups"].path(backup.file))
    source = stored if is_the_stored_one else stored.with_name("copy.json")
    if not is_the_stored_one:
        source.write_bytes(stored.read_bytes())
    RestoreService().restore_backup(source, "backup_wins")
    backup.refresh_from_db()
    assert (backup.verified_at is not None) == is_the_stored_one
    page = " ".join(strip_tags(root.get("/backup/").content.decode()).split())
    assert "checked and restored here" in page
    assert ("not verified yet" in page) != is_the_stored_one


def test_a_received_file_says_that_it_was_checked_and_restored_and_not_kept(root: Client, tmp_path: Path) -> None:
    RestoreService().restore_backup(file(SMALL).stream(), "backup_wins")
    page = " ".join(strip_tags(root.get("/backup/").content.decode()).split())
    assert "checked and restored here" in page
    assert "Muster keeps no copy of a file that it receives" in page
    assert "verified" not in page
    assert "Delete" not in page


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
    perform(check.pk)
    with stored_preview.opened(check.pk) as preview:
        assert preview.counts()["attendance_records"].added == 3
        version = preview.version
    shown = strip_tags(client.get(f"/restore/preview/{check.pk}/").content.decode())
    assert f"Backup from {Installation.current().name}, {moments.moment(first.taken_at)}" in shown
    client.post(f"/restore/apply/{check.pk}/", {"version": version})
    perform(Operation.objects.using(JOBS).get(kind="restore").pk)
    assert AttendanceRecord.objects.count() == 3
