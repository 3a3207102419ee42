"""The work of the background worker, done in the process of the test."""

from __future__ import annotations

import uuid

from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from core.operations import queue
from core.worker.handlers import HANDLERS

queue.use_handlers(HANDLERS)


def perform(operation: uuid.UUID | str) -> None:
    """Run one waiting operation."""
    queue.run_operation.call(str(operation))


def work() -> None:
    """Run all operations in the queue."""
    for row in DBTaskResult.objects.using("jobs").filter(status=TaskResultStatus.READY):
        row.task.call(*row.args_kwargs["args"])
        DBTaskResult.objects.using("jobs").filter(pk=row.pk).update(status=TaskResultStatus.SUCCESSFUL)
