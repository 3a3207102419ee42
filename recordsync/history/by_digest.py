"""Reading and writing rows that a digest tells, as each database does it quickest.

PostgreSQL gets and gives them in binary (psycopg's ``Cursor``): in Django's cursor every byte of a block is two
characters of a text, which doubles the time to read blocks, and trebles the time to write them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

_ROWS_TOGETHER: Final = 100
"""Rows that one statement writes on PostgreSQL. SQLite keeps statements with what is in them, so there it would cost
memory, and time."""


def rows_with(
    connection: BaseDatabaseWrapper, table: str, columns: Sequence[str], digests: Sequence[str]
) -> list[tuple[Any, ...]]:
    """These columns of the rows with these digests, in any order.

    Django would take twice the time of the database to make and read such a query. Raises what Django's cursor raises.
    """
    names = ", ".join(columns)
    if connection.vendor == "postgresql":
        with _binary_cursor(connection) as cursor:
            cursor.execute(f"SELECT {names} FROM {table} WHERE digest = ANY(%b::text[])", [list(digests)])
            return list(cursor.fetchall())
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {names} FROM {table} WHERE digest IN ({_places(digests)})", digests)
        return list(cursor.fetchall())


def put(connection: BaseDatabaseWrapper, table: str, types: dict[str, str], rows: Sequence[Sequence[Any]]) -> None:
    """Add rows in the current transaction, but for those that are there already. ``types``: the columns, the digest
    among them, with their types in PostgreSQL. Raises what Django's cursor raises."""
    # What nobody needed any more is needed again, and must not be collected.
    again = f"UPDATE SET unreachable_since = NULL WHERE {table}.unreachable_since IS NOT NULL"
    insert = f"INSERT INTO {table} ({', '.join(types)}) {{}} ON CONFLICT (digest) DO {again}"
    if connection.vendor == "postgresql":
        arrays = ", ".join(f"%b::{kind}[]" for kind in types.values())
        with _binary_cursor(connection) as cursor:
            for start in range(0, len(rows), _ROWS_TOGETHER):
                some = rows[start : start + _ROWS_TOGETHER]
                columns = [list(column) for column in zip(*some, strict=True)]
                cursor.execute(insert.format(f"SELECT * FROM unnest({arrays})"), columns)
        return
    with connection.cursor() as cursor:
        cursor.executemany(insert.format(f"VALUES ({_places(types)})"), rows)


def _places(values: Sequence[Any] | dict[str, str]) -> str:
    return ", ".join(["%s"] * len(values))


def _binary_cursor(connection: BaseDatabaseWrapper) -> CursorWrapper:
    """A cursor of Django's around one of psycopg's that leaves it to the server to put parameters in."""
    connection.ensure_connection()
    psycopg: Any = connection.Database  # type: ignore[attr-defined] # not imported, because SQLite does without
    cursor = psycopg.Cursor(connection.connection)
    cursor.format = psycopg.pq.Format.BINARY
    return connection.make_debug_cursor(cursor) if connection.queries_logged else connection.make_cursor(cursor)
