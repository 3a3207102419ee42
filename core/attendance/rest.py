"""On which days a company rests, as its own records say, whatever the calendar says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Recorded(NamedTuple):
    """How many records of a company there are of a day, and how many of them say week off and public holiday."""

    date: dt.date
    records: int
    off: int
    holiday: int


@dataclass(frozen=True)
class Rest:
    """The days of a month on which a company rests. ``weekdays``: those that are off (Monday is 0)."""

    weekdays: frozenset[int]
    holidays: frozenset[dt.date]

    def is_off(self, date: dt.date) -> bool:
        """Whether a day of the month is a weekday that is off."""
        return date.weekday() in self.weekdays


def rest_of(month: Iterable[Recorded]) -> Rest:
    """When a company rests in a month: on the weekdays of whose records at least half say week off, and on the days of
    whose records at least half say public holiday."""
    excess: dict[int, int] = {}
    holidays = set()
    for date, records, off, holiday in month:
        if records:
            excess[date.weekday()] = excess.get(date.weekday(), 0) + 2 * off - records
            if 2 * holiday >= records:
                holidays.add(date)
    return Rest(frozenset(weekday for weekday, more in excess.items() if more >= 0), frozenset(holidays))
