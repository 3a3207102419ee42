"""The line of a record: its content, checksum and ``created_at``, in canonical JSON.

The same bytes as :func:`recordsync.model.records.canonical_json` and :func:`recordsync.model.records.checksum` give
(a property test holds them together), at a fraction of their cost: the names and their order are known beforehand, so
that a record is a msgspec struct and not a dictionary to be sorted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from operator import itemgetter

import msgspec

from recordsync.backupfile.layout import row_names
from recordsync.model.fields import TIMESTAMP
from recordsync.model.records import Values
from recordsync.model.schema import Shape


class Lines:
    """Writes and reads the lines of one model's records that have the fields of one shape."""

    def __init__(self, shape: Shape) -> None:
        names = row_names(shape.names)
        self._content = _struct(shape.names)
        self._row = _struct(names)
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(self._row).decode
        # The row is ``(*content, checksum, created_at)`` put into the order of its names.
        together = (*shape.names, "checksum", "created_at")
        self._arranged = itemgetter(*(together.index(name) for name in names))
        self._taken_apart = itemgetter(*(names.index(name) for name in together))

    def line(self, values: Values, created_at: str | None) -> bytes:
        """The line of a record. Every value is a text without unpaired surrogates, or null."""
        digest = hashlib.sha256(self._encode(self._content(*values))).hexdigest()
        return self._encode(self._row(*self._arranged((*values, digest, created_at))))

    def parts(self, line: bytes) -> tuple[str | None, ...]:
        """The values, the checksum and ``created_at`` that a line says, in this order. Raises
        :class:`msgspec.MsgspecError` or UnicodeDecodeError unless it is an object that has them all as texts or nulls;
        whether it is :meth:`line` of them is the caller's to compare."""
        return self._taken_apart(msgspec.structs.astuple(self._decode(line)))  # type: ignore[no-any-return]


def are_legal(shape: Shape, contents: Sequence[Sequence[object]], moments: Collection[object]) -> bool:
    """Whether :func:`illegal` finds nothing in any of many records: their values, and when they were created."""
    return shape.are_valid(contents) and not any(map(TIMESTAMP.error, set(moments)))


def illegal(shape: Shape, values: Sequence[object], created_at: object) -> Iterator[tuple[str, object, str]]:
    """Of every value that a record's line cannot have the field, itself, and what was expected."""
    yield from shape.errors(values)
    if (expected := TIMESTAMP.error(created_at)) is not None:
        yield "created_at", created_at, expected


def _struct(names: tuple[str, ...]) -> type[msgspec.Struct]:
    return msgspec.defstruct("Line", [(name, str | None) for name in names], gc=False)
