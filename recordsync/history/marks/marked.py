"""The tables that triggers watch, and how SQL tells the place of a row from its columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from django.apps import apps
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from recordsync.history.places import ALL
from recordsync.model.schema import Field, Model, Schema

MARKS: Final = "recordsync_dirty"
"""The table of :class:`recordsync.models.Dirty`."""
PREFIX: Final = "recordsync_mark"
"""How the names of triggers begin, and of what belongs to them."""
EVERYWHERE: Final = f"'{ALL}'"


@dataclass(frozen=True)
class KeyReference:
    """A column of a key that refers to another table. Names are quoted for SQL, here and below."""

    column: str
    table: str
    """The table that it refers to."""
    target: str
    """The column that it refers to."""


@dataclass(frozen=True)
class Referring:
    """A model whose records have the name of a watched table's records in their own."""

    model: str
    """Its name, as a text in SQL."""
    target: str
    """The watched table's column that it refers to."""
    is_whole: bool
    """Whether all of it is marked: the column alone does not tell which places have a record's name."""


@dataclass(frozen=True)
class WatchedTable:
    """The table of a declared model."""

    model: str
    name: str
    """The table's name, not quoted."""
    table: str
    parents: tuple[KeyReference, ...]
    """Those references of the key that the partition has, in its order."""
    others: tuple[KeyReference, ...]
    """The other references of the key."""
    cut: str | None
    """The column of the date that cuts by slices."""
    key: tuple[str, ...]
    """The columns of the key."""
    referring: tuple[Referring, ...]
    """Who has other content, too, if a record gets another name or another primary key, or is deleted."""

    @property
    def literal(self) -> str:
        """The model's name, as a text in SQL."""
        return _literal(self.model)

    @property
    def targets(self) -> list[str]:
        """The columns that others refer to."""
        return list(dict.fromkeys(one.target for one in self.referring))


def watched(schema: Schema, quote: Callable[[str], str]) -> list[WatchedTable]:
    """The tables of a schema, in its order. ``quote`` quotes a name for SQL. The database is not touched."""
    return [_watched(schema, model, quote) for model in schema]


def _watched(schema: Schema, model: Model, quote: Callable[[str], str]) -> WatchedTable:
    def reference(field: Field) -> KeyReference:
        column = _column(model, field)
        target = column.target_field
        return KeyReference(quote(column.column), quote(target.model._meta.db_table), quote(str(target.column)))

    references = [field for field in model.key if field.references]
    table = _django(model)._meta.db_table
    return WatchedTable(
        model=model.name,
        name=table,
        table=quote(table),
        parents=tuple(reference(field) for field in references if field.name in model.partition),
        others=tuple(reference(field) for field in references if field.name not in model.partition),
        cut=None if model.cut_date is None else quote(_column(model, model.cut_date).column),
        key=tuple(quote(_column(model, field).column) for field in model.key),
        referring=tuple(dict.fromkeys(_referring(schema, model, quote))),
    )


def _referring(schema: Schema, model: Model, quote: Callable[[str], str]) -> Iterator[Referring]:
    for other in schema:
        parents = [field for field in other.key if field.references and field.name in other.partition]
        for field in other.all_fields.values():
            if field.references == model.name:
                target = _column(other, field).target_field
                yield Referring(_literal(other.name), quote(str(target.column)), is_whole=parents != [field])


def _django(model: Model) -> type[models.Model]:
    return apps.get_model(model.label)


def _column(model: Model, field: Field) -> models.ForeignKey[models.Model]:
    return _django(model)._meta.get_field(field.source)  # type: ignore[return-value] # its column is what is asked for


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class Triggers(ABC):
    """The triggers of one database: what makes them, and what is wrong with them."""

    def __init__(self, connection: BaseDatabaseWrapper, schema: Schema) -> None:
        self._connection = connection
        self.tables = watched(schema, connection.ops.quote_name)

    @abstractmethod
    def make(self) -> None:
        """Make them as they are defined, in place of what has a name like theirs. Raises RecordSyncError."""

    @abstractmethod
    def drop(self) -> None:
        """Drop what has a name like theirs."""

    @abstractmethod
    def faults(self) -> list[str]:
        """What is wrong with them, a sentence each."""

    def ways_past(self) -> list[str]:
        """By what the tables are written without them, a sentence each."""
        return []

    @abstractmethod
    def mark(self, model: str, parent: str = EVERYWHERE, slice_: str = EVERYWHERE) -> str:
        """The statement that sets a mark, from the SQL of its parts."""

    @staticmethod
    @abstractmethod
    def text(column: str) -> str:
        """The SQL of a column as text."""

    @staticmethod
    @abstractmethod
    def slice_of(column: str) -> str:
        """The SQL of the slice of a date, which is :data:`ALL` where it has none."""

    @staticmethod
    def marked_slice() -> str:
        """The SQL of the slice of a mark that was set."""
        return "slice"

    def place(self, table: WatchedTable, row: str) -> tuple[str, str]:
        """The SQL of the parent and of the slice of a row, which has this name. Neither is ever null."""
        parents = [f"coalesce({self.text(f'{row}.{one.column}')}, '')" for one in table.parents]
        return " || ',' || ".join(parents) or "''", "''" if table.cut is None else self.slice_of(f"{row}.{table.cut}")

    def places_of(self, table: WatchedTable, parents: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Each place in which these parents have rows, of a table whose partition has one reference."""
        (one,) = table.parents
        key = self.text(f"parent.{one.target}")
        _parent, slice_ = self.place(table, "day")
        with self._connection.cursor() as cursor:
            # The few parents first, because an index has the rows of each.
            cursor.execute(
                f"SELECT DISTINCT {key}, {slice_} FROM {one.table} AS parent CROSS JOIN {table.table} AS day "
                f"WHERE {key} IN ({', '.join(['%s'] * len(parents))}) AND day.{one.column} = parent.{one.target}",
                list(parents),
            )
            yield from cursor.fetchall()

    def mismatches(self, table: WatchedTable) -> Iterator[tuple[str, str]]:
        """The parent and the slice of each place whose number of rows is not that of its leaf.

        An index has the columns of a place: the rows of a day are counted from it, and few sums are left to be added.
        """
        columns = [one.column for one in table.parents] + ([] if table.cut is None else [table.cut])
        parent, slice_ = self.place(table, "day")
        with self._connection.cursor() as cursor:
            cursor.execute(
                f"SELECT parent, slice FROM (SELECT parent, slice, count AS number FROM recordsync_leaf "
                f"WHERE model = {table.literal} UNION ALL SELECT {parent}, {slice_}, -sum(number) FROM ("
                f"SELECT {', '.join([*columns, 'count(*) AS number'])} FROM {table.table} AS day "
                f"{self._with_parents(table.others)} {'GROUP BY ' if columns else ''}{', '.join(columns)}"
                f") AS day {self._with_parents(table.parents)} GROUP BY 1, 2"
                ") AS place GROUP BY parent, slice HAVING sum(number) <> 0"
            )
            yield from cursor.fetchall()

    @staticmethod
    def _with_parents(references: Sequence[KeyReference]) -> str:
        """The clause that leaves out what refers to a row that does not exist, of which there is no record."""
        tests = [
            f"EXISTS (SELECT 1 FROM {one.table} AS parent WHERE parent.{one.target} = day.{one.column})"
            for one in references
        ]
        return f"WHERE {' AND '.join(tests)}" if tests else ""
