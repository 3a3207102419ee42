"""The line of a record: its content, checksum and ``created_at``, in canonical JSON.

The bytes are those of :func:`recordsync.model.records.canonical_json` and :func:`recordsync.model.records.checksum`,
as a property test checks, at a fraction of their cost: the names and their order are known beforehand, so that a record
is a msgspec struct and not a dictionary to be sorted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice, repeat
from operator import itemgetter
from typing import Any, Final, Protocol

import msgspec
import orjson

from recordsync.errors import InvalidRecord
from recordsync.model.fields import TIMESTAMP
from recordsync.model.records import Key, Record, Values
from recordsync.model.schema import Shape
from recordsync.streams.join import in_order
from recordsync.system.progress import EVERY

_CHECKSUM: Final = b'"checksum":"'
_CREATED: Final = b'"created_at":"'
"""In a line, these are found only before the digest and the moment, because quotation marks inside a text are
escaped."""
_DIGEST: Final = 64
"""How many bytes a digest has."""
_MOMENT: Final = 27
"""How many bytes a legal moment has."""


class Lines:
    """The lines of one model's records that have the fields of one shape, and how they are made and read."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        names = row_names(shape.names)
        self._content = _struct(shape.names, shape.model.later)
        self._row = _struct(names, shape.model.later)
        self._encode = msgspec.json.Encoder().encode
        self._encode_lines = msgspec.json.Encoder().encode_lines
        self._decode = msgspec.json.Decoder(self._row).decode
        self._decode_key = msgspec.json.Decoder(_key_struct(shape.model.key_names)).decode
        # Between ``(*content, checksum, created_at)`` and the order of the names in a line.
        parts = (*shape.names, "checksum", "created_at")
        self._arranged = itemgetter(*(parts.index(name) for name in names))
        self._taken_apart: Callable[[tuple[str | None, ...]], tuple[str | None, ...]] = itemgetter(
            *(names.index(name) for name in parts)
        )

    def line(self, values: Values, created_at: str | None) -> bytes:
        """The line of a record. Every value is a text without unpaired surrogates, or null."""
        digest = hashlib.sha256(self._encode(self._content(*values))).hexdigest()
        return self._encode(self._row(*self._arranged((*values, digest, created_at))))

    def checksum(self, values: Values) -> bytes:
        """The checksum of a record with these values, as :func:`checksum_of` finds it in its line."""
        return hashlib.sha256(self._encode(self._content(*values))).hexdigest().encode()

    def keys(self, lines: Iterable[bytes]) -> list[Key]:
        """The keys of lines that are known to be right. Takes a third of the time of :meth:`records`."""
        return list(map(msgspec.structs.astuple, map(self._decode_key, lines)))

    def parts(self, line: bytes) -> tuple[str | None, ...]:
        """The values, the checksum and ``created_at`` of a line, in this order.

        Raises :class:`msgspec.MsgspecError` or UnicodeDecodeError unless the line is an object of texts and nulls. The
        line may still be wrong: the caller compares it with what :meth:`line` makes of the values.
        """
        return self._taken_apart(msgspec.structs.astuple(self._decode(line)))

    def right_parts(self, lines: Sequence[bytes]) -> list[tuple[str | None, ...]] | None:
        """As :meth:`parts` for many lines; None unless each is what :meth:`line` makes of its values, where these are
        legal. Raises what :meth:`parts` raises.
        """
        rows = list(map(self._decode, lines))
        if self._encode_lines(rows) != b"\n".join((*lines, b"")):
            return None
        parts = list(map(self._taken_apart, map(msgspec.structs.astuple, rows)))
        digests = [hashlib.sha256(self._content_of(line)).hexdigest() for line in lines]
        return parts if digests == [part[-2] for part in parts] else None

    def _content_of(self, line: bytes) -> bytes:
        """The content in a line in canonical form: the line without ``checksum`` and ``created_at``.

        A line whose checksum or moment is of another length, or null, gives something else.
        """
        start = line.find(_CHECKSUM)
        end = start + len(_CHECKSUM) + _DIGEST
        created = line.find(_CREATED, end)
        before = line[:start] + line[end + 2 : created]
        after = line[created + len(_CREATED) + _MOMENT + 2 :]
        return before + after if after else before[:-1] + b"}"

    def records(self, lines: Sequence[bytes]) -> list[Record]:
        """The records of lines that are known to be right."""
        parts = map(self.parts, lines)
        return [
            self._shape.record(values, created_at)
            for *values_, _checksum, created_at in parts
            for values in [tuple(values_)]
        ]


