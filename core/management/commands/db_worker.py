"""The worker of background jobs: django-tasks-db's, which holds a lock while it lives and outlives its database."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from typing import Any

from django.db import InterfaceError, OperationalError, connections
from django_tasks_db.management.commands import db_worker

from core.models import JOBS
from core.operations import queue as jobs
from core.operations.recovery import worker_lock
from core.worker import sweeping
from core.worker.handlers import HANDLERS
from recordsync.system import locks

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_SWEEPS = 3600
_SECONDS_BEFORE_ANOTHER_TRY = 2


class Command(db_worker.Command):
    def handle(self, *args: Any, worker_id: str, **options: Any) -> None:
        """Work until it is told to stop. A database that restarts is waited for, once it has answered."""
        jobs.use_handlers(HANDLERS)
        ended = threading.Event()
        threading.Thread(target=sweep_hourly, args=(ended,), daemon=True).start()
        has_worked = False
        try:
            while True:
                try:
                    # Also what this worker left behind when it lost the database: until it has its lock again, its
                    # own tasks are those of a dead one.
                    closed = jobs.close_lost_tasks()
                    if closed:
                        logger.warning("%s task(s) of dead workers or an older version are marked as failed", closed)
                    sweeping.sweep()
                    with locks.held(worker_lock(worker_id), JOBS, on_lost=_stop):
                        has_worked = True
                        super().handle(*args, worker_id=worker_id, **options)
                    return
                except (OperationalError, InterfaceError):
                    if not has_worked:
                        raise
                    logger.warning("The worker lost the database, and tries again", exc_info=True)
                connections.close_all()
                time.sleep(_SECONDS_BEFORE_ANOTHER_TRY)
        finally:
            ended.set()


def _stop() -> None:
    """Another worker has this one's lock, and answers for its tasks: end as if told to, for whoever starts it again."""
    os.kill(os.getpid(), signal.SIGTERM)


def sweep_hourly(ended: threading.Event) -> None:
    """Until the event: what is abandoned for a day is removed, also when nobody restores anything for weeks."""
    while not ended.wait(_SECONDS_BETWEEN_SWEEPS):
        sweeping.sweep()
        connections.close_all()
