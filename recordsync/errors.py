"""The errors of the engine. Each message is a sentence for the person who reads it: what happened, to what, and what to
do. Whoever catches the error adds what was not changed."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


def printable(text: str) -> str:
    """The text, with escapes for characters that would control a terminal or start a new line in a log."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def named(model: str, key: Sequence[str]) -> str:
    """A record's model and key, for a sentence. ``key``: as people read it (:meth:`Model.spelt`)."""
    return f"{model} {' · '.join(key)}"


def is_one_line(text: str) -> bool:
    """Whether a text has no line breaks and no other control characters."""
    return not any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in text)


def printable_path(path: str | os.PathLike[str]) -> str:
    """A path or an argument of a command as text, with escapes for bytes that are not UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class RecordSyncError(Exception):
    """Something that the engine refuses or cannot do."""


class OutOfOrder(RecordSyncError):
    """A stream is not in key order."""

    def __init__(self, key: tuple[str, ...], last: tuple[str, ...]) -> None:
        super().__init__(
            f"Records came out of key order: {' · '.join(key)} after {' · '.join(last)}. A database must sort its key "
            'columns by code point (on PostgreSQL, COLLATE "C"); check that the migrations have been run.'
        )


class InvalidRecord(RecordSyncError):
    """The register has a record that no file can hold. ``key``: as people read it."""

    def __init__(self, model: str, key: tuple[str, ...], field: str, value: object, expected: str) -> None:
        super().__init__(
            f"The register's {named(model, key)} has {value!r} as {field}, where {expected} is expected. "
            "Correct this record first."
        )
        self.model, self.key, self.field, self.value, self.expected = model, key, field, value, expected


class LockTimeout(RecordSyncError):
    """Somebody else held a lock until the wait was over."""


class LockLost(RecordSyncError):
    """A holder lost its lock, and somebody else may have had it meanwhile."""


class CommitUnknown(RecordSyncError):
    """The answer to a COMMIT was lost, and the database does not answer whether it took place."""


class RegisterMoved(RecordSyncError):
    """The register is not as it was when the plan was made."""


class SourceChanged(RecordSyncError):
    """The file is not the one that was checked."""


class ListDamaged(RecordSyncError):
    """A list of changes is not whole, or not as it was written."""


class CheckNeeded(RecordSyncError):
    """A file cannot be used as it is read: only its check knows whether it is valid."""


class HistoryUnusable(RecordSyncError):
    """The database of the history store does not answer, or cannot be written. Its cause is the database's error.

    ``alias``: of that database.
    """

    def __init__(self, alias: str, why: object) -> None:
        super().__init__(f"The history store cannot be used: {why}")
        self.alias = alias


class HistoryDamaged(RecordSyncError):
    """The history store does not hold what it should. ``digest``: of the node or block that is damaged or missing."""

    def __init__(self, digest: str, what: str) -> None:
        super().__init__(f"The history store is not whole: {what} ({digest[:10]}).")
        self.digest = digest
        self.what = what


@dataclass(frozen=True, slots=True)
class FileError:
    """One error in a file: what is wrong, as a sentence, and where."""

    message: str
    line: int | None = None
    """Counted from 1."""
    key: tuple[str, ...] | None = None
    """As people read it (:meth:`Model.spelt`), which is not always the order that keys are sorted in."""
    field: str | None = None
    value: Any = None
    section: str | None = None
    """The section that the record is in: a model's name, or ``deleted.`` and the name."""
    number: int | None = None
    """The number of the record in its section, counted from 1, in a file without a record a line."""
    expected: Any = None
    """What should stand there, if it is known and too long for the sentence."""

    def as_dict(self) -> dict[str, Any]:
        """The error for JSON: ``message``, and whatever else is known."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        places = [f"line {self.line}"] if self.line else []
        if self.key is not None:
            places.append(named(self.section or "record", self.key))
        return f"{', '.join(places)}: {self.message}" if places else self.message


class InvalidFile(RecordSyncError):
    """A file is not a whole and valid backup. ``errors`` are the first ones, ``count`` is the number of all."""

    def __init__(self, errors: Sequence[FileError], count: int | None = None) -> None:
        self.errors = tuple(errors)
        self.count = count if count is not None else len(self.errors)
        more = f" (and {self.count - 1:,} more)" if self.count > 1 else ""
        super().__init__(f"{self.errors[0]}{more}")
