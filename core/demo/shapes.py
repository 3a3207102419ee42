"""The two shapes of a demo register: companies with a staff over some months, and very many companies over a year."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp, log
from typing import Final, Protocol

from core.demo.distributions import CALENDAR_DAYS_PER_ROW, DAY_OFF_WEIGHTS, OFFICE, OFTEN, SELDOM, Rates
from core.demo.names import person_name, plain_name

YEAR: Final = 365
"""The longest time that a register covers, in days."""

MANY: Final = 100
"""A register of more companies has the shape :class:`ManyCompanies`."""

STAFF: Final = (18, 56)
"""How many people a company with a staff employs in the course of the register, at least and at most."""

_FORTNIGHT: Final = 14
"""The shortest time that companies with a staff are shown, in days: of fewer records, each has fewer people."""
_STEADY: Final = 0.87
"""Share of the staff that is there from the first day to the last."""
_SHORTEST_STAY: Final = 5
_STAY: Final = _STEADY + (1 - _STEADY) * 0.54
"""The mean stay of the staff, as a part of the whole time."""
_OWN_DAY_OFF: Final = 0.07
"""Share of the staff with another day off than the company."""
_SUNDAY: Final = 6
_SIZE_SKEW: Final = 1.1
"""Standard deviation of the logarithm of a company's size: the largest of 100 companies has about a tenth of all
records."""


class RegisterShape(Protocol):
    """What makes one register unlike another of as many companies and records.

    ``days``: how many it covers. ``weights``: the sizes of the companies beside each other, the first the largest.
    ``is_kept_by_hand``: days are left out and values mistyped, as by people who keep a register by hand.
    """

    @property
    def days(self) -> int: ...
    @property
    def weights(self) -> Sequence[float]: ...
    @property
    def rates(self) -> Rates: ...
    @property
    def is_kept_by_hand(self) -> bool: ...

    def name(self, rng: random.Random, serial: int) -> str:
        """The name of the register's ``serial``-th person."""

    def stay(self, rng: random.Random, at_most: int) -> int:
        """How many days somebody is employed."""

    def first(self, rng: random.Random, free: int) -> int:
        """On which day somebody begins. ``free``: the days on which they are not employed; later is not possible."""

    def day_off(self, rng: random.Random, staggered: bool) -> int:
        """Somebody's weekly day off, from Monday, 0. ``staggered``: the company works on all days of the week."""


@dataclass(frozen=True)
class StaffedCompanies:
    """Companies of some 15 to 60 people over the last months: as many days as their staff needs for the records."""

    rng: random.Random
    companies: int
    records: int

    rates = SELDOM
    is_kept_by_hand = True

    @cached_property
    def weights(self) -> Sequence[float]:
        low, high = (log(people) for people in STAFF)
        return _largest_first(self.rng, [exp(self.rng.uniform(low, high)) for _ in range(self.companies)])

    @cached_property
    def days(self) -> int:
        staff = sum(self.weights) * _STAY
        return min(max(_FORTNIGHT, round(self.records / staff)), YEAR) if staff else _FORTNIGHT

    def name(self, rng: random.Random, serial: int) -> str:
        return plain_name(rng, serial)

    def stay(self, rng: random.Random, at_most: int) -> int:
        return at_most if rng.random() < _STEADY else rng.randint(min(_SHORTEST_STAY, at_most), at_most)

    def first(self, rng: random.Random, free: int) -> int:
        return rng.choice((0, free, free, free))  # few leave: each is missed for a month

    def day_off(self, rng: random.Random, staggered: bool) -> int:
        if staggered or rng.random() < _OWN_DAY_OFF:
            return rng.randrange(7)
        return _SUNDAY


@dataclass(frozen=True)
class ManyCompanies:
    """A year of very many companies, most of them small, with people who come and go: what benchmarks measure."""

    rng: random.Random
    companies: int

    days = YEAR
    rates = OFTEN
    is_kept_by_hand = False

    @cached_property
    def weights(self) -> Sequence[float]:
        return _largest_first(self.rng, [self.rng.lognormvariate(0, _SIZE_SKEW) for _ in range(self.companies)])

    def name(self, rng: random.Random, serial: int) -> str:
        return person_name(rng, serial)

    def stay(self, rng: random.Random, at_most: int) -> int:
        return min(max(1, round(OFFICE.rows_per_employee.draw(rng) * CALENDAR_DAYS_PER_ROW)), at_most)

    def first(self, rng: random.Random, free: int) -> int:
        return rng.choice((0, free, rng.randint(0, free)))  # left, joined, or both within the calendar

    def day_off(self, rng: random.Random, staggered: bool) -> int:
        return rng.choices(range(7), DAY_OFF_WEIGHTS)[0]


def shape_of(rng: random.Random, companies: int, records: int) -> RegisterShape:
    """The shape of a register of so many companies and records."""
    return ManyCompanies(rng, companies) if companies > MANY else StaffedCompanies(rng, companies, records)


def _largest_first(rng: random.Random, weights: Sequence[float]) -> Sequence[float]:
    """The same weights, the largest first and the others in any order."""
    if not weights:
        return weights
    largest, *others = sorted(weights, reverse=True)
    return [largest, *rng.sample(others, len(others))]
