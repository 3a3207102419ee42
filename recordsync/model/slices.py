"""The slices of a month, by which dates are cut: days 1 to 7, 8 to 14, 15 to 21, and 22 to the end.

A slice is known by its first day, ``YYYY-MM-DD``. This is the only place that knows slices: it tells them in Python and
in the SQL of the stores.
"""

from __future__ import annotations

from bisect import bisect_right
from calendar import monthrange
from functools import lru_cache
from typing import Final

FIRST_DAYS: Final = ("01", "08", "15", "22")
"""The day of the month on which each slice begins."""


@lru_cache(10_000)
def slice_of(date: str) -> str:
    """The first day of the slice in which a date is. Both are texts ``YYYY-MM-DD``."""
    return date[:8] + FIRST_DAYS[bisect_right(FIRST_DAYS, date[8:]) - 1]


def parts(first_day: str) -> tuple[str, str]:
    """The month of a slice, ``YYYY-MM``, and its first day in it, of two digits."""
    return first_day[:7], first_day[8:]


def first_day(month: str, day: str) -> str:
    """The first day of a slice, from its :func:`parts`."""
    return f"{month}-{day}"


def last_day(first_day: str) -> str:
    """The last day of a slice. Both are texts ``YYYY-MM-DD``."""
    month, first = parts(first_day)
    if first == FIRST_DAYS[-1]:
        return f"{month}-{monthrange(int(month[:4]), int(month[5:]))[1]}"
    return f"{month}-{int(FIRST_DAYS[FIRST_DAYS.index(first) + 1]) - 1:02}"


def in_sql(month: str, day: str) -> str:
    """The SQL of :func:`slice_of`, from that of a date's text ``YYYY-MM-`` and of its day (two digits, or a number)."""
    later = " ".join(f"WHEN {day} >= '{first}' THEN '{first}'" for first in reversed(FIRST_DAYS[1:]))
    return f"{month} || CASE {later} ELSE '{FIRST_DAYS[0]}' END"


def end_in_sql(first_day: str) -> str:
    """The SQL of a text that comes after every day of a slice, and before those of the next one. ``first_day``: that of
    the slice's text."""
    ends = zip(FIRST_DAYS, (*FIRST_DAYS[1:], "32"), strict=True)
    later = " ".join(f"WHEN '{first}' THEN '{end}'" for first, end in ends)
    return f"substr({first_day}, 1, 8) || CASE substr({first_day}, 9) {later} END"
