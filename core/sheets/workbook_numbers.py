"""Converts the numbers, dates and times in the cells of a workbook (XLSX) to text.

openpyxl knows which formats of numbers are dates, and which day a number is. It takes long to load, and only what reads
or writes workbooks needs it: modules that every command loads must not import this one.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from openpyxl.styles.numbers import builtin_format_code, is_date_format, is_timedelta_format
from openpyxl.utils.datetime import MAC_EPOCH, WINDOWS_EPOCH, from_excel

from core.sheets.workbook_values import Moment, Number

__all__ = ["MAC_EPOCH", "WINDOWS_EPOCH", "iso_text", "kind_of_format", "number_text"]

_EAST_ASIAN_DATES: Final = frozenset([*range(27, 37), *range(50, 59)])
"""The numbers of built-in formats that have no code of their own (18.8.30)."""
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DAY_OF_TIMES: Final = "0001-01-01"


def kind_of_format(number: int, code: str | None) -> str:
    """The kind of numbers with this format: ``date``, ``duration``, or blank for others.

    ``number`` and ``code``: of the format; None for the code of a built-in one.
    """
    code = code or builtin_format_code(number)
    if is_timedelta_format(code):
        return "duration"
    return "date" if is_date_format(code) or (code is None and number in _EAST_ASIAN_DATES) else ""


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
