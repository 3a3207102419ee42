"""The queue of operations that run in the background. Pages submit them; a worker (``manage.py db_worker``) runs them.

The row of a waiting operation and its row in the queue are written together: both or neither. A worker holds a lock
while it lives, so that tasks of a dead worker can be recognised.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from django.db import Error
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_tasks import task
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from core.models import JOBS, Kind, Operation
from core.operations import recovery
from core.operations.errors import (
    NOTHING_CHANGED,
    Cancelled,
    LazyText,
    NotKnown,
    OperationFailed,
    as_failure,
    not_known,
    sentences,
)
from core.operations.run import CANCELLED_BEFORE, Actor
from core.register.database import DEFAULT, Register
from recordsync.errors import CommitUnknown
from recordsync.system import locks
from recordsync.system.transactions import committed

logger = logging.getLogger(__name__)

_SECONDS_TO_WAIT = 5

OPEN = (Operation.State.WAITING, Operation.State.RUNNING)
"""The states of operations that have not ended yet."""

Handler = Callable[[Operation], None]
"""A function that does the work of a waiting operation, within :func:`operations.running`."""

_ASKED: Final = gettext_lazy("this was asked for")
_ASK_AGAIN: Final = gettext_lazy("Look at it when it does, before you ask again.")

_handlers: dict[str, Handler] = {}


def use_handlers(handlers: Mapping[str, Handler]) -> None:
    """Register the handler of each of these kinds of operations, which a worker then calls."""
    _handlers.update(handlers)


@task()
def run_operation(operation_id: str) -> None:
    """Do the work of a waiting operation, in the worker, with the handler of its kind.

    The handler accounts for the errors of its work; errors before it begins are accounted for here. An unknown outcome
    stays open until :func:`recovery.settle_accounts` finds it out.
    """
    operation = Operation.objects.using(JOBS).get(pk=operation_id)
    try:
        _handler_of(operation)(operation)
    except NotKnown as error:
        logger.warning("%s (%s): %s", operation.kind, operation_id, error)
    except Exception as error:
        failure = as_failure(error, NOTHING_CHANGED)
        if failure is error:
            logger.info("%s (%s) ended: %s", operation.kind, operation_id, failure)
        else:
            logger.exception("%s (%s) failed", operation.kind, operation_id)
        state = Operation.State.CANCELLED if isinstance(failure, Cancelled) else Operation.State.FAILED
        open_row = Operation.objects.using(JOBS).filter(pk=operation_id, state__in=OPEN)
        open_row.update(state=state, message=str(failure), finished_at=timezone.now())


def _handler_of(operation: Operation) -> Handler:
    """The handler of the operation's kind. Raises OperationFailed if there is none."""
    handler = _handlers.get(operation.kind)
    if handler is None:
        raise OperationFailed(
            _("This version of Muster does not do this in the background (%(kind)s).") % {"kind": operation.kind},
            undone=NOTHING_CHANGED,
        )
    return handler


def submit(
    kind: Kind,
    actor: Actor,
    *,
    register: Register = DEFAULT,
    filename: str = "",
    pk: uuid.UUID | None = None,
    parameters: dict[str, Any] | None = None,
) -> Operation:
    """A new operation in the queue, as of :func:`enqueue`, in a transaction of its own. Raises OperationFailed."""
    with asking():
        return enqueue(kind, actor, register=register, filename=filename, pk=pk, parameters=parameters)


@contextmanager
def asking(perhaps: LazyText = _ASKED, look: LazyText = _ASK_AGAIN) -> Iterator[None]:
    """A transaction of the jobs database for an operation, its row in the queue, and other rows that belong to it.

    A worker sees all of these rows or none. A restore that holds the register does not delay it. ``perhaps`` and
    ``look`` are for the message if nobody knows whether it was committed. Raises OperationFailed.
    """
    try:
        with committed(JOBS, _SECONDS_TO_WAIT):
            yield
    except CommitUnknown as error:
        raise not_known(perhaps, look) from error
    except Error as error:
        raise as_failure(error, NOTHING_CHANGED) from error


def enqueue(
    kind: Kind,
    actor: Actor,
    *,
    register: Register = DEFAULT,
    filename: str = "",
    pk: uuid.UUID | None = None,
    parameters: dict[str, Any] | None = None,
) -> Operation:
    """A new operation that waits for the handler of its kind (:func:`use_handlers`).

    It is called in a block of :func:`asking`. ``parameters``: JSON values for the worker. ``pk``: the id of the
    operation, if something is named by it already.
    """
    operation = Operation(
        pk=pk or uuid.uuid4(),
        kind=kind,
        database=register.alias,
        filename=filename,
        state=Operation.State.WAITING,
        actor_id=actor.user_id,
        actor_name=actor.name,
        parameters=parameters or {},
    )
    operation.task_id = uuid.UUID(str(run_operation.enqueue(str(operation.pk)).id))
    operation.save(using=JOBS, force_insert=True)
    logger.info("%s by %s is waiting (%s)", kind, actor.name, operation.pk)
    return operation


def cancel(operation: Operation) -> None:
    """Ask an operation to stop. A waiting one never begins; a running one stops before its commit or not at all."""
    rows = Operation.objects.using(JOBS).filter(pk=operation.pk)
    never_begun = rows.filter(state=Operation.State.WAITING).update(
        state=Operation.State.CANCELLED,
        message=sentences(CANCELLED_BEFORE, NOTHING_CHANGED),
        finished_at=timezone.now(),
    )
    if not never_begun:
        rows.filter(state=Operation.State.RUNNING).update(cancel_requested=True)


def close_lost_tasks() -> int:
    """The number of tasks that were marked as failed: those of dead workers and of an older version of the program.

    Their operations are closed as well.
    """
    tasks = DBTaskResult.objects.using(JOBS)
    running = tasks.filter(status=TaskResultStatus.RUNNING)
    workers_of = {task.pk: {recovery.worker_lock(worker) for worker in task.worker_ids} for task in running}
    dead = locks.abandoned({name for names in workers_of.values() for name in names}, JOBS)
    left_behind = running.filter(pk__in=[pk for pk, names in workers_of.items() if names <= dead])
    outdated = tasks.filter(status=TaskResultStatus.READY).exclude(task_path=recovery.TASK)
    ended = {"status": TaskResultStatus.FAILED, "finished_at": timezone.now()}
    closed = left_behind.update(**ended) + outdated.update(**ended)
    recovery.settle_accounts()
    return closed
