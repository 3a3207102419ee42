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
from itertools import chain, groupby, islice, repeat
from operator import itemgetter
from typing import Any, ClassVar, Final, NamedTuple
from weakref import WeakKeyDictionary

from django.core.exceptions import EmptyResultSet
from django.db import IntegrityError, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, F, Func, Q, TextField
from django.db.models.expressions import Combinable
from django.db.models.functions import Collate

from recordsync.errors import RecordSyncError, RegisterMoved
from recordsync.model import slices
from recordsync.model.fields import MAX_MINUTES, TIMESTAMP, Choice, Decimal, FieldType, Integer, Json, Minutes, Text
from recordsync.model.records import Key, Partition, Record
from recordsync.model.schema import Field, Model, Schema
from recordsync.stores.bulk import insert
from recordsync.stores.orm import OrmStore, changed, in_key_order
from recordsync.streams import Change
from recordsync.streams.lines import LinesOfColumns, SplicedLines

_Rows = list[tuple[Any, ...]]


class _InKeyOrder(NamedTuple):
    """The SQL of some columns of a model's rows in key order."""

    one: str
    """Of the record whose primary key is one more parameter: it leads the keys. Where none does, of all rows."""
    several: str
    """Of the several records whose primary keys are more parameters. The last column is the primary key."""
    parameters: tuple[Any, ...]


_Lines = tuple[SplicedLines, int, _InKeyOrder]
"""What makes the lines of a model's rows, of how many columns it does, and the query for these and for what tells their
partition."""

