"""The types that a field's value can have, each with one canonical text.

In the engine every value is a string or ``None``. A type says which strings are legal, in the one spelling that every
database and every file uses, so that equal content has equal checksums. It converts the text to the Python value that
Django stores, and back.

Every value of every record is checked, and values repeat (days, times, names), so a type remembers those that it has
found legal and examines each only once.
"""

from __future__ import annotations

import datetime as dt
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Any, ClassVar, Final

MAX_MINUTES: Final = 9999 * 60 + 59
"""The longest duration that has a text: 9999:59."""

_MOMENT: Final = 27
"""Characters of a moment."""

_MEMO_LIMIT: Final = 100_000
"""Values that a type remembers: more than there are times of a day."""


def whole_pattern(pattern: str) -> str:
    """A JSON Schema pattern that matches whole texts. In Python, ``$`` alone also matches before a last newline."""
    return f"^{pattern}$(?!\\n)"


class FieldType(ABC):
    """The type of a field: which values are legal, in which canonical text.

    ``nullable`` says whether ``None`` is legal. A subclass defines :meth:`is_legal` and its JSON Schema.
    """

    expected: ClassVar[str]
    sorts_as_stored: ClassVar[bool] = True
    """Whether databases, which compare texts by code point, sort stored values as their texts are sorted."""

    def __init__(self, *, nullable: bool = False) -> None:
        self.nullable = nullable
        self.found_legal: set[object] = {None} if nullable else set()
        """Values that :meth:`error` found legal, and no others. It is always the same set object."""

    def error(self, value: object) -> str | None:
        """What is expected instead of ``value``, as a text for people; None if the value is legal."""
        if value is None:
            return None if self.nullable else self.expectation()
        if type(value) is not str:
            return self.expectation()
        if value in self.found_legal:
            return None
        if not self.is_legal(value):
            return self.expectation()
        if len(self.found_legal) >= self._memo_limit():
            self.found_legal.clear()
            self.found_legal.update({None} if self.nullable else ())
        self.found_legal.add(value)
        return None

    def are_legal(self, values: Collection[object]) -> bool:
        """Whether :meth:`error` finds nothing wrong with any of them. Python code runs only for values that are new.

        Raises TypeError for a list or an object, which is no value.
        """
        return self.found_legal.issuperset(values) or not any(map(self.error, set(values) - self.found_legal))

    @staticmethod
    def _memo_limit() -> int:
        return _MEMO_LIMIT

    @abstractmethod
    def is_legal(self, text: str) -> bool:
        """Whether ``text`` is a legal value in its canonical spelling."""

    def expectation(self) -> str:
        """What is expected, as a text for an error message."""
        return f"{self.expected} or null" if self.nullable else self.expected

    @property
    def blank(self) -> str | None:
        """The value that an added record gets where it lacks the field."""
        return None

    def to_python(self, text: str | None) -> Any:
        """The value that Django stores for a legal text."""
        return text

    def to_text(self, value: Any) -> str | None:
        """The canonical text of a value that Django read; if it has none, a text that :meth:`error` refuses."""
        return value if value is None or type(value) is str else str(value)

    def json_schema(self, *, null: bool = True) -> dict[str, Any]:
        """The JSON Schema (2020-12) of the value in a file. ``null``: whether a nullable one can be null there."""
        schema = self._json_schema()
        if self.nullable and null:
            return {"anyOf": [schema, {"type": "null"}]}
        return schema

    @abstractmethod
    def _json_schema(self) -> dict[str, Any]:
        """The JSON Schema of a value that is not null."""


class Text(FieldType):
    """Text with a minimum and a maximum of characters. All characters but NUL and unpaired surrogates are legal, and
    are stored as they are."""

    def __init__(self, *, min_length: int = 0, max_length: int, nullable: bool = False) -> None:
        super().__init__(nullable=nullable)
        self.min_length = min_length
        self.max_length = max_length

    @staticmethod
    def _memo_limit() -> int:
        return _MEMO_LIMIT // 25  # a text can be long

    def are_legal(self, values: Collection[object]) -> bool:
        # Names are many, and each is short, so they are looked at together.
        new = set(values) - self.found_legal
        if not new:
            return True
        if set(map(type, new)) != {str}:
            return False
        texts = list(map(str, new))
        lengths = list(map(len, texts))
        return (
            self.min_length <= min(lengths)
            and max(lengths) <= self.max_length
            and self._has_legal_characters("".join(texts))
        )

    def is_legal(self, text: str) -> bool:
        return self.min_length <= len(text) <= self.max_length and self._has_legal_characters(text)

    @staticmethod
    def _has_legal_characters(text: str) -> bool:
        if "\0" in text:
            return False
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
        return True

    def expectation(self) -> str:
        text = f"text of {self.min_length} to {self.max_length} characters, without NUL or unpaired surrogates"
        return f"{text}, or null" if self.nullable else text

    @property
    def blank(self) -> str | None:
        return None if self.nullable or self.min_length else ""

    def _json_schema(self) -> dict[str, Any]:
        return {
            "type": "string",
            "minLength": self.min_length,
            "maxLength": self.max_length,
            "pattern": whole_pattern("[^\\u0000\\ud800-\\udfff]*"),
        }


