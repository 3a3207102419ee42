"""Operations whose process died: closed by whoever comes next, with the truth about what was committed."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone

from core.models import JOBS, BackupLog, Operation, User
from core.operations import holding, recovery
from core.register.database import Register
from recordsync.system import locks
from tests.builders.operations import dead_operation
from tests.builders.registers import a_company
from tests.running.services import backup, the_log, the_operation


def test_an_abandoned_operation_failed(register_db: str) -> None:
    operation = dead_operation(register_db, actor_id=4711)
    recovery.settle_accounts()
    closed, log = the_operation(), the_log(register_db)
    assert closed.state == "failed"
    assert closed.message == log.error_message == "The process was killed before it finished. Nothing was changed."
    assert closed.finished_at is not None
    assert (log.success, log.operation_id, log.actor_name, log.user_id) == (False, operation.pk, "meena", None)
    assert (log.operation, log.filename) == ("restore", "full.json")
    recovery.settle_accounts()
    assert BackupLog.objects.using(register_db).count() == 1


def test_an_abandoned_operation_whose_account_is_there_keeps_it(register_db: str) -> None:
    user = User.objects.using(register_db).create(username="meena", company=a_company(register_db))
    dead_operation(register_db, actor_id=user.pk)
    recovery.settle_accounts()
    assert the_log(register_db).user_id == user.pk


def test_an_abandoned_operation_that_was_committed_succeeded(register_db: str) -> None:
    last_heard_of = timezone.now() - dt.timedelta(hours=1)
    operation = dead_operation(
        register_db, started_at=last_heard_of - dt.timedelta(seconds=15), heartbeat_at=last_heard_of, phase="commit"
    )
    BackupLog.objects.using(register_db).create(
        operation_id=operation.pk, operation="restore", actor_name="meena", success=True
    )
    recovery.settle_accounts()
    assert (the_operation().state, the_operation().message) == ("succeeded", "")
    assert the_operation().seconds == 15, "not until somebody noticed"
    assert the_log(register_db).success


def test_a_running_operation_is_left_alone(register_db: str) -> None:
    operation = dead_operation(register_db, phase="compare")
    with locks.held(f"operation-{operation.pk}", JOBS):
        recovery.settle_accounts()
        assert the_operation().state == "running"
        assert holding.current(Register(register_db)) == operation
    assert holding.current(Register(register_db)) is None


def test_every_operation_first_closes_the_abandoned(register_db: str) -> None:
    dead_operation(register_db)
    backup(register_db)
    assert sorted(Operation.objects.using(JOBS).values_list("state", flat=True)) == ["failed", "succeeded"]
