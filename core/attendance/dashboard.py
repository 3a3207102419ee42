"""The figures of the dashboard, in a person's scope. Each of them is counted from the records themselves.

A day in the future is counted nowhere but among all records.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar

from django.db.models import Count, Q
from django.utils import timezone

from core.attendance.employees import employees, first_recent
from core.attendance.seals import WaitingMonths, months_waiting
from core.attendance.tally import CountsAs, statuses
from core.backups import catalogue
from core.models import AttendanceQuerySet, AttendanceRecord, Backup, Company, Role, UploadLog, User
from core.operations import recovery
from core.register.committed import committed_state
from core.register.database import DEFAULT, Register

MONTHS: Final = 12
IMPORTS: Final = 5
FIRST_SHOWN: Final = 5
"""How many companies are listed first."""
_REMEMBERED: Final = 64
"""The figures of so many people and spans are kept while nothing is written."""

_COUNTS: Final = {
    "present": Count("status", filter=Q(status__in=statuses(CountsAs.PRESENT, CountsAs.HALF))),
    "absent": Count("status", filter=Q(status__in=statuses(CountsAs.ABSENT))),
    "other": Count("status", filter=Q(status__in=statuses(CountsAs.LEAVE, CountsAs.OFF, CountsAs.HOLIDAY))),
}
"""The counts of a :class:`Span`. They are not grouped by status: without it, the index has the rows in order."""


@dataclass(frozen=True)
class Span:
    """A day or a month by its first day: how many records of it say present, absent, and neither (holidays, days off,
    leave).

    A half day is a record of a person who was present.
    """

    first: dt.date
    present: int = 0
    absent: int = 0
    other: int = 0

    def __add__(self, span: Span) -> Span:
        """Both together, by the first day of this one."""
        return Span(self.first, self.present + span.present, self.absent + span.absent, self.other + span.other)


@dataclass(frozen=True)
class CompanyDay:
    """A company, or several, on the latest day. ``not_recorded``: its people with a record in the last 30 days and none
    on that day. ``pk``: None for several."""

    name: str
    pk: int | None
    day: Span
    not_recorded: int

    @property
    def missing(self) -> int:
        """How many people were absent or are not recorded."""
        return self.day.absent + self.not_recorded

    def __add__(self, other: CompanyDay) -> CompanyDay:
        return CompanyDay("", None, self.day + other.day, self.not_recorded + other.not_recorded)


@dataclass(frozen=True)
class DashboardFigures:
    """What is counted from the records. ``future``: records that are dated after today.

    ``latest``: the latest day up to today that has records. ``trend``: the days or months up to that day.
    ``by_company``: that day in each company, those with the most people absent or not recorded first.
    ``waiting``: the months that wait for this person to close them.
    """

    companies: int
    records: int
    future: int
    employees: int = 0
    latest: Span | None = None
    trend: Sequence[Span] = ()
    by_company: Sequence[CompanyDay] = ()
    waiting: Sequence[WaitingMonths] = ()

    @property
    def not_recorded(self) -> int:
        """Employees with a record in the last 30 days and none on the latest day."""
        return sum(company.not_recorded for company in self.by_company)

    @property
    def first_companies(self) -> Sequence[CompanyDay]:
        """The companies that are listed first."""
        return self.by_company[: len(self.by_company) - len(self.other_companies)]

    @property
    def other_companies(self) -> Sequence[CompanyDay]:
        """The companies that are folded."""
        return _folded(self.by_company)

    @property
    def first_waiting(self) -> Sequence[WaitingMonths]:
        """The companies with months to close that are listed first."""
        return self.waiting[: len(self.waiting) - len(self.other_waiting)]

    @property
    def other_waiting(self) -> Sequence[WaitingMonths]:
        """The companies with months to close that are folded."""
        return _folded(self.waiting)

    @property
    def others(self) -> CompanyDay | None:
        """All of :attr:`other_companies` together."""
        first, *rest = self.other_companies or (None,)
        return None if first is None else sum((one for one in rest if one), first)


_T = TypeVar("_T")


def _folded(companies: Sequence[_T]) -> Sequence[_T]:
    """Those after the first ones; none if it would be a single one."""
    others = companies[FIRST_SHOWN:]
    return others if len(others) > 1 else ()


@dataclass(frozen=True)
class Dashboard:
    """The figures, and beside them the last backup (for root) and the newest sheets whose pages this person may
    open."""

    figures: DashboardFigures
    last_backup: Backup | None
    imports: list[UploadLog]


def dashboard(user: User, register: Register = DEFAULT, *, by_month: bool = False) -> Dashboard:
    """All figures that ``user`` may see. ``by_month``: the last 12 months instead of the last 30 days. Reads the
    database."""
    last_backup = catalogue.last_taken(register) if user.role == Role.ROOT else None
    recovery.settle_accounts()
    imports = list(UploadLog.objects.visible_to(user)[:IMPORTS])
    today = timezone.localdate()
    state = committed_state(register)
    if state is None:
        figures = _counted(user, register, today, by_month)
    else:
        figures = _remembered(user, register, today, by_month, state)
    return Dashboard(figures, last_backup, imports)


@lru_cache(maxsize=_REMEMBERED)
def _remembered(user: User, register: Register, today: dt.date, by_month: bool, _state: Hashable) -> DashboardFigures:
    # If somebody writes meanwhile, these figures are newer than the state, and no request gets that state again.
    return _counted(user, register, today, by_month)


def _counted(user: User, register: Register, today: dt.date, by_month: bool) -> DashboardFigures:
    everything = register.rows(AttendanceRecord).visible_to(user).order_by()
    names = dict(register.rows(Company).visible_to(user).order_by("name").values_list("pk", "name"))
    records, future = everything.count(), everything.filter(date__gt=today).count()
    past = everything.filter(date__lte=today)
    newest = past.order_by("-date").values_list("date", flat=True).first()
    if newest is None:
        return DashboardFigures(len(names), records, future)
    people = employees(user, newest, register)
    trend = _months(past, newest) if by_month else _days(past, newest)
    per_company = past.filter(date=newest).values_list("company_id").annotate(recorded=Count("*"), **_COUNTS)
    on_newest = {pk: (recorded, Span(newest, *counts)) for pk, recorded, *counts in per_company}
    nobody = Span(newest)
    companies = [
        CompanyDay(name, pk, day, people.recent.get(pk, 0) - recorded)
        for pk, name, (recorded, day) in ((pk, name, on_newest.get(pk, (0, nobody))) for pk, name in names.items())
    ]
    return DashboardFigures(
        companies=len(names),
        records=records,
        future=future,
        employees=people.number,
        latest=sum((company.day for company in companies), nobody),
        trend=trend,
        by_company=sorted(companies, key=lambda company: -company.missing),
        waiting=months_waiting(user, register),
    )


def _days(past: AttendanceQuerySet, newest: dt.date) -> list[Span]:
    """The last 30 days, each with its counts."""
    first = first_recent(newest)
    found = _by_day(past, first, newest)
    days = (first + dt.timedelta(n) for n in range((newest - first).days + 1))
    return [found.get(day, Span(day)) for day in days]


def _months(past: AttendanceQuerySet, newest: dt.date) -> list[Span]:
    """The last 12 months, each with the counts of its days."""
    last = newest.year * MONTHS + newest.month - 1
    first = max(last - MONTHS + 1, MONTHS)  # of the first month that there is
    months = [Span(dt.date(month // MONTHS, month % MONTHS + 1, 1)) for month in range(first, last + 1)]
    spans = {month.first: month for month in months}
    for day, counts in _by_day(past, months[0].first, newest).items():
        spans[day.replace(day=1)] += counts
    return list(spans.values())


def _by_day(past: AttendanceQuerySet, first: dt.date, last: dt.date) -> dict[dt.date, Span]:
    days = past.filter(date__range=(first, last)).values_list("date").annotate(**_COUNTS)
    return {day: Span(day, *counts) for day, *counts in days}
