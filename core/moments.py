"""How pages, commands, messages and lists write moments, days and times of day.

All write them alike: in the project's zone (``TIME_ZONE``), which a moment names; the largest unit first; with hours
from 0 to 23.
"""

from __future__ import annotations

import calendar
import datetime as dt
from typing import Final

from django.utils import dateformat, timezone

DAY: Final = "Y-m-d"
TIME: Final = "H:i"
MOMENT: Final = f"{DAY} {TIME} T"
"""The formats in Django's letters. By :mod:`muster.formats`, forms and the administration site use the same."""

_TO_THE_SECOND: Final = f"{DAY} {TIME}:s T"


def moment(value: dt.datetime, *, seconds: bool = False) -> str:
    """The text of a moment, such as ``2026-11-20 16:19 IST``. ``seconds``: to the second."""
    try:
        local = timezone.localtime(value)
    except OverflowError:  # a moment at the end of the calendar cannot be converted to another zone
        local = value
    return dateformat.format(local, _TO_THE_SECOND if seconds else MOMENT)


def day(value: dt.date) -> str:
    """The text of a day, such as ``2026-11-20``."""
    return dateformat.format(value, DAY)


def day_in_words(value: dt.date) -> str:
    """The text of a day, such as ``5 November 2026``, for places that ask which of its numbers is the month."""
    return dateformat.format(value, "j F Y")


def month(value: dt.date) -> str:
    """The text of the month that a day is in, such as ``November 2026``."""
    return dateformat.format(value, "F Y")


def last_of_month(value: dt.date) -> dt.date:
    """The last day of the month that a day is in."""
    return value.replace(day=calendar.monthrange(value.year, value.month)[1])


def time_of_day(value: dt.time) -> str:
    """The text of a time, such as ``16:19``, or ``16:19:05`` if it has seconds."""
    return value.isoformat("seconds" if value.second else "minutes")
