"""Parsers of a line, which holds a record or a deletion. They find everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
import orjson

from recordsync.backupfile.layout import Section, deletion_names
from recordsync.backupfile.messages import kept, shown, text_key, wrong_checksum
from recordsync.backupfile.scanner import is_canonical
from recordsync.errors import FileError
from recordsync.model.records import Key, Record, Values, checksum
from recordsync.model.schema import Model, Shape
from recordsync.streams import Deletion
from recordsync.streams.lines import Lines, are_legal, illegal, row_names

_SHA256_SHAPE = frozenset("0123456789abcdef")

Note = Callable[[FileError], None]
"""Takes an error."""


class RecordParser:
    """Checks the lines of one model's records."""

    def __init__(self, section: Section, shape: Shape) -> None:
        self._section = section
        self._shape = shape
        self._names = row_names(shape.names)
        self._lines = Lines(shape)

    def keys(self, rows: Sequence[bytes]) -> list[Key] | None:
        """The records' keys; None if something is wrong with one of these lines."""
        parts = self._legal_parts(rows)
        return None if parts is None else list(map(self._shape.key, parts[0]))

    def records(self, rows: Sequence[bytes]) -> list[Record] | None:
        """The records; None if something is wrong with one of these lines."""
        parts = self._legal_parts(rows)
        return None if parts is None else list(map(self._shape.record, *parts))

    def _legal_parts(self, rows: Sequence[bytes]) -> tuple[list[Values], list[str | None]] | None:
        """The values of each line, and its ``created_at``.

        A line is right in everything (layout, names, checksum) if the writer would write the same for its values.
        """
        try:
            parts = self._lines.right_parts(rows)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if parts is None:
            return None
        contents = [part[:-2] for part in parts]
        moments = [part[-1] for part in parts]
        return (contents, moments) if are_legal(self._shape, contents, moments) else None

    def check(self, row: bytes, line: int, note: Note) -> Key | None:
        """The record's key, or None if it has no legal one. ``note`` gets everything that is wrong with the line."""
        keys = self.keys([row])
        return self._find_wrong(row, line, note) if keys is None else keys[0]

    def _find_wrong(self, row: bytes, line: int, note: Note) -> Key | None:
        """As :meth:`check`, for a line that is wrong."""
        later = self._shape.model.later
        content = _parsed(self._section, row, line, self._names, note, later)
        if content is None:
            return None
        given = content.pop("checksum")
        created_at = content.pop("created_at")
        values = tuple(content.values())
        key_names = self._shape.model.key_names
        key = tuple(content[name] for name in key_names)
        wrong: set[str] = set()
        for name, value, expected in illegal(self._shape, values, created_at):
            wrong.add(name)
            note(_illegal(self._section, line, key, name, value, expected))
        if not wrong and given != (right := checksum(content, self._shape.model.later)):
            message = wrong_checksum(given, right)
            place = self._section.place
            note(
                FileError(
                    message, line, text_key(key, self._shape.model), "checksum", kept(given), place, expected=right
                )
            )
        return None if wrong.intersection(key_names) else key


class DeletionParser:
    """Checks the lines of one model's deletions."""

    def __init__(self, section: Section) -> None:
        self._section = section
        self._model = section.model
        self._names = deletion_names(section.model)

    def keys(self, rows: Sequence[bytes]) -> None:
        """None: there are few deletions, and each is checked alone."""

    def check(self, row: bytes, line: int, note: Note) -> Key | None:
        """As :meth:`RecordParser.check`."""
        content = _parsed(self._section, row, line, self._names, note)
        if content is None:
            return None
        key = tuple(content[name] for name in self._model.key_names)
        problems = [
            (f.name, content[f.name], expected)
            for f in self._model.key
            if (expected := f.type.error(content[f.name])) is not None
        ]
        digest = content["checksum"]
        if type(digest) is not str or len(digest) != 64 or not _SHA256_SHAPE.issuperset(digest):
            problems.append(("checksum", digest, "64 lower-case hex digits"))
        wrong = {name for name, _value, _expected in problems}
        for name, value, expected in problems:
            note(_illegal(self._section, line, key, name, value, expected))
        return None if wrong.intersection(self._model.key_names) else key


def read_deletion(model: Model, row: bytes) -> Deletion:
    """The deletion in a line that was checked."""
    content = orjson.loads(row)
    return Deletion(tuple(content[name] for name in model.key_names), content["checksum"])


def _parsed(
    section: Section, row: bytes, line: int, names: Sequence[str], note: Note, later: Collection[str] = ()
) -> dict[str, Any] | None:
    """The line's object, or None unless it has exactly these names in canonical form; ``note`` gets what is wrong.

    Where it lacks a name of ``later``, the value is null, which such a field never has in a line.
    """
    place = section.place
    try:
        content: dict[str, Any] = orjson.loads(row)  # the line starts with a brace
    except orjson.JSONDecodeError as error:
        note(FileError(f"the line is not JSON: {error}", line, value=shown(row), section=place))
        return None
    left_out = [name for name in names if name in later and name not in content]
    if {*content, *left_out} != set(names):
        key = text_key([content.get(name) for name in section.model.key_names], section.model)
        for name in names:
            if name not in content and name not in later:
                note(FileError(f"the field {name} is missing", line, key, name, section=place))
        for name in content:
            if name not in names:
                message = f"the field {shown(name)} is not known"
                note(FileError(message, line, key, kept(name), kept(content[name]), place))
        return None
    if not is_canonical(content, row):
        key = text_key([content[name] for name in section.model.key_names], section.model)
        message = "the line is not in canonical form (a name given twice, other order or spacing)"
        note(FileError(message, line, key, section=place))
        return None
    if nulls := [name for name in names if name in later and content.get(name, "") is None]:
        key = text_key([content[name] for name in section.model.key_names], section.model)
        message = f"{nulls[0]} is null, and a line leaves it out while it is"
        note(FileError(message, line, key, nulls[0], section=place))
        return None
    return {name: content.get(name) for name in names} if left_out else content


def _illegal(section: Section, line: int, key: Sequence[Any], name: str, value: Any, expected: str) -> FileError:
    """The error that a field has this value."""
    message = f"{name} is {shown(value)}, where {expected} is expected"
    return FileError(message, line, text_key(key, section.model), name, kept(value), section.place)
