"""Verifying a backup of the catalogue in the background: is its file still whole, and the one that was written?"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import Final

from django.core.files.storage import storages
from django.db import Error
from django.utils import timezone
from django.utils.translation import gettext as _

from core.models import Backup, Kind, Operation
from core.operations import holding
from core.operations import queue as jobs
from core.operations import run as operations
from core.operations.errors import OperationFailed, file_refused, shown_error
from core.operations.run import Actor
from core.operations.traits import TRAITS
from core.register.database import Register
from core.restores.restore_service import RestoreService
from recordsync.errors import CommitUnknown

_SECONDS_TO_WAIT: Final = 600


def submit_verify(actor: Actor, backup: Backup) -> Operation:
    """The waiting operation that verifies a file of the catalogue. Writes to the jobs database."""
    return jobs.submit(Kind.VERIFY, actor, filename=backup.file, parameters={"backup": str(backup.pk)})


def verify(operation: Operation) -> None:
    """Check the whole file of a waiting operation, compare it with its entry, and note in the entry when it was
    verified.

    Raises :class:`OperationFailed` where the file is not valid, or not the one that the catalogue describes.
    """
    register = Register(operation.database)
    with operations.running(
        Kind.VERIFY,
        operations.actor_of(operation),
        register,
        operation=operation,
    ) as run:
        backups = register.rows(Backup)
        backup = backups.get(pk=operation.parameters["backup"])
        with storages["backups"].open(backup.file, "rb") as file:
            result = RestoreService(operation=operation).validate_backup(file, run)
        operation.result = {
            "errors": [shown_error(error) for error in result.errors],
            "error_count": result.error_count,
            "records": backup.records_count,
        }
        is_right = result.valid and result.digest == backup.digest
        with ExitStack() as stack:
            if not is_right:  # a failure to note that must not hide what is wrong with the file
                stack.enter_context(suppress(OperationFailed, Error, CommitUnknown))
            stack.enter_context(holding.register_lock(run, _SECONDS_TO_WAIT))
            stack.enter_context(register.commit())
            backups.filter(pk=backup.pk).update(verified_at=timezone.now() if is_right else None)
        if not result.valid:
            raise file_refused(result.errors, result.error_count, TRAITS[Kind.VERIFY].undone)
        if not is_right:
            raise OperationFailed(
                _(
                    "%(file)s is a valid backup, but not the one that the catalogue describes: it was replaced. It was "
                    "not marked as verified."
                )
                % {"file": backup.file}
            )
