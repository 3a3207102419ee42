"""The worker of background jobs: django-tasks-db's, which holds a lock while it lives."""

from __future__ import annotations

import logging
import threading
from typing import Any

from django.db import connections
from django_tasks_db.management.commands import db_worker

from core.services import jobs, sweeping
from core.services.operations import JOBS, worker_lock
from recordsync import locks

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_SWEEPS = 3600


class Command(db_worker.Command):
    def handle(self, *args: Any, worker_id: str, **options: Any) -> None:
        """First tells the truth about what dead workers left behind; then works."""
        closed = jobs.close_tasks_of_dead_workers()
        if closed:
            logger.warning("%s task(s) of workers that died are marked as failed", closed)
        sweeping.sweep()
        ended = threading.Event()
        threading.Thread(target=sweep_hourly, args=(ended,), daemon=True).start()
        try:
            with locks.held(worker_lock(worker_id), JOBS):
                super().handle(*args, worker_id=worker_id, **options)
        finally:
            ended.set()


def sweep_hourly(ended: threading.Event) -> None:
    """Until the event: what is abandoned for a day is removed, also when nobody restores anything for weeks."""
    while not ended.wait(_SECONDS_BETWEEN_SWEEPS):
        sweeping.sweep()
        connections.close_all()
