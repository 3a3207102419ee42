"""How moments, days and times of day are written, for everybody who shows one: pages, commands, sentences, lists.

Always alike, in the project's zone (``TIME_ZONE``), which a moment names; largest unit first, of 24 hours.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.utils import dateformat, timezone

DAY: Final = "Y-m-d"
TIME: Final = "H:i"
MOMENT: Final = f"{DAY} {TIME} T"
"""In Django's letters; :mod:`muster.formats` has its forms and the administration site write the same."""

_TO_THE_SECOND: Final = f"{DAY} {TIME}:s T"


def moment(value: dt.datetime, *, seconds: bool = False) -> str:
    """A moment such as ``2026-11-20 16:19 IST``. ``seconds``: where it is to be told from one in the same minute."""
    try:
        local = timezone.localtime(value)
    except OverflowError:  # at the ends of the calendar, zones do not convert
        local = value
    return dateformat.format(local, _TO_THE_SECOND if seconds else MOMENT)


def day(value: dt.date) -> str:
    """A day such as ``2026-11-20``."""
    return dateformat.format(value, DAY)


def day_in_words(value: dt.date) -> str:
    """A day such as ``5 November 2026``, where it is the question which of its numbers is the month."""
    return dateformat.format(value, "j F Y")


def time_of_day(value: dt.time) -> str:
    """A time such as ``16:19``, and ``16:19:05`` where it has seconds."""
    return value.isoformat("seconds" if value.second else "minutes")
