"""What can go wrong, as types. Each message is a sentence for the person who reads it: what happened, to
what, and what to do; whoever catches it adds what was not changed."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


def printable(text: str) -> str:
    """Text of a file or a database for a terminal or a log: what would steer it, or start a line, is written out."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def is_one_line(text: str) -> bool:
    """Whether a text has no line breaks and no other control characters."""
    return not any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in text)


def printable_path(path: str | os.PathLike[str]) -> str:
    """A path, or an argument of a command, for people, files and databases: what is not UTF-8 in it is written out."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class RecordSyncError(Exception):
    """Anything that this package refuses to do, or cannot."""


class OutOfOrder(RecordSyncError):
    """A stream that must be in key order is not."""

    def __init__(self, key: tuple[str, ...], last: tuple[str, ...]) -> None:
        super().__init__(
            f"Records came out of key order: {list(key)} after {list(last)}. A database must sort its key "
            'columns by code point (on PostgreSQL, COLLATE "C"); check that the migrations have been run.'
        )


class InvalidRecord(RecordSyncError):
    """A record that has no legal form in a file."""

    def __init__(self, model: str, key: tuple[str, ...], field: str, value: object, expected: str) -> None:
        super().__init__(
            f"The register's {model} {list(key)} has {value!r} as {field}, where {expected} is expected. "
            "Correct this record first."
        )
        self.model, self.key, self.field, self.value, self.expected = model, key, field, value, expected


class LockTimeout(RecordSyncError):
    """Someone else holds a lock, and still did when the wait was over."""


class RegisterMoved(RecordSyncError):
    """The database is not as it was when the plan was made."""


class SourceChanged(RecordSyncError):
    """The file that is being applied is not the file that was checked."""


@dataclass(frozen=True, slots=True)
class FileError:
    """One thing that is wrong with a file: where (``line`` counts from 1), and what was expected instead."""

    message: str
    line: int | None = None
    key: tuple[str, ...] | None = None
    field: str | None = None
    value: Any = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON: ``message``, and the rest where known."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line else self.message


class InvalidFile(RecordSyncError):
    """A file that is not a whole and valid backup. ``errors`` are the first found; ``count`` is of all."""

    def __init__(self, errors: Sequence[FileError], count: int | None = None) -> None:
        self.errors = tuple(errors)
        self.count = count if count is not None else len(self.errors)
        more = f" (and {self.count - 1:,} more)" if self.count > 1 else ""
        super().__init__(f"{self.errors[0]}{more}")
