"""What is kept of every operation: its row while it runs, and its audit row."""

from __future__ import annotations

import datetime as dt
import os
import pwd
from pathlib import Path
from unittest.mock import patch

import pytest
from django.db import DatabaseError

from core.backups.backup_service import BackupService
from core.models import JOBS, AttendanceRecord, Backup, BackupLog, Operation, User
from core.operations import run as operations
from core.operations.errors import Cancelled, FileRefused, OperationFailed
from core.operations.run import Actor
from core.register.database import Register
from core.register.declared import Selection
from core.restores.restore_service import RestoreService
from recordsync.system import locks
from tests.builders.days import day
from tests.builders.files import file
from tests.builders.registers import SMALL, everything, put, register, rows
from tests.running.services import backup, database_error, restore, the_log, the_operation


def test_a_backup_is_accounted_for(register_db: str) -> None:
    put(register_db, SMALL)
    user = User.objects.using(register_db).create(username="meena", role="root")
    service = BackupService(user=user, register=Register(register_db))
    result = service.create_backup(output=Path(the_folder := "/dev/null"))
    log, operation = the_log(register_db), the_operation()
    assert (log.user_id, log.actor_name, log.operation, log.success) == (user.pk, "meena", "backup_full", True)
    assert (log.filename, log.companies_count, log.records_count) == (the_folder, 2, 3)
    assert (log.backup_id, log.backup_type, log.since, log.digest) == (result.id, "full", None, result.digest)
    assert (log.error_message, log.operation_id) == ("", operation.pk)
    assert 0 <= log.duration < 60
    assert (operation.kind, operation.state, operation.message) == ("backup_full", "succeeded", "")
    assert (operation.actor_id, operation.actor_name, operation.database) == (user.pk, "meena", register_db)
    assert (operation.phase, operation.done, operation.total) == ("commit", 5, 5)
    assert operation.finished_at is not None
    assert operation.finished_at >= operation.started_at


def test_an_incremental_backup_is_accounted_for(register_db: str) -> None:
    put(register_db, SMALL)
    since = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    result = BackupService(register=Register(register_db)).create_incremental_backup(since, output=Path("/dev/null"))
    log = the_log(register_db)
    assert (log.operation, log.backup_type, log.since) == ("backup_incremental", "incremental", since)
    assert (log.records_count, log.actor_name) == (3, Actor.of().name)
    summary = result.summary()
    assert (summary["type"], summary["since"], summary["records"]) == ("incremental", "2020-01-01T00:00:00.000000Z", 3)


def test_a_restore_is_accounted_for(register_db: str) -> None:
    put(register_db, register(day(shift="N"), day(ep_no="E7"), day(ep_no="E8", status="A")))
    gone = [("attendance_records", day(ep_no="E7")), ("attendance_records", day(ep_no="E8"))]
    theirs = file(register(*SMALL.records.values()), deleted=gone)
    restore(register_db, theirs, "database_wins")
    log = the_log(register_db)
    assert (log.operation, log.success, log.filename) == ("restore", True, "-")
    assert (log.companies_count, log.records_count) == (2, 5)
    counts = (log.records_added, log.records_updated, log.records_deleted, log.records_skipped, log.records_kept)
    assert counts == (2, 0, 1, 0, 2)
    assert (str(log.backup_id), log.backup_type) == (theirs.metadata["id"], "full")
    assert log.digest == Backup.objects.using(register_db).get().digest
    assert the_operation().state == "succeeded"


def test_a_refused_file_is_accounted_for(register_db: str) -> None:
    theirs = file(SMALL)
    theirs.records["attendance_records"][0]["status"] = "X"
    with pytest.raises(FileRefused) as refused:
        restore(register_db, theirs)
    log, operation = the_log(register_db), the_operation()
    assert (log.success, log.error_message) == (False, str(refused.value))
    assert str(refused.value) == "The file is not a valid backup (1 problem). Nothing was changed."
    assert (operation.state, operation.message) == ("failed", str(refused.value))


def test_a_failed_backup_is_accounted_for(register_db: str) -> None:
    with pytest.raises(OperationFailed) as failed:
        backup(register_db, selection=Selection(companies=["Nobody"]))
    assert (the_log(register_db).success, the_log(register_db).error_message) == (False, str(failed.value))
    assert not Backup.objects.using(register_db).exists()


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)  # PostgreSQL holds no NUL
def test_a_record_without_a_legal_form_fails_the_backup_and_is_named(register_db: str) -> None:
    put(register_db, register(day()))
    AttendanceRecord.objects.using(register_db).update(ep_name="Mee\0na")
    with pytest.raises(OperationFailed, match=r"E1 · 2026-11-20 has 'Mee\\x00na' as ep_name") as failed:
        backup(register_db)
    assert str(failed.value).endswith("Correct this record first. No backup was written.")


