"""The two kinds of transaction that this package works in: a consistent look, and a change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model as DjangoModel


@contextmanager
def reading(using: str) -> Iterator[None]:
    """A transaction in which everything is read as it was at one moment. Opens none inside another.

    SQLite: a deferred transaction in WAL mode, whose first read fixes the moment. PostgreSQL: REPEATABLE READ.
    The moment is fixed when the block starts.
    """
    connection = connections[using]
    with transaction.atomic(using=using, durable=True):
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                cursor.execute("SELECT 1")
            elif connection.vendor == "sqlite":
                cursor.execute("SELECT count(*) FROM sqlite_master")
        yield


@contextmanager
def writing(using: str, models: Sequence[type[DjangoModel]], wait: float, *, alone: bool = True) -> Iterator[None]:
    """A transaction in which nobody else writes these models' tables; readers go on.

    ``alone`` false: others may write beside it, each other rows, but nobody who wants to be alone.
    SQLite: BEGIN IMMEDIATE (the whole file, always alone). PostgreSQL: LOCK TABLE … IN SHARE ROW EXCLUSIVE MODE, or
    IN ROW EXCLUSIVE MODE. Waits up to ``wait`` seconds for those who write now. Raises OperationalError.
    """
    connection = connections[using]
    with _immediate(connection, wait), transaction.atomic(using=using, durable=True):
        if connection.vendor == "postgresql":
            mode = "SHARE ROW EXCLUSIVE" if alone else "ROW EXCLUSIVE"
            tables = ", ".join(connection.ops.quote_name(model._meta.db_table) for model in models)
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = {int(wait * 1000) or 1}")
                cursor.execute(f"LOCK TABLE {tables} IN {mode} MODE")
        yield


@contextmanager
def _immediate(connection: BaseDatabaseWrapper, wait: float) -> Iterator[None]:
    """On SQLite, let the next transaction take the write lock when it begins, and wait that long for it."""
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        usual = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
        cursor.execute(f"PRAGMA busy_timeout = {int(wait * 1000)}")
    mode = connection.transaction_mode  # type: ignore[attr-defined]
    connection.transaction_mode = "IMMEDIATE"  # type: ignore[attr-defined]
    try:
        yield
    finally:
        connection.transaction_mode = mode  # type: ignore[attr-defined]
        if connection.connection is not None:
            with connection.cursor() as cursor:
                cursor.execute(f"PRAGMA busy_timeout = {usual}")