_LINES: Final[WeakKeyDictionary[Schema, dict[tuple[type, str], _Lines]]] = WeakKeyDictionary()
"""Those of all of a model's rows, by the kind of store and the model: Django takes longer to make a query of so many
expressions than a database takes to read a hundred rows."""

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
    """The SQL of a JSON object of members, as :meth:`_encoded` takes it."""
    json_joiner: ClassVar[str]
    """What stands between two members."""
    empty_json: ClassVar[str]
    """The SQL of one without members."""
    json_member: ClassVar[str]
    """The SQL of a member: its name, and its value."""
    locks_readers_out: ClassVar[bool]
    """Whether nobody can read a table until the end of a transaction that takes indexes away from it."""
    collation: ClassVar[str]
    """The collation that compares texts by code point."""

    def __init__(self, schema: Schema, using: str = "default") -> None:
        super().__init__(schema, using)
        self._of_partitions: dict[str, tuple[SplicedLines, str, tuple[Any, ...]]] = {}
        """The query of each model for one partition, and what makes the lines of its rows."""

    def _read(self, model: Model, where: Q | None, beside: str) -> Iterator[tuple[Any, Record]]:
        columns: list[Combinable] = [
            F(beside),
            self._text("created_at", TIMESTAMP),
            *self._contents(model, without=model.leading),
        ]
        query = self._query_in_key_order(model, where, columns)
        for name, batches in self._in_key_order(model, where, query):
            yield from self._as_records(model, chain.from_iterable(batches), name)

    def updated(self, model: Model, where: Q | None = None) -> Iterator[str | None]:
        query = self._query_in_key_order(model, where, [self._text("updated_at", TIMESTAMP)])
        for _name, batches in self._in_key_order(model, where, query):
            for (moment,) in chain.from_iterable(batches):
                yield moment

    def _in_key_order(self, model: Model, where: Q | None, query: _InKeyOrder) -> Iterator[tuple[str, Iterable[_Rows]]]:
        """What the query finds, as the driver gives it, for each record that leads the key, in order of its name. Where
        none does, for all of them, with a blank name."""
        if model.leading is None:
            yield "", self._fetch(query.one, query.parameters)
            return
        for parents in self._together(model, model.leading, where) if query.one else ():
            if len(parents) == 1:
                ((name, key),) = parents
                yield name, self._fetch(query.one, (*query.parameters, key))
                continue
            keys = self._any_of([key for _name, key in parents])
            found: dict[Any, _Rows] = defaultdict(list)
            for row in self._fetch_at_once(query.several, (*query.parameters, *keys)):
                found[row[-1]].append(row[:-1])
            for name, key in parents:
                yield name, [found[key]] if key in found else []

    def _query_in_key_order(self, model: Model, where: Q | None, columns: Sequence[Combinable]) -> _InKeyOrder:
        """The query for some columns of a model's rows in key order."""
        rows = self._rows(model, where)
        leading = model.leading
        if leading is None:
            sql, parameters = self._compiled(self._ordered(model, rows).values_list(*columns))
            return _InKeyOrder(sql, "", parameters)
        # Compiled once for all. The last parameters are primary keys.
        table, column = self._quoted(model, leading.source)
        of_one = self._ordered(model, rows.extra(where=[f"{table}.{column} = %s"]))
        sql, parameters = self._compiled(of_one.values_list(*columns))
        pk = F(f"{leading.source}_id")
        of_several = self._ordered(model, rows.extra(where=[self._is_any(f"{table}.{column}")]), pk)
        sql_of_several, _same = self._compiled(of_several.values_list(*columns, pk))
        return _InKeyOrder(sql, sql_of_several, parameters)

    def _ordered(self, model: Model, rows: models.QuerySet[Any], *first: Combinable) -> models.QuerySet[Any]:
        """The rows in the order of the key's texts, but for what leads the key. The database sorts by bytes, which is
        the order of code points."""
        order: list[Combinable] = []
        for field in model.key:
            source, kind = self._stored(field)
            if field is model.leading:
                continue
            if kind.sorts_as_stored:
                order.append(Collate(source, self.collation) if isinstance(kind, Text | Choice) else F(source))
            else:
                order.append(Collate(self._text(source, kind), self.collation))
        return rows.order_by(*first, *order)

    @staticmethod
    def _makes_lines(model: Model) -> bool:
        """Whether the database can make a model's lines. It cannot give the canonical text of JSON (PostgreSQL has its
        own order of names, SQLite keeps any spelling), so that such records go through Python."""
        return not any(isinstance(kind, Json) for kind in model.shape().types)

    def lines(self, model: Model, where: Q | None = None) -> Iterator[bytes]:
        return chain.from_iterable(map(itemgetter(1), self._cut(model, where)))

    def _cut(self, model: Model, where: Q | None) -> Iterator[tuple[Partition, Sequence[bytes]]]:
        if not self._makes_lines(model):
            return super()._cut(model, where)
        return _or_by_records(self._cut_in_sql(model, where), super()._cut(model, where))

    def _cut_in_sql(self, model: Model, where: Q | None) -> Iterator[tuple[Partition, Sequence[bytes]] | None]:
        """As :meth:`_cut`, made from the database's JSON; None where a record may be illegal. No line is parsed: the
        database gives what the partition is told by, too."""
        spliced, columns, query = self._lines(model, where)
        for name, batches in self._in_key_order(model, where, query):
            line = self._line(model, spliced, name)
            leads = (name,) if model.leading is not None and model.partition else ()
            for rows in batches:
                given = list(zip(*rows, strict=True))
                told = given[columns:]
                lines = self._made(line, given[:columns])
                if lines is None:
                    yield None
                    return
                end = 0
                for parts, alike in groupby(zip(*told, strict=True)) if told else (((), lines),):
                    start, end = end, end + len(list(alike))
                    partition = (*leads, *parts)
                    if model.cut_date:
                        partition = (*partition[:-1], *slices.parts(slices.slice_of(partition[-1])))
                    yield partition, lines[start:end]

    def _lines(self, model: Model, where: Q | None) -> _Lines:
        """What makes the lines of these rows: kept, where they are all of a model's."""
        kept = _LINES.setdefault(self.schema, {})
        if where is None and (type(self), model.name) in kept:
            return kept[type(self), model.name]
        spliced, columns = self._spliced(model)
        cut = model.key[: len(model.partition)]
        beside = [self._text(*self._stored(field)) for field in cut if field is not model.leading]
        lines = spliced, len(columns), self._query_in_key_order(model, where, [*columns, *beside])
        if where is None:
            kept[type(self), model.name] = lines
        return lines

    def _made(self, line: LinesOfColumns | None, given: Sequence[Sequence[Any]]) -> list[bytes] | None:
        """The lines of some rows, by column: when each was created, and the JSON object of each group. None where one
        may be illegal. ``line`` makes them (None: what leads their keys is not legal)."""
        if line is None or any(None in objects for objects in given[1:]):
            return None
        moments, objects = self._moments(given[0]), [self._encoded(objects) for objects in given[1:]]
        return None if moments is None or None in objects else line(moments, *filter(None, objects))

    def _moment_stored(self) -> Func:
        """The column of the moments when rows were created, for :meth:`_moments`."""
        return self._text("created_at", TIMESTAMP)

    def _moments(self, stored: Sequence[Any]) -> Sequence[str] | None:
        """The moments in canonical text; None if one may be illegal. In SQL this took a fifth of the time of a line."""
        return stored if TIMESTAMP.are_legal(stored) else None

    @staticmethod
    def _encoded(objects: Sequence[Any]) -> Sequence[bytes] | None:
        """JSON objects, as the driver gives them, in UTF-8; None if one is in no UTF-8."""
        return [text.encode() for text in objects]

    @staticmethod
    def _line(model: Model, spliced: SplicedLines, name: str) -> LinesOfColumns | None:
        """The function that makes the lines of the records that this name leads, if any does; None: it is not legal."""
        is_illegal = model.leading is not None and model.leading.type.error(name) is not None
        return None if is_illegal else spliced.of(name)

    def _spliced(self, model: Model) -> tuple[SplicedLines, list[Func]]:
        """What makes a model's lines, and the columns of which it does."""
        spliced = SplicedLines(model.names, None if model.leading is None else model.leading.name, model.later)
        texts = [self._json_if_legal(model, names) for names in spliced.groups]
        return spliced, [self._moment_stored(), *texts]

    def partition(self, model: Model, partition: Partition) -> Iterator[bytes]:
        if not partition:
            return self.lines(model)
        if not self._makes_lines(model):
            return super().partition(model, partition)
        reference = ((partition, (line,)) for line in super().partition(model, partition))
        made = _or_by_records(self._partition_in_sql(model, partition), reference)
        return chain.from_iterable(map(itemgetter(1), made))

    def _partition_in_sql(
        self, model: Model, partition: Partition
    ) -> Iterator[tuple[Partition, Sequence[bytes]] | None]:
        """As :meth:`_cut_in_sql`, of one partition that is not everything."""
        bounds = self._bounds(model, partition)
        if bounds is None:
            return
        if model.name not in self._of_partitions:
            spliced, columns = self._spliced(model)
            table, *cut = self._quoted(model, *(field.source for field, _values in bounds))
            tests = {1: f"{table}.%s = %%s", 2: f"{table}.%s BETWEEN %%s AND %%s"}
            conditions = [tests[len(values)] % column for column, (_field, values) in zip(cut, bounds, strict=True)]
            rows = self._ordered(model, self._rows(model).extra(where=conditions))
            self._of_partitions[model.name] = spliced, *self._compiled(rows.values_list(*columns))
        spliced, sql, parameters = self._of_partitions[model.name]
        line = self._line(model, spliced, partition[0])
        given = [value for _field, values in bounds for value in values]
        for rows_given in self._few_or_streamed(sql, parameters, given):
            lines = self._made(line, list(zip(*rows_given, strict=True)))
            yield None if lines is None else (partition, lines)

    def _json_if_legal(self, model: Model, names: Sequence[str]) -> Func:
        """A JSON object with these fields, in this order and without white space; null where the row is not legal."""
        members = [self._member(name, *self._stored(model.all_fields[name])) for name in names]
        json = Func(*members, template=self.json, arg_joiner=self.json_joiner, output_field=TextField())
        if names[0] in model.later:
            column = F(model.all_fields[names[0]].source)
            empty = "CASE WHEN %(expressions)s END"
            json = Func(
                column,
                json,
                template=empty,
                arg_joiner=f" IS NULL THEN {self.empty_json} ELSE ",
                output_field=TextField(),
            )
        template = "CASE WHEN %(expressions)s END"
        return Func(self._is_legal(model), json, template=template, arg_joiner=" THEN ", output_field=TextField())

    def _member(self, name: str, source: str, kind: FieldType) -> Func:
        text = _of_kind(self.json_texts.get(type(kind), self.texts[type(kind)]), kind)
        template = self.json_member.replace("<name>", name).replace("<value>", text)
        return Func(F(source), template=template, output_field=TextField())

    def _is_legal(self, model: Model) -> Func:
        """Whether what is stored has a legal text in every field but the one that leads the key."""
        tests = [
            Func(F(source), template=self._legality(kind), output_field=BooleanField())
            for field in model.all_fields.values()
            if field is not model.leading
            for source, kind in [self._stored(field)]
        ]
        return Func(*tests, template="(%(expressions)s)", arg_joiner=" AND ", output_field=BooleanField())

    def _legality(self, kind: FieldType) -> str:
        test = _of_kind(self.legal[type(kind)], kind)
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
        columns_of_keys = list(zip(*keys, strict=True))
        natives = self._natives(model)
        for position, name in enumerate(model.key_names):
            if native := natives.get(name):
                columns_of_keys[position] = tuple(map(native, columns_of_keys[position]))
        known = [key for key in zip(*columns_of_keys, strict=True) if None not in key]
        if not known:
            return
        table, pk, *columns = self._quoted(model, "pk", *(part.source for part in model.key))
        types = [self._field(model, part.source).rel_db_type(self._connection) for part in model.key]
        equal = " AND ".join(f"stored.{column} = wanted.column{number}" for number, column in enumerate(columns, 1))
        # A join with the keys first, because SQLite scans the whole table for (a, b, c) IN (VALUES ...).
        wanted, parameters = self._wanted(types, known)
        keyed = f"SELECT stored.{pk} FROM {wanted} CROSS JOIN {table} AS stored WHERE {equal}"
        rows = self._rows(model).extra(where=[f"{table}.{pk} IN ({keyed})"], params=parameters).order_by()
        yield from in_key_order(self._with(model, rows, "pk"))

    def _with(self, model: Model, rows: models.QuerySet[Any], beside: str) -> Iterator[tuple[Any, Record]]:
        columns: list[Combinable] = [F(beside), self._text("created_at", TIMESTAMP), *self._contents(model)]
        return self._as_records(
            model, chain.from_iterable(self._few_or_streamed(*self._compiled(rows.values_list(*columns))))
        )

    def _contents(self, model: Model, *, without: Field | None = None) -> list[Func]:
        """The columns of a model's content as texts, without one of its fields."""
        return [self._text(*self._stored(field)) for field in model.all_fields.values() if field is not without]

    def _text(self, source: str, kind: FieldType) -> Func:
        return Func(F(source), template=_of_kind(self.texts[type(kind)], kind), output_field=TextField())

    def _column(self, source: str, kind: FieldType) -> Func:
        return self._text(source, kind)

    def _values(self, rows: models.QuerySet[Any, tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return self._fetch_at_once(*self._compiled(rows))

    def _compiled(self, rows: models.QuerySet[Any, tuple[Any, ...]]) -> tuple[str, tuple[Any, ...]]:
        """The SQL of a query and its parameters. The SQL is blank if Django knows that the query finds nothing."""
        try:
            sql, parameters = rows.query.get_compiler(self.using).as_sql()
        except EmptyResultSet:
            return "", ()
        return sql, tuple(parameters)

    def _fetch(self, sql: str, parameters: Sequence[Any]) -> Iterator[_Rows]:
        """The rows as the driver gives them, some at a time. Django's conversions would cost as much as everything
        else."""
        if not sql:
            return
        with self._connection.chunked_cursor() as cursor:
            cursor.execute(sql, parameters)
            while batch := cursor.fetchmany(_FETCH):
                yield batch

    def _fetch_at_once(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """As :meth:`_fetch`, of few rows: on PostgreSQL, a cursor in the server takes three round trips."""
        if not sql:
            return []
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall())

    def _fetch_again(self, sql: str, constant: Sequence[Any], given: Sequence[Any]) -> _Rows:
        """As :meth:`_fetch_at_once`, of a query that is asked many times. Its first parameters are the same each time,
        and those that are ``given`` come last."""
        return self._fetch_at_once(sql, (*constant, *given))

    def _few_or_streamed(self, sql: str, parameters: Sequence[Any], given: Sequence[Any] = ()) -> Iterable[_Rows]:
        """As :meth:`_fetch`, of rows that are mostly few. ``given``: see :meth:`_fetch_again`."""
        few = self._fetch_again(f"{sql} LIMIT {_FETCH + 1}" if sql else "", parameters, given)
        if len(few) > _FETCH:
            return self._fetch(sql, (*parameters, *given))
        return [few] if few else []

    @staticmethod
    def _as_records(
        model: Model, rows: Iterable[tuple[Any, ...]], leads: str | None = None
    ) -> Iterator[tuple[Any, Record]]:
        """The records of rows with a value beside each, ``created_at`` and its content. ``leads``: the name that leads
        their keys, where the rows lack it and there is one."""
        record = model.shape().record
        lacking = model.leading if leads is not None else None
        stored = [field.type for field in model.all_fields.values() if field is not lacking]
        if spelt := [(2 + index, kind) for index, kind in enumerate(stored) if isinstance(kind, Json)]:
            rows = _in_canonical_json(rows, spelt)
        if lacking is None:
            for row in rows:
                yield row[0], record(row[2:], row[1])
            return
        position = 2 + model.names.index(lacking.name)
        for row in rows:
            yield row[0], record((*row[2:position], leads, *row[position:]), row[1])

    def _to_look_up(self, changes: Sequence[Change]) -> Sequence[Change]:
        # The unique constraint finds an added record that is there already.
        return [change for change in changes if change.before is not None]

    def add(self, model: Model, records: Sequence[Record], now: dt.datetime) -> None:
        self._kept.pop(model.name, None)
        self._add(model, records, now)

    def _add(self, model: Model, records: Sequence[Record], now: dt.datetime) -> None:
        if not records:
            return
        sources = [*(field.source for field in model.all_fields.values()), "created_at", "updated_at"]
        natives = [(model.names.index(name), native) for name, native in self._natives(model).items()]
        try:
            rows = self._rows_to_add(records, natives, now)
            if others := self._others(model, sources):
                save = [(field.get_db_prep_save, field.get_default) for field in others]
                sources += [field.name for field in others]
                rows = ((*row, *(value(default(), self._connection) for value, default in save)) for row in rows)
            table, *names = self._quoted(model, *sources)
            insert(self._connection, table, names, rows)
        except IntegrityError as error:
            if not self._is_duplicate(error):
                raise
            raise RegisterMoved(f"A record of {model.name} to be added is there already.") from error

    def _others(self, model: Model, sources: Sequence[str]) -> list[models.Field[Any, Any]]:
        """The fields that nobody declared and that Django, not the database, gives a value in a row that is added: a
        primary key that is no number, among others."""
        return [
            field
            for field in self._django(model)._meta.local_concrete_fields
            if field.name not in sources
            and not isinstance(field, models.AutoField)
            and not field.generated
            and not field.has_db_default()
        ]

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
                natives[name] = self._parent_ids(field).get
            elif (native := self.native(field.type)) is not None:
                natives[name] = native
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

    @abstractmethod
    def native(self, kind: FieldType) -> Callable[[str], Any] | None:
        """The function that gives what the driver takes for a legal text; None: it takes the text."""

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
    def _is_any(self, column: str) -> str:
        """The SQL that says whether a column has one of the values that :meth:`_any_of` makes parameters of."""

    @abstractmethod
    def _any_of(self, values: Sequence[Any]) -> list[Any]:
        """The parameters of :meth:`_is_any` for these values, of which there are up to :data:`LOOKUP`."""

    @abstractmethod
    def _set(self, model: Model, sources: Sequence[str], rows: Sequence[list[Any]]) -> int:
        """The number of rows that were updated. Each row has the values of these fields, and last the primary key."""

    @abstractmethod
    def _is_duplicate(self, error: IntegrityError) -> bool:
        """Whether the error is that of a unique constraint."""


def _of_kind(template: str, kind: FieldType) -> str:
    """A template of a type's SQL with the limits of this one."""
    match kind:
        case Text():
            limits = {"<min>": str(kind.min_length), "<max>": str(kind.max_length)}
        case Minutes():
            limits = {"<max>": str(MAX_MINUTES)}
        case Integer():
            limits = {"<min>": str(kind.minimum), "<max>": str(kind.maximum)}
        case Decimal():
            limits = {"<places>": str(kind.decimal_places), "<limit>": str(10**kind.whole_digits)}
        case Choice():
            # Not IN, of which SQLite builds a table for each row.
            values = [value.replace("'", "''").replace("%", "%%%%") for value in kind.values]
            limits = {"<any>": " OR ".join(f"%(expressions)s = '{value}'" for value in values)}
        case _:
            limits = {}
    for name, limit in limits.items():
        template = template.replace(name, limit)
    return template


def _in_canonical_json(
    rows: Iterable[tuple[Any, ...]], positions: Sequence[tuple[int, Json]]
) -> Iterator[tuple[Any, ...]]:
    """The same rows, with the canonical text of the JSON in these positions."""
    for row in rows:
        values = list(row)
        for position, kind in positions:
            values[position] = kind.canonical(values[position])
        yield tuple(values)


def _or_by_records(
    made: Iterable[tuple[Partition, Sequence[bytes]] | None], reference: Iterator[tuple[Partition, Sequence[bytes]]]
) -> Iterator[tuple[Partition, Sequence[bytes]]]:
    """The lines that the database makes, up to those of which one may be illegal (None). From there on those that the
    reference makes, one at a time: it raises what is wrong with a record, or finds nothing wrong."""
    count = 0
    for some in made:
        if some is None:
            yield from islice(reference, count, None)
            return
        count += len(some[1])
        yield some
