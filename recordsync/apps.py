"""How Django loads the engine, which has tables of its own, and triggers on the tables that are backed up."""

from __future__ import annotations

import logging
from typing import Any, TextIO

from django.apps import AppConfig
from django.db import connections
from django.db.models import Model
from django.db.models.signals import post_migrate

logger = logging.getLogger(__name__)


class RecordSyncConfig(AppConfig):
    name = "recordsync"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(_make_triggers, sender=self)


def _make_triggers(using: str, stdout: TextIO | None = None, **kwargs: Any) -> None:
    """Make the triggers of a register that are missing or out of date after its migrations: one that builds a table
    anew loses those of the table.

    Where this account may not make them, says so, and the migrations stand.
    """
    # What these import needs the models, which are loaded after this module.
    from recordsync.errors import RecordSyncError
    from recordsync.history import marks
    from recordsync.history.databases import is_register, schema
    from recordsync.models import Dirty, Generation
    from recordsync.stores import tables

    if not is_register(using):
        return
    needed: list[type[Model]] = [*tables(schema()), Dirty, Generation]
    if not {model._meta.db_table for model in needed}.issubset(connections[using].introspection.table_names()):
        return  # some migrations are still ahead
    if marks.faults(using, schema()):
        try:
            marks.install(using, schema())
        except RecordSyncError as error:
            logger.warning("%s", error)
            if stdout is not None:
                stdout.write(f"{error}\n")
