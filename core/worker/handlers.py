"""The handler of each kind of operation that a worker runs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from core.attendance import records
from core.backups import jobs as backup_jobs
from core.models import Kind
from core.operations.queue import Handler
from core.restores import jobs as restore_jobs
from core.restores import verification
from core.sheets import export_jobs, uploads
from core.web.filters import rows_shown

HANDLERS: Final[Mapping[str, Handler]] = {
    Kind.BACKUP_FULL: backup_jobs.take,
    Kind.BACKUP_INCREMENTAL: backup_jobs.take,
    Kind.VERIFY: verification.verify,
    Kind.CHECK: restore_jobs.check,
    Kind.RESTORE: restore_jobs.apply,
    Kind.UNDO: restore_jobs.apply,
    Kind.CHECK_SHEET: uploads.check,
    Kind.IMPORT: uploads.apply,
    Kind.EXPORT: partial(export_jobs.write_export, rows=rows_shown),
    Kind.DELETE_ALL: records.run_delete_all,
}
"""The handlers by kind. Operations of other kinds run at once, in a command or a request."""
