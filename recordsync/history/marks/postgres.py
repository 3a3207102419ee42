"""Marks on PostgreSQL: statement triggers that append a mark for each place that a statement writes to.

Marks have an identity and no other key, so two writers never wait for each other. The triggers run always: also where
``session_replication_role`` says that others do not. Their functions run as their owner, so whoever may write to a
table needs no right on the marks. They name their tables with the schema, because a restore of a dump has no search
path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.db import ProgrammingError
from django.db.backends.utils import truncate_name

from recordsync.errors import RecordSyncError
from recordsync.history.marks.marked import EVERYWHERE, MARKS, PREFIX, Referring, Triggers, WatchedTable
from recordsync.model.fields import Date
from recordsync.stores import PostgresStore

_NOT_ALLOWED: Final = "42501"
"""The SQLSTATE insufficient_privilege."""
_ALWAYS: Final = "A"
"""In pg_trigger.tgenabled: whatever ``session_replication_role`` is."""
_LONGEST_NAME: Final = 63
_PATH: Final = "pg_catalog, pg_temp"
"""The schemas in which a function that runs as its owner looks for what it names without one."""
_WAYS_PAST: Final = (
    "can be written by way of its parts or of the table that it is a part of",
    "is written by a replication",
)
_OLD: Final = "old_rows"
_NEW: Final = "new_rows"

# The bits of pg_trigger.tgtype. None of them: after the event, once for a statement.
_EVENTS: Final[Mapping[str, tuple[int, str | None, str | None]]] = {
    "insert": (4, None, _NEW),
    "delete": (8, _OLD, None),
    "update": (16, _OLD, _NEW),
    "truncate": (32, None, None),
}
"""For each event its bit, and the names of the tables of old and new rows."""


class PostgresTriggers(Triggers):
    """The triggers, and for each table the function that they run."""

    def make(self) -> None:
        try:
            self.drop()
            schema, marks = self._marks()
            with self._connection.cursor() as cursor:
                for table in self.tables:
                    function = self._function(schema, table)
                    cursor.execute(
                        f"CREATE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
                        f"SET search_path = {_PATH} AS $body${self._body(table, marks)}$body$"
                    )
                    for event, (_bit, old, new) in _EVENTS.items():
                        rows = [f"OLD TABLE AS {old}"] * bool(old) + [f"NEW TABLE AS {new}"] * bool(new)
                        referencing = f" REFERENCING {' '.join(rows)}" if rows else ""
                        cursor.execute(
                            f"CREATE TRIGGER {_trigger(event)} AFTER {event} ON {table.table}{referencing} "
                            f"FOR EACH STATEMENT EXECUTE FUNCTION {function}"
                        )
                        cursor.execute(f"ALTER TABLE {table.table} ENABLE ALWAYS TRIGGER {_trigger(event)}")
        except ProgrammingError as error:
            if getattr(error.__cause__, "sqlstate", None) != _NOT_ALLOWED:
                raise
            raise RecordSyncError(
                "The triggers that mark what is written were not made, because only the owner of the register's tables "
                "may make them. Migrate as the owner. Until then everything is read anew for each snapshot."
            ) from error

    def drop(self) -> None:
        schema, _marks = self._marks()
        with self._connection.cursor() as cursor:
            there = self._connection.introspection.table_names(cursor)
            # Nobody reads or writes one table and waits for the other, meanwhile.
            locked = ", ".join(table.table for table in self.tables if table.name in there)
            if locked:
                cursor.execute(f"LOCK TABLE {locked} IN ACCESS EXCLUSIVE MODE")
            for table in self.tables:
                for event in _EVENTS:
                    cursor.execute(f"DROP TRIGGER IF EXISTS {_trigger(event)} ON {table.table}")
                cursor.execute(f"DROP FUNCTION IF EXISTS {self._function(schema, table)} CASCADE")

    def faults(self) -> list[str]:
        with self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT relname, tgname, tgenabled, tgtype, tgoldtable, tgnewtable, tgqual IS NULL, "
                "tgattr::text, tgnargs, lanname, prosecdef, proconfig, prosrc FROM pg_trigger "
                "JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_proc ON pg_proc.oid = tgfoid "
                "JOIN pg_language ON pg_language.oid = prolang "
                "WHERE tgrelid IN (SELECT to_regclass(name) FROM unnest(%s::text[]) AS name) AND tgname = ANY (%s)",
                [[table.table for table in self.tables], [_trigger(event) for event in _EVENTS]],
            )
            found = {(table, trigger): rest for table, trigger, *rest in cursor.fetchall()}
        _schema, marks = self._marks()
        return [
            f"The trigger {_trigger(event)} of the table {table.name} {fault}"
            for table in self.tables
            for event in _EVENTS
            if (fault := self._fault(found.get((table.name, _trigger(event))), event, self._body(table, marks)))
        ]

    @staticmethod
    def _fault(found: Sequence[Any] | None, event: str, body: str) -> str | None:
        if found is None:
            return "is missing."
        enabled, *made = found
        if made != [*_EVENTS[event], True, "", 0, "plpgsql", True, [f"search_path={_PATH}"], body]:
            return "is not as it was made."
        return None if enabled == _ALWAYS else "is disabled, or not enabled always."

    def ways_past(self) -> list[str]:
        with self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT relname, EXISTS (SELECT FROM pg_inherits WHERE oid IN (inhrelid, inhparent)), "
                "EXISTS (SELECT FROM pg_subscription_rel WHERE srrelid = oid) "
                "FROM pg_class WHERE oid IN (SELECT to_regclass(name) FROM unnest(%s::text[]) AS name) ORDER BY 1",
                [[table.table for table in self.tables]],
            )
            found = cursor.fetchall()
        return [
            f"The table {name} {way}, past the triggers that mark what is written."
            for name, *ways in found
            for way, is_there in zip(_WAYS_PAST, ways, strict=True)
            if is_there
        ]

    def mark(self, model: str, parent: str = EVERYWHERE, slice_: str = EVERYWHERE) -> str:
        return f"INSERT INTO {MARKS} (model, parent, slice) VALUES ({model}, {parent}, {slice_})"

    @staticmethod
    def text(column: str) -> str:
        return f"{column}::text"

    @staticmethod
    def slice_of(column: str) -> str:
        is_legal = PostgresStore.legal[Date].replace("%(expressions)s", column)
        return f"CASE WHEN {is_legal} THEN {PostgresStore.slice_in_sql(column)} ELSE {EVERYWHERE} END"

    def _marks(self) -> tuple[str, str]:
        """The quoted name of the schema of the table of marks, and of the table with it."""
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = '{MARKS}'::regclass")
            schema = str(cursor.fetchone()[0])
        return schema, f"{schema}.{MARKS}"

    def _function(self, schema: str, table: WatchedTable) -> str:
        name = truncate_name(f"{PREFIX}_{table.model}", _LONGEST_NAME)
        return f"{schema}.{self._connection.ops.quote_name(name)}()"

    def _body(self, table: WatchedTable, marks: str) -> str:
        """The text of the function that the triggers of a table run. ``marks``: the table of marks."""
        statements = {
            "INSERT": [self._mark_places(table, _NEW)],
            "UPDATE": [
                self._mark_places(table, _OLD, _NEW),
                *(self._mark_renamed(table, one) for one in table.referring),
            ],
            "DELETE": [self._mark_places(table, _OLD), *(_mark_children(one, _OLD) for one in table.referring)],
            "TRUNCATE": [
                f"VALUES ({model}, {EVERYWHERE}, {EVERYWHERE})"
                for model in dict.fromkeys([table.literal, *(one.model for one in table.referring)])
            ],
        }
        branches = "  ELS".join(
            f"IF TG_OP = '{event}' THEN\n"
            + "".join(f"    INSERT INTO {marks} (model, parent, slice)\n      {query};\n" for query in queries)
            for event, queries in statements.items()
        )
        return f"\nBEGIN\n  {branches}  END IF;\n  RETURN NULL;\nEND\n"

    def _mark_places(self, table: WatchedTable, *rows: str) -> str:
        columns = [one.column for one in table.parents] + ([] if table.cut is None else [table.cut])
        parent, slice_ = self.place(table, "place")
        if not columns:
            return f"SELECT {table.literal}, {parent}, {slice_} FROM {rows[0]} LIMIT 1"
        # Few days are told apart before the text of a slice is made of each.
        days = " UNION ".join(f"SELECT DISTINCT {', '.join(columns)} FROM {name}" for name in rows)
        return f"SELECT DISTINCT {table.literal}, {parent}, {slice_} FROM ({days}) AS place"

    def _mark_renamed(self, table: WatchedTable, one: Referring) -> str:
        """The query for the marks of those who refer to a record that has another name or primary key now."""
        named = ", ".join([*table.targets, *(f'{column}::text COLLATE "C"' for column in table.key)])
        before, after = (f"SELECT {named} FROM {name}" for name in (_OLD, _NEW))
        return _mark_children(one, f"(({before} EXCEPT {after}) UNION ALL ({after} EXCEPT {before})) AS renamed")


def _mark_children(one: Referring, rows: str) -> str:
    """The query for the marks of those who refer to these rows, a table or a query."""
    if one.is_whole:
        return f"SELECT {one.model}, {EVERYWHERE}, {EVERYWHERE} FROM {rows} LIMIT 1"
    return f"SELECT DISTINCT {one.model}, coalesce({one.target}::text, ''), {EVERYWHERE} FROM {rows}"


def _trigger(event: str) -> str:
    return f"{PREFIX}_{event}"
