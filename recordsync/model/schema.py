"""What is backed up, declared: models, their natural keys, content fields, units and dependencies.

A declaration is data. The engine reads everything that it knows about an application's records from
it; the application declares it once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter

from recordsync.model.fields import FieldType
from recordsync.model.records import Key, Record, Values


@dataclass(frozen=True, slots=True)
class Field:
    """One content field.

    ``column`` is the Django field it is stored in (the same name unless given). ``references`` names
    the declared model whose (one-field) key this field holds.
    """

    name: str
    type: FieldType
    column: str = ""
    references: str | None = None

    @property
    def source(self) -> str:
        """The Django field's name."""
        return self.column or self.name


@dataclass(frozen=True)
class Model:
    """A declared model: what identifies a record, what it says, and what merges whole.

    ``name`` is its name in a file and ``label`` in Django (``app.Model``). ``key`` are the fields of
    the natural key *in sort order*; ``fields`` the other content fields; ``units`` the groups of
    those that merge whole, by a name for people.
    """

    name: str
    label: str
    key: tuple[Field, ...]
    fields: tuple[Field, ...] = ()
    units: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        united = [name for names in self.units.values() for name in names]
        if sorted(united) != sorted(f.name for f in self.fields):
            raise ValueError(f"{self.name}: every field but the key belongs to exactly one unit")

    @cached_property
    def all_fields(self) -> dict[str, Field]:
        """Every content field by name, in the order of a file's line: by code point of the name."""
        return {f.name: f for f in sorted((*self.key, *self.fields), key=lambda f: f.name)}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all content fields, in the order of :class:`Record` values."""
        return tuple(self.all_fields)

    @cached_property
    def key_names(self) -> tuple[str, ...]:
        return tuple(f.name for f in self.key)

    @cached_property
    def reference(self) -> Field | None:
        """The key field that names a record of another model, if there is one."""
        return next((f for f in self.key if f.references), None)

    @cached_property
    def name_place(self) -> int:
        """Where in the key the name is by which records of this model and of others are referred: that of the record
        that it refers to, else its own."""
        return 0 if self.reference is None else self.key.index(self.reference)

    @cached_property
    def required(self) -> frozenset[str]:
        """Fields that a file cannot leave out: the key, and what has no blank value."""
        return frozenset(
            name
            for name, f in self.all_fields.items()
            if name in self.key_names or (not f.type.nullable and f.type.blank is None)
        )

    def shape(self, names: Sequence[str] | None = None) -> Shape:
        """The model seen through some of its fields (all unless given), in line order."""
        return self._whole if names is None else Shape(self, tuple(sorted(names)))

    @cached_property
    def _whole(self) -> Shape:
        return Shape(self, self.names)


class Shape:
    """A model seen through the fields that one snapshot has: the layout of its records' values."""

    def __init__(self, model: Model, names: tuple[str, ...]) -> None:
        self.model = model
        self.names = names
        self.types: tuple[FieldType, ...] = tuple(model.all_fields[name].type for name in names)
        self._key_positions = tuple(names.index(name) for name in model.key_names)
        single = len(self._key_positions) == 1
        get = itemgetter(*self._key_positions)
        self.key: Callable[[Sequence[str | None]], Key] = (lambda values: (get(values),)) if single else get
        """The natural key of a record of these values."""
        self._places: dict[tuple[str, ...], list[int | None]] = {}
        positions = {name: position for position, name in enumerate(names)}
        #: Per unit, the positions of its fields in ``values``: those that the snapshot has. A backup file has a unit
        #: whole or not at all; a sheet may have a part of one, and then speaks about no more than that.
        self.units: dict[str, tuple[int, ...]] = {
            unit: tuple(positions[name] for name in members if name in positions)
            for unit, members in model.units.items()
            if any(name in positions for name in members)
        }

    @property
    def is_whole(self) -> bool:
        """Whether it has every field of the model."""
        return self.names == self.model.names

    def record(self, values: Values, created_at: str | None = None) -> Record:
        """A record of these values, in the order of ``names``."""
        return Record(self.key(values), values, created_at)

    def from_mapping(self, content: Mapping[str, str | None], created_at: str | None = None) -> Record:
        """A record from a mapping that has at least these fields. Raises KeyError where one is missing."""
        return self.record(tuple(content[name] for name in self.names), created_at)

    def content(self, record: Record) -> dict[str, str | None]:
        """The record's content by field name, in line order."""
        return dict(zip(self.names, record.values, strict=True))

    def errors(self, values: Sequence[object]) -> Iterator[tuple[str, object, str]]:
        """Every illegal value: its field, itself, and what was expected."""
        for name, kind, value in zip(self.names, self.types, values, strict=True):
            expected = kind.error(value)
            if expected is not None:
                yield name, value, expected

    def are_valid(self, many: Sequence[Sequence[object]]) -> bool:
        """Whether :meth:`errors` finds nothing in any of many records' values.

        Field by field, and of each only values that are new: no Python code for the others.
        """
        try:
            for kind, values in zip(self.types, zip(*many, strict=True), strict=False):
                if not kind.found_legal.issuperset(values) and any(map(kind.error, set(values) - kind.found_legal)):
                    return False
        except TypeError:  # a list or an object, which is no value
            return False
        return True

    def project(self, record: Record, origin: Shape) -> Record:
        """A record of the shape ``origin`` seen through these fields: those that it lacks are blank."""
        if self.names == origin.names:
            return record
        values = tuple(
            kind.blank if place is None else record.values[place]
            for kind, place in zip(self.types, self._places_in(origin), strict=True)
        )
        return self.record(values, record.created_at)

    def _places_in(self, origin: Shape) -> list[int | None]:
        """Where a record of another shape has each of these fields."""
        places = self._places.get(origin.names)
        if places is None:
            known = {name: place for place, name in enumerate(origin.names)}
            places = self._places[origin.names] = [known.get(name) for name in self.names]
        return places


@dataclass(frozen=True)
class Schema:
    """Everything that one application backs up: its models, in the order of a file's sections, each after
    those it refers to."""

    models: tuple[Model, ...]
    selection: type | None = None
    """A msgspec type that a file's ``selection`` must fit."""

    def __iter__(self) -> Iterator[Model]:
        return iter(self.models)

    def __getitem__(self, name: str) -> Model:
        for model in self.models:
            if model.name == name:
                return model
        raise KeyError(name)


__all__ = ["Field", "Key", "Model", "Schema", "Shape"]
