"""Backups in the background: taking one, and verifying one of the catalogue."""

from __future__ import annotations

import datetime as dt
from typing import cast

import msgspec

from core.models import Operation
from core.register import Selection
from core.services.backup_service import BackupService
from recordsync.backupfile import BackupType
from recordsync.files import Compression


class BackupRequest(msgspec.Struct, frozen=True):
    """What was asked for: the parameters of an operation of kind ``backup_full`` or ``backup_incremental``."""

    backup_type: BackupType = "full"
    since: dt.datetime | None = None
    selection: Selection | None = None
    compression: Compression | None = None


def take(operation: Operation) -> None:
    """Take the backup that a waiting operation asks for. Raises :class:`core.services.errors.OperationFailed`."""
    asked = msgspec.convert(operation.parameters, BackupRequest)
    result = BackupService(operation=operation, using=operation.database).create_backup(
        asked.backup_type, asked.since, selection=asked.selection, compression=cast(Compression, asked.compression)
    )
    operation.result = result.summary()
    operation.filename = result.name
    operation.save(using="jobs", update_fields=["result", "filename"])
