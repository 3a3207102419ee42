"""The lines of a plan, as they stand in its temporary file: a tagged JSON array each.

Most lines add a record, and are short: its key and units follow from its values. What both sides have the same is in no
line: it is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from recordsync.merge import Merged, Outcome, addition
from recordsync.model.records import Key, Record, Values
from recordsync.model.schema import Model, Schema, Shape
from recordsync.plan.steps import Additions


class Identical(msgspec.Struct, frozen=True):
    """So many records in a row that both sides have the same."""

    count: int


class Added(msgspec.Struct, frozen=True, array_like=True, tag="added", gc=False):
    """A line: the record of theirs that is added. ``model``: its place in the schema."""

    model: int
    values: Values
    created_at: str | None


class Stored(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record in a line: its key follows from its values."""

    values: Values
    created_at: str | None


class Decidable(msgspec.Struct, frozen=True, array_like=True, tag="merged", gc=False):
    """A line: any other merge of a key (:class:`recordsync.merge.Merged`). ``model``: its place in the schema."""

    model: int
    key: Key
    outcome: Outcome
    ours: Stored | None
    theirs: Stored | None
    base: Stored | None
    units: tuple[str, ...]
    conflicts: tuple[str, ...]
    listed: bool


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Added | Decidable).decode
_decode_many = msgspec.json.Decoder(list[Added | Decidable]).decode


class Codec:
    """Writes and reads the lines of plans of one schema, whose records of theirs have these shapes."""

    def __init__(self, schema: Schema, shapes: Mapping[str, Shape]) -> None:
        self._models = [(model, shapes[model.name]) for model in schema]
        self._places = {model.name: place for place, model in enumerate(schema)}

    def line(self, model: Model, merged: Merged) -> bytes:
        """The line of one merge."""
        place = self._places[model.name]
        if merged.ours is None and merged.base is None and merged.theirs is not None:
            return self._added(place, merged.theirs)
        return (
            _encode(
                Decidable(
                    place,
                    merged.key,
                    merged.outcome,
                    _stored(merged.ours),
                    _stored(merged.theirs),
                    _stored(merged.base),
                    merged.units,
                    merged.conflicts,
                    merged.listed,
                )
            )
            + b"\n"
        )

    def added(self, model: Model, theirs: Iterable[Record]) -> list[bytes]:
        """The lines of additions."""
        place = self._places[model.name]
        return [self._added(place, record) for record in theirs]

    @staticmethod
    def _added(place: int, theirs: Record) -> bytes:
        return _encode(Added(place, theirs.values, theirs.created_at)) + b"\n"

    def read(self, line: bytes) -> tuple[Model, Merged]:
        """The merge that a line says."""
        found = _decode(line)
        return self._merged(found)

    def read_runs(self, lines: list[bytes]) -> Iterator[tuple[Model, Merged] | Additions]:
        """The merges that many lines say, the additions of one model that follow each other together."""
        run: list[Record] = []
        place = -1
        for found in _decode_many(b"[%b]" % b",".join(lines)):
            if run and not (isinstance(found, Added) and found.model == place):
                yield Additions(*self._models[place], run)
                run = []
            if isinstance(found, Added):
                place = found.model
                run.append(self._models[place][1].record(found.values, found.created_at))
            else:
                yield self._merged(found)
        if run:
            yield Additions(*self._models[place], run)

    def _merged(self, found: Added | Decidable) -> tuple[Model, Merged]:
        model, shape = self._models[found.model]
        if isinstance(found, Added):
            return model, addition(shape.record(found.values, found.created_at), tuple(shape.units))
        return model, Merged(
            found.key,
            found.outcome,
            _record(model.shape(), found.ours),
            _record(shape, found.theirs),
            _record(shape, found.base),
            found.units,
            found.conflicts,
            found.listed,
        )


def _stored(record: Record | None) -> Stored | None:
    return None if record is None else Stored(record.values, record.created_at)


def _record(shape: Shape, stored: Stored | None) -> Record | None:
    return None if stored is None else shape.record(stored.values, stored.created_at)
