"""The store of PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from django.db import IntegrityError

from recordsync.model.fields import Choice, Date, Minutes, Text, Time, Timestamp
from recordsync.model.schema import Model
from recordsync.stores.sql import SqlStore


class PostgresStore(SqlStore):
    """PostgreSQL 14 or newer, through psycopg 3."""

    texts: ClassVar = {
        **dict.fromkeys((Text, Choice, Time), "%(expressions)s::text"),
        Date: "to_char(%(expressions)s, 'YYYY-MM-DD')",
        Minutes: "to_char(%(expressions)s / 60, 'FM9900') || ':' || to_char(%(expressions)s %%%% 60, 'FM00')",
        Timestamp: "to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
    }

    @staticmethod
    def moment(text: str) -> str:
        return text

    def _wanted(self, types: Sequence[str | None], keys: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
        # Arrays and not VALUES: psycopg reads anew every statement that has many parameters.
        arrays = ", ".join(f"%s::{kind}[]" for kind in types)
        names = ", ".join(f"column{number}" for number in range(1, len(types) + 1))
        return f"unnest({arrays}) AS wanted ({names})", [list(column) for column in zip(*keys, strict=True)]

    def _insert(self, model: Model, sources: Sequence[str], rows: Iterable[list[Any]]) -> None:
        table, *columns = self._quoted(model, *sources)
        # COPY does not go through Django's cursor, which would turn the driver's errors into Django's.
        statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
        with self._connection.wrap_database_errors, self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)

    def _set(self, model: Model, sources: Sequence[str], rows: Sequence[list[Any]]) -> int:
        table, key, *columns = self._quoted(model, "pk", *sources)
        types = [self._field(model, source).rel_db_type(self._connection) for source in (*sources, "pk")]
        names = [f"c{at}" for at in range(len(columns))]
        arrays = ", ".join(f"%s::{kind}[]" for kind in types)
        values = ", ".join(f"{column} = new.{name}" for column, name in zip(columns, names, strict=True))
        with self._connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {table} SET {values} FROM unnest({arrays}) AS new ({', '.join(names)}, pk) "
                f"WHERE {table}.{key} = new.pk",
                [list(column) for column in zip(*rows, strict=True)],
            )
            return int(cursor.rowcount)

    def _is_duplicate(self, error: IntegrityError) -> bool:
        return getattr(error.__cause__, "sqlstate", None) == "23505"  # unique_violation
