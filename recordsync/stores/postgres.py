"""The store of PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

from django.db import IntegrityError, ProgrammingError
from django.db.backends.utils import CursorWrapper

from recordsync.errors import RecordSyncError
from recordsync.model import slices
from recordsync.model.digests import content_digest
from recordsync.model.fields import (
    Boolean,
    Choice,
    Date,
    Decimal,
    FieldType,
    Integer,
    Json,
    Minutes,
    Text,
    Time,
    Timestamp,
    Uuid,
)
from recordsync.model.schema import Model, Schema
from recordsync.stores.sql import SqlStore

_NOT_ALLOWED: Final = "42501"
"""The SQLSTATE insufficient_privilege."""
_LEGAL_DAY: Final = "%(expressions)s BETWEEN '0001-01-01' AND '9999-12-31'"
_LEGAL_MOMENT: Final = "%(expressions)s >= '0001-01-02 00:00:00+00' AND %(expressions)s < '9999-12-31 00:00:00+00'"


_EXACT: Final = "%(expressions)s = round(%(expressions)s, <places>)"


_TEXTS: Final[Mapping[type[FieldType], str]] = {
    **dict.fromkeys((Text, Choice, Time, Integer, Boolean, Uuid, Json), "%(expressions)s::text"),
    # Whatever number of places the column has.
    Decimal: f"CASE WHEN {_EXACT} THEN round(%(expressions)s, <places>)::text ELSE %(expressions)s::text END",
    # to_char gives null for infinity, and does not say that a year is before Christ.
    Date: f"CASE WHEN {_LEGAL_DAY} THEN to_char(%(expressions)s, 'YYYY-MM-DD') ELSE %(expressions)s::text END",
    Minutes: "to_char(%(expressions)s / 60, 'FM9900') || ':' || to_char(%(expressions)s %%%% 60, 'FM00')",
    Timestamp: f"CASE WHEN {_LEGAL_MOMENT} "
    "THEN to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') "
    "ELSE %(expressions)s::text END",
}


class PostgresStore(SqlStore):
    """PostgreSQL 14 or newer, through psycopg 3."""

    texts: ClassVar = _TEXTS
    # Put together as text, which takes half the time of row_to_json().
    json_texts: ClassVar = {
        **{kind: f"'\"' || {text} || '\"'" for kind, text in _TEXTS.items()},
        **dict.fromkeys((Text, Choice), "to_json(%(expressions)s)::text"),
    }
    legal: ClassVar = {
        Integer: "%(expressions)s BETWEEN <min> AND <max>",
        Decimal: f"{_EXACT} AND abs(%(expressions)s) < <limit>",
        Boolean: "TRUE",
        Uuid: "TRUE",
        Timestamp: _LEGAL_MOMENT,
        Text: "char_length(%(expressions)s) BETWEEN <min> AND <max>",
        Choice: "<any>",
        Date: _LEGAL_DAY,
        Time: "%(expressions)s < '24:00' AND %(expressions)s = %(expressions)s::time(0)",
        Minutes: "%(expressions)s BETWEEN 0 AND <max>",
    }
    json: ClassVar = "('{' || %(expressions)s || '}')"
    json_joiner: ClassVar = " || ',' || "
    empty_json: ClassVar = "'{}'"
    json_member: ClassVar = "'\"<name>\":' || coalesce(<value>, 'null')"
    collation: ClassVar = "C"
    locks_readers_out: ClassVar = True

    def __init__(self, schema: Schema, using: str = "default") -> None:
        super().__init__(schema, using)
        self._prepared: dict[str, str] = {}
        """The name of each statement that is prepared, by its SQL."""

    @staticmethod
    def slice_in_sql(column: str) -> str:
        return slices.in_sql(f"to_char({column}, 'YYYY-MM-')", f"date_part('day', {column})")

    def native(self, kind: FieldType) -> Callable[[str], Any] | None:
        return kind.to_python if isinstance(kind, Minutes) else None

    @staticmethod
    def moment(text: str) -> str:
        return text

    def _wanted(self, types: Sequence[str | None], keys: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
        # Arrays in place of VALUES, because psycopg parses a statement with many parameters every time.
        arrays = ", ".join(f"%s::{kind}[]" for kind in types)
        names = ", ".join(f"column{number}" for number in range(1, len(types) + 1))
        return f"unnest({arrays}) AS wanted ({names})", [list(column) for column in zip(*keys, strict=True)]

    def _is_any(self, column: str) -> str:
        return f"{column} = ANY(%s)"

    def _any_of(self, values: Sequence[Any]) -> list[Any]:
        return [list(values)]

    def _fetch_again(self, sql: str, constant: Sequence[Any], given: Sequence[Any]) -> list[tuple[Any, ...]]:
        if not sql or not given or self._connection.settings_dict["OPTIONS"].get("server_side_binding"):
            return super()._fetch_again(sql, constant, given)
        with self._connection.cursor() as cursor:
            if sql not in self._prepared:
                self._prepared[sql] = _prepare(cursor, sql, constant, len(given))
            cursor.execute(f"EXECUTE {self._prepared[sql]} ({', '.join(['%s'] * len(given))})", given)
            return list(cursor.fetchall())

    def _take_away(self, model: Model) -> list[str]:
        (table,) = self._quoted(model)
        with self._connection.cursor() as cursor:
            # Names as PostgreSQL writes them: quoted, and with their schema where another one hides it. What has more
            # to it than its definition says stays.
            cursor.execute(
                "SELECT quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint "
                "WHERE conrelid = %s::regclass AND contype = 'f' AND obj_description(oid, 'pg_constraint') IS NULL "
                "ORDER BY conname",
                [table],
            )
            keys = cursor.fetchall()
            cursor.execute(
                "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) "
                "FROM pg_index JOIN pg_class ON oid = indexrelid "
                "WHERE indrelid = %s::regclass AND NOT (indisunique OR indisexclusion OR indisclustered) "
                "AND reltablespace = 0 AND obj_description(oid, 'pg_class') IS NULL ORDER BY relname",
                [table],
            )
            indexes = cursor.fetchall()
            try:
                for name, _definition in keys:
                    cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
                for name, _definition in indexes:
                    cursor.execute(f"DROP INDEX {name}")
            except ProgrammingError as error:
                if getattr(error.__cause__, "sqlstate", None) != _NOT_ALLOWED:
                    raise
                raise RecordSyncError(
                    "Only the owner of the register's tables may take indexes away from them, as an exclusive restore "
                    "does. Restore without --exclusive, or as the owner."
                ) from error
        return [
            # A table is not altered while checks of it wait.
            "SET CONSTRAINTS ALL IMMEDIATE",
            *(definition for _name, definition in indexes),
            *(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}" for name, definition in keys),
        ]

    def _set(self, model: Model, sources: Sequence[str], rows: Sequence[list[Any]]) -> int:
        table, key, *columns = self._quoted(model, "pk", *sources)
        types = [self._field(model, source).rel_db_type(self._connection) for source in (*sources, "pk")]
        names = [f"column{number}" for number in range(1, len(columns) + 1)]
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


def _prepare(cursor: CursorWrapper, sql: str, constant: Sequence[Any], given: int) -> str:
    """The name of a prepared statement of this session: to parse the query for the lines of a block takes longer than
    to read a small block. ``constant``: its first parameters; ``given``: how many others come last.

    It is planned each time in the current transaction, because a plan that a session kept from when a table was small
    would read all of a large one.

    The name says what the statement is, so that a session has it once. What a session has is asked of the database,
    because a pool of connections may give each transaction another session.
    """
    name = f"recordsync_{content_digest([sql, *map(repr, constant)])[:40]}"
    cursor.execute("SET LOCAL plan_cache_mode = force_custom_plan")
    cursor.execute("SELECT 1 FROM pg_prepared_statements WHERE name = %s", [name])
    if cursor.fetchone() is None:
        first, *others = sql.rsplit("%s", given)
        numbered = "".join(f"${number}{text}" for number, text in enumerate(others, 1))
        cursor.execute(f"PREPARE {name} AS {first}{numbered}", constant)
    return name