class LinesOfColumns(Protocol):
    """Makes the lines of records from the moments when they were created, and from each group's JSON objects, in
    UTF-8."""

    def __call__(self, moments: Sequence[str], /, *objects: Sequence[bytes]) -> list[bytes]: ...


class SplicedLines:
    """The lines of records, made of the JSON that a database returns.

    ``names`` are the content fields. The field ``constant``, if there is one, has one value in many records.
    ``groups`` are the groups of other fields that are adjacent in a line. The database returns a JSON object for each
    group. Each field of ``later`` is a group of its own, whose object is empty where the field is null.
    """

    def __init__(self, names: Sequence[str], constant: str | None, later: Collection[str] = ()) -> None:
        self._constant = constant
        self._later = later
        self._parts: list[str | list[str]] = []
        for name in row_names(names):
            if name in ("checksum", "created_at", constant):
                self._parts.append(name)
            elif self._parts and isinstance(group := self._parts[-1], list) and not {name, group[0]} & set(later):
                group.append(name)
            else:
                self._parts.append([name])
        self.groups = [part for part in self._parts if isinstance(part, list)]
        # Made once, and cut where each value of the constant field is put in.
        said = [part for part in self._parts if isinstance(part, list) or part == constant]
        self._content = self._around_constant(said)
        self._line = self._around_constant(self._parts)
        # From ``(checksum, created_at, *groups)`` to the order of the line.
        given = ["checksum", "created_at", *self.groups]
        self._arranged: Callable[[tuple[bytes, ...]], tuple[bytes, ...]] = itemgetter(
            *(given.index(part) for part in self._parts if part != constant)
        )

    def _around_constant(self, parts: Sequence[str | list[str]]) -> tuple[bytes, bytes]:
        """The format of an object of these parts, before and after the constant field."""
        stamps = {"checksum": b'"checksum":"%b"', "created_at": b'"created_at":"%b"', self._constant: b"\0"}
        members = [b"%b" if isinstance(part, list) else stamps[part] for part in parts]
        before, _constant, after = (b"{%b}" % b",".join(members)).partition(b"\0")
        return before, after

    def of(self, value: str) -> LinesOfColumns:
        """A function that makes the lines of records in which the constant field has this value."""
        if self._later:
            return self._without_blanks(value)
        member = b"" if self._constant is None else orjson.dumps({self._constant: value})[1:-1].replace(b"%", b"%%")
        content, line = member.join(self._content), member.join(self._line)
        sha256, arranged = hashlib.sha256, self._arranged

        def spliced(moments: Sequence[str], *objects: Sequence[bytes]) -> list[bytes]:
            columns = [[text[1:-1] for text in texts] for texts in objects]
            rows = zip(*columns, strict=True) if columns else repeat((), len(moments))
            return [
                line % arranged((sha256(content % members).hexdigest().encode(), moment.encode(), *members))
                for moment, members in zip(moments, rows, strict=True)
            ]

        def spliced_at_end(moments: Sequence[str], *objects: Sequence[bytes]) -> list[bytes]:
            members = [text[1:-1] for text in objects[0]]
            return [
                line % (sha256(content % member).hexdigest().encode(), moment.encode(), member)
                for moment, member in zip(moments, members, strict=True)
            ]

        # Most models have their other fields after these, and then this takes two thirds of the time.
        return spliced_at_end if self._parts[-1:] == self.groups else spliced

    def _without_blanks(self, value: str) -> LinesOfColumns:
        """As :meth:`of`, where an object may be empty."""
        own = {self._constant: orjson.dumps({str(self._constant): value})[1:-1]}

        def line(moment: str, objects: Iterable[bytes]) -> bytes:
            members = iter(objects)
            texts = [next(members)[1:-1] if isinstance(part, list) else own.get(part) for part in self._parts]
            checksum = hashlib.sha256(b"{%b}" % b",".join(filter(None, texts))).hexdigest()
            stamps = {"checksum": checksum, "created_at": moment}
            parts = [
                orjson.dumps({part: stamps[str(part)]})[1:-1] if text is None else text
                for part, text in zip(self._parts, texts, strict=True)
            ]
            return b"{%b}" % b",".join(filter(None, parts))

        return lambda moments, *objects: list(map(line, moments, zip(*objects, strict=True)))


