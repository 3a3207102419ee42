"""How Django loads the engine, which has tables of its own, and triggers on the tables that are backed up."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, TextIO

from django.apps import AppConfig
from django.db import connections
from django.db.migrations import Migration
from django.db.models import Model
from django.db.models.signals import post_migrate, pre_migrate

logger = logging.getLogger(__name__)


class RecordSyncConfig(AppConfig):
    name = "recordsync"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        pre_migrate.connect(_before_migrations, sender=self)
        post_migrate.connect(_after_migrations, sender=self)


# What the functions import needs the models, which are loaded after this module.


MigrationPlan = Sequence[tuple[Migration, bool]]
"""Migrations, each with whether it is undone. The command flush migrates nothing and names no plan."""


def _before_migrations(using: str, plan: MigrationPlan = (), **kwargs: Any) -> None:
    """Drop the triggers of a register before migrations of the engine's own tables: SQLite would not alter a table that
    they name, and nobody could write the register without it. Mark everything before others, which may be interrupted.
    """
    from recordsync.history import marks
    from recordsync.history.databases import schema

    if not plan or not _has_tables(using, _tables_of_marks()):
        return  # else there may be triggers, though not of every table: a model may be new
    if any(migration.app_label == RecordSyncConfig.name for migration, _backwards in plan):
        marks.remove(using, schema())
    else:
        marks.mark_all(using, schema())


def _after_migrations(using: str, plan: MigrationPlan = (), stdout: TextIO | None = None, **kwargs: Any) -> None:
    """Make the triggers of a register after its migrations, where any is missing or out of date: a migration that
    builds a table anew loses those of the table. Mark everything after any migration: to alter a column changes what is
    in it without a trigger.

    Where this account may not make them, says so, and the migrations stand.
    """
    from recordsync.errors import RecordSyncError
    from recordsync.history import marks
    from recordsync.history.databases import schema
    from recordsync.stores import tables

    if not _has_tables(using, [*tables(schema()), *_tables_of_marks()]):
        return
    if plan:
        marks.mark_all(using, schema())
    if marks.faults(using, schema()):
        try:
            marks.install(using, schema())
        except RecordSyncError as error:
            logger.warning("%s", error)
            if stdout is not None:
                stdout.write(f"{error}\n")


def _tables_of_marks() -> list[type[Model]]:
    from recordsync.models import Dirty, Generation

    return [Dirty, Generation]


def _has_tables(using: str, needed: list[type[Model]]) -> bool:
    """Whether the database is a register's, and has these tables."""
    from recordsync.history.databases import is_register

    names = {model._meta.db_table for model in needed}
    return is_register(using) and names.issubset(connections[using].introspection.table_names())
