"""The declaration of what is backed up: models, their natural keys, content fields, units and references.

An application declares its models once. The engine takes everything that it knows about their records from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter, itemgetter
from typing import Final

from recordsync.model import slices
from recordsync.model.fields import Date, FieldType
from recordsync.model.records import Key, Partition, Record, Values

KEY_UNIT: Final = "key"
"""The unit of a record's key, by which others refer to it. It merges whole, as other units do."""


@dataclass(frozen=True, slots=True)
class Field:
    """One content field.

    ``column`` is the Django field that stores it (the same name unless given). ``references`` names the declared model
    whose key, of one field, this field holds; only a field of a key refers to another model. ``later``: the schema got
    the field when there were files already. Lines and checksums leave it out while it is null, so that they are what
    they were before.
    """

    name: str
    type: FieldType
    column: str = ""
    references: str | None = None
    later: bool = False

    @property
    def source(self) -> str:
        """The Django field's name."""
        return self.column or self.name


@dataclass(frozen=True)
class Model:
    """A declared model: the key and the fields of its records, and the units that merge whole.

    ``name`` is its name in a file, ``label`` its name in Django (``app.Model``). ``key`` has the fields of the natural
    key *in sort order*, and ``fields`` has the other content fields. ``units`` has groups of ``fields`` that merge
    whole, each under a name for people. ``spelling`` has the names of the key's fields in the order in which people
    read them, where this is another than the sort order. ``partition`` has the names of the fields by which records are
    cut into blocks: the first fields of the key, which are references, then a date, or either. A date is cut by slices
    of its month. Without names, all records are one block.
    """

    name: str
    label: str
    key: tuple[Field, ...]
    fields: tuple[Field, ...] = ()
    units: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    spelling: tuple[str, ...] = ()
    partition: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        united = [name for names in self.units.values() for name in names]
        if sorted(united) != sorted(f.name for f in self.fields):
            raise ValueError(f"{self.name}: every field but the key belongs to exactly one unit")
        if self.spelling and sorted(self.spelling) != sorted(self.key_names):
            raise ValueError(f"{self.name}: the spelling has every field of the key once")
        if any(f.references for f in self.fields):
            raise ValueError(f"{self.name}: only a field of the key may refer to another model")
        cut = self.key[: len(self.partition)]
        if self.partition != tuple(f.name for f in cut) or not all(f.references for f in cut if f is not self.cut_date):
            raise ValueError(f"{self.name}: a partition has the first fields of the key: references, then a date")
        if any(f.later and (f in self.key or not f.type.nullable) for f in self.all_fields.values()):
            raise ValueError(f"{self.name}: a field that came later is nullable and is not in the key")
        if any(f.type.nullable or not f.type.in_keys for f in self.key):
            raise ValueError(f"{self.name}: a field of the key is never null and has an order")

    @cached_property
    def all_fields(self) -> dict[str, Field]:
        """All content fields by name, in the order of a file's line: by code point of the name."""
        return {field.name: field for field in sorted((*self.key, *self.fields), key=attrgetter("name"))}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all content fields, in the order of :class:`Record` values."""
        return tuple(self.all_fields)

    @cached_property
    def key_names(self) -> tuple[str, ...]:
        return tuple(f.name for f in self.key)

    def spelt(self, key: Sequence[str]) -> tuple[str, ...]:
        """A key's values in the order in which people read them, for messages and pages."""
        return tuple([key[position] for position in self._spelling])

    @cached_property
    def _spelling(self) -> tuple[int, ...]:
        return tuple(self.key_names.index(name) for name in self.spelling or self.key_names)

    @cached_property
    def cut_date(self) -> Field | None:
        """The field of the key that cuts by slices of a month: the last one of the partition, if it is a date."""
        last = self.key[len(self.partition) - 1] if 0 < len(self.partition) <= len(self.key) else None
        return last if last is not None and isinstance(last.type, Date) else None

    def partition_of(self, key: Key) -> Partition:
        """The partition of the record with this key.

        Its texts are the names of the records that the key refers to, and last the month and the slice of the date.
        """
        count = len(self.partition)
        if self.cut_date is None:
            return key[:count]
        return (*key[: count - 1], *slices.parts(slices.slice_of(key[count - 1])))

    def parents_in(self, partition: Partition) -> tuple[str, ...]:
        """The names of the records that those of a partition refer to."""
        return partition[: len(self.partition) - (self.cut_date is not None)]

    @cached_property
    def levels(self) -> int:
        """How many texts a partition has."""
        return len(self.partition) + (self.cut_date is not None)

    @cached_property
    def later(self) -> frozenset[str]:
        """The names of the fields that are left out of lines and checksums while they are null."""
        return frozenset(field.name for field in self.fields if field.later)

    @cached_property
    def references(self) -> tuple[Field, ...]:
        """The fields of the key that name records of other models, in the order of the key."""
        return tuple(field for field in self.key if field.references)

    @cached_property
    def leading(self) -> Field | None:
        """The first field of the key, if it names a record of another model. Stores read such names one by one."""
        return self.key[0] if self.key[0].references else None

    def names_in(self, key: Key) -> Key:
        """The names in a key of the records that it refers to; if there are none, the record's own name."""
        return tuple([key[position] for position in self.name_positions])

    @cached_property
    def name_positions(self) -> tuple[int, ...]:
        """The positions in the key of :meth:`names_in`."""
        return tuple(position for position, field in enumerate(self.key) if field.references) or (0,)

    @cached_property
    def required(self) -> frozenset[str]:
        """The fields that every file has: the key, and those without a blank value."""
        return frozenset(
            name
            for name, field in self.all_fields.items()
            if name in self.key_names or (not field.type.nullable and field.type.blank is None)
        )

    def shape(self, names: Sequence[str] | None = None) -> Shape:
        """The shape with these fields of the model (all unless given), in line order."""
        return self._whole if names is None else Shape(self, tuple(sorted(names)))

    @cached_property
    def _whole(self) -> Shape:
        return Shape(self, self.names)


