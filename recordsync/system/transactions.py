"""The two kinds of transaction that the engine works in: one that reads at one moment, and one that writes."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol, cast

from django.db import Error, IntegrityError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model as DjangoModel

from recordsync.errors import CommitUnknown

logger = logging.getLogger(__name__)

_SECONDS_TO_ASK = 3
"""The database is asked at least for this time whether a transaction was committed."""
_SECONDS_BETWEEN_QUESTIONS = 0.2
COMMITS = "recordsync_commit"
"""The table of :class:`recordsync.models.Commit`."""
_COMMITS_KEPT = "1 hour"
"""Far longer than anybody asks about a transaction."""


@contextmanager
def reading(using: str) -> Iterator[None]:
    """A transaction of the database ``using`` that reads everything as it was when the block began.

    SQLite: a deferred transaction in WAL mode, which begins to read here. PostgreSQL: REPEATABLE READ, READ ONLY.
    Raises RuntimeError inside another transaction.
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
    """A transaction of the database ``using`` in which nobody else writes these models' tables. Readers go on.

    With ``alone`` false others may write other rows meanwhile, but nobody who wants to be alone.
    SQLite: BEGIN IMMEDIATE, which locks the whole file for writers in either case. PostgreSQL: LOCK TABLE … IN SHARE
    ROW EXCLUSIVE MODE, or IN ROW EXCLUSIVE MODE. Waits up to ``wait`` seconds for others who write. Raises
    OperationalError after that, and what :func:`committed` raises.
    """
    connection = connections[using]
    with _immediate(connection, wait), committed(using, wait):
        if connection.vendor == "postgresql":
            mode = "SHARE ROW EXCLUSIVE" if alone else "ROW EXCLUSIVE"
            tables = ", ".join(connection.ops.quote_name(model._meta.db_table) for model in models)
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = {int(wait * 1000) or 1}")
                cursor.execute(f"LOCK TABLE {tables} IN {mode} MODE")
        yield


@contextmanager
def committed(using: str, wait: float) -> Iterator[None]:
    """A transaction that is committed if the block ends without an error, and is not if it raises.

    PostgreSQL: the answer to COMMIT can be lost with the connection or the server. The database is then asked whether
    the transaction was committed, for ``wait`` seconds and at least for a few, because a failover takes time. Raises
    :class:`CommitUnknown`, and nothing else, if it does not answer. SQLite: a COMMIT that fails did not take place.
    """
    connection = connections[using]
    mark = uuid.uuid4()
    marked = False
    try:
        with transaction.atomic(using=using, durable=True):
            yield
            if connection.vendor == "postgresql":
                _mark(connection, mark)
                marked = True
    except Error as error:
        if not marked:
            raise
        logger.warning("A COMMIT failed or its answer was lost: the database is asked which", exc_info=True)
        connection.close()
        if not _was_committed(connection, mark, max(wait, _SECONDS_TO_ASK)):
            raise
        logger.warning("It was committed: %s", error)


def _mark(connection: BaseDatabaseWrapper, mark: uuid.UUID) -> None:
    """Write a row by which the commit is recognised, and remove old ones. A transaction that goes by what it saw first
    (REPEATABLE READ) removes none: it would fail where another one has removed them since.

    pg_xact_status() cannot say it: if a crash or a failover loses a transaction, another one gets its number.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH old AS (DELETE FROM {COMMITS} WHERE id IN (SELECT id FROM {COMMITS} "  # noqa: S608 - a name of ours
            f"WHERE at < now() - interval '{_COMMITS_KEPT}' "
            "AND current_setting('transaction_isolation') = 'read committed' FOR UPDATE SKIP LOCKED)) "
            f"INSERT INTO {COMMITS} (id) VALUES (%s)",
            [mark],
        )


def _was_committed(connection: BaseDatabaseWrapper, mark: uuid.UUID, seconds: float) -> bool:
    """Whether the transaction that wrote the mark was committed. Raises CommitUnknown.

    Writes the same row and rolls it back. If the first transaction has not ended yet, this waits for it.
    """
    deadline = time.monotonic() + seconds
    while True:
        own = connection.copy()
        try:
            with own.cursor() as cursor:
                left = max(1, int((deadline - time.monotonic()) * 1000))
                cursor.execute(f"BEGIN; SET LOCAL lock_timeout = {left}")
                cursor.execute(f"INSERT INTO {COMMITS} (id) VALUES (%s)", [mark])  # noqa: S608 - a name of ours
                cursor.execute("ROLLBACK")
        except IntegrityError:
            return True
        except Error as error:
            if time.monotonic() >= deadline:
                raise CommitUnknown(
                    "The connection to the database was lost during the commit, and the database does not answer."
                ) from error
        else:
            return False
        finally:
            with suppress(Error):
                own.close()
        time.sleep(_SECONDS_BETWEEN_QUESTIONS)


class _SqliteConnection(Protocol):
    """Django's connection to SQLite, whose types lack this attribute."""

    transaction_mode: str | None


@contextmanager
def _immediate(connection: BaseDatabaseWrapper, wait: float) -> Iterator[None]:
    """On SQLite the transaction in the block takes the write lock when it begins, and waits ``wait`` seconds for it."""
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        usual = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
        cursor.execute(f"PRAGMA busy_timeout = {int(wait * 1000)}")
    sqlite = cast(_SqliteConnection, connection)
    mode, sqlite.transaction_mode = sqlite.transaction_mode, "IMMEDIATE"
    try:
        yield
    finally:
        sqlite.transaction_mode = mode
        if connection.connection is not None:
            with connection.cursor() as cursor:
                cursor.execute(f"PRAGMA busy_timeout = {usual}")
