"""What an employee does on each day, one day after the other: works, is away, or has a day off."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.demo.distributions import (
    ABSENT_WEEKDAYS,
    HOLIDAYS,
    PARTIAL_RATE,
    RUN_LENGTHS,
    SICK_WEEKDAYS,
    STATUS_SHARES,
    WEEK_OFF_SWAPPED,
    Rates,
)
from core.demo.people import Employee

PRESENT, ABSENT, HOLIDAY, WEEK_OFF = "P", "A", "PH", "WO"
PARTIAL_DAY, LEAVE, HALF_DAY, SICK_LEAVE = "PD", "L", "-0.5", "-1"

_LEAVE_FACTOR: Final = 2  # a planned leave lasts longer than other absences
_MEAN_RUN: Final = sum(RUN_LENGTHS) / len(RUN_LENGTHS)
_SHORT_SPELL: Final = 2
_AWAY: Final = (ABSENT, LEAVE, SICK_LEAVE)
_SHORT: Final = (HALF_DAY, PARTIAL_DAY)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days that a register covers, in order: their texts, their weekdays from Monday, 0 to 6, and holidays."""

    dates: Sequence[str]
    weekdays: Sequence[int]
    holidays: Sequence[bool]

    @classmethod
    def until(cls, last: dt.date, days: int) -> Calendar:
        """The calendar of this many days, which ends on ``last``."""
        span = [last - dt.timedelta(days=back) for back in range(days - 1, -1, -1)]
        return cls(
            dates=[day.isoformat() for day in span],
            weekdays=[day.weekday() for day in span],
            holidays=[(day.month, day.day) in HOLIDAYS for day in span],
        )


class Shares:
    """Keeps the statuses at their shares of the register: a status is given only while it has less than its share.

    If it were left to chance, a few people who are often away would decide the shares of a small register.
    """

    def __init__(self) -> None:
        self._total = 0
        self._counts = dict.fromkeys(STATUS_SHARES, 0)

    def count(self, status: str) -> None:
        """Count a record with this status."""
        self._total += 1
        if status in self._counts:
            self._counts[status] += 1

    def furthest_behind(self, statuses: Sequence[str]) -> str | None:
        """The one of these statuses that lacks most of its share; None if each has its share."""
        lacking = [(STATUS_SHARES[status] * self._total - self._counts[status], status) for status in statuses]
        most, status = max(lacking)
        return status if most > 0 else None


class Attendance:
    """The days of an employee. Ask for each day once, in order."""

    def __init__(
        self, rng: random.Random, employee: Employee, calendar: Calendar, shares: Shares, rates: Rates
    ) -> None:
        self._rng, self._rates = rng, rates
        self._employee = employee
        self._calendar = calendar
        self._shares = shares
        self._spell = ""
        self._days_left = 0

    def on(self, day: int) -> tuple[str, bool]:
        """The status on this day of the calendar, and whether the employee was at work."""
        status, at_work = self._decide(day)
        self._shares.count(status)
        return status, at_work

    def _decide(self, day: int) -> tuple[str, bool]:
        chance = self._rng.random()
        weekday = self._calendar.weekdays[day]
        if self._calendar.holidays[day]:
            return HOLIDAY, chance < self._rates.holiday_worked
        if weekday == self._employee.day_off:
            return self._day_off(chance)
        if not self._days_left:
            self._perhaps_go_away(chance, weekday)
        if self._days_left:
            self._days_left -= 1
            return self._spell, False
        if self._rng.random() < PARTIAL_RATE:
            return self._shares.furthest_behind(_SHORT) or PRESENT, True
        return PRESENT, True

    def _day_off(self, chance: float) -> tuple[str, bool]:
        if self._days_left:  # a day off between two days of absence without leave counts as absence too
            return (ABSENT if self._spell == ABSENT else WEEK_OFF), False
        if chance < WEEK_OFF_SWAPPED:
            return PRESENT, True
        return WEEK_OFF, chance < WEEK_OFF_SWAPPED + self._rates.week_off_worked

    def _perhaps_go_away(self, chance: float, weekday: int) -> None:
        """Begin a spell of absence, leave or sickness, if chance says so."""
        spell = self._shares.furthest_behind(_AWAY)
        if spell is None:
            return
        weekdays = SICK_WEEKDAYS if spell == SICK_LEAVE else ABSENT_WEEKDAYS
        factor = _LEAVE_FACTOR if spell == LEAVE else 1
        if chance < self._employee.absence * weekdays[weekday] / (_MEAN_RUN * factor):
            self._spell = spell
            self._days_left = self._rng.choice(RUN_LENGTHS) * factor
            cut_short = self._rates.cut_short if spell == ABSENT and self._days_left > _SHORT_SPELL else 0
            if cut_short and self._rng.random() < cut_short:
                self._days_left = 1
