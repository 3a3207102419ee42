"""A whole register from a plan: made employee by employee, and given in order of company, day and employee."""

from __future__ import annotations

import datetime as dt
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from operator import itemgetter
from typing import Final

from core.demo.days import Attendance, Calendar, Shares
from core.demo.distributions import CORRECTED
from core.demo.mistakes import Mistakes
from core.demo.names import company_names
from core.demo.people import Customs, Employee, hire
from core.demo.punches import NO_PUNCHES, punch
from core.demo.rows import DemoRow, DemoValues
from core.demo.shapes import shape_of
from recordsync.streams.sort import sorted_on_disk

EARLIEST: Final = dt.date(1970, 1, 1)


@dataclass(frozen=True)
class DemoPlan:
    """The exact numbers of companies and attendance records of a register that ends on the day ``until``.

    The same plan gives the same register. Raises ValueError, with a sentence, for an impossible plan.
    """

    companies: int
    records: int
    seed: int
    until: dt.date

    def __post_init__(self) -> None:
        if self.companies < 0 or self.records < 0:
            raise ValueError("There cannot be fewer than 0 companies or records.")
        if self.records and not self.companies:
            raise ValueError("Attendance records need at least one company.")
        if self.until < EARLIEST:
            raise ValueError(f"A demo register ends on {EARLIEST} or later.")


_BY_DAY: Final = itemgetter(DemoRow._fields.index("date"), DemoRow._fields.index("ep_no"))


@dataclass(frozen=True)
class _Company:
    """What one company's rows are made from.

    ``days``: those of the calendar that it entered. ``entered``: for each day of the calendar, when that was.
    """

    position: int
    rng: random.Random
    customs: Customs
    days: Sequence[int]
    entered: list[str]
    mistakes: Mistakes | None


class DemoRegister:
    """The register of a plan.

    Each day is entered on its own evening, and a few records are corrected on the next evening. No timestamp is later
    than ``now``, which matters only for days that are not over yet.
    """

    def __init__(self, plan: DemoPlan, now: dt.datetime) -> None:
        self.plan = plan
        self._latest = row_moment(now)
        self._shape = shape_of(_random(plan.seed, "sizes"), plan.companies, plan.records)
        self._calendar = Calendar.until(plan.until, self._shape.days)

    @cached_property
    def companies(self) -> list[str]:
        """The companies' names, in order."""
        return company_names(_random(self.plan.seed, "companies"), self.plan.companies)

    @property
    def founded(self) -> str:
        """The moment at which the companies are entered, on the first day."""
        return min(f"{self._calendar.dates[0]} 06:00:00+00:00", self._latest)

    def rows(self) -> Iterator[DemoRow]:
        """The attendance records in order of company, date and employee, as a company enters them day by day.

        A company's are made when its first is read. Those of a large one go through a temporary file.
        """
        shares = Shares()
        serial = count()
        for position, size in enumerate(self._sizes()):
            with tempfile.TemporaryFile() as spill:
                made = self._company_rows(position, size, shares, serial)
                yield from map(DemoRow._make, sorted_on_disk(made, spill, _BY_DAY))

    def _sizes(self) -> list[int]:
        """How many records each company has; together as many as planned. The first company is the largest."""
        return _shared_out(self.plan.records, self._shape.weights)

    def _company_rows(self, position: int, size: int, shares: Shares, serial: Iterator[int]) -> Iterator[DemoValues]:
        """The records of one company, employee by employee."""
        company = self._company(position)
        number = 0
        while size:
            number += 1
            employee = hire(
                company.rng,
                company.customs,
                self._shape,
                number=number,
                serial=next(serial),
                at_most=size,
                calendar=len(company.days),
            )
            rows = self._employee_rows(company, employee, shares)
            yield from company.mistakes.typed(rows, employee) if company.mistakes else rows
            size -= employee.days

    def _company(self, position: int) -> _Company:
        rng = _random(self.plan.seed, f"company {position}")
        customs = Customs.draw(rng, position)
        entered = [min(f"{date} {customs.entered}+00:00", self._latest) for date in self._calendar.dates]
        if not self._shape.is_kept_by_hand:
            return _Company(position, rng, customs, range(self._shape.days), entered, None)
        mistakes = Mistakes(_random(self.plan.seed, f"mistakes {position}"))
        return _Company(position, rng, customs, mistakes.days_entered(position, self._calendar), entered, mistakes)

    def _employee_rows(self, company: _Company, employee: Employee, shares: Shares) -> Iterator[DemoValues]:
        rng, customs, entered = company.rng, company.customs, company.entered
        attendance = Attendance(rng, employee, self._calendar, shares, self._shape.rates)
        first, behind = employee.first, employee.first + employee.days
        days = company.days[first : behind + 1]
        for day in company.mistakes.days_of(employee, days) if company.mistakes else company.days[first:behind]:
            status, at_work = attendance.on(day)
            shift = employee.shift(day)
            corrected = rng.random() < CORRECTED and day + 1 < self._shape.days
            yield (
                company.position,
                employee.ep_no,
                employee.name,
                self._calendar.dates[day],
                shift.name if at_work or customs.shift_on_days_off else "",
                status,
                *(punch(rng, employee, customs, shift, status, self._shape.rates) if at_work else NO_PUNCHES),
                entered[day],
                entered[day + 1] if corrected else entered[day],
            )


def row_moment(when: dt.datetime) -> str:
    """The text of a moment in a row."""
    return when.astimezone(dt.UTC).isoformat(" ", timespec="seconds")


def _random(seed: int, purpose: str) -> random.Random:
    """A random generator for one purpose. Its seed is a text, which Python does not hash by process, so it is the same
    in every process."""
    return random.Random(f"{seed}: {purpose}")  # noqa: S311 - nothing here is secret


def _shared_out(total: int, weights: Sequence[float]) -> list[int]:
    """Whole shares of a total, in proportion to the weights. If the total is large enough, no share is 0."""
    least = 1 if total >= len(weights) else 0
    rest = total - least * len(weights)
    whole = sum(weights)
    exact = [rest * weight / whole for weight in weights]
    shares = [int(share) for share in exact]
    # What is left over by rounding down goes to the shares that lost most by it.
    for position in sorted(range(len(weights)), key=lambda i: shares[i] - exact[i])[: rest - sum(shares)]:
        shares[position] += 1
    return [least + share for share in shares]