def lines_of(shape: Shape, records: Iterable[Record]) -> Iterator[bytes]:
    """The lines of records of this shape.

    Raises :class:`recordsync.errors.InvalidRecord` for a record that no reader would accept, and
    :class:`recordsync.errors.OutOfOrder`.
    """
    return (line for _key, line in keyed_lines(shape, records))


def keyed_lines(shape: Shape, records: Iterable[Record]) -> Iterator[tuple[Key, bytes]]:
    """Each of :func:`lines_of` beside its record's key. Raises the same."""
    line = Lines(shape).line
    for record in legal(shape, records):
        yield record.key, line(record.values, record.created_at)


def legal(shape: Shape, records: Iterable[Record]) -> Iterator[Record]:
    """The same records, after a check of their values and order. Raises what :func:`lines_of` raises.

    Values first: a date that no file can hold is in another order as a text than in the database.
    """
    return in_order(_of_legal_values(shape, records))


def _of_legal_values(shape: Shape, records: Iterable[Record]) -> Iterator[Record]:
    stream = iter(records)
    while batch := list(islice(stream, EVERY)):
        if not are_legal(shape, [record.values for record in batch], [record.created_at for record in batch]):
            for record in batch:
                for field, value, expected in illegal(shape, record.values, record.created_at):
                    raise InvalidRecord(shape.model.name, shape.model.spelt(record.key), field, value, expected)
        yield from batch


def checksum_of(line: bytes) -> bytes:
    """The checksum in a line that is known to be right."""
    start = line.find(_CHECKSUM) + len(_CHECKSUM)
    return line[start : start + _DIGEST]


def checksums_of(lines: Sequence[bytes]) -> list[bytes]:
    """The checksums in lines of one model that are known to be right."""
    if lines and lines[0].startswith(_CHECKSUM, 1):  # as in most models, because names are sorted
        first = slice(1 + len(_CHECKSUM), 1 + len(_CHECKSUM) + _DIGEST)
        return [line[first] for line in lines]
    return list(map(checksum_of, lines))


def are_same_but_created(ours: Sequence[bytes], theirs: Sequence[bytes]) -> bool:
    """Whether the lines differ in nothing but ``created_at``, and all of theirs are legal. Ours must be legal."""
    if len(ours) != len(theirs):
        return False
    moments = set()
    for our, their in zip(ours, theirs, strict=True):
        start = our.find(_CREATED) + len(_CREATED)
        end = start + _MOMENT
        if our[:start] != their[:start] or our[end:] != their[end:]:
            return False
        moments.add(their[start:end])
    return all(map(bytes.isascii, moments)) and TIMESTAMP.are_legal([moment.decode() for moment in moments])


def row_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names in the line of a record with these content fields, in order."""
    return tuple(sorted((*names, "checksum", "created_at")))


def are_legal(shape: Shape, contents: Sequence[Sequence[object]], moments: Collection[object]) -> bool:
    """Whether :func:`illegal` finds nothing in records with these values and moments of creation."""
    return shape.are_valid(contents) and TIMESTAMP.are_legal(moments)


def illegal(shape: Shape, values: Sequence[object], created_at: object) -> Iterator[tuple[str, object, str]]:
    """The illegal values of a record: for each the field, the value, and what is expected."""
    yield from shape.errors(values)
    if (expected := TIMESTAMP.error(created_at)) is not None:
        yield "created_at", created_at, expected


@lru_cache(100)  # to make a type takes as long as to read a block
def _struct(names: tuple[str, ...], later: frozenset[str]) -> type[msgspec.Struct]:
    """The type of an object with these names, in this order. It leaves those of ``later`` out where they are null."""
    fields: list[Any] = [(name, str | None) for name in names]
    if not later.isdisjoint(names):
        # Each has a default, because one without may not follow one with. A name that must be there has one that is no
        # legal value.
        fields = [(name, str | None, None if name in later else _MISSING) for name in names]
        return msgspec.defstruct("Line", fields, gc=False, omit_defaults=True)
    return msgspec.defstruct("Line", fields, gc=False)


@lru_cache(100)
def _key_struct(names: tuple[str, ...]) -> type[msgspec.Struct]:
    """The type of an object of which only these names are read."""
    return msgspec.defstruct("Key", [(name, str) for name in names], gc=False)


_MISSING: Final = object()
