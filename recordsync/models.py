"""The engine's own tables. They hold nothing of what an application declares."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from recordsync.system.transactions import COMMITS


class Commit(models.Model):
    """A transaction that was committed: it wrote this row as its last.

    Whoever loses the answer to a COMMIT looks for the row (:mod:`recordsync.system.transactions`). On SQLite no answer
    is ever lost, and the table stays empty.
    """

    id = models.UUIDField(primary_key=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = COMMITS

    def __str__(self) -> str:
        return str(self.id)
