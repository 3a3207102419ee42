"""``manage.py db_worker`` runs the worker of background jobs, that of django-tasks-db.

It holds a lock while it lives, and waits for a database that restarts.
"""

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
        """Work until a signal stops it. After the database has answered once, it waits for one that restarts."""
        jobs.use_handlers(HANDLERS)
        ended = threading.Event()
        threading.Thread(target=sweep_hourly, args=(ended,), daemon=True).start()
        has_worked = False
        try:
            while True:
                try:
                    # This includes the tasks that this worker left when it lost the database: until it holds its lock
                    # again, it counts as dead.
                    closed = jobs.close_lost_tasks()
                    if closed:
                        logger.warning("Marked %s task(s) of dead workers or of an older version as failed", closed)
                    sweeping.sweep()
                    with locks.held(worker_lock(worker_id), JOBS, on_lost=_stop):
                        has_worked = True
                        super().handle(*args, worker_id=worker_id, **options)
                    return
                except (OperationalError, InterfaceError):
                    if not has_worked:
                        raise
                    logger.warning("The worker lost the database and tries again", exc_info=True)
                connections.close_all()
                time.sleep(_SECONDS_BEFORE_ANOTHER_TRY)
        finally:
            ended.set()


def _stop() -> None:
    """End the process: another worker holds this one's lock and answers for its tasks. A supervisor starts it again."""
    os.kill(os.getpid(), signal.SIGTERM)


def sweep_hourly(ended: threading.Event) -> None:
    """Remove abandoned files every hour until the event, even if nobody restores anything for weeks."""
    while not ended.wait(_SECONDS_BETWEEN_SWEEPS):
        sweeping.sweep()
        connections.close_all()
