"""The two kinds of transaction that this package works in: a consistent look, and a change."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from django.db import Error, IntegrityError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model as DjangoModel

from recordsync.errors import CommitUnknown

logger = logging.getLogger(__name__)

_SECONDS_TO_ASK = 3
"""For so long at least the database is asked whether a transaction was committed."""
_SECONDS_BETWEEN_QUESTIONS = 0.2
COMMITS = "recordsync_commit"
"""The table of :class:`recordsync.models.Commit`."""
_COMMITS_KEPT = "1 hour"
"""Far longer than anybody asks."""


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
    IN ROW EXCLUSIVE MODE. Waits up to ``wait`` seconds for those who write now. Raises OperationalError; and what
    :func:`committed` raises.
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
    """A transaction of its own that was committed when the block ends without an error, and was not when it raises.

    PostgreSQL: the answer to COMMIT may be lost, with the connection or the whole server. The database is then asked,
    for ``wait`` seconds and no less than a few: a failover takes its time. Raises :class:`CommitUnknown`, and nothing
    else, where that cannot be known. SQLite: a COMMIT that fails did not take place.
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


# A row, and not pg_xact_status(): a transaction that was lost in a crash, or on the way to the standby that took over,
# leaves its number to another one, whose end would be taken for its own.
def _mark(connection: BaseDatabaseWrapper, mark: uuid.UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH old AS (DELETE FROM {COMMITS} WHERE id IN (SELECT id FROM {COMMITS} "  # noqa: S608 - a name of ours
            f"WHERE at < now() - interval '{_COMMITS_KEPT}' FOR UPDATE SKIP LOCKED)) "
            f"INSERT INTO {COMMITS} (id) VALUES (%s)",
            [mark],
        )


def _was_committed(connection: BaseDatabaseWrapper, mark: uuid.UUID, seconds: float) -> bool:
    """Whether the transaction that wrote the mark was committed. Raises CommitUnknown.

    The same row is written and taken back. As long as the server is still at the first one, the second waits for it.
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
