"""Background jobs: an operation exists from the click, and is never shown as running when nobody runs it."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from django.db import DatabaseError
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from core.models import JOBS, BackupLog, Kind, Operation
from core.operations import queue as jobs
from core.operations import recovery
from core.operations import run as operations
from core.operations.errors import OperationFailed
from core.operations.recovery import worker_lock
from core.operations.run import Actor
from core.register.database import Register
from recordsync.system import locks
from tests.builders.registers import SMALL, put
from tests.running.installation import ScratchInstallation
from tests.running.services import the_log, the_operation
from tests.running.work_queue import perform

ACTOR = Actor("Meena")
WAITING, RUNNING, FAILED = Operation.State.WAITING, Operation.State.RUNNING, Operation.State.FAILED


def submitted(alias: str, kind: Kind = Kind.BACKUP_FULL, **parameters: object) -> Operation:
    return jobs.submit(kind, ACTOR, register=Register(alias), parameters=parameters)


def the_task() -> DBTaskResult:
    return DBTaskResult.objects.using(JOBS).get()


def test_a_submitted_job_waits_until_a_worker_does_it(register_db: str) -> None:
    put(register_db, SMALL)
    operation = submitted(register_db)
    recovery.settle_accounts()
    assert the_operation().state == WAITING
    assert the_task().status == TaskResultStatus.READY
    perform(operation.pk)
    done = the_operation()
    assert (done.state, done.message) == (Operation.State.SUCCEEDED, "")
    assert done.result["records"] == 3
    log = the_log(register_db)
    assert (log.success, log.actor_name, log.operation_id) == (True, "Meena", operation.pk)


def test_submitting_is_all_or_nothing(register_db: str) -> None:
    with (
        patch.object(Operation, "save", side_effect=DatabaseError("gone")),
        pytest.raises(OperationFailed, match=r"gone\. Nothing was changed\."),
    ):
        submitted(register_db)
    assert not Operation.objects.using(JOBS).exists()
    assert not DBTaskResult.objects.using(JOBS).exists()


def test_a_failing_job_says_why(register_db: str) -> None:
    operation = submitted(register_db, backup_type="incremental")
    perform(operation.pk)
    done = the_operation()
    assert done.state == FAILED
    assert "Take a full backup first" in done.message
    assert the_log(register_db).success is False


def test_what_cannot_even_begin_says_so(register_db: str) -> None:
    operation = submitted(register_db, backup_type="sideways")
    perform(operation.pk)
    assert the_operation().state == FAILED
    assert the_operation().message


def test_cancelled_before_it_began(register_db: str) -> None:
    operation = submitted(register_db)
    jobs.cancel(operation)
    perform(operation.pk)
    assert the_operation().state == Operation.State.CANCELLED
    assert "before it began" in the_operation().message
    recovery.settle_accounts()
    assert the_log(register_db).success is False


def test_cancelling_a_running_one_asks_it_to_stop(register_db: str) -> None:
    operation = submitted(register_db)
    Operation.objects.using(JOBS).update(state=RUNNING)
    jobs.cancel(operation)
    assert the_operation().cancel_requested


def test_each_phase_has_a_beginning_of_its_own(register_db: str) -> None:
    with operations.running(Kind.CHECK, ACTOR, Register(register_db)) as run:
        begun = []
        for phase in ("check", "check", "apply"):
            run(phase, 1, 2)
            begun.append(the_operation().phase_started_at)
    assert begun[0] == begun[1] < begun[2]


def test_a_task_whose_worker_died_before_it_began(register_db: str) -> None:
    submitted(register_db)
    the_task().claim("dead")
    recovery.settle_accounts()
    assert (the_operation().state, the_operation().message) == (
        FAILED,
        "The worker was killed before it began. Nothing was changed.",
    )
    assert jobs.close_lost_tasks() == 1
    assert the_task().status == TaskResultStatus.FAILED


def test_a_task_whose_worker_lives_is_left_alone(register_db: str) -> None:
    submitted(register_db)
    the_task().claim("alive")
    with locks.held(worker_lock("alive"), JOBS):
        assert jobs.close_lost_tasks() == 0
        assert the_operation().state == WAITING


@pytest.mark.parametrize("kind", [Kind.RENAME_COMPANY, "of_tomorrow"])
def test_what_no_handler_is_known_for_fails_with_a_sentence(register_db: str, kind: Kind) -> None:
    perform(jobs.submit(kind, ACTOR, register=Register(register_db)).pk)
    assert the_operation().state == FAILED
    assert the_operation().message == (
        f"This version of Muster does not do this in the background ({kind}). Nothing was changed."
    )
    recovery.settle_accounts()
    assert the_log(register_db).operation == kind


def test_what_an_older_program_was_asked_for_fails_with_a_sentence(register_db: str) -> None:
    """Its task has a name that no worker can find any more, whether one has tried or not."""
    for status in (TaskResultStatus.READY, TaskResultStatus.FAILED):
        operation = submitted(register_db)
        task = DBTaskResult.objects.using(JOBS).filter(pk__in=[operation.task_id])
        task.update(task_path="core.worker.tasks.take_backup", status=status)
        recovery.settle_accounts()
        operation.refresh_from_db()
        assert (operation.state, operation.message) == (
            FAILED,
            "The program was updated before it began. Nothing was changed.",
        )
    assert jobs.close_lost_tasks() == 1
    assert not DBTaskResult.objects.using(JOBS).filter(status=TaskResultStatus.READY).exists()


def test_a_task_that_vanished_from_the_queue(register_db: str) -> None:
    submitted(register_db)
    DBTaskResult.objects.using(JOBS).all().delete()
    recovery.settle_accounts()
    assert the_operation().state == FAILED


def test_the_worker_of_an_installation(installation: ScratchInstallation) -> None:
    """A real worker takes a real backup."""
    script = (
        "from core.operations import queue;from core.operations.run import Actor;from core.models import Kind;"
        "queue.submit(Kind.BACKUP_FULL, Actor('Meena'))"
    )
    installation.manage("shell", "--no-imports", "-c", script, check=True)
    installation.manage("db_worker", "--no-reload", "--batch", "--no-startup-delay", check=True)
    with installation.opened() as alias:
        log = BackupLog.objects.using(alias).get()
        assert (log.success, log.actor_name) == (True, "Meena")
    assert list(installation.backups.glob("backup_full_*.json"))