class Choice(FieldType):
    """One of a closed set of texts."""

    def __init__(self, values: Iterable[str], *, nullable: bool = False) -> None:
        super().__init__(nullable=nullable)
        self.values = tuple(values)

    def is_legal(self, text: str) -> bool:
        return text in self.values

    def expectation(self) -> str:
        text = "one of " + ", ".join(self.values)
        return f"{text}, or null" if self.nullable else text

    def _json_schema(self) -> dict[str, Any]:
        return {"enum": list(self.values)}


class Date(FieldType):
    """A calendar day, ``YYYY-MM-DD`` (RFC 3339 full-date), years 0001 to 9999."""

    expected = "a date YYYY-MM-DD"
    _shape = re.compile(r"(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}")

    def is_legal(self, text: str) -> bool:
        if not self._shape.fullmatch(text):
            return False
        try:
            dt.date.fromisoformat(text)
        except ValueError:
            return False
        return True

    def to_python(self, text: str | None) -> dt.date | None:
        return None if text is None else dt.date.fromisoformat(text)

    def to_text(self, value: Any) -> str | None:
        return value.isoformat() if isinstance(value, dt.date) else super().to_text(value)

    def _json_schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "date", "pattern": whole_pattern(self._shape.pattern)}


class Time(FieldType):
    """A time of day in whole seconds, ``HH:MM:SS``."""

    expected = "a time HH:MM:SS"
    _shape = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]")

    def is_legal(self, text: str) -> bool:
        return self._shape.fullmatch(text) is not None

    def to_python(self, text: str | None) -> dt.time | None:
        return None if text is None else dt.time.fromisoformat(text)

    def to_text(self, value: Any) -> str | None:
        return value.isoformat() if isinstance(value, dt.time) else super().to_text(value)

    def _json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": whole_pattern(self._shape.pattern)}


class Minutes(FieldType):
    """A duration in whole minutes, ``HH:MM`` with two or more digits of hours, 00:00 to 9999:59.

    Django stores the number of minutes."""

    expected = "a duration HH:MM from 00:00 to 9999:59"
    sorts_as_stored = False  # 100:00 is before 99:00
    _shape = re.compile(r"([0-9]{2}|[1-9][0-9]{2,3}):[0-5][0-9]")

    def is_legal(self, text: str) -> bool:
        return self._shape.fullmatch(text) is not None

    def to_python(self, text: str | None) -> int | None:
        return None if text is None else _minutes(text)

    def to_text(self, value: Any) -> str | None:
        if type(value) is not int or value < 0:
            return super().to_text(value)
        return f"{value // 60:02}:{value % 60:02}"

    def _json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": whole_pattern(self._shape.pattern)}


@lru_cache(10_000)
def _minutes(text: str) -> int:
    """The minutes of a legal text. Cached, because there are few and every record has up to three."""
    return int(text[:-3]) * 60 + int(text[-2:])


class Timestamp(FieldType):
    """A moment in UTC with microseconds, ``YYYY-MM-DDTHH:MM:SS.ffffffZ`` (RFC 3339)."""

    expected = "a moment YYYY-MM-DDTHH:MM:SS.ffffffZ"
    _shape = re.compile(r"(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z")
    _many = re.compile(rf"(?:{_shape.pattern}\n)*")

    def are_legal(self, values: Collection[object]) -> bool:
        new = set(values) - self.found_legal
        if not new:
            return True
        if not all(type(value) is str and len(value) == _MOMENT for value in new):
            return False
        # There are many, and few repeat, so they are looked at together; what needs Python code is the day.
        texts = list(map(str, new))
        days = {text[:10] for text in texts}
        return bool(self._many.fullmatch("\n".join((*texts, "")))) and all(
            self.error(f"{day}T00:00:00.000000Z") is None for day in days
        )

    def is_legal(self, text: str) -> bool:
        # In another time zone, the first and the last day would be in the year 0 or 10000, which Python does not have.
        if not self._shape.fullmatch(text) or not "0001-01-02" <= text[:10] <= "9999-12-30":
            return False
        try:
            dt.datetime.fromisoformat(text)
        except ValueError:
            return False
        return True

    def to_python(self, text: str | None) -> dt.datetime | None:
        return None if text is None else dt.datetime.fromisoformat(text)

    def to_text(self, value: Any) -> str | None:
        if not isinstance(value, dt.datetime) or value.utcoffset() is None:
            return super().to_text(value)
        return value.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"

    def _json_schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "date-time", "pattern": whole_pattern(self._shape.pattern)}


TIMESTAMP: Final = Timestamp()
