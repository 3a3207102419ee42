"""The background worker's work, done in the test's own process."""

from __future__ import annotations

import uuid

from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from core.operations import queue
from core.worker.handlers import HANDLERS

queue.use_handlers(HANDLERS)


def perform(operation: uuid.UUID | str) -> None:
    """Do one operation that waits."""
    queue.run_operation.call(str(operation))


def work() -> None:
    """Do what is in the queue."""
    for row in DBTaskResult.objects.using("jobs").filter(status=TaskResultStatus.READY):
        row.task.call(*row.args_kwargs["args"])
        DBTaskResult.objects.using("jobs").filter(pk=row.pk).update(status=TaskResultStatus.SUCCESSFUL)
