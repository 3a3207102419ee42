"""Rows of uploaded sheets, without a file, with the operation that says what state they are in."""

from __future__ import annotations

from typing import Any

from core.models import Kind, Operation, UploadLog


def an_upload(
    kind: Kind = Kind.IMPORT, state: Operation.State = Operation.State.SUCCEEDED, **columns: Any
) -> UploadLog:
    """A sheet whose last operation has this kind and state; by default an import that is done."""
    operation = Operation.objects.create(kind=kind, state=state, actor_name="root", log_id=1)
    sent = {"filename": "own.csv", "actor_id": 1, "actor_name": "root", "size": 1, "operation": operation}
    return UploadLog.objects.create(**sent | columns)
