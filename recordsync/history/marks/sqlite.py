"""Marks on SQLite: row triggers, one mark for each day of a place and generation. Whoever reads them cuts by slices.

A mark that is there is left as it is, so a bulk write costs an index search for each row. ``ON CONFLICT DO NOTHING`` is
not overridden by an ``OR …`` of the statement that a trigger runs in, as ``OR IGNORE`` is. That is there as well, so
that SQLite knows that a mark never fails, and need not keep what a statement changes in case one does. No trigger names
another table than its own and those of marks: SQLite refuses to rename a table, as migrations do, while a trigger names
a table that is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from recordsync.history.marks.marked import EVERYWHERE, MARKS, PREFIX, KeyReference, Referring, Triggers, WatchedTable
from recordsync.model import slices
from recordsync.model.fields import Date
from recordsync.stores import SqliteStore

GENERATIONS: Final = "recordsync_generation"
"""The table of :class:`recordsync.models.Generation`."""
_INDEX: Final = f"{PREFIX}_index"
_TABLE: Final = (
    f'CREATE TABLE "{MARKS}" ("id" integer NOT NULL PRIMARY KEY, "model" varchar(100) NOT NULL, '
    '"parent" text NOT NULL, "slice" varchar(10) NOT NULL, "generation" bigint DEFAULT 0 NOT NULL)'
)
"""What makes the table of marks: as Django does, but for AUTOINCREMENT, by which each statement reads another table."""
_MADE: Final = f"FROM sqlite_master WHERE type IN ('trigger', 'index') AND name GLOB '{PREFIX}_*'"


class SqliteTriggers(Triggers):
    """The triggers, the unique index of marks, and their table without ``AUTOINCREMENT``."""

    def make(self) -> None:
        self.drop()
        with self._connection.cursor() as cursor:
            # Without the marks that are there, of which several may be of one place: no index kept them apart.
            cursor.execute(f"DROP TABLE {MARKS}")
            cursor.execute(_TABLE)
            for statement in self._statements().values():
                cursor.execute(statement)

    def drop(self) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT type, name {_MADE}")
            for kind, name in cursor.fetchall():
                cursor.execute(f"DROP {kind} {self._connection.ops.quote_name(name)}")

    def faults(self) -> list[str]:
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT name, sql {_MADE} OR name = '{MARKS}'")
            found: Mapping[str, str] = dict(cursor.fetchall())
        wanted = {MARKS: _TABLE, **self._statements()}
        return [
            *(f"{_named(name)} is missing." for name in wanted if name not in found),
            *(
                f"{_named(name)} is not as it was made."
                for name in found
                if wanted.get(name, found[name]) != found[name]
            ),
            *(f"{_named(name)} belongs to no table that is backed up." for name in found if name not in wanted),
        ]

    def mark(self, model: str, parent: str = EVERYWHERE, slice_: str = EVERYWHERE) -> str:
        generation = f"coalesce((SELECT number FROM {GENERATIONS}), 0)"
        return (
            f"INSERT OR IGNORE INTO {MARKS} (model, parent, slice, generation) "
            f"VALUES ({model}, {parent}, {slice_}, {generation}) ON CONFLICT DO NOTHING"
        )

    def mismatches(self, table: WatchedTable) -> Iterator[tuple[str, str]]:
        # Usually all fit. To count what each leaf has, and all rows, finds that out in a third of the time, and with
        # many parents in a tenth: nothing is sorted.
        if len(table.parents) != 1 or table.cut is None or not self._all_fit(table, table.parents[0], table.cut):
            yield from super().mismatches(table)

    def _all_fit(self, table: WatchedTable, parent: KeyReference, cut: str) -> bool:
        """Whether each leaf has its parent and as many rows as it says, and there are no other rows."""
        leaves = f"recordsync_leaf AS leaf WHERE leaf.model = {table.literal}"
        days = f"day.{cut} >= leaf.slice AND day.{cut} < {slices.end_in_sql('leaf.slice')}"
        rows = f"SELECT count(*) FROM {table.table} AS day WHERE day.{parent.column} = leaf.parent AND {days}"
        there = f"SELECT 1 FROM {parent.table} AS parent WHERE parent.{parent.target} = leaf.parent"
        with self._connection.cursor() as cursor:
            cursor.execute(
                f"SELECT (SELECT count(*) FROM {table.table}) = (SELECT coalesce(sum(leaf.count), 0) FROM {leaves}) "
                f"AND NOT EXISTS (SELECT 1 FROM {leaves} "
                f"AND (leaf.count <> ({rows}) OR NOT EXISTS ({there})))"
            )
            return bool(cursor.fetchone()[0])

    @staticmethod
    def text(column: str) -> str:
        return f"CAST({column} AS TEXT)"

    @staticmethod
    def slice_of(column: str) -> str:
        is_legal = SqliteStore.legal[Date].replace("%(expressions)s", column)
        return f"CASE WHEN {is_legal} THEN {SqliteStore.slice_in_sql(column)} ELSE {EVERYWHERE} END"

    @staticmethod
    def marked_slice() -> str:
        return f"CASE slice WHEN '' THEN '' ELSE {SqliteTriggers.slice_of('slice')} END"

    def _statements(self) -> dict[str, str]:
        """What makes the index and each trigger, by their names."""
        statements = {_INDEX: f'CREATE UNIQUE INDEX "{_INDEX}" ON {MARKS} (model, parent, slice, generation)'}
        for table in self.tables:
            for event, when, marks in self._triggers(table):
                name = f"{PREFIX}_{table.model}_{event}"
                body = "".join(f"  {statement};\n" for statement in marks)
                statements[name] = f"CREATE TRIGGER {self._connection.ops.quote_name(name)} {when} BEGIN\n{body}END"
        return statements

    def _triggers(self, table: WatchedTable) -> list[tuple[str, str, list[str]]]:
        """The end of each trigger's name, when it runs, and its statements."""
        of_old, of_new = (self.mark(table.literal, *self._day(table, row)) for row in ("OLD", "NEW"))
        placing = [one.column for one in table.parents] + ([] if table.cut is None else [table.cut])
        children = [[self._mark_child(one, row) for one in table.referring] for row in ("OLD", "NEW")]
        triggers = [
            ("insert", f"AFTER INSERT ON {table.table}", [of_new]),
            ("update", f"AFTER UPDATE ON {table.table}", [of_old]),
            ("delete", f"AFTER DELETE ON {table.table}", [of_old, *children[0]]),
        ]
        if placing:
            moved = " OR ".join(f"OLD.{column} COLLATE BINARY IS NOT NEW.{column}" for column in placing)
            triggers.append(("move", f"AFTER UPDATE ON {table.table} WHEN {moved}", [of_new]))
        if table.referring:
            renamed = " OR ".join(f"OLD.{column} IS NOT NEW.{column}" for column in table.targets)
            name = " OR ".join(f"{{}}.{column} COLLATE BINARY IS NOT NEW.{column}" for column in table.key)
            same = " OR ".join(f"{table.table}.{column} = NEW.{column}" for column in table.targets)
            is_replaced = f"EXISTS (SELECT 1 FROM {table.table} WHERE ({same}) AND ({name.replace('{}', table.table)}))"
            triggers += [
                (
                    "rename",
                    f"AFTER UPDATE ON {table.table} WHEN {renamed} OR {name.replace('{}', 'OLD')}",
                    children[0] + children[1],
                ),
                # REPLACE may give a record another name without an update or a deletion that a trigger sees.
                ("replace", f"BEFORE INSERT ON {table.table} WHEN {is_replaced}", children[1]),
            ]
        return triggers

    def _day(self, table: WatchedTable, row: str) -> tuple[str, str]:
        """The SQL of the parent of a row, which has this name, and of its date, in place of its slice.

        No function is called: where a trigger calls one, SQLite keeps what a statement changes, in case it fails.
        """
        parent, _slice = self.place(table, row)
        return parent, "''" if table.cut is None else f"coalesce({row}.{table.cut}, {EVERYWHERE})"

    def _mark_child(self, one: Referring, row: str) -> str:
        if one.is_whole:
            return self.mark(one.model)
        return self.mark(one.model, f"coalesce({self.text(f'{row}.{one.target}')}, '')")


def _named(name: str) -> str:
    kind = {_INDEX: "index", MARKS: "table"}.get(name, "trigger")
    return f"The {kind} {name}"
