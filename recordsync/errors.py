"""What can go wrong, as types. Each message is a sentence for the person who reads it: what happened, to
what, and what to do; whoever catches it adds what was not changed."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

_DIGITS = 12


def printable(text: str) -> str:
    """Text of a file or a database for a terminal or a log: what would steer it, or start a line, is written out."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def named(model: str, key: Sequence[str]) -> str:
    """A record in a sentence."""
    return f"{model} {' · '.join(key)}"


def digest_start(digest: object) -> str:
    """A digest in a sentence: enough of it to tell it from another."""
    return f"{str(digest)[:_DIGITS]}…" if len(str(digest)) > _DIGITS else repr(digest)


def wrong_checksum(given: object, right: str) -> str:
    """What is wrong with a record whose checksum is not its own."""
    shown, own = digest_start(given), digest_start(right)
    return f"the checksum is {shown}, and the record's own is {own}: the record is damaged or was changed by hand"


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
            f"Records came out of key order: {' · '.join(key)} after {' · '.join(last)}. A database must sort its key "
            'columns by code point (on PostgreSQL, COLLATE "C"); check that the migrations have been run.'
        )


class InvalidRecord(RecordSyncError):
    """A record that has no legal form in a file."""

    def __init__(self, model: str, key: tuple[str, ...], field: str, value: object, expected: str) -> None:
        super().__init__(
            f"The register's {named(model, key)} has {value!r} as {field}, where {expected} is expected. "
            "Correct this record first."
        )
        self.model, self.key, self.field, self.value, self.expected = model, key, field, value, expected


class LockTimeout(RecordSyncError):
    """Someone else holds a lock, and still did when the wait was over."""


class LockLost(RecordSyncError):
    """A lock that was held was lost, and somebody else may have had it meanwhile."""


class CommitUnknown(RecordSyncError):
    """The answer to a COMMIT was lost, and the database does not say whether it took place."""


class RegisterMoved(RecordSyncError):
    """The database is not as it was when the plan was made."""


class SourceChanged(RecordSyncError):
    """The file that is being applied is not the file that was checked."""


@dataclass(frozen=True, slots=True)
class FileError:
    """One thing that is wrong with a file: what it is, in a sentence that does not say where, and where it is."""

    message: str
    line: int | None = None
    """Counted from 1."""
    key: tuple[str, ...] | None = None
    field: str | None = None
    value: Any = None
    section: str | None = None
    """The part of the file that the record is in: a model's name, or ``deleted.`` and that."""
    number: int | None = None
    """Which of its section's records it is, counted from 1, in a file whose lines mean nothing."""
    expected: Any = None
    """In full what should stand there, where it is known and the sentence has not room for it."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON: ``message``, and the rest where known."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        where = [f"line {self.line}"] if self.line else []
        if self.key is not None:
            where.append(named(self.section or "record", self.key))
        return f"{', '.join(where)}: {self.message}" if where else self.message


class InvalidFile(RecordSyncError):
    """A file that is not a whole and valid backup. ``errors`` are the first found; ``count`` is of all."""

    def __init__(self, errors: Sequence[FileError], count: int | None = None) -> None:
        self.errors = tuple(errors)
        self.count = count if count is not None else len(self.errors)
        more = f" (and {self.count - 1:,} more)" if self.count > 1 else ""
        super().__init__(f"{self.errors[0]}{more}")
