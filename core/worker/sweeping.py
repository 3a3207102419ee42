"""Removing what killed processes and abandoned work leave behind, which the worker does every hour.

Nothing that a running process may still use is removed: it is a day old, or nobody holds its lock.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from core.accounts import sign_in
from core.operations import snapshots
from core.preview.folders import ABANDONED
from core.register.database import DEFAULT, usual_wait
from core.restores import jobs as restore_jobs
from core.sheets import uploads
from recordsync.errors import LockTimeout
from recordsync.system.files import remove_abandoned_files

logger = logging.getLogger(__name__)


def sweep() -> None:
    """Remove all that was left behind. If one part fails, that is logged, and the others go on."""
    for remove in (
        restore_jobs.sweep,
        restore_jobs.sweep_changes,
        uploads.sweep,
        _unfinished_files,
        _attempts,
        _sessions,
        _history,
    ):
        try:
            remove()
        except Exception:  # such as a full disk or a database that restarts: it is tried again in an hour
            logger.exception("What was abandoned could not all be removed (%s)", remove.__name__)


def _unfinished_files() -> None:
    """Remove files that a process was receiving or writing when it was killed."""
    remove_abandoned_files(Path(settings.BACKUP_DIR))
    before = time.time() - ABANDONED.total_seconds()
    for path in _unfinished():
        with suppress(FileNotFoundError):
            if path.lstat().st_mtime < before:
                path.unlink()
                logger.info("Removed what a killed process left behind: %s", path)


def _unfinished() -> Iterator[Path]:
    yield from Path(settings.FILE_UPLOAD_TEMP_DIR).glob("*.upload*")
    yield from Path(settings.DATA_DIR).glob(".secret_key-*")


def _attempts() -> None:
    sign_in.forget_attempts(timezone.now() - ABANDONED)


def _sessions() -> None:
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()


def _history() -> None:
    """Remove from the history store what no snapshot that is kept has, unless somebody takes a snapshot just now."""
    with suppress(LockTimeout), DEFAULT.history.alone(0):
        snapshots.tidy(DEFAULT, usual_wait())
