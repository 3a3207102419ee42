"""Marks: which places of a register were written to since its head.

Triggers set them, so that every way to write is seen: the ORM, bulk writes, and SQL of any client. What goes past
triggers shows in :func:`mismatches`. ``using`` is the alias of the register's database.

A mark is the name of a model and a :class:`~recordsync.history.places.Place`. With
:data:`~recordsync.history.places.ALL` as its slice it means all slices of that parent, and with that as both the whole
model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from django.db import connections, transaction

from recordsync.errors import RecordSyncError
from recordsync.history.marks.marked import MARKS, Triggers
from recordsync.history.marks.postgres import PostgresTriggers
from recordsync.history.marks.sqlite import GENERATIONS, SqliteTriggers
from recordsync.history.places import Place
from recordsync.model.schema import Model, Schema

__all__ = [
    "Marks", "clear", "faults", "install", "is_last", "mark_all", "mismatches", "places_of", "raise_generation", "read",
    "remove", "ways_past",
]  # fmt: skip

Marks = frozenset[tuple[str, Place]]
"""The names of models, and where in them something was written."""

_TRIGGERS: Final[Mapping[str, type[Triggers]]] = {"sqlite": SqliteTriggers, "postgresql": PostgresTriggers}
_TOGETHER: Final = 300
"""How many parents one query names. Old versions of SQLite take 999 parameters."""
_ONE_MOMENT: Final = ("repeatable read", "serializable")
"""The levels at which a transaction of PostgreSQL sees the same rows from its beginning to its end."""


def install(using: str, schema: Schema) -> None:
    """Make the triggers as they are defined, and mark everything: until then, writes may not have been seen.

    Raises RecordSyncError where this account may not make them; nothing is changed then.
    """
    with transaction.atomic(using=using):
        _triggers(using, schema).make()
        mark_all(using, schema)


def remove(using: str, schema: Schema) -> None:
    """Drop the triggers, before the tables of marks are altered. :func:`install` is to follow."""
    with transaction.atomic(using=using):
        _triggers(using, schema).drop()


def faults(using: str, schema: Schema) -> list[str]:
    """What is wrong with the triggers, a sentence each: nothing if all are there, run, and are as they were made.

    Reads the database's catalogue, and no table.
    """
    return _triggers(using, schema).faults()


def ways_past(using: str, schema: Schema) -> list[str]:
    """By what the tables are written without triggers, however these are made, a sentence each: usually nothing.

    Reads the database's catalogue, and no table.
    """
    return _triggers(using, schema).ways_past()


def raise_generation(using: str) -> int:
    """The generation of the marks that are there, for :func:`clear`. Marks that are set later are of another one.

    SQLite: writes, in a transaction that has to be short. PostgreSQL: always 0, because a transaction there can delete
    exactly the marks that it sees.
    """
    if connections[using].vendor != "sqlite":
        return 0
    with connections[using].cursor() as cursor:
        cursor.execute(f"UPDATE {GENERATIONS} SET number = number + 1")
        if not cursor.rowcount:
            cursor.execute(f"INSERT INTO {GENERATIONS} (id, number) VALUES (1, 1)")
        cursor.execute(f"SELECT number - 1 FROM {GENERATIONS}")
        return int(cursor.fetchone()[0])


def is_last(using: str, generation: int) -> bool:
    """Whether no later generation was raised than the one after this, which :func:`raise_generation` gave.

    PostgreSQL: always, because no two transactions can delete the same marks.
    """
    if connections[using].vendor != "sqlite":
        return True
    with connections[using].cursor() as cursor:
        cursor.execute(f"SELECT number FROM {GENERATIONS}")
        return bool(cursor.fetchone() == (generation + 1,))


def read(using: str) -> Marks:
    """The marks that the current transaction sees."""
    with connections[using].cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT model, parent, {_kind(using).marked_slice()} FROM {MARKS}")
        return frozenset((model, Place(parent, first_day)) for model, parent, first_day in cursor.fetchall())


def places_of(using: str, schema: Schema, model: Model, parents: Iterable[str]) -> set[Place] | None:
    """Each place in which these parents have rows of a model. The slice of a date that no file can hold is
    :data:`~recordsync.history.places.ALL`. None where the model's partition has not exactly one reference, so that an
    index would not help.
    """
    triggers = _triggers(using, schema)
    (table,) = (table for table in triggers.tables if table.model == model.name)
    if len(table.parents) != 1:
        return None
    found: set[Place] = set()
    stream = iter(parents)
    while some := list(islice(stream, _TOGETHER)):
        found.update(Place(*place) for place in triggers.places_of(table, some))
    return found


def clear(using: str, generation: int | None) -> None:
    """Delete the marks of places that were read, in the transaction that writes what was read of them.

    SQLite: those of this generation, which :func:`raise_generation` gave, and of those before. PostgreSQL: exactly
    those that the transaction sees; raises RuntimeError if it sees what others commit meanwhile. Without a generation:
    all marks, because nobody else can write the register or its marks while this transaction lasts.
    """
    with connections[using].cursor() as cursor:
        if generation is None:
            cursor.execute(f"DELETE FROM {MARKS}")
            return
        if connections[using].vendor == "sqlite":
            cursor.execute(f"DELETE FROM {MARKS} WHERE generation <= %s", [generation])
            return
        cursor.execute("SHOW transaction_isolation")
        if cursor.fetchone()[0] not in _ONE_MOMENT:
            raise RuntimeError("This transaction would delete marks that it has not read.")
        cursor.execute(f"DELETE FROM {MARKS}")


def mark_all(using: str, schema: Schema) -> None:
    """Mark every model whole."""
    triggers = _triggers(using, schema)
    with connections[using].cursor() as cursor:
        for table in triggers.tables:
            cursor.execute(triggers.mark(table.literal))


def mismatches(using: str, schema: Schema) -> Iterator[tuple[str, Place]]:
    """The places whose number of rows is not that of their leaf in the head's tree
    (:class:`recordsync.models.Leaf`), rows without a leaf and leaves without rows among them.

    Rows that refer to a row that does not exist do not count, because no file has them. Reads an index of each table.
    """
    triggers = _triggers(using, schema)
    for table in triggers.tables:
        for parent, first_day in triggers.mismatches(table):
            yield table.model, Place(parent, first_day)


def _triggers(using: str, schema: Schema) -> Triggers:
    return _kind(using)(connections[using], schema)


def _kind(using: str) -> type[Triggers]:
    vendor = connections[using].vendor
    if vendor not in _TRIGGERS:
        raise RecordSyncError(f"There are no triggers for a database of the kind {vendor}.")
    return _TRIGGERS[vendor]
