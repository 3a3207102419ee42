"""The base of the fast stores, which leave exactly what :class:`OrmStore` leaves.

The database itself gives every column in its canonical text, so that no Python object is made of a date or a time.
Rows are written by ``executemany`` on SQLite, and by ``COPY`` and one ``UPDATE`` from arrays on PostgreSQL.
"""

from __future__ import annotations

import datetime as dt
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice, repeat
from typing import Any, ClassVar, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import IntegrityError, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, F, Func, Q, TextField, Value
from django.db.models.functions import Collate

from recordsync.errors import RecordSyncError, RegisterMoved
from recordsync.model import slices
from recordsync.model.fields import MAX_MINUTES, TIMESTAMP, Choice, FieldType, Minutes, Text
from recordsync.model.records import Key, Partition, Record
from recordsync.model.schema import Field, Model
from recordsync.stores.orm import OrmStore, changed
from recordsync.streams import Change
from recordsync.streams.lines import SplicedLines

_T = TypeVar("_T")

_MANY = 2000
"""Changes from which it pays to make indexes afterwards."""
_TIMES_AS_MANY = 2
"""So many times the rows that are there."""

_FETCH = 2000
"""Rows that one fetch asks for."""


class SqlStore(OrmStore):
    """A store that reads texts, and writes rows as the driver takes them."""

    texts: ClassVar[Mapping[type[FieldType], str]]
    """The SQL that gives the canonical text of a column. An illegal value gives a text that is refused."""
    json_texts: ClassVar[Mapping[type[FieldType], str]]
    """The same inside a JSON object, where a legal value may need less."""
    legal: ClassVar[Mapping[type[FieldType], str]]
    """The SQL that says whether a column's value, which is not null, is legal."""
    json: ClassVar[str]
    """The SQL of a JSON object of members."""
    json_member: ClassVar[str]
    """The SQL of a member: its name, and its value."""
    locks_readers_out: ClassVar[bool]
    """Whether nobody can read a table until the end of a transaction that takes indexes away from it."""
    collation: ClassVar[str]
    """The collation that compares texts by code point."""

    def _read_with_pk(
        self, model: Model, rows: models.QuerySet[Any], constants: Mapping[str, str]
    ) -> Iterator[tuple[Any, Record]]:
        return self._as_records(model, self._fetch(*self._compiled(self._texts(model, rows, constants))))

    def _read_by_reference(self, model: Model, where: Q | None) -> Iterator[Record]:
        # Compiled once for all parents. The first parameter is the parent's name, which is selected, and the last is
        # the parent's primary key.
        assert model.reference is not None
        table, column = self._quoted(model, model.reference.source)
        of_parent = self._in_key_order(model, where).extra(where=[f"{table}.{column} = %s"], params=[None])
        sql, parameters = self._compiled(self._texts(model, of_parent, {model.reference.name: ""}))
        between = parameters[1:-1]
        for name, pk in sorted(self._parent_ids(model).items()) if sql else ():
            for _pk, record in self._as_records(model, self._fetch(sql, (name, *between, pk))):
                yield record

    def lines(self, model: Model, where: Q | None = None) -> Iterator[bytes]:
        if model.reference is None:  # few records, which are sorted here
            return super().lines(model, where)
        return _or_by_records(self._lines_in_sql(model, model.reference, where), super().lines(model, where))

    def _lines_in_sql(self, model: Model, reference: Field, where: Q | None) -> Iterator[bytes | None]:
        """The line of each record, made from the database's JSON; None for one that may be illegal."""
        for _name, line, rows in self._rows_for_lines(model, reference, where):
            for parts in rows:
                yield None if line is None or None in parts else line(*parts)

    def _cut(self, model: Model, where: Q | None) -> Iterator[tuple[Partition, bytes]]:
        if model.reference is None:
            return super()._cut(model, where)
        return _or_by_records(self._cut_in_sql(model, model.reference, where), super()._cut(model, where))

    def _cut_in_sql(self, model: Model, reference: Field, where: Q | None) -> Iterator[tuple[Partition, bytes] | None]:
        """Each of :meth:`_lines_in_sql` beside its partition. No line is parsed: the database gives the slice, too."""
        cut = model.cut_date
        beside = [] if cut is None else [Func(F(cut.source), template=self.slice_in_sql("%(expressions)s"))]
        names = len(model.partition) - len(beside)
        for name, line, rows in self._rows_for_lines(model, reference, where, beside):
            partition = (name,)[:names]
            first = ""
            for parts in rows:
                if line is None or None in parts:
                    yield None
                elif cut is None:
                    yield partition, line(*parts)
                else:
                    if first != parts[-1]:
                        first = parts[-1]
                        partition = (*partition[:names], *slices.parts(first))
                    yield partition, line(*parts[:-1])

    def _rows_for_lines(
        self, model: Model, reference: Field, where: Q | None, beside: Sequence[Func] = ()
    ) -> Iterator[tuple[str, Callable[..., bytes] | None, Iterator[tuple[Any, ...]]]]:
        """For each record that the model's key refers to, in order: its name, the function that makes a line from what
        the database gives (None: the name is not legal), and what it gives of each row, then ``beside``.

        The database sorts by bytes, which is the order of code points.
        """
        spliced = SplicedLines(model.names, reference.name, model.later)
        table, column = self._quoted(model, reference.source)
        of_parent = self._in_code_point_order(model, where).extra(where=[f"{table}.{column} = %s"], params=[None])
        created_at = self._text("created_at", TIMESTAMP)
        texts = [self._json_if_legal(model, names) for names in spliced.groups]
        sql, parameters = self._compiled(of_parent.values_list(created_at, *texts, *beside))
        for name, pk in sorted(self._parent_ids(model).items()) if sql else ():
            line = None if reference.type.error(name) else spliced.of(name)
            yield name, line, self._fetch(sql, (*parameters[:-1], pk), _without_illegal_moments)

    def _in_code_point_order(self, model: Model, where: Q | None) -> models.QuerySet[Any]:
        others = [field for field in model.key if field is not model.reference]
        texts = [isinstance(field.type, Text) for field in others]
        return self._rows(model, where).order_by(
            *(Collate(f.source, self.collation) if text else f.source for f, text in zip(others, texts, strict=True))
        )

    def _json_if_legal(self, model: Model, names: Sequence[str]) -> Func:
        """A JSON object with these fields, in this order and without white space; null where the row is not legal."""
        members = [self._member(name, model.all_fields[name]) for name in names]
        json = Func(*members, template=self.json, output_field=TextField())
        if names[0] in model.later:
            column = F(model.all_fields[names[0]].source)
            empty = "CASE WHEN %(expressions)s END"
            json = Func(column, json, template=empty, arg_joiner=" IS NULL THEN '{}' ELSE ", output_field=TextField())
        template = "CASE WHEN %(expressions)s END"
        return Func(self._is_legal(model), json, template=template, arg_joiner=" THEN ", output_field=TextField())

    def _member(self, name: str, field: Field) -> Func:
        text = self.json_texts.get(type(field.type), self.texts[type(field.type)])
        template = self.json_member.replace("<name>", name).replace("<value>", text)
        return Func(F(field.source), template=template, output_field=TextField())

    def _is_legal(self, model: Model) -> Func:
        """Whether what is stored has a legal text in every field."""
        tests = [
            Func(F(field.source), template=self._legality(field.type), output_field=BooleanField())
            for field in model.all_fields.values()
            if not field.references
        ]
        return Func(*tests, template="(%(expressions)s)", arg_joiner=" AND ", output_field=BooleanField())

    def _legality(self, kind: FieldType) -> str:
        match kind:
            case Text():
                bounds = {"<min>": str(kind.min_length), "<max>": str(kind.max_length)}
            case Minutes():
                bounds = {"<max>": str(MAX_MINUTES)}
            case Choice():
                # Not IN, of which SQLite builds a table for each row.
                values = [value.replace("'", "''").replace("%", "%%%%") for value in kind.values]
                bounds = {"<any>": " OR ".join(f"%(expressions)s = '{value}'" for value in values)}
            case _:
                bounds = {}
        test = self.legal[type(kind)]
        for name, bound in bounds.items():
            test = test.replace(name, bound)
        return f"(%(expressions)s IS NULL OR ({test}))" if kind.nullable else f"({test})"

    @contextmanager
    def filling(self, most: int, *, alone: bool = False) -> Iterator[None]:
        statements: list[str] = []
        if most >= _MANY and (alone or not self.locks_readers_out):
            for model in self.schema:
                if not self.has_more_than(model, (most - 1) // _TIMES_AS_MANY):
                    statements += self._take_away(model)
        yield
        with self._connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def _find(self, model: Model, keys: Sequence[Key]) -> Iterator[tuple[Any, Record]]:
        if model.reference is None:
            yield from super()._find(model, keys)
            return
        position, parents = model.key.index(model.reference), self._parent_ids(model)
        known = [key for key in keys if key[position] in parents]
        if not known:
            return
        table, pk, *columns = self._quoted(model, "pk", *(part.source for part in model.key))
        types = [self._field(model, part.source).rel_db_type(self._connection) for part in model.key]
        values = [[parents[value] if index == position else value for index, value in enumerate(key)] for key in known]
        equal = " AND ".join(f"stored.{column} = wanted.column{number}" for number, column in enumerate(columns, 1))
        # A join with the keys first, because SQLite scans the whole table for (a, b, c) IN (VALUES ...).
        wanted, parameters = self._wanted(types, values)
        keyed = f"SELECT stored.{pk} FROM {wanted} CROSS JOIN {table} AS stored WHERE {equal}"
        rows = self._rows(model).extra(where=[f"{table}.{pk} IN ({keyed})"], params=parameters).order_by()
        with self._connection.cursor() as cursor:  # a cursor in the server takes three round trips
            cursor.execute(*self._compiled(self._texts(model, rows, {})))
            texts = cursor.fetchall()
        yield from sorted(self._as_records(model, texts), key=lambda pair: pair[1].key)

    def _texts(
        self, model: Model, rows: models.QuerySet[Any], constants: Mapping[str, str]
    ) -> models.QuerySet[Any, tuple[Any, ...]]:
        """The query for each row's primary key, ``created_at`` and content, in text."""
        columns: list[Any] = [F("pk"), self._text("created_at", TIMESTAMP)]
        for name, field in model.all_fields.items():
            if name in constants:
                columns.append(Value(constants[name], output_field=TextField()))
            elif field.references:
                (parent_key,) = self.schema[field.references].key
                columns.append(self._text(f"{field.source}__{parent_key.source}", parent_key.type))
            else:
                columns.append(self._text(field.source, field.type))
        return rows.values_list(*columns)

    def _text(self, column: str, kind: FieldType) -> Func:
        return Func(F(column), template=self.texts[type(kind)], output_field=TextField())

    def _compiled(self, rows: models.QuerySet[Any, tuple[Any, ...]]) -> tuple[str, tuple[Any, ...]]:
        """The SQL of a query and its parameters. The SQL is blank if Django knows that the query finds nothing."""
        try:
            sql, parameters = rows.query.get_compiler(self.using).as_sql()
        except EmptyResultSet:
            return "", ()
        return sql, tuple(parameters)

    def _fetch(
        self,
        sql: str,
        parameters: Sequence[Any],
        look_at: Callable[[list[tuple[Any, ...]]], list[tuple[Any, ...]]] | None = None,
    ) -> Iterator[tuple[Any, ...]]:
        """The rows as the driver gives them, and as ``look_at`` returns them. Django's conversions would cost as much
        as everything else."""
        if not sql:
            return
        with self._connection.chunked_cursor() as cursor:
            cursor.execute(sql, parameters)
            while batch := cursor.fetchmany(_FETCH):
                yield from batch if look_at is None else look_at(batch)

    @staticmethod
    def _as_records(model: Model, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, Record]]:
        record = model.shape().record
        for row in rows:
            yield row[0], record(row[2:], row[1])

    def _to_look_up(self, changes: Sequence[Change]) -> Sequence[Change]:
        # The unique constraint finds an added record that is there already.
        return [change for change in changes if change.before is not None]

    def add(self, model: Model, records: Sequence[Record], now: dt.datetime) -> None:
        self._parents.pop(model.name, None)
        self._add(model, records, now)

    def _add(self, model: Model, records: Sequence[Record], now: dt.datetime) -> None:
        if not records:
            return
        sources = [*(field.source for field in model.all_fields.values()), "created_at", "updated_at"]
        natives = [(model.names.index(name), native) for name, native in self._natives(model).items()]
        try:
            self._insert(model, sources, self._rows_to_add(records, natives, now))
        except IntegrityError as error:
            if not self._is_duplicate(error):
                raise
            raise RegisterMoved(f"A record of {model.name} to be added is there already.") from error

    def _rows_to_add(
        self, records: Sequence[Record], natives: Sequence[tuple[int, Callable[[str], Any]]], now: dt.datetime
    ) -> Iterator[tuple[Any, ...]]:
        """The values of each record in the order of its fields, then when it was created and updated.

        Asks the database nothing: on PostgreSQL the connection is in the middle of a COPY. Goes column by column, which
        costs half as much as row by row.
        """
        written = self._moment(now)
        columns: list[Iterable[Any]] = list(zip(*(record.values for record in records), strict=True))
        for position, native in natives:
            columns[position] = [None if value is None else native(value) for value in columns[position]]
        created = [written if record.created_at is None else self.moment(record.created_at) for record in records]
        return zip(*columns, created, repeat(written))

    def _natives(self, model: Model) -> dict[str, Callable[[str], Any]]:
        """For fields whose text the driver does not take, the function that gives what it takes."""
        natives: dict[str, Callable[[str], Any]] = {}
        for name, field in model.all_fields.items():
            if field.references:
                natives[name] = self._parent_ids(model).__getitem__
            elif isinstance(field.type, Minutes):
                natives[name] = field.type.to_python
        return natives

    def _update(
        self, model: Model, changes: Sequence[Change], rows: Mapping[Key, tuple[Any, Record]], now: dt.datetime
    ) -> None:
        groups: dict[tuple[str, ...], list[list[Any]]] = defaultdict(list)
        natives = self._natives(model)
        written = self._moment(now)
        for change in changes:
            assert change.before is not None and change.after is not None
            names, values = changed(model, change.before.values, change.after.values)
            row = [
                natives[name](value) if value is not None and name in natives else value
                for name, value in zip(names, values, strict=True)
            ]
            groups[names].append([*row, written, rows[change.key][0]])
        for names, group in groups.items():
            columns = [model.all_fields[name].source for name in names]
            updated = self._set(model, [*columns, "updated_at"], group)
            if updated != len(group):
                raise RecordSyncError(f"The database updated {updated} rows of {model.name} instead of {len(group)}.")

    def _moment(self, moment: dt.datetime) -> str:
        return self.moment(str(TIMESTAMP.to_text(moment)))

    @staticmethod
    @abstractmethod
    def slice_in_sql(column: str) -> str:
        """The SQL that gives the slice (:mod:`recordsync.model.slices`) of a date column, whose name may have a prefix.

        So SQL tells a row's partition from its columns alone: this of its date, and the primary keys that its
        references hold in place of the names.
        """

    @staticmethod
    @abstractmethod
    def moment(text: str) -> str:
        """A moment's canonical text as the driver takes it."""

    @property
    def _connection(self) -> BaseDatabaseWrapper:
        return connections[self.using]

    def _field(self, model: Model, source: str) -> models.Field[Any, Any]:
        meta = self._django(model)._meta
        return meta.pk if source == "pk" else meta.get_field(source)  # type: ignore[return-value] # a declared field is a column

    def _quoted(self, model: Model, *sources: str) -> list[str]:
        """The names of the table and of these fields' columns, in SQL."""
        meta = self._django(model)._meta
        names = [meta.db_table, *(str(self._field(model, source).column) for source in sources)]
        return [self._connection.ops.quote_name(name) for name in names]

    @abstractmethod
    def _take_away(self, model: Model) -> list[str]:
        """The statements that make anew what this takes away of a model's table: indexes that are not unique, and
        foreign keys."""

    @abstractmethod
    def _wanted(self, types: Sequence[str | None], keys: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
        """The SQL of a table ``wanted (column1, …)`` with a row for each key, and its parameters."""

    @abstractmethod
    def _insert(self, model: Model, sources: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Add rows with these values."""

    @abstractmethod
    def _set(self, model: Model, sources: Sequence[str], rows: Sequence[list[Any]]) -> int:
        """The number of rows that were updated. Each row has the values of these fields, and last the primary key."""

    @abstractmethod
    def _is_duplicate(self, error: IntegrityError) -> bool:
        """Whether the error is that of a unique constraint."""


def _without_illegal_moments(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The same rows, with None in place of each first value that is no legal moment. In SQL this took a fifth of the
    time of a line."""
    if TIMESTAMP.are_legal([row[0] for row in rows]):
        return rows
    return [(None, *row[1:]) if TIMESTAMP.error(row[0]) else row for row in rows]


def _or_by_records(made: Iterable[_T | None], reference: Iterator[_T]) -> Iterator[_T]:
    """What the database makes of each record, up to one that may be illegal (None). From there on what the reference
    makes: it raises what is wrong with the record, or finds nothing wrong."""
    for count, item in enumerate(made):
        if item is None:
            yield from islice(reference, count, None)
            return
        yield item
