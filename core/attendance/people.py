"""An employee's year: every day, what the days add up to, and where else and under which names the number stands."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from django.db.models import Max, Min, OuterRef, Q, Subquery
from django.utils import timezone

from core import moments
from core.attendance.tally import NO_RECORD, Tally, unmarked_until
from core.models import AttendanceQuerySet, AttendanceRecord, Company, User, days_visible_to
from core.register.database import DEFAULT, Register

LATEST: Final = 10
"""How many of the latest changes are shown."""
BLANK: Final = ""
"""Of a day on which nothing is known and nothing is missing."""


class PersonDayOfYear(NamedTuple):
    """A day. ``status``: that of its record, :data:`core.attendance.tally.NO_RECORD` or :data:`BLANK`."""

    date: dt.date
    status: str
    is_future: bool


class PersonMonth(NamedTuple):
    """A month of an employee. The tally leaves out the future."""

    first: dt.date
    days: Sequence[PersonDayOfYear]
    tally: Tally


class WrittenName(NamedTuple):
    """A name with which a number was written, and the days of the first and the last record that has it."""

    name: str
    first: dt.date
    last: dt.date


class Whereabouts(NamedTuple):
    """A company in which a number has records, and the days of the first and the last one."""

    company: Company
    first: dt.date
    last: dt.date


@dataclass(frozen=True)
class PersonYear:
    """An employee's year in a person's scope. ``names`` and ``latest`` are of all years, the newest first, and so are
    ``companies``, by name; ``years``: the first and the last one that has anything to show."""

    company: Company
    number: str
    name: str
    year: int
    years: tuple[int, int]
    months: Sequence[PersonMonth]
    total: Tally
    names: Sequence[WrittenName]
    companies: Sequence[Whereabouts]
    latest: Sequence[AttendanceRecord]


def person_year(
    user: User, company: int, number: str, year: int | None = None, register: Register = DEFAULT
) -> PersonYear | None:
    """A year of the employee with this number at a company (None: the newest one that is not in the future); None if
    the person may see no record of the number there. Makes five queries at most."""
    owner = register.rows(Company).visible_to(user).filter(pk=company).first()
    numbered = register.rows(AttendanceRecord).visible_to(user).filter(ep_no=number).order_by()
    records, today = numbered.filter(company_id=company), timezone.localdate()
    past = Max("date", filter=Q(date__lte=today))
    written = records.values_list("ep_name").annotate(first=Min("date"), last=Max("date"), past=past)
    spans = sorted(written, key=lambda span: span[2], reverse=True) if owner else []
    if owner is None or not spans:
        return None
    names = [WrittenName(name, first, last) for name, first, last, _past in spans if name]
    first, last = min(span[1] for span in spans), spans[0][2]
    over = max((span[3] for span in spans if span[3]), default=None)
    year = year or (over or first).year
    months = _months(year, records, first, over, days_visible_to(user)[1] or today)
    total = Tally()
    for month in months:
        total.add_tally(month.tally)
    return PersonYear(
        company=owner,
        number=number,
        name=names[0].name if names else "",
        year=year,
        years=(first.year, max(last, unmarked_until(over, today) if over else last).year),
        months=months,
        total=total,
        names=names,
        companies=_companies(user, number, register),
        latest=list(records.order_by("-updated_at", "-date")[:LATEST]),
    )


def _months(
    year: int, records: AttendanceQuerySet, first: dt.date, over: dt.date | None, visible: dt.date
) -> list[PersonMonth]:
    """The months of a year. ``first``: the day of the first record; ``over``: that of the last one that is not in the
    future; ``visible``: the last day that the person may see. One query."""
    today = timezone.localdate()
    rows = records.filter(date__range=(dt.date(year, 1, 1), dt.date(year, 12, 31)))
    columns = rows.values_list("date", "status", "overtime", "overtime_to_mandays")
    recorded = {date: (status, overtime, mandays) for date, status, overtime, mandays in columns}
    months = []
    for number in range(1, 13):
        start = dt.date(year, number, 1)
        end = moments.last_of_month(start)
        until = min(end, today, visible)
        unmarked = min(unmarked_until(over, until), until) if over else dt.date.min
        days, tally = [], Tally()
        for date in (start.replace(day=day) for day in range(1, end.day + 1)):
            values = recorded.get(date)
            if values is not None:
                days.append(PersonDayOfYear(date, values[0], date > today))
                if date <= today:
                    tally.add(*values)
            else:
                is_unmarked = first <= date <= unmarked
                days.append(PersonDayOfYear(date, NO_RECORD if is_unmarked else BLANK, date > today))
                if is_unmarked:
                    tally.add_days(NO_RECORD, 1)
        months.append(PersonMonth(start, days, tally))
    return months


def _companies(user: User, number: str, register: Register) -> list[Whereabouts]:
    """The companies in which a number has records that the person may see. One query."""
    records = register.rows(AttendanceRecord).visible_to(user).filter(company=OuterRef("pk"), ep_no=number)
    companies = register.rows(Company).visible_to(user).order_by("name")
    found = companies.annotate(
        first_day=Subquery(records.order_by("date").values("date")[:1]),
        last_day=Subquery(records.order_by("-date").values("date")[:1]),
    ).filter(last_day__isnull=False)
    return [Whereabouts(company, company.first_day, company.last_day) for company in found]
