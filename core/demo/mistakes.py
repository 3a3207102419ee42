"""What people do wrong who keep a register by hand: days that nobody enters, names in two spellings, mistyped times.

It is laid over rows that are right, by a random generator of its own, so it decides nothing else of the register.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final

from core.demo.days import ABSENT, PRESENT, Calendar
from core.demo.people import Employee
from core.demo.punches import NO_PUNCHES, Punches, clock
from core.demo.rows import DemoRow, DemoValues

_LATE_WITH_THE_LAST_DAY: Final = 7
"""Of so many companies, one has not entered the last day yet."""
_FORGETFUL: Final = 0.3
"""Share of the companies that did not enter one working day of the last two months."""
_TWO_MONTHS: Final = 60
_FORGOTTEN: Final = 0.08
"""Share of the people of whom a day is left out."""
_MISSPELT: Final = 0.02
"""Share of the people whose name is spelled in another way on a few days."""
_FEW_DAYS: Final = 6
_NO_TIME: Final = 0.0008
"""Share of the days of presence without any time."""
_EXCHANGED: Final = 0.0008
"""Share of those with a time in and out in each other's place."""
_OVERLAP: Final = 0.004
"""Share of those with two pairs, of which the second begins before the first ends."""
_TIME_WITHOUT_PRESENCE: Final = 0.006
"""Share of the absences with times."""


class Mistakes:
    """The mistakes in the register of one company."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def days_entered(self, position: int, calendar: Calendar) -> Sequence[int]:
        """The days of the calendar that the company at this place entered."""
        days = list(range(len(calendar.dates)))
        late = position % _LATE_WITH_THE_LAST_DAY == _LATE_WITH_THE_LAST_DAY - 2
        last = days.pop()
        working = [day for day in days[-_TWO_MONTHS:] if calendar.weekdays[day] < 5 and not calendar.holidays[day]]
        if self._rng.random() < _FORGETFUL:
            days.remove(self._rng.choice(working))
        return days if late else [*days, last]

    def days_of(self, employee: Employee, days: Sequence[int]) -> Sequence[int]:
        """The days that somebody has a record of: as many as they are employed.

        ``days``: those of the company, from the first of them on, and one more if there is one.
        """
        if self._rng.random() < _FORGOTTEN and len(days) > employee.days > 1:
            left_out = self._rng.randrange(1, employee.days)
            return [*days[:left_out], *days[left_out + 1 :]]
        return days[: employee.days]

    def typed(self, rows: Iterator[DemoValues], employee: Employee) -> Iterator[DemoValues]:
        """An employee's rows as somebody typed them."""
        misspelt: Sequence[int] = ()
        if self._rng.random() < _MISSPELT:
            begin = self._rng.randrange(employee.days)
            misspelt = range(begin, begin + self._rng.randint(1, _FEW_DAYS))
        other = _other_spelling(self._rng, employee.name)
        for number, values in enumerate(rows):
            row = self._typed(DemoRow._make(values))
            yield tuple(row._replace(ep_name=other) if number in misspelt else row)

    def _typed(self, row: DemoRow) -> DemoRow:
        chance = self._rng.random()
        if row.status == ABSENT and chance < _TIME_WITHOUT_PRESENCE:
            return row._replace(in_time=clock(9 * 3600 + round(chance * 1e6)), out_time="17:30:00")
        if row.status != PRESENT or None in (row.in_time, row.out_time):
            return row
        if chance < _NO_TIME:
            return row._replace(**NO_PUNCHES._asdict())
        if chance < _NO_TIME + _EXCHANGED:
            times = Punches(row.out_time, row.in_time, row.in_time_2, row.out_time_2, row.in_time_3, row.out_time_3)
            return row._replace(**times._asdict())  # nobody knows how long such a day was
        if row.in_time_2 and row.out_time and chance < _OVERLAP:
            hours, rest = row.out_time.split(":", 1)
            return row._replace(in_time_2=f"{(int(hours) - 1) % 24:02}:{rest}")
        return row


def _other_spelling(rng: random.Random, name: str) -> str:
    """The same name by somebody who is in a hurry."""
    given, family = name.split(" ", 1)
    hurried = f"{given} {family[:-2]}{family[-1]}{family[-2]}"
    return rng.choice([f"{family} {given}", f"{given[0]}. {family}", hurried] if name.isascii() else [family])
