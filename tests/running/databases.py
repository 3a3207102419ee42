"""The registers that tests run on, one for each database engine, and how to empty them quickly."""

from collections.abc import Sequence
from typing import Final

from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connections, router, transaction

from recordsync.history.databases import history_of
from recordsync.models import Block, Dirty, Head, HeadMove, Leaf, Node, Snapshot

ALIASES: Final = {"sqlite": "default", "postgres": "pg"}
"""The database alias of the register on each engine."""

LONG: Final = 60
"""Seconds: far longer than anything takes that waits for nobody, however busy the machine is."""

_KEPT = {ContentType._meta.db_table, Permission._meta.db_table}  # made by migrate, needed by all


def empty(*aliases: str) -> None:
    """Delete every row of the tables of these databases, which may be registers, each with its history, or ``jobs``.

    Plain deletes in one transaction: for the few rows of a test far quicker than Django's flush. Foreign keys are
    checked at the end of the transaction on both engines, so that the order does not matter.
    """
    for alias in dict.fromkeys(name for one in aliases for name in (one, history_of(one))):
        connection = connections[alias]
        with transaction.atomic(using=alias), connection.cursor() as cursor:
            for table in tables(alias):
                cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")


def empty_history(alias: str) -> None:
    """Delete the history of a register: what is in its own database, and the history store."""
    for used, models in ((alias, (HeadMove, Head, Snapshot, Leaf, Dirty)), (history_of(alias), (Block, Node))):
        with transaction.atomic(using=used), connections[used].cursor() as cursor:
            for model in models:
                cursor.execute(f"DELETE FROM {model._meta.db_table}")


def patient(alias: str) -> None:
    """Let this thread's connection wait for others for :data:`LONG`, unless it is told to wait for less."""
    with connections[alias].cursor() as cursor:
        if connections[alias].vendor == "postgresql":
            cursor.execute(f"SET lock_timeout = {1000 * LONG}")
        else:
            cursor.execute(f"PRAGMA busy_timeout = {1000 * LONG}")


def tables(alias: str) -> Sequence[str]:
    """The tables with rows of ours in the database."""
    return [
        model._meta.db_table
        for model in apps.get_models(include_auto_created=True)
        if router.allow_migrate_model(alias, model) and model._meta.db_table not in _KEPT
    ]
