"""The background worker's work, done in the test's own process."""

from __future__ import annotations

from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult


def work() -> None:
    """Do what is in the queue."""
    for row in DBTaskResult.objects.using("jobs").filter(status=TaskResultStatus.READY):
        row.task.call(*row.args_kwargs["args"])
        DBTaskResult.objects.using("jobs").filter(pk=row.pk).update(status=TaskResultStatus.SUCCESSFUL)