class Shape:
    """The fields of a model that one snapshot has: the layout of the values of its records."""

    def __init__(self, model: Model, names: tuple[str, ...]) -> None:
        self.model = model
        self.names = names
        self.types: tuple[FieldType, ...] = tuple(model.all_fields[name].type for name in names)
        self._key_positions = tuple(names.index(name) for name in model.key_names)
        get = itemgetter(*self._key_positions)
        self.key: Callable[[Sequence[str | None]], Key] = (
            (lambda values: (get(values),)) if len(self._key_positions) == 1 else get
        )
        """The natural key of a record with these values."""
        self._positions: dict[tuple[str, ...], list[int | None]] = {}
        positions = {name: position for position, name in enumerate(names)}
        self.units: dict[str, tuple[int, ...]] = {
            unit: tuple(positions[name] for name in members if name in positions)
            for unit, members in model.units.items()
            if any(name in positions for name in members)
        }
        """For each unit the positions in ``values`` of its fields that the snapshot has. A backup file has a unit whole
        or not at all. A sheet may have a part of one, and then speaks about that part only."""

    def positions(self, unit: str) -> tuple[int, ...]:
        """The positions in ``values`` of the fields of a unit."""
        return self._key_positions if unit == KEY_UNIT else self.units[unit]

    @property
    def is_whole(self) -> bool:
        """Whether it has every field of the model."""
        return self.names == self.model.names

    def record(self, values: Values, created_at: str | None = None) -> Record:
        """The record with these values, which are in the order of ``names``."""
        return Record(self.key(values), values, created_at)

    def from_mapping(self, content: Mapping[str, str | None], created_at: str | None = None) -> Record:
        """The record with the values of a mapping. Raises KeyError if it lacks a field."""
        return self.record(tuple(content[name] for name in self.names), created_at)

    def content(self, record: Record) -> dict[str, str | None]:
        """The record's content by field name, in line order."""
        return dict(zip(self.names, record.values, strict=True))

    def errors(self, values: Sequence[object]) -> Iterator[tuple[str, object, str]]:
        """The illegal values: for each the field, the value, and what is expected."""
        for name, kind, value in zip(self.names, self.types, values, strict=True):
            expected = kind.error(value)
            if expected is not None:
                yield name, value, expected

    def are_valid(self, many: Sequence[Sequence[object]]) -> bool:
        """Whether :meth:`errors` finds nothing in the values of many records.

        Checks field by field, and runs Python code only for values that are new.
        """
        try:
            for kind, values in zip(self.types, zip(*many, strict=True), strict=False):
                if not kind.are_legal(values):
                    return False
        except TypeError:  # a list or an object is no value
            return False
        return True

    def project(self, record: Record, origin: Shape) -> Record:
        """A record of the shape ``origin`` with the fields of this shape. Fields that it lacks are blank."""
        if self.names == origin.names:
            return record
        values = tuple(
            kind.blank if position is None else record.values[position]
            for kind, position in zip(self.types, self._positions_in(origin), strict=True)
        )
        return self.record(values, record.created_at)

    def _positions_in(self, origin: Shape) -> list[int | None]:
        """The position of each of these fields in the values of another shape; None for a field that it lacks."""
        positions = self._positions.get(origin.names)
        if positions is None:
            known = {name: position for position, name in enumerate(origin.names)}
            positions = self._positions[origin.names] = [known.get(name) for name in self.names]
        return positions


@dataclass(frozen=True, eq=False)
class Schema:
    """Everything that one application backs up: its models in the order of a file's sections, each after those that it
    refers to."""

    models: tuple[Model, ...]
    selection: type | None = None
    """The msgspec type that a file's ``selection`` must fit."""

    def __post_init__(self) -> None:
        named: dict[str, Model] = {}
        for model in self.models:
            for part in model.references:
                referred = named.get(str(part.references))
                if referred is None:
                    raise ValueError(f"{model.name}: {part.references}, to which it refers, is declared before it")
                if len(referred.key) > 1 or referred.references:
                    raise ValueError(f"{referred.name}: others refer to it by a key of one field that refers to none")
            named[model.name] = model

    def __iter__(self) -> Iterator[Model]:
        return iter(self.models)

    @cached_property
    def referred(self) -> frozenset[str]:
        """The names of the models to whose records others refer."""
        return frozenset(str(part.references) for model in self.models for part in model.references)

    def __getitem__(self, name: str) -> Model:
        for model in self.models:
            if model.name == name:
                return model
        raise KeyError(name)


__all__ = ["KEY_UNIT", "Field", "Key", "Model", "Schema", "Shape"]
