"""The engine's own tables. They hold no records of the application."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from recordsync.system.transactions import COMMITS


class Commit(models.Model):
    """A row that a transaction writes last, and that is there if it was committed.

    If the answer to a COMMIT is lost, the row tells (:mod:`recordsync.system.transactions`). On SQLite no answer is
    ever lost, and the table stays empty.
    """

    id = models.UUIDField(primary_key=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = COMMITS

    def __str__(self) -> str:
        return str(self.id)
