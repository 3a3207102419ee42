"""Converts the values in the cells of a workbook (XLSX) to text, and text to and from what XLSX can hold."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from openpyxl.utils.datetime import from_excel


class Moment(str):
    """The text of a cell that is a date, a time or a duration."""

    __slots__ = ()


class Number(str):
    """The text of a cell that is another number."""

    __slots__ = ()


class Truth(str):
    """The text of a cell that is true or false."""

    __slots__ = ()


_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DAY_OF_TIMES: Final = "0001-01-01"


def number_text(value: str, format_: str, epoch: dt.datetime) -> str:
    """The text of a number. A whole number has no point; a date, time or duration, which is a number of days, is to the
    second (18.17.4). Any other text stays as it is."""
    if _NUMBER.fullmatch(value) is None:
        return value
    if not format_ and value.isdigit():
        return Number(value.lstrip("0") or "0")
    number = float(value)
    if not format_ or (number < 0 and format_ == "date"):
        return Number(int(number) if number.is_integer() and abs(number) <= 1 << 53 else repr(number))
    try:
        return _moment_text(from_excel(round(number * 86_400) / 86_400, epoch, format_ == "duration"))
    except (ValueError, OverflowError):  # no date that Python has
        return Number(value)


def iso_text(value: str) -> str:
    """A date or a time of ISO 8601, to the second. Other text, or one with a time zone, stays as it is."""
    text = value.removesuffix("Z")
    try:
        if "-" not in text:
            text = f"{_DAY_OF_TIMES}T{text}"
        moment = dt.datetime.fromisoformat(text) + dt.timedelta(milliseconds=500)
    except (ValueError, OverflowError):
        return value
    if moment.tzinfo is not None:
        return value
    if not text.startswith(_DAY_OF_TIMES):
        return _moment_text(moment.replace(microsecond=0))
    return _moment_text(moment.time()) if moment.day == 1 else value  # a time must not be rounded to the next day


def _moment_text(value: dt.date | dt.time | dt.timedelta) -> Moment:
    if isinstance(value, dt.timedelta):
        seconds = round(value.total_seconds())
        minutes = abs(seconds) // 60
        return Moment(f"{'-' if seconds < 0 else ''}{minutes // 60:02}:{minutes % 60:02}:{abs(seconds) % 60:02}")
    if isinstance(value, dt.datetime):
        return Moment(value.date().isoformat() if value.time() == dt.time() else value.isoformat(" ", "seconds"))
    return Moment(value.isoformat("seconds") if isinstance(value, dt.time) else value.isoformat())


# --- Text

_NOT_XML: Final = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_ESCAPED: Final = re.compile("_x(?![Dd][89A-Fa-f])([0-9A-Fa-f]{4})_")
"""Escapes, but not those of half a character in UTF-16."""
_ERROR: Final = re.compile(r"#(?:N/[AD]|NV|GETTING_DATA|[¡¿]?(?:DIV/0|[A-Z]+)[!?]|##+)|Err:[0-9]{3}")
"""The errors of 18.17.3, later ones that end in the same way, and their forms in CSV of other languages."""


def written_xlsx(text: str) -> str:
    """The text for XLSX. Characters that XML cannot hold, and CR, which it changes, become ``_xHHHH_`` (22.9.2.19,
    ST_Xstring); text that only looks like that is protected in the same way."""
    return _NOT_XML.sub(lambda match: f"_x{ord(match[0]):04X}_", text)


def read_xlsx(text: str) -> str:
    """The text that XLSX holds, without the escapes of :func:`written_xlsx` and of spreadsheet programs."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if "_x" in text else text


def is_error(text: str) -> bool:
    """Whether a text is what a spreadsheet shows for a failed formula, such as ``#N/A``."""
    return text[:1] in ("#", "E") and _ERROR.fullmatch(text) is not None
