"""The reference store, which uses Django's ORM and works on any database that Django knows.

A faster store for one database must leave exactly what this one leaves.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any, Final

from django.apps import apps
from django.db import models
from django.db.models import F, Q
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast

from recordsync.errors import RecordSyncError, RegisterMoved, named
from recordsync.model import slices
from recordsync.model.fields import TIMESTAMP, FieldType
from recordsync.model.records import Key, Partition, Record, Values
from recordsync.model.schema import Field, Model, Schema, Shape
from recordsync.stores.places import Places
from recordsync.streams import Change
from recordsync.streams.lines import keyed_lines, lines_of

LOOKUP = 300
"""Keys in one look-up. A key has up to three values, and old versions of SQLite take 999 parameters."""
_TOGETHER: Final = 2000
"""Rows of several records that lead the keys, which are read together and held in memory."""
_COUNTED: Final = 250
"""So many records that lead the keys that counting the rows of each takes less time than to ask for each."""


class OrmStore:
    """The reference store. Fits :class:`recordsync.stores.protocol.Store`."""

    def __init__(self, schema: Schema, using: str = "default") -> None:
        self.schema = schema
        self.using = using
        self._kept: dict[str, dict[type[Combinable], dict[str, Any]]] = {}
        """What :meth:`_by_name` has read: by model, and by the kind of the column."""

    def count(self, model: Model, where: Q | None = None) -> int:
        return self._rows(model, where).count()

    def has_more_than(self, model: Model, number: int) -> bool:
        return self._rows(model).order_by()[number : number + 1].exists()

    def records(self, model: Model, where: Q | None = None) -> Iterator[Record]:
        for _pk, record in self._read(model, where, "pk"):
            yield record

    def lines(self, model: Model, where: Q | None = None) -> Iterator[bytes]:
        return lines_of(model.shape(), self.records(model, where))

    def blocks(self, model: Model, where: Q | None = None) -> Iterator[tuple[Partition, Iterator[bytes]]]:
        for partition, pairs in groupby(self._cut(model, where), key=itemgetter(0)):
            yield partition, chain.from_iterable(map(itemgetter(1), pairs))

    def _cut(self, model: Model, where: Q | None) -> Iterator[tuple[Partition, Sequence[bytes]]]:
        """The lines of :meth:`lines`, some at a time, beside the partition that all of them have."""
        for key, line in keyed_lines(model.shape(), self.records(model, where)):
            yield model.partition_of(key), (line,)

    def partition(self, model: Model, partition: Partition) -> Iterator[bytes]:
        if not partition:
            yield from self.lines(model)
        elif (bounds := self._bounds(model, partition)) is not None:
            conditions = {f"{field.source}__gte": values[0] for field, values in bounds}
            conditions |= {f"{field.source}__lte": values[-1] for field, values in bounds}
            found = in_key_order(self._with(model, self._rows(model).filter(**conditions), "pk"))
            yield from lines_of(model.shape(), map(itemgetter(1), found))

    def _bounds(self, model: Model, partition: Partition) -> list[tuple[Field, tuple[Any, ...]]] | None:
        """The fields by which a model is cut, each with what its column holds in a partition: a primary key, or the
        first and the last day. None if the partition names a record that does not exist."""
        bounds: list[tuple[Field, tuple[Any, ...]]] = []
        for position, field in enumerate(model.key[: len(model.partition)]):
            if field is model.cut_date:
                first = slices.first_day(*partition[position:])
                bounds.append((field, (first, slices.last_day(first))))
            elif (pk := self._parent_ids(field).get(partition[position])) is not None:
                bounds.append((field, (pk,)))
            else:
                return None
        return bounds

    def places(self, model: Model) -> Places:
        cut = [field for field in model.key[: len(model.partition)] if field.references]
        return Places(model, [self._by_name(field, Cast("pk", models.TextField())) for field in cut])

    def updated(self, model: Model, where: Q | None = None) -> Iterator[str | None]:
        for moment, _record in self._read(model, where, "updated_at"):
            yield TIMESTAMP.to_text(moment)

    def _read(self, model: Model, where: Q | None, beside: str) -> Iterator[tuple[Any, Record]]:
        """The records in key order, each beside the value of another column."""
        rows = self._rows(model, where)
        if model.leading is None:
            yield from in_key_order(self._with(model, rows, beside))
            return
        others = [field for field in model.key if field is not model.leading]
        is_sorted = all(field.type.sorts_as_stored and not field.references for field in others)
        for parents in self._together(model, model.leading, where):
            of_parents = rows.filter(**{f"{model.leading.source}__in": [pk for _name, pk in parents]})
            if is_sorted and len(parents) == 1:  # there may be many
                yield from self._with(model, of_parents.order_by(*(field.source for field in others)), beside)
            else:
                yield from in_key_order(self._with(model, of_parents, beside))

    def _together(self, model: Model, leading: Field, where: Q | None) -> Iterator[list[tuple[str, Any]]]:
        """The records that lead a model's keys, by name and primary key, in order of their names: those of which the
        rows are read together. Whatever has more than :data:`_TOGETHER` rows is alone.

        One query costs as much as some hundred rows.
        """
        ids = self._parent_ids(leading)
        if len(ids) < _COUNTED:
            yield from ([(name, ids[name])] for name in sorted(ids))
            return
        counted = self._rows(model, where).order_by().values_list(f"{leading.source}_id").annotate(n=models.Count("*"))
        counts = dict(self._values(counted))
        names = [name for name in sorted(ids) if ids[name] in counts]
        numbers = [counts[ids[name]] for name in names]
        del counts  # there may be many, and this goes on for long
        together: list[tuple[str, Any]] = []
        rows = 0
        for name, count in zip(names, numbers, strict=True):
            if together and (rows + count > _TOGETHER or len(together) == LOOKUP):
                yield together
                together, rows = [], 0
            together.append((name, ids[name]))
            rows += count
        if together:
            yield together

    def lookup(self, model: Model, keys: Iterable[Key]) -> Iterator[Record]:
        stream = iter(keys)
        while batch := list(islice(stream, LOOKUP)):
            for _pk, record in self._find(model, batch):
                yield record

    def references(self, model: Model, key: Key) -> int:
        instance = self._django(model)._base_manager.using(self.using).get(**self._where_key(model, key))
        return sum(
            relation.related_model._base_manager.using(self.using).filter(**{relation.field.name: instance}).count()
            for relation in self._django(model)._meta.get_fields(include_hidden=True)
            if isinstance(relation, models.ManyToOneRel) and relation.on_delete is models.PROTECT
        )

    def filling(self, most: int, *, alone: bool = False) -> AbstractContextManager[None]:
        return nullcontext()

    def add(self, model: Model, records: Sequence[Record], now: dt.datetime) -> None:
        self.write(model, [Change(record.key, None, record) for record in records], now)

    def write(self, model: Model, changes: Sequence[Change], now: dt.datetime) -> None:
        self._kept.pop(model.name, None)
        replacing = self._to_look_up(changes)
        rows = dict(self._find_by_key(model, [change.key for change in replacing]))
        for change in replacing:
            row = rows.get(change.key)
            before = change.before.values if change.before else None
            if (row[1].values if row else None) != before:
                raise RegisterMoved(
                    f"{named(model.name, model.spelt(change.key))} is not as it was when the change was planned."
                )
        added = [change.after for change in changes if change.before is None and change.after is not None]
        updates = [change for change in changes if change.before is not None and change.after is not None]
        deleted_rows = [rows[change.key][0] for change in changes if change.after is None]
        self._add(model, added, now)
        self._update(model, updates, rows, now)
        if deleted_rows:
            deleted, _per_model = (
                self._django(model)._base_manager.using(self.using).filter(pk__in=deleted_rows).delete()
            )
            if deleted != len(deleted_rows):
                raise RecordSyncError(
                    f"The database deleted {deleted} rows of {model.name} instead of {len(deleted_rows)}."
                )

    def rename(self, model: Model, changes: Sequence[Change], now: dt.datetime) -> None:
        self._kept.pop(model.name, None)
        rows = dict(self._find_by_key(model, sorted(change.key for change in changes)))
        for change in changes:
            if change.before is None or change.key not in rows or rows[change.key][1].values != change.before.values:
                raise RegisterMoved(
                    f"{named(model.name, model.spelt(change.key))} is not as it was when the change was planned."
                )
        django = self._django(model)._base_manager.using(self.using)
        (name,) = model.key
        names = {change.after.key for change in changes if change.after is not None}
        for change in changes:
            if change.key in names:  # out of the way first
                django.filter(pk=rows[change.key][0]).update(**{name.source: secrets.token_hex(8)})
        for change in changes:
            assert change.after is not None
            pk = rows[change.key][0]
            django.filter(pk=pk).update(**self._columns(model, model.names, change.after.values), updated_at=now)
            for other in self.schema:
                for field in other.references:
                    if field.references == model.name:
                        self._rows(other).filter(**{f"{field.source}_id": pk}).update(updated_at=now)

    def _to_look_up(self, changes: Sequence[Change]) -> Sequence[Change]:
        """The changes of which only a look-up can say whether the database holds what they replace."""
        return changes

    def _add(self, model: Model, records: Sequence[Record], now: dt.datetime) -> None:
        django = self._django(model)
        rows = []
        for record in records:
            created_at = TIMESTAMP.to_python(record.created_at) or now
            rows.append(
                django(**self._columns(model, model.names, record.values), created_at=created_at, updated_at=now)
            )
        if rows:
            django._base_manager.using(self.using).bulk_create(rows)

    def _update(
        self, model: Model, changes: Sequence[Change], rows: Mapping[Key, tuple[Any, Record]], now: dt.datetime
    ) -> None:
        """Update ``rows``, each with its primary key, in groups with the same changed fields: to write one column is
        twenty times as fast as to write fourteen."""
        django = self._django(model)
        groups: dict[tuple[str, ...], list[models.Model]] = defaultdict(list)
        for change in changes:
            assert change.before is not None and change.after is not None
            names, values = changed(model, change.before.values, change.after.values)
            instance = django(pk=rows[change.key][0], **self._columns(model, names, values), updated_at=now)
            groups[names].append(instance)
        for names, instances in groups.items():
            sources = [model.all_fields[name].source for name in names]
            updated = django._base_manager.using(self.using).bulk_update(instances, [*sources, "updated_at"])
            if updated != len(instances):
                raise RecordSyncError(
                    f"The database updated {updated} rows of {model.name} instead of {len(instances)}."
                )

    def _columns(self, model: Model, names: Sequence[str], values: Sequence[str | None]) -> dict[str, Any]:
        """Django's keyword arguments for these fields."""
        columns: dict[str, Any] = {}
        for name, value in zip(names, values, strict=True):
            field = model.all_fields[name]
            if field.references:
                columns[f"{field.source}_id"] = self._parent_ids(field)[str(value)]
            else:
                columns[field.source] = field.type.to_python(value)
        return columns

    def _find_by_key(self, model: Model, keys: Sequence[Key]) -> Iterator[tuple[Key, tuple[Any, Record]]]:
        for start in range(0, len(keys), LOOKUP):
            for pk, record in self._find(model, keys[start : start + LOOKUP]):
                yield record.key, (pk, record)

    def _find(self, model: Model, keys: Sequence[Key]) -> Iterator[tuple[Any, Record]]:
        """The records with these keys (sorted), each with its primary key, in key order."""
        wanted = set(keys)
        # The index gives a superset (the first key field that is not the leading one by value, the last by range),
        # which is filtered here: of a batch of days, the few days and a stretch of numbers.
        leads = 0 if model.leading is None else 1
        others = range(leads, len(model.key))
        for _name, group in groupby(keys, key=lambda key: key[:leads]):
            of_parent = list(group)
            conditions: dict[str, Any] = {}
            for position in {*range(leads), *others[:1]}:
                conditions |= self._among(model.key[position], {key[position] for key in of_parent})
            if len(others) > 1:
                conditions |= self._within(model.key[-1], {key[-1] for key in of_parent})
            found = self._with(model, self._rows(model).filter(**conditions), "pk")
            yield from in_key_order(pair for pair in found if pair[1].key in wanted)

    def _among(self, field: Field, texts: Iterable[str]) -> dict[str, Any]:
        """The condition that a field has one of these values."""
        if field.references:
            ids = self._parent_ids(field)
            return {f"{field.source}__in": [ids[name] for name in texts if name in ids]}
        return {f"{field.source}__in": [field.type.to_python(text) for text in sorted(texts)]}

    def _within(self, field: Field, texts: Collection[str]) -> dict[str, Any]:
        """A condition that all of these values fulfil, and few others."""
        if field.references or not field.type.sorts_as_stored:
            return self._among(field, texts)
        to_python = field.type.to_python
        return {f"{field.source}__gte": to_python(min(texts)), f"{field.source}__lte": to_python(max(texts))}

    def _with(self, model: Model, rows: models.QuerySet[Any], beside: str) -> Iterator[tuple[Any, Record]]:
        """The rows as records, each beside the value of another column."""
        shape: Shape = model.shape()
        stored = [self._stored(field) for field in model.all_fields.values()]
        texts = [kind.to_text for _source, kind in stored]
        columns = [beside, "created_at", *(source for source, _kind in stored)]
        for first, created_at, *values in rows.values_list(*columns).iterator(chunk_size=2000):
            content = tuple([text(value) for text, value in zip(texts, values, strict=True)])
            yield first, shape.record(content, TIMESTAMP.to_text(created_at))

    def _stored(self, field: Field) -> tuple[str, FieldType]:
        """The path to a field's column and its type. Of a reference, the other record's name."""
        if field.references is None:
            return field.source, field.type
        (name,) = self.schema[field.references].key
        return f"{field.source}__{name.source}", name.type

    def _rows(self, model: Model, where: Q | None = None) -> models.QuerySet[Any]:
        rows = self._django(model)._base_manager.using(self.using).all()
        return rows if where is None else rows.filter(where)

    def _where_key(self, model: Model, key: Key) -> dict[str, Any]:
        return self._columns(model, model.key_names, key)

    def _parent_ids(self, field: Field) -> dict[str, Any]:
        """The primary keys of the records that this field of a key refers to, by their name."""
        return self._by_name(field, F("pk"))

    def _by_name(self, field: Field, column: Combinable) -> dict[str, Any]:
        """A column of the records that this field of a key refers to, by their name.

        Read once, until :meth:`write` writes their model: only the store writes in its transaction.
        """
        parent = str(field.references)
        kept = self._kept.setdefault(parent, {})
        if (what := type(column)) not in kept:
            source, kind = self._stored(self.schema[parent].key[0])
            rows = self._values(self._rows(self.schema[parent]).values_list(self._column(source, kind), column))
            kept[what] = {str(kind.to_text(name)): value for name, value in rows}
        return kept[what]

    def _column(self, source: str, kind: FieldType) -> Combinable:
        """A column as a query selects it."""
        return F(source)

    def _values(self, rows: models.QuerySet[Any, tuple[Any, ...]]) -> Iterable[tuple[Any, ...]]:
        """All rows of a query for some columns."""
        return rows

    @staticmethod
    def _django(model: Model) -> type[models.Model]:
        return apps.get_model(model.label)


def in_key_order(records: Iterable[tuple[Any, Record]]) -> list[tuple[Any, Record]]:
    """Records, each beside a value, in key order. Sorted here, the types and the collation of a database do not matter,
    and there are few."""
    return sorted(records, key=lambda pair: pair[1].key)


def changed(model: Model, before: Values, after: Values) -> tuple[tuple[str, ...], Values]:
    """The names and new values of the fields that differ."""
    pairs = [(name, new) for name, old, new in zip(model.names, before, after, strict=True) if old != new]
    return tuple(name for name, _new in pairs), tuple(new for _name, new in pairs)


def tables(schema: Schema) -> list[type[models.Model]]:
    """The Django models of a schema, for :func:`recordsync.system.transactions.writing`."""
    return [apps.get_model(model.label) for model in schema]
