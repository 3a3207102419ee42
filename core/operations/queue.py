"""Work in the background: asked for in a request, done by a worker (``manage.py db_worker``).

An operation exists, waiting, from the moment somebody asks for it, and the queue's row with it: both or neither.
The worker holds a lock while it lives, so that what a dead one left behind is told from what runs.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import Any

from django.db import Error
from django.utils import timezone
from django.utils.translation import gettext as _
from django_tasks.base import Task, TaskResultStatus
from django_tasks_db.models import DBTaskResult

from core.models import Operation
from core.operations import run as operations
from core.operations.errors import Cancelled, NotKnown, OperationFailed, as_failure, not_known
from core.operations.run import JOBS, Actor
from core.register.database import DEFAULT, Register
from recordsync.errors import CommitUnknown
from recordsync.system import locks
from recordsync.system.transactions import committed

logger = logging.getLogger(__name__)

_SECONDS_TO_WAIT = 5

OPEN = (Operation.Outcome.WAITING, Operation.Outcome.RUNNING)
"""Outcomes that are none yet."""


def submit(
    task: Task[[str], None],
    kind: str,
    actor: Actor,
    *,
    register: Register = DEFAULT,
    filename: str = "",
    pk: uuid.UUID | None = None,
    parameters: dict[str, Any] | None = None,
) -> Operation:
    """Put an operation into the queue. ``task`` gets its id as text and calls :func:`run`.

    ``parameters``: whatever JSON holds, for the worker. ``pk``: the operation's id, if something bears it already.
    Writes to the jobs database only: a restore that holds the register does not delay it. Raises OperationFailed.
    """
    operation = Operation(
        pk=pk or uuid.uuid4(),
        kind=kind,
        database=register.alias,
        filename=filename,
        outcome=Operation.Outcome.WAITING,
        actor_id=actor.user_id,
        actor_name=actor.name,
        parameters=parameters or {},
    )
    try:
        with committed(JOBS, _SECONDS_TO_WAIT):  # the queue is in this database: no worker sees one without the other
            operation.task_id = uuid.UUID(str(task.enqueue(str(operation.pk)).id))
            operation.save(using=JOBS, force_insert=True)
    except CommitUnknown as error:
        raise not_known(_("this was asked for"), _("Look at it when it does, before you ask again.")) from error
    except Error as error:
        raise as_failure(error, _("Nothing was changed.")) from error
    logger.info("%s by %s is waiting (%s)", kind, actor.name, operation.pk)
    return operation


def run(operation_id: str, work: Callable[[Operation], None]) -> None:
    """In the worker: do the work of a waiting operation. ``work`` runs it through :func:`operations.running`.

    What it raises is accounted for there; what happens before is accounted for here. What is not known is left as it
    is, until :func:`operations.settle_accounts` finds it out.
    """
    operation = Operation.objects.using(JOBS).get(pk=operation_id)
    try:
        work(operation)
    except NotKnown as error:
        logger.warning("%s (%s): %s", operation.kind, operation_id, error)
    except Exception as error:
        failure = as_failure(error, "Nothing was changed.")
        if failure is error:
            logger.info("%s (%s) ended: %s", operation.kind, operation_id, failure)
        else:
            logger.exception("%s (%s) failed", operation.kind, operation_id)
        open_row = Operation.objects.using(JOBS).filter(pk=operation_id, outcome__in=OPEN)
        open_row.update(outcome=_outcome(failure), message=str(failure), finished_at=timezone.now())


def _outcome(failure: OperationFailed) -> Operation.Outcome:
    return Operation.Outcome.CANCELLED if isinstance(failure, Cancelled) else Operation.Outcome.FAILED


def cancel(operation: Operation) -> None:
    """Ask an operation to stop. One that waits never begins; one that runs stops before its commit, or not at all."""
    rows = Operation.objects.using(JOBS).filter(pk=operation.pk)
    never_begun = rows.filter(outcome=Operation.Outcome.WAITING).update(
        outcome=Operation.Outcome.CANCELLED,
        message="It was cancelled before it began. Nothing was changed.",
        finished_at=timezone.now(),
    )
    if not never_begun:
        rows.filter(outcome=Operation.Outcome.RUNNING).update(cancel_requested=True)


def close_tasks_of_dead_workers() -> int:
    """Mark as failed what the queue believes to be running and is not; returns how many. The operations follow."""
    running = DBTaskResult.objects.using(JOBS).filter(status=TaskResultStatus.RUNNING)
    workers_of = {task.pk: {operations.worker_lock(worker) for worker in task.worker_ids} for task in running}
    dead = locks.abandoned({name for names in workers_of.values() for name in names}, JOBS)
    left_behind = running.filter(pk__in=[pk for pk, names in workers_of.items() if names <= dead])
    closed = left_behind.update(status=TaskResultStatus.FAILED, finished_at=timezone.now())
    operations.settle_accounts()
    return closed
