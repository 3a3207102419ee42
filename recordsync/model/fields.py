"""The types that a field's value can have, each with one canonical text.

In the engine every value is a string or ``None``. A type says which strings are legal, in the one spelling that every
database and every file uses, so that equal content has equal checksums. It converts the text to the Python value that
Django stores, and back.

Every value of every record is checked, and values repeat (days, times, names), so a type remembers those that it has
found legal and examines each only once.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Any, ClassVar, Final, NoReturn

import orjson

MAX_MINUTES: Final = 9999 * 60 + 59
"""The longest duration that has a text: 9999:59."""

_MOMENT: Final = 27
"""Characters of a moment."""

UUID_SHAPE: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

MAX_DIGITS: Final = 15
"""Digits of a decimal that SQLite, which stores it as a binary fraction, gives back as they were."""

_DEPTH: Final = 100
"""Levels of a legal JSON text."""

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
    in_keys: ClassVar[bool] = True
    """Whether a key can have it."""
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


class Integer(FieldType):
    """A whole number from ``minimum`` to ``maximum``, in decimal digits without leading zeros."""

    sorts_as_stored = False  # 10 is before 9

    def __init__(self, minimum: int = -(2**63), maximum: int = 2**63 - 1, *, nullable: bool = False) -> None:
        super().__init__(nullable=nullable)
        self.minimum = minimum
        self.maximum = maximum
        negative = _numbers(max(1, -maximum), -minimum)
        signed = [*(f"-{number}" for number in negative), *_numbers(max(0, minimum), maximum)]
        self._shape = re.compile(f"({'|'.join(signed)})")

    def is_legal(self, text: str) -> bool:
        return self._shape.fullmatch(text) is not None

    def expectation(self) -> str:
        text = f"a whole number from {self.minimum} to {self.maximum}"
        return f"{text} or null" if self.nullable else text

    def to_python(self, text: str | None) -> int | None:
        return None if text is None else int(text)

    def _json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": whole_pattern(self._shape.pattern)}


def _numbers(low: int, high: int) -> list[str]:
    """The patterns of the whole numbers from ``low``, which is not negative, to ``high``: one for each length."""
    patterns = []
    for length in range(len(str(low)), len(str(high)) + 1 if high >= low else 0):
        first = max(low, 10 ** (length - 1) if length > 1 else 0)
        patterns.append(_digits(str(first), str(min(high, 10**length - 1))))
    return patterns


def _digits(low: str, high: str) -> str:
    """The pattern of the digits from ``low`` to ``high``, which are as long."""
    rest = len(low) - 1
    if not low or (low, high) == ("0" * len(low), "9" * len(low)):
        return f"[0-9]{{{len(low)}}}" if low else ""
    if low[0] == high[0]:
        return low[0] + _digits(low[1:], high[1:])
    between = [str(digit) for digit in range(int(low[0]) + 1, int(high[0]))]
    parts = [low[0] + _digits(low[1:], "9" * rest), high[0] + _digits("0" * rest, high[1:])]
    if between:
        parts.append(f"[{between[0]}-{between[-1]}]" + _digits("0" * rest, "9" * rest))
    return f"({'|'.join(parts)})"


class Decimal(FieldType):
    """A decimal number with all its places: ``-12.50``, and never ``-0.00``."""

    sorts_as_stored = False

    def __init__(self, max_digits: int, decimal_places: int, *, nullable: bool = False) -> None:
        """``max_digits``: of them, ``decimal_places`` stand after the point. At most :data:`MAX_DIGITS`."""
        super().__init__(nullable=nullable)
        if not 0 <= decimal_places <= max_digits <= MAX_DIGITS or not max_digits:
            raise ValueError(f"a decimal has up to {MAX_DIGITS} digits")
        self.decimal_places = decimal_places
        self.whole_digits = max_digits - decimal_places
        whole = f"(0|[1-9][0-9]{{0,{self.whole_digits - 1}}})" if self.whole_digits else "0"
        places = f"\\.[0-9]{{{decimal_places}}}" if decimal_places else ""
        self._shape = re.compile(f"(?!-[0.]+$)-?{whole}{places}")

    def is_legal(self, text: str) -> bool:
        return self._shape.fullmatch(text) is not None

    def expectation(self) -> str:
        places = f" and {self.decimal_places} after it" if self.decimal_places else ""
        text = f"a decimal with up to {self.whole_digits} digits before the point{places}"
        return f"{text}, or null" if self.nullable else text

    def to_python(self, text: str | None) -> decimal.Decimal | None:
        return None if text is None else decimal.Decimal(text)

    def to_text(self, value: Any) -> str | None:
        if not isinstance(value, decimal.Decimal) or not value.is_finite():
            return super().to_text(value)
        try:
            exact = value.quantize(decimal.Decimal(1).scaleb(-self.decimal_places))
        except decimal.InvalidOperation:  # too many digits
            return str(value)
        # Adding zero makes a negative zero positive.
        return f"{exact + 0:f}" if exact == value else str(value)

    def _json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": whole_pattern(self._shape.pattern)}


class Boolean(FieldType):
    """``true`` or ``false``."""

    expected = "true or false, as a text"

    def is_legal(self, text: str) -> bool:
        return text in ("true", "false")

    def to_python(self, text: str | None) -> bool | None:
        return None if text is None else text == "true"

    def to_text(self, value: Any) -> str | None:
        return str(value).lower() if type(value) is bool else super().to_text(value)

    def _json_schema(self) -> dict[str, Any]:
        return {"enum": ["false", "true"]}


class Uuid(FieldType):
    """A UUID in lower-case hex with hyphens (RFC 9562), of any version."""

    expected = "a UUID in lower case"
    _shape = re.compile(UUID_SHAPE)

    def is_legal(self, text: str) -> bool:
        return self._shape.fullmatch(text) is not None

    def to_python(self, text: str | None) -> uuid.UUID | None:
        return None if text is None else uuid.UUID(text)

    def _json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": whole_pattern(UUID_SHAPE)}


class Json(FieldType):
    """Any JSON value but null, as the text of RFC 8785: names sorted, no white space, numbers as JavaScript writes
    them. Numbers are those of 64 bits (IEEE 754), and texts have neither NUL nor unpaired surrogates.

    JSON null is no value of its own: Django reads it as it reads the null of SQL.
    """

    expected = "canonical JSON (RFC 8785), as a text"
    in_keys = False

    @staticmethod
    def _memo_limit() -> int:
        return _MEMO_LIMIT // 25  # a text can be long

    def is_legal(self, text: str) -> bool:
        try:
            return self._read(text) == text
        except (ValueError, RecursionError):
            return False

    def canonical(self, text: str | None) -> str | None:
        """The canonical text of a JSON text in any spelling; one that has none stays as it is, and is refused."""
        try:
            return None if text is None else self._read(text)
        except (ValueError, RecursionError):
            return text

    @staticmethod
    def _read(text: str) -> str | None:
        """As :meth:`canonical`. Raises ValueError or RecursionError for a text that has none."""
        value = json.loads(text, parse_constant=_refuse)
        return None if value is None else _canonical_json(value, _DEPTH)

    def to_python(self, text: str | None) -> Any:
        # A larger whole number is that of 64 bits whose text this is.
        return None if text is None else json.loads(text, parse_int=lambda digits: _whole(int(digits)))

    def to_text(self, value: Any) -> str | None:
        try:
            return None if value is None else _canonical_json(value, _DEPTH)
        except (ValueError, RecursionError):
            return "a value that has no canonical JSON"

    def _json_schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1, "contentMediaType": "application/json"}


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _canonical_json(value: Any, depth: int) -> str:
    """The canonical JSON of a value that was read from JSON. Raises ValueError for one that has none."""
    if not depth and isinstance(value, list | dict):
        raise ValueError("too deep")
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("NUL")
        try:
            return orjson.dumps(value).decode()
        except TypeError as error:
            raise ValueError("unpaired surrogate") from error
    if isinstance(value, list):
        return f"[{','.join([_canonical_json(item, depth - 1) for item in value])}]"
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        members = [f"{_canonical_json(name, 0)}:{_canonical_json(value[name], depth - 1)}" for name in names]
        return f"{{{','.join(members)}}}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return _canonical_number(value)


def _canonical_number(value: int | float) -> str:
    """A number as JavaScript writes it. Raises ValueError for one that 64 bits do not hold."""
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError("too large") from error
    if not math.isfinite(number):
        raise ValueError("not a number")
    text = _as_javascript(number)
    if number != value and decimal.Decimal(text) != value:  # a whole number that 64 bits do not hold
        raise ValueError("too precise")
    return text


def _whole(number: int) -> int | float:
    return number if abs(number) <= 2**53 else float(number)


def _as_javascript(number: float) -> str:
    sign, figures, exponent = decimal.Decimal(repr(number)).normalize().as_tuple()
    if not any(figures):
        return "0"
    digits = "".join(map(str, figures))
    point = len(digits) + int(exponent)  # where it is among the digits
    if len(digits) <= point <= 21:
        text = digits + "0" * (point - len(digits))
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        text = f"{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{point - 1:+}"
    return f"-{text}" if sign else text


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