def test_a_preview_leaves_no_row(register_db: str) -> None:
    with RestoreService(register=Register(register_db)).preview_changes(file(SMALL).stream()):
        pass
    assert not BackupLog.objects.using(register_db).exists()
    assert not Operation.objects.using(JOBS).exists()


def test_the_log_keeps_the_name_of_a_deleted_account(register_db: str) -> None:
    user = User.objects.using(register_db).create(username="meena", role="root")
    BackupService(user=user, register=Register(register_db)).create_backup(output=Path("/dev/null"))
    user.delete()
    log = the_log(register_db)
    assert (log.user_id, log.actor_name) == (None, "meena")


def test_a_cancel_stops_it_and_is_accounted_for(register_db: str) -> None:
    put(register_db, register(day(shift="N")))
    before = everything(register_db)

    def cancel(phase: str, done: int, total: int | None, /) -> None:
        if phase == "check":
            Operation.objects.using(JOBS).update(cancel_requested=True)

    with pytest.raises(Cancelled):
        restore(register_db, file(SMALL), progress_callback=cancel)
    assert the_operation().state == "cancelled"
    assert the_log(register_db).error_message == "It was cancelled. Nothing was changed."
    assert everything(register_db) == before


def test_a_restore_is_cancelled_up_to_its_commit(register_db: str) -> None:
    """What was asked in the last second of writing, in which nobody looked, is heeded as well."""
    before = everything(register_db)

    def cancel(phase: str, done: int, total: int | None, /) -> None:
        if phase == "apply":
            Operation.objects.using(JOBS).update(cancel_requested=True)

    with pytest.raises(Cancelled, match="Nothing was changed"):
        restore(register_db, file(SMALL), progress_callback=cancel)
    assert the_operation().state == "cancelled"
    assert everything(register_db) == before


def test_a_commit_is_no_more_cancelled(register_db: str) -> None:
    def cancel(phase: str, done: int, total: int | None, /) -> None:
        if phase == "commit":
            Operation.objects.using(JOBS).update(cancel_requested=True)

    restore(register_db, file(SMALL), progress_callback=cancel)
    assert the_operation().state == "succeeded"
    assert len(rows(register_db).records) == 3


def test_an_interruption_is_accounted_for(register_db: str) -> None:
    def interrupt(phase: str, done: int, total: int | None, /) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(register_db, file(SMALL), progress_callback=interrupt)
    assert the_log(register_db).error_message == "It was interrupted. Nothing was changed."
    assert the_operation().state == "cancelled"


def test_progress_that_cannot_be_saved_does_not_stop_the_work(register_db: str) -> None:
    with (
        locks.held("operation", JOBS) as lock,
        patch("django.db.models.QuerySet.update", side_effect=DatabaseError("gone")),
    ):
        run = operations.Run(Operation(), Actor("meena"), Register(register_db), lambda *_: None, BackupLog(), lock)
        run("check", 1, 2)
    assert run.phase == "check"


def test_the_end_that_cannot_be_saved_does_not_hide_it(register_db: str) -> None:
    with locks.held("operation", JOBS) as lock, patch.object(Operation, "save", side_effect=DatabaseError("gone")):
        run = operations.Run(Operation(), Actor("meena"), Register(register_db), lambda *_: None, BackupLog(), lock)
        run.finish(Operation.State.SUCCEEDED)
    assert run.operation.state == "succeeded"


def test_a_failure_without_an_audit_row_is_still_told(register_db: str) -> None:
    with (
        patch("core.operations.run.Run.save_log", side_effect=DatabaseError("gone")),
        pytest.raises(OperationFailed, match=r"gone\. Nothing was changed\."),
    ):
        restore(register_db, file(SMALL))
    assert (the_operation().state, the_log(register_db).success) == ("failed", False)  # written when it could be
    assert rows(register_db).records == {}


def test_an_operation_that_cannot_start_is_one_sentence(register_db: str) -> None:
    with (
        patch(
            "core.operations.run._started",
            side_effect=database_error("SQLITE_ERROR", "no such table: core_operation"),
        ),
        pytest.raises(OperationFailed, match=r"run manage.py migrate first\. Nothing was changed\."),
    ):
        restore(register_db, file(SMALL))


def test_a_backup_that_the_catalogue_refuses_is_said_to_be_whole(register_db: str, tmp_path: Path) -> None:
    put(register_db, SMALL)
    path = tmp_path / "full.json"
    with (
        patch("core.backups.catalogue.add", side_effect=database_error("SQLITE_BUSY")),
        pytest.raises(OperationFailed, match="it is not in the catalogue"),
    ):
        backup(register_db, output=path)
    assert RestoreService(register=Register(register_db)).validate_backup(path).valid
    assert not the_log(register_db).success


def test_who_it_is_without_a_name() -> None:
    with patch("pwd.getpwuid", side_effect=KeyError):
        assert Actor.of().name == f"uid {os.getuid()}"


def test_the_environment_does_not_say_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "somebody else")
    assert Actor.of().name == pwd.getpwuid(os.getuid()).pw_name
