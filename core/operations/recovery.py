"""Closes operations whose process died, and writes the audit rows that could not be written when they failed.

A process holds the lock of its operation as long as it works. The system releases the lock when the process dies.
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Iterable

from django.db import Error
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from core.models import JOBS, BackupLog, Operation, Phase, User
from core.operations.errors import NOTHING_CHANGED, LazyText, sentences
from core.operations.traits import BACKUPS, UNAUDITED, traits_of
from core.register.database import Register
from recordsync.errors import CommitUnknown
from recordsync.system import locks

logger = logging.getLogger(__name__)

_SECONDS_BEFORE_A_WORKER_IS_MISSED = 20

TASK = "core.operations.queue.run_operation"
"""The name of the only task in the queue. Older versions of the program had one for each kind of operation."""

_NEVER_BEGUN = gettext_lazy("The worker was killed before it began.")
_UPDATED = gettext_lazy("The program was updated before it began.")

_UNFINISHED = Q(state__in=[Operation.State.RUNNING, Operation.State.WAITING])
_ENDED = (Operation.State.FAILED, Operation.State.CANCELLED)
_UNLOGGED = Q(state__in=_ENDED, log_id=None) & ~Q(kind__in=UNAUDITED)


def settle_accounts() -> None:
    """Close operations whose process died, and write the audit rows that could not be written before.

    Operations call it when they start and end, and pages before they show operations.
    """
    open_ = list(Operation.objects.using(JOBS).filter(_UNFINISHED | _UNLOGGED))
    running = {operation_lock(row.pk) for row in open_ if row.state == Operation.State.RUNNING}
    abandoned = locks.abandoned(running, JOBS)
    lost = _lost_tasks(row.task_id for row in open_ if row.state == Operation.State.WAITING)
    for operation in open_:
        try:
            if operation.state == Operation.State.RUNNING and operation_lock(operation.pk) in abandoned:
                _close_abandoned(operation)
            elif operation.state == Operation.State.WAITING and operation.task_id in lost:
                _close_forgotten(operation)
            if operation.state in _ENDED and operation.log_id is None and traits_of(operation.kind).is_audited:
                _log_late(operation)
        except (Error, CommitUnknown):  # this register does not answer now; others may
            logger.warning("The account of %s could not be settled", operation, exc_info=True)


def _lost_tasks(waited_for: Iterable[uuid.UUID | None]) -> set[uuid.UUID | None]:
    """The tasks among these that no worker will begin: deleted, of an older program, or of a worker that died.

    None counts as a deleted task.
    """
    asked = set(waited_for)
    known = DBTaskResult.objects.using(JOBS).filter(task_path=TASK)
    tasks = known.in_bulk([pk for pk in asked if pk is not None])
    taken = {pk: task for pk, task in tasks.items() if task.status == TaskResultStatus.RUNNING}
    workers_of = {pk: {worker_lock(worker) for worker in task.worker_ids} for pk, task in taken.items()}
    dead = locks.abandoned({name for names in workers_of.values() for name in names}, JOBS)
    waiting = {pk for pk, task in tasks.items() if task.status == TaskResultStatus.READY}
    return asked - waiting - {pk for pk, names in workers_of.items() if not names <= dead}


def is_overdue(task_id: uuid.UUID | None) -> bool:
    """Whether a task has waited so long that no worker may be running."""
    before = timezone.now() - dt.timedelta(seconds=_SECONDS_BEFORE_A_WORKER_IS_MISSED)
    waiting = DBTaskResult.objects.using(JOBS).filter(status=TaskResultStatus.READY, enqueued_at__lt=before)
    return task_id is not None and waiting.filter(pk=task_id).exists()


def settle_quietly() -> None:
    """Settle the accounts of operations that failed while this one held the register. Errors are only logged."""
    try:
        settle_accounts()
    except Exception:
        logger.warning("The accounts of other operations could not be settled", exc_info=True)


def _close_abandoned(operation: Operation) -> None:
    """Close a running operation whose process died: as done if its audit row, which is written with its work, says so.

    Otherwise it has failed. While its transaction is open, or if it has reported progress meanwhile, it still runs.
    """
    if not locks.is_free(operation_lock(operation.pk), operation.database):
        return
    log = Register(operation.database).rows(BackupLog).filter(operation_id=operation.pk, success=True).first()
    is_backup = operation.kind in BACKUPS.values()
    as_it_was = Operation.objects.using(JOBS).filter(
        pk=operation.pk, state=Operation.State.RUNNING, heartbeat_at=operation.heartbeat_at
    )
    closed = as_it_was.update(
        state=Operation.State.SUCCEEDED if log else Operation.State.FAILED,
        message="" if log else sentences(_why_it_stopped(operation), traits_of(operation.kind).undone_if_killed),
        log_id=log and log.pk,
        result=operation.result | ({"id": str(log.backup_id)} if log and is_backup else {}),
        finished_at=operation.heartbeat_at,
    )
    operation.refresh_from_db(using=JOBS)
    if closed:
        logger.warning("The process of %s by %s has died", operation.kind, operation.actor_name)


def _why_it_stopped(operation: Operation) -> LazyText:
    if operation.phase == Phase.COMMIT:
        return _("The process was killed before it finished, or it lost the database.")
    return _("The process was killed before it finished.")


def _close_forgotten(operation: Operation) -> None:
    """Close, as failed, a waiting operation that no worker will take, or whose worker died before it began."""
    is_old = DBTaskResult.objects.using(JOBS).filter(pk__in=[operation.task_id]).exclude(task_path=TASK).exists()
    Operation.objects.using(JOBS).filter(pk=operation.pk, state=Operation.State.WAITING).update(
        state=Operation.State.FAILED,
        message=sentences(_UPDATED if is_old else _NEVER_BEGUN, NOTHING_CHANGED),
        finished_at=timezone.now(),
    )
    operation.refresh_from_db(using=JOBS)


def worker_lock(worker_id: str) -> str:
    return f"worker-{worker_id}"


def _log_late(operation: Operation) -> None:
    """Write the audit row of a failure that could not be written at the time, unless somebody holds the register."""
    register = Register(operation.database)
    if not register.is_free():
        return
    with register.change([BackupLog], 0):  # a person who only reads a page must not wait
        log, _created = register.rows(BackupLog).get_or_create(
            operation_id=operation.pk,
            defaults={
                "user_id": existing_account(operation.actor_id, register),
                "actor_name": operation.actor_name,
                "operation": operation.kind,
                "filename": operation.filename,
                "created_at": operation.started_at,
                "success": False,
                "error_message": operation.message,
                "duration": max(0.0, (operation.heartbeat_at - operation.started_at).total_seconds()),
            },
        )
    outcome = {"state": Operation.State.SUCCEEDED, "message": ""} if log.success else {}  # written with the data
    Operation.objects.using(JOBS).filter(pk=operation.pk).update(log_id=log.pk, **outcome)


def existing_account(user_id: int | None, register: Register) -> int | None:
    """The id of the account; None if the account does not exist any more."""
    return user_id if user_id and register.rows(User).filter(pk=user_id).exists() else None


def operation_lock(pk: uuid.UUID) -> str:
    return f"operation-{pk}"
