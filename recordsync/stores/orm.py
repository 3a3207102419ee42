"""The reference store, which uses Django's ORM and works on any database that Django knows.

A faster store for one database must leave exactly what this one leaves.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

from django.apps import apps
from django.db import models
from django.db.models import Q

from recordsync.errors import RecordSyncError, RegisterMoved, named
from recordsync.model.fields import TIMESTAMP
from recordsync.model.records import Key, Partition, Record, Values
from recordsync.model.schema import Model, Schema, Shape
from recordsync.streams import Change
from recordsync.streams.lines import keyed_lines, lines_of

LOOKUP = 300
"""Keys in one look-up. A key has up to three values, and old versions of SQLite take 999 parameters."""


class OrmStore:
    """The reference store. Fits :class:`recordsync.stores.protocol.Store`."""

    def __init__(self, schema: Schema, using: str = "default") -> None:
        self.schema = schema
        self.using = using
        self._parents: dict[str, dict[str, Any]] = {}

    def count(self, model: Model, where: Q | None = None) -> int:
        return self._rows(model, where).count()

    def has_more_than(self, model: Model, number: int) -> bool:
        return self._rows(model).order_by()[number : number + 1].exists()

    def records(self, model: Model, where: Q | None = None) -> Iterator[Record]:
        if model.reference is None:
            rows = self._rows(model, where)
            # Sorted here, because there are few rows and the collation of the database must not matter.
            yield from sorted(self._read(model, rows, {}), key=lambda record: record.key)
            return
        yield from self._read_by_reference(model, where)

    def lines(self, model: Model, where: Q | None = None) -> Iterator[bytes]:
        return lines_of(model.shape(), self.records(model, where))

    def blocks(self, model: Model, where: Q | None = None) -> Iterator[tuple[Partition, Iterator[bytes]]]:
        for partition, pairs in groupby(self._cut(model, where), key=itemgetter(0)):
            yield partition, map(itemgetter(1), pairs)

    def _cut(self, model: Model, where: Q | None) -> Iterator[tuple[Partition, bytes]]:
        """Each of :meth:`lines` beside its partition."""
        for key, line in keyed_lines(model.shape(), self.records(model, where)):
            yield model.partition_of(key), line

    def updated(self, model: Model, where: Q | None = None) -> Iterator[str | None]:
        for _name, rows in self._by_reference(model, where):
            for moment in rows.values_list("updated_at", flat=True).iterator(chunk_size=2000):
                yield TIMESTAMP.to_text(moment)

    def _by_reference(self, model: Model, where: Q | None) -> Iterator[tuple[str, models.QuerySet[Any]]]:
        """For each record that the model's key refers to, in order of its name, the rows of the model in key order."""
        assert model.reference is not None
        for name, pk in sorted(self._parent_ids(model).items()):
            yield name, self._in_key_order(model, where).filter(**{f"{model.reference.source}_id": pk})

    def _in_key_order(self, model: Model, where: Q | None) -> models.QuerySet[Any]:
        """The rows of a model that refers to another, in the order of the key without the reference."""
        return self._rows(model, where).order_by(*(part.source for part in model.key if part is not model.reference))

    def lookup(self, model: Model, keys: Iterable[Key]) -> Iterator[Record]:
        stream = iter(keys)
        while batch := list(islice(stream, LOOKUP)):
            for _pk, record in self._find(model, batch):
                yield record

    def references(self, model: Model, key: Key) -> int:
        instance = self._django(model)._base_manager.using(self.using).get(**self._where_key(model, key))
        return sum(
            relation.related_model._base_manager.using(self.using).filter(**{relation.field.name: instance}).count()
            for relation in self._django(model)._meta.related_objects
            if relation.on_delete is models.PROTECT
        )

    def filling(self, most: int, *, alone: bool = False) -> AbstractContextManager[None]:
        return nullcontext()

    def add(self, model: Model, records: Sequence[Record], now: dt.datetime) -> None:
        self.write(model, [Change(record.key, None, record) for record in records], now)

    def write(self, model: Model, changes: Sequence[Change], now: dt.datetime) -> None:
        self._parents.pop(model.name, None)
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
                columns[f"{field.source}_id"] = self._parent_ids(model)[str(value)]
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
        if model.reference is None:
            (only,) = model.key
            rows = self._rows(model, Q(**{f"{only.source}__in": [key[0] for key in keys]}))
            yield from sorted(self._read_with_pk(model, rows, {}), key=lambda pair: pair[1].key)
            return
        position = model.key.index(model.reference)
        parents = self._parent_ids(model)
        # The index gives a superset (the first other key field by value, the last by range), which is filtered here:
        # of a batch of days, the few days and a stretch of numbers.
        others = [part for part in model.key if part is not model.reference]
        first, last = others[0], others[-1]
        first_position, last_position = model.key.index(first), model.key.index(last)
        for name, group in groupby(keys, key=lambda key: key[position]):
            if name not in parents:
                continue
            of_parent = list(group)
            firsts = sorted({key[first_position] for key in of_parent})
            lasts = [key[last_position] for key in of_parent]
            rows = (
                self._rows(model)
                .filter(
                    **{
                        f"{model.reference.source}_id": parents[name],
                        f"{first.source}__in": [first.type.to_python(text) for text in firsts],
                        f"{last.source}__gte": last.type.to_python(min(lasts)),
                        f"{last.source}__lte": last.type.to_python(max(lasts)),
                    }
                )
                .order_by(*(part.source for part in others))
            )
            for pair in self._read_with_pk(model, rows, {model.reference.name: name}):
                if pair[1].key in wanted:
                    yield pair

    def _read_by_reference(self, model: Model, where: Q | None) -> Iterator[Record]:
        """The records of a model that refers to another, in key order."""
        assert model.reference is not None
        for name, rows in self._by_reference(model, where):
            yield from self._read(model, rows, {model.reference.name: name})

    def _read(self, model: Model, rows: models.QuerySet[Any], constants: Mapping[str, str]) -> Iterator[Record]:
        for _pk, record in self._read_with_pk(model, rows, constants):
            yield record

    def _read_with_pk(
        self, model: Model, rows: models.QuerySet[Any], constants: Mapping[str, str]
    ) -> Iterator[tuple[Any, Record]]:
        """The rows as records, each with its primary key. ``constants``: the fields whose text is known beforehand."""
        shape: Shape = model.shape()
        fields = [field for name, field in model.all_fields.items() if name not in constants]
        texts = [field.type.to_text for field in fields]
        columns = ["pk", "created_at", *(field.source for field in fields)]
        insertions = [(shape.names.index(name), text) for name, text in constants.items()]
        for pk, created_at, *values in rows.values_list(*columns).iterator(chunk_size=2000):
            content: list[str | None] = [text(value) for text, value in zip(texts, values, strict=True)]
            for position, constant in insertions:
                content.insert(position, constant)
            yield pk, shape.record(tuple(content), TIMESTAMP.to_text(created_at))

    def _rows(self, model: Model, where: Q | None = None) -> models.QuerySet[Any]:
        rows = self._django(model)._base_manager.using(self.using).all()
        return rows if where is None else rows.filter(where)

    def _where_key(self, model: Model, key: Key) -> dict[str, Any]:
        return self._columns(model, model.key_names, key)

    def _parent_ids(self, model: Model) -> dict[str, Any]:
        """The primary keys of the records that this model's key refers to, by their name.

        Read once, until :meth:`write` writes that model: only the store writes in its transaction.
        """
        reference = model.reference
        assert reference is not None and reference.references is not None
        parent = self.schema[reference.references]
        if parent.name not in self._parents:
            (only,) = parent.key
            self._parents[parent.name] = dict(self._rows(parent).values_list(only.source, "pk"))
        return self._parents[parent.name]

    @staticmethod
    def _django(model: Model) -> type[models.Model]:
        return apps.get_model(model.label)


def changed(model: Model, before: Values, after: Values) -> tuple[tuple[str, ...], Values]:
    """The names and new values of the fields that differ."""
    pairs = [(name, new) for name, old, new in zip(model.names, before, after, strict=True) if old != new]
    return tuple(name for name, _new in pairs), tuple(new for _name, new in pairs)


def tables(schema: Schema) -> list[type[models.Model]]:
    """The Django models of a schema, for :func:`recordsync.system.transactions.writing`."""
    return [apps.get_model(model.label) for model in schema]
