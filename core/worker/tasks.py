"""What the worker is asked to do: each task runs one waiting operation, whose id it gets."""

from __future__ import annotations

from django_tasks import task

from core.operations import queue as jobs


@task()
def take_backup(operation_id: str) -> None:
    from core.backups import jobs as backup_jobs  # which submits this task

    jobs.run(operation_id, backup_jobs.take)


@task()
def verify_backup(operation_id: str) -> None:
    from core.backups import jobs as backup_jobs

    jobs.run(operation_id, backup_jobs.verify)


@task()
def check_backup(operation_id: str) -> None:
    from core.restores import jobs as restore_jobs

    jobs.run(operation_id, restore_jobs.check)


@task()
def apply_restore(operation_id: str) -> None:
    from core.restores import jobs as restore_jobs

    jobs.run(operation_id, restore_jobs.apply)


@task()
def delete_all(operation_id: str) -> None:
    from core.attendance import records as record_service

    jobs.run(operation_id, record_service.run_delete_all)


@task()
def export_workbook(operation_id: str) -> None:
    from core.sheets import export_jobs
    from core.web.filters import rows_shown

    jobs.run(operation_id, lambda operation: export_jobs.write(operation, rows_shown))
