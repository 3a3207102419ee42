"""Sheets that were sent, as rows: without a file, and with the operation that tells how they stand."""

from __future__ import annotations

from typing import Any

from core.models import Kind, Operation, UploadLog


def an_upload(
    kind: Kind = Kind.IMPORT, state: Operation.State = Operation.State.SUCCEEDED, **columns: Any
) -> UploadLog:
    """A sheet whose last operation is of this kind, and stands like this; an import that was done, unless said."""
    operation = Operation.objects.create(kind=kind, state=state, actor_name="root", log_id=1)
    sent = {"filename": "own.csv", "actor_id": 1, "actor_name": "root", "size": 1, "operation": operation}
    return UploadLog.objects.create(**sent | columns)
