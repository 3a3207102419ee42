"""The lines of a plan in its temporary file. Each is a tagged JSON array.

Most lines add a record and are short, because its key and units follow from its values. A record that both sides have
the same is counted and has no line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from recordsync.merge import Merged, Outcome, addition, is_addition
from recordsync.model.records import Key, Record, Values
from recordsync.model.schema import Model, Schema, Shape
from recordsync.plan.steps import Additions


class Identical(msgspec.Struct, frozen=True):
    """A number of consecutive records that both sides have the same."""

    count: int


class Added(msgspec.Struct, frozen=True, array_like=True, tag="added", gc=False):
    """A line that adds a record of theirs. ``model``: its index in the schema."""

    model: int
    values: Values
    created_at: str | None


class Stored(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record in a line. Its key follows from its values."""

    values: Values
    created_at: str | None


class Decidable(msgspec.Struct, frozen=True, array_like=True, tag="merged", gc=False):
    """A line with any other merge of a key (:class:`recordsync.merge.Merged`). ``model``: its index in the schema."""

    model: int
    key: Key
    outcome: Outcome
    ours: Stored | None
    theirs: Stored | None
    base: Stored | None
    units: tuple[str, ...]
    conflicts: tuple[str, ...]
    listed: bool


class SealedLine(Decidable, frozen=True, array_like=True, tag="sealed", gc=False):
    """The same of a record of which only a person may decide that it changes. ``sealed``: what seals it."""

    sealed: str


_Line = Added | Decidable | SealedLine

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Line).decode
_decode_many = msgspec.json.Decoder(list[_Line]).decode


def is_sealed(line: bytes) -> bool:
    """Whether a line is of a sealed record."""
    return line.startswith(b'["sealed"')


class Codec:
    """Writes and reads the lines of plans of one schema, whose records of theirs have these shapes."""

    def __init__(self, schema: Schema, shapes: Mapping[str, Shape]) -> None:
        self._models = [(model, shapes[model.name]) for model in schema]
        self._indexes = {model.name: index for index, model in enumerate(schema)}

    def line(self, model: Model, merged: Merged) -> bytes:
        """The line of one merge."""
        index = self._indexes[model.name]
        if merged.theirs is not None and is_addition(merged):
            return self._added(index, merged.theirs)
        values = (
            index,
            merged.key,
            merged.outcome,
            _stored(merged.ours),
            _stored(merged.theirs),
            _stored(merged.base),
            merged.units,
            merged.conflicts,
            merged.listed,
        )
        return _encode(SealedLine(*values, merged.sealed) if merged.sealed else Decidable(*values)) + b"\n"

    def added(self, model: Model, theirs: Iterable[Record]) -> list[bytes]:
        """The lines of additions."""
        index = self._indexes[model.name]
        return [self._added(index, record) for record in theirs]

    @staticmethod
    def _added(index: int, theirs: Record) -> bytes:
        return _encode(Added(index, theirs.values, theirs.created_at)) + b"\n"

    def read(self, line: bytes) -> tuple[Model, Merged]:
        """The merge in a line."""
        return self._merged(_decode(line))

    def read_many(self, lines: list[bytes]) -> Iterator[tuple[Model, Merged] | Additions]:
        """The merges in many lines. Consecutive additions of one model come together."""
        additions: list[Record] = []
        index = -1
        for decoded in _decode_many(b"[%b]" % b",".join(lines)):
            if additions and not (isinstance(decoded, Added) and decoded.model == index):
                yield Additions(*self._models[index], additions)
                additions = []
            if isinstance(decoded, Added):
                index = decoded.model
                additions.append(self._models[index][1].record(decoded.values, decoded.created_at))
            else:
                yield self._merged(decoded)
        if additions:
            yield Additions(*self._models[index], additions)

    def _merged(self, decoded: _Line) -> tuple[Model, Merged]:
        model, shape = self._models[decoded.model]
        if isinstance(decoded, Added):
            return model, addition(shape.record(decoded.values, decoded.created_at), tuple(shape.units))
        return model, Merged(
            decoded.key,
            decoded.outcome,
            _record(model.shape(), decoded.ours),
            _record(shape, decoded.theirs),
            _record(shape, decoded.base),
            decoded.units,
            decoded.conflicts,
            decoded.listed,
            decoded.sealed if isinstance(decoded, SealedLine) else "",
        )


def _stored(record: Record | None) -> Stored | None:
    return None if record is None else Stored(record.values, record.created_at)


def _record(shape: Shape, stored: Stored | None) -> Record | None:
    return None if stored is None else shape.record(stored.values, stored.created_at)
