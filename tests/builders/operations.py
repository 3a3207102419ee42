"""Rows of operations, without the work."""

from __future__ import annotations

from core.models import JOBS, Operation


def dead_operation(alias: str, **fields: object) -> Operation:
    """The row of an operation whose process has died: nobody holds its lock."""
    operation = Operation(kind="restore", database=alias, actor_name="meena", filename="full.json", **fields)
    operation.save(using=JOBS)
    return operation
