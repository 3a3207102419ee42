"""What the worker is asked to do: each task runs one waiting operation, whose id it gets."""

from __future__ import annotations

from django_tasks import task

from core.services import backup_jobs, jobs


@task()
def take_backup(operation_id: str) -> None:
    jobs.run(operation_id, backup_jobs.take)
