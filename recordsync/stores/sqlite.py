"""The store of SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from django.db import IntegrityError
from django.db.models import F, Func, TextField

from recordsync.model import slices
from recordsync.model.fields import (
    TIMESTAMP,
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
from recordsync.model.schema import Model
from recordsync.stores.orm import LOOKUP
from recordsync.stores.sql import SqlStore

_REFUSED: Final = "WHEN %(expressions)s IS NOT NULL THEN quote(%(expressions)s) END"
"""The end of a CASE: a value that is not legal gives a text that is refused. As it is, '5' in quotes would pass."""
_PLACES: Final = "printf('%%%%.<places>f', %(expressions)s)"
# SQLite stores a decimal as a whole number or a binary fraction, of which it knows 15 digits.
_EXACT: Final = f"typeof(%(expressions)s) IN ('integer', 'real') AND CAST({_PLACES} AS NUMERIC) = %(expressions)s"
# SQLite would turn 'now' into a moment, and 30 February into 1 March.
_IS_MOMENT: Final = (
    "%(expressions)s GLOB '[0-9][0-9][0-9][0-9]-*' AND substr(%(expressions)s, 12, 2) < '24' "
    "AND date(substr(%(expressions)s, 1, 10), '+0 days') = substr(%(expressions)s, 1, 10)"
)
# SQLite counts milliseconds, so the digits of a fraction are taken as they are.
_AFTER_FRACTION: Final = "ltrim(substr(%(expressions)s, 21), '0123456789')"
_SECOND: Final = "'%%%%Y-%%%%m-%%%%dT%%%%H:%%%%M:%%%%S.'"
_IN_UTC: Final = (
    f"CASE substr(%(expressions)s, 20, 1) WHEN '.' "
    f"THEN strftime({_SECOND}, substr(%(expressions)s, 1, 19) || {_AFTER_FRACTION}) || substr(substr(%(expressions)s, "
    f"21, length(%(expressions)s) - 20 - length({_AFTER_FRACTION})) || '000000', 1, 6) || 'Z' "
    f"ELSE strftime({_SECOND}, %(expressions)s) || '000000Z' END"
)
_UNHYPHENED: Final = "lower(replace(%(expressions)s, '-', ''))"


def _hex_digits(text: str) -> str:
    """The SQL that says whether a text is 32 lower-case hex digits."""
    return f"length({text}) = 32 AND {text} NOT GLOB '*[^0-9a-f]*'"


def _hyphened(digits: str) -> str:
    """The SQL of a UUID with hyphens, of its digits."""
    parts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    return " || '-' || ".join(f"substr({digits}, {start}, {length})" for start, length in parts)


def _canonical_moment(stored: Any) -> Any:
    """The canonical text of a moment as Django writes it, or with fewer digits of a second. What is no moment gives
    something that is not legal."""
    if not isinstance(stored, str) or stored[19:20] not in ("", "."):
        return stored
    return f"{stored[:10]}T{stored[11:19]}.{stored[20:]:0<6}Z"


class SqliteStore(SqlStore):
    """SQLite, which stores dates and times in their canonical text. The register's constraints make sure of that."""

    texts: ClassVar = {
        # The cast removes the column's declared type, by which Django's converters go.
        **dict.fromkeys((Text, Choice, Date, Time, Json), "CAST(%(expressions)s AS TEXT)"),
        Integer: f"CASE WHEN typeof(%(expressions)s) = 'integer' THEN CAST(%(expressions)s AS TEXT) {_REFUSED}",
        Decimal: f"CASE WHEN {_EXACT} THEN {_PLACES} {_REFUSED}",
        Boolean: f"CASE WHEN %(expressions)s = 1 THEN 'true' WHEN %(expressions)s = 0 THEN 'false' {_REFUSED}",
        Uuid: f"CASE WHEN {_hex_digits(_UNHYPHENED)} THEN {_hyphened(_UNHYPHENED)} {_REFUSED}",
        Minutes: "CASE WHEN typeof(%(expressions)s) = 'integer' AND %(expressions)s >= 0 THEN "
        "printf('%%%%02d:%%%%02d', %(expressions)s / 60, %(expressions)s %%%% 60) "
        "ELSE CAST(%(expressions)s AS TEXT) END",
        # Django writes `2026-11-20 18:40:00`, and a fraction of six digits if there is one.
        Timestamp: "CASE length(%(expressions)s) "
        "WHEN 19 THEN substr(%(expressions)s, 1, 10) || 'T' || substr(%(expressions)s, 12) || '.000000Z' "
        "WHEN 26 THEN substr(%(expressions)s, 1, 10) || 'T' || substr(%(expressions)s, 12) || 'Z' "
        f"ELSE CASE WHEN {_IS_MOMENT} THEN coalesce({_IN_UTC}, %(expressions)s) ELSE %(expressions)s END END",
    }

    json_texts: ClassVar = {
        **dict.fromkeys((Text, Choice, Date, Time), "%(expressions)s"),
        Minutes: "CASE WHEN %(expressions)s IS NOT NULL THEN "
        "printf('%%%%02d:%%%%02d', %(expressions)s / 60, %(expressions)s %%%% 60) END",
    }
    legal: ClassVar = {
        Integer: "typeof(%(expressions)s) = 'integer' AND %(expressions)s BETWEEN <min> AND <max>",
        Decimal: f"{_EXACT} AND abs(%(expressions)s) < <limit>",
        Boolean: "(%(expressions)s = 0 OR %(expressions)s = 1)",
        # As Django writes it: another spelling is put right by whoever reads it as a record.
        Uuid: f"typeof(%(expressions)s) = 'text' AND {_hex_digits('%(expressions)s')}",
        Timestamp: "typeof(%(expressions)s) = 'text' AND (length(%(expressions)s) = 19 OR "
        "(length(%(expressions)s) = 26 AND substr(%(expressions)s, 20, 1) = '.' "
        "AND substr(%(expressions)s, 21) NOT GLOB '*[^0-9]*')) AND %(expressions)s < '9999-12-31' "
        "AND strftime('%%%%Y-%%%%m-%%%%d %%%%H:%%%%M:%%%%S', substr(%(expressions)s, 1, 19), '+0 days') = "
        "substr(%(expressions)s, 1, 19) AND %(expressions)s >= '0001-01-02' AND substr(%(expressions)s, 12, 2) < '24'",
        Text: "typeof(%(expressions)s) = 'text' AND length(%(expressions)s) BETWEEN <min> AND <max> "
        "AND instr(%(expressions)s, char(0)) = 0",
        Choice: "<any>",
        Date: "date(%(expressions)s, '+0 days') = %(expressions)s AND %(expressions)s >= '0001-01-01'",
        # SQLite accepts the time 24:00:00.
        Time: "time(%(expressions)s) = %(expressions)s AND %(expressions)s < '24:00:00'",
        Minutes: "typeof(%(expressions)s) = 'integer' AND %(expressions)s BETWEEN 0 AND <max>",
    }
    json: ClassVar = "CAST(json_object(%(expressions)s) AS BLOB)"
    json_joiner: ClassVar = ", "
    empty_json: ClassVar = "CAST('{}' AS BLOB)"
    json_member: ClassVar = "'<name>', <value>"
    collation: ClassVar = "BINARY"
    locks_readers_out: ClassVar = False

    @staticmethod
    def slice_in_sql(column: str) -> str:
        return slices.in_sql(f"substr({column}, 1, 8)", f"substr({column}, 9, 2)")

    def native(self, kind: FieldType) -> Callable[[str], Any] | None:
        match kind:
            case Minutes():
                return kind.to_python
            case Boolean():
                return {"true": 1, "false": 0}.__getitem__
            case Uuid():
                return lambda text: text.replace("-", "")
            case Timestamp():
                return self.moment
            case Json():  # spelt as Django spells it
                return lambda text: json.dumps(kind.to_python(text))
        return None

    @staticmethod
    def moment(text: str) -> str:
        return f"{text[:10]} {text[11:-1].removesuffix('.000000')}"

    def _moment_stored(self) -> Func:
        # The sign removes the column's declared type, by which Django's converters go, and changes nothing else.
        return Func(F("created_at"), template="+%(expressions)s", output_field=TextField())

    def _moments(self, stored: Sequence[Any]) -> Sequence[str] | None:
        # Many records were created at one moment, so this takes a fraction of what it takes in SQL.
        texts = {moment: _canonical_moment(moment) for moment in set(stored)}
        return [texts[moment] for moment in stored] if TIMESTAMP.are_legal(texts.values()) else None

    @staticmethod
    def _encoded(objects: Sequence[Any]) -> Sequence[bytes] | None:
        try:
            b"".join(objects).decode()
        except UnicodeDecodeError:
            return None
        return objects

    def _wanted(self, types: Sequence[str | None], keys: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
        row = f"({', '.join(['%s'] * len(types))})"
        return f"(VALUES {', '.join([row] * len(keys))}) AS wanted", [value for key in keys for value in key]

    def _is_any(self, column: str) -> str:
        return f"{column} IN ({', '.join(['%s'] * LOOKUP)})"

    def _any_of(self, values: Sequence[Any]) -> list[Any]:
        return [*values, *[values[-1]] * (LOOKUP - len(values))]

    def _take_away(self, model: Model) -> list[str]:
        # A foreign key is a part of the table and stays.
        indexes = "SELECT list.name, sql FROM pragma_index_list(%s) AS list JOIN sqlite_master USING (name)"
        with self._connection.cursor() as cursor:
            cursor.execute(f'{indexes} WHERE NOT list."unique" ORDER BY name', [self._django(model)._meta.db_table])
            dropped = cursor.fetchall()
            for name, _statement in dropped:
                quoted = name.replace('"', '""')
                cursor.execute(f'DROP INDEX "{quoted}"')
        return [statement for _name, statement in dropped]

    def _set(self, model: Model, sources: Sequence[str], rows: Sequence[list[Any]]) -> int:
        table, key, *columns = self._quoted(model, "pk", *sources)
        values = ", ".join(f"{column} = %s" for column in columns)
        with self._connection.cursor() as cursor:
            cursor.executemany(f"UPDATE {table} SET {values} WHERE {key} = %s", rows)
            return int(cursor.rowcount)

    def _is_duplicate(self, error: IntegrityError) -> bool:
        return getattr(error.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_CONSTRAINT_UNIQUE
