"""Backups in the background: taking one; protecting and deleting files of the catalogue."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any, Final, cast

import msgspec
from django.core.files.storage import storages
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.backups.backup_service import BackupService
from core.models import JOBS, Backup, Kind, Operation
from core.operations import holding, recovery
from core.operations import queue as jobs
from core.operations.by_hand import changing_catalogue
from core.operations.errors import NotKnown, OperationFailed, as_failure, not_known
from core.operations.run import Actor
from core.operations.traits import BACKUPS
from core.preview import folders as preview_folders
from core.register.database import DEFAULT, Register
from core.register.declared import Selection
from recordsync.backupfile import BackupType
from recordsync.system.files import Compression

logger = logging.getLogger(__name__)

_NOT_DELETED: Final = gettext_lazy("Nothing was deleted.")


class BackupRequest(msgspec.Struct, frozen=True):
    """The parameters of an operation of kind ``backup_full`` or ``backup_incremental``."""

    backup_type: BackupType = "full"
    since: dt.datetime | None = None
    selection: Selection | None = None
    compression: Compression | None = None
    parent: str | None = None
    for_installation: str | None = None


def take(operation: Operation) -> None:
    """Take the backup that a waiting operation asks for. Raises :class:`core.operations.errors.OperationFailed`."""
    request = msgspec.convert(operation.parameters, BackupRequest)
    service = BackupService(operation=operation)
    create = service.create_incremental_backup if request.backup_type == "incremental" else service.create_backup
    result = create(
        since_date=request.since,
        parent=request.parent,
        for_installation=request.for_installation,
        selection=request.selection,
        compression=request.compression,
    )
    operation.result = result.summary()
    operation.filename = result.name
    operation.save(using=JOBS, update_fields=["result", "filename"])


def submit_backup(actor: Actor, request: BackupRequest) -> Operation:
    """The waiting operation that takes a backup. Writes to the jobs database."""
    parameters = cast("dict[str, Any]", msgspec.to_builtins(request))
    return jobs.submit(BACKUPS[request.backup_type], actor, parameters=parameters)


def set_protected(backup: Backup, protected: bool, register: Register = DEFAULT) -> None:
    """Protect the file against deletion, or lift the protection.

    Raises :class:`OperationFailed` while somebody holds the register.
    """
    with changing_catalogue(register, _("The catalogue was not changed.")):
        register.rows(Backup).filter(pk=backup.pk).update(protected=protected)


def require_deletable(backup: Backup, register: Register = DEFAULT) -> None:
    """Raises :class:`OperationFailed` where the file is protected, or a waiting or running operation needs it.

    Reads the jobs database.
    """
    if backup.protected:
        raise OperationFailed(
            _("%(file)s is protected. Nothing was deleted. Take the protection away first.") % {"file": backup.file}
        )
    recovery.settle_accounts()
    readers = Operation.objects.using(JOBS).filter(_reads(backup), state__in=jobs.OPEN, database=register.alias)
    reader = readers.order_by("started_at").first()
    if reader is not None:
        raise holding.busy(reader, _NOT_DELETED)


def open_previews(backup: Backup, register: Register = DEFAULT) -> int:
    """How many previews of the file can still be applied, for which they need the file. Reads the jobs database."""
    checks = Operation.objects.using(JOBS).filter(
        _reads(backup), kind=Kind.CHECK, state=Operation.State.SUCCEEDED, database=register.alias
    )
    return sum(preview_folders.folder_of(pk).is_dir() for pk in checks.values_list("pk", flat=True))


def _reads(backup: Backup) -> Q:
    """The operations that read the file: they name it, or its entry."""
    return Q(parameters__backup=backup.file) | Q(parameters__backup=str(backup.pk))


def delete(backup: Backup, actor: Actor, register: Register = DEFAULT) -> bool:
    """Whether the file still existed. Deletes the file; its entry stays, because later backups may name it as their
    ancestor.

    The file is deleted before the entry is committed. If the process dies between the two, the page shows that the file
    does not exist, which is true, and it can be deleted again. Raises :class:`OperationFailed` where
    :func:`require_deletable` does, where somebody holds the register, and where the file cannot be deleted.
    """
    storage = storages["backups"]
    was_there = is_deleted = False
    try:
        with changing_catalogue(register, _NOT_DELETED):
            row = register.rows(Backup).get(pk=backup.pk)
            if not row.file:
                raise OperationFailed(_("Somebody else deleted this file just now."))
            require_deletable(row, register)
            register.rows(Backup).filter(pk=row.pk).update(file="", verified_at=None)
            was_there = storage.exists(row.file)
            storage.delete(row.file)
            is_deleted = True
    except OSError as error:
        raise as_failure(error, _("Nothing was deleted, and the catalogue has it as before.")) from error
    except OperationFailed as failure:
        if not is_deleted:
            raise
        if isinstance(failure, NotKnown):
            look = _("When it answers, look at the catalogue. If the file is still in it, delete it there once more.")
            why = not_known(_("the catalogue has been updated"), look)
            raise NotKnown(_("%(file)s is deleted. %(why)s") % {"file": row.file, "why": why}) from failure
        text = _("%(file)s is deleted, but the catalogue could not be updated. Delete it there once more. (%(why)s)")
        raise OperationFailed(text % {"file": row.file, "why": failure}) from failure
    logger.info("%s deleted the backup %s (%s)", actor.name, row.file, row.pk)
    return was_there
