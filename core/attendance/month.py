"""A company's month, every employee's days beside each other, and one employee's day. Each in a person's scope."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from django.db.models import Max, Min, OuterRef, Q, Subquery
from django.utils import timezone

from core import moments
from core.attendance.employees import days_seen_by
from core.attendance.exceptions import exceptions
from core.attendance.rest import Recorded, rest_of
from core.attendance.search import folded
from core.attendance.tally import NO_RECORD, Tally, unmarked_until
from core.models import AttendanceQuerySet, AttendanceRecord, Company, Status, User
from core.register.database import DEFAULT, Register

BLANK: Final = ""
"""Of a day on which nothing is known and nothing is missing: it is yet to come, or the person was not there yet, or
not any more."""
_DAY: Final = dt.timedelta(1)


@dataclass(frozen=True)
class MonthDay:
    """A day of a company's month. ``is_off``: it is a weekday that is mostly off; ``is_holiday``: most records of the
    day say so."""

    date: dt.date
    is_off: bool
    is_holiday: bool
    is_today: bool
    is_future: bool


@dataclass
class RollRow:
    """An employee's month. ``days``: of each day its status, :data:`core.attendance.tally.NO_RECORD` or
    :data:`BLANK`. The tally leaves out the future."""

    number: str
    name: str
    days: list[str]
    shifts: set[str] = field(default_factory=set)
    overtime: list[tuple[int, int | None, int | None]] = field(default_factory=list)
    """The overtime of a day (counted from 0), and its part that is paid in mandays."""
    has_exception: bool = False
    """Whether there is an exception of the kind that was asked for, which nobody has found right."""
    looks_wrong: set[int] = field(default_factory=set)
    """The days (counted from 0) on which there is one."""
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True)
class RollMonth:
    """A company's month in a person's scope. ``rows``: the employees that pass the filters, by their numbers;
    ``by_day`` and ``total`` are of these. ``employees``: how many there are without filters; ``shifts``: those of the
    month."""

    company: Company
    first: dt.date
    days: Sequence[MonthDay]
    rows: Sequence[RollRow]
    by_day: Sequence[Tally]
    total: Tally
    employees: int
    shifts: Sequence[str]


ANY: Final = "any"


class RollFilter(NamedTuple):
    """What leaves employees out of a roll; blank: nothing. ``q``: the beginning of a number, or a part of a name;
    ``shift``: one that they have in the month; ``exception``: a kind of exception that they have, or :data:`ANY`."""

    q: str = ""
    shift: str = ""
    exception: str = ""

    def passes(self, row: RollRow) -> bool:
        """Whether an employee stays in the roll."""
        text = folded(self.q.strip())
        found = folded(row.number).startswith(text) or text in folded(row.name)
        return found and (not self.shift or self.shift in row.shifts) and (not self.exception or row.has_exception)


EVERYBODY: Final = RollFilter()


@dataclass(frozen=True)
class PersonDay:
    """One employee's day. ``record``: None if there is none. ``previous`` and ``following``: the days before and after
    it that this person may open; None where there is no further one."""

    company: Company
    number: str
    name: str
    date: dt.date
    record: AttendanceRecord | None
    is_unmarked: bool
    is_future: bool
    previous: dt.date | None
    following: dt.date | None


class KnownEmployee(NamedTuple):
    """What a person may know of an employee of a company. ``name``: of the last record up to some day. ``first`` and
    ``last``: the days of the first and the last record that are not in the future; None if there are none."""

    number: str
    name: str
    first: dt.date | None
    last: dt.date | None

    def unmarked(self, start: dt.date, until: dt.date) -> tuple[dt.date, dt.date] | None:
        """The first and the last day, of those from ``start`` to ``until``, that are unmarked if they have no record;
        None: no such day is."""
        if self.first is None or self.last is None:
            return None
        first, last = max(self.first, start), unmarked_until(self.last, until)
        return (first, min(last, until)) if first <= min(last, until) else None


def newest_month(user: User, company: int | None, register: Register = DEFAULT) -> tuple[int, dt.date] | None:
    """A company (None: the person's first with records) and the first day of the newest month in which it has records
    that are not in the future; of a company without any, this month. None if the person may not see the company, or
    sees none. Reads the database."""
    companies = register.rows(Company).visible_to(user).order_by("name")
    if company is not None:
        companies = companies.filter(pk=company)
    today = timezone.localdate()
    records = register.rows(AttendanceRecord).visible_to(user).filter(company=OuterRef("pk"), date__lte=today)
    newest = Subquery(records.order_by("-date").values("date")[:1])
    found = list(companies.annotate(newest=newest).values_list("pk", "newest"))
    for pk, day in found:
        if day is not None:
            return pk, day.replace(day=1)
    return (found[0][0], today.replace(day=1)) if found else None


def roll_month(
    user: User, company: int, first: dt.date, chosen: RollFilter = EVERYBODY, register: Register = DEFAULT
) -> RollMonth | None:
    """A company's month as ``user`` may see it; None if they may not see the company. ``first``: its first day.

    Every record of the month is read, once, so the totals are those of the rows. Makes three queries, and those of
    :func:`core.attendance.exceptions.exceptions` if exceptions are asked for.
    """
    owner = register.rows(Company).visible_to(user).filter(pk=company).first()
    if owner is None:
        return None
    last = moments.last_of_month(first)
    today = timezone.localdate()
    over = max(0, min(last.day, (today - first).days + 1))  # how many of its days are not in the future
    records = register.rows(AttendanceRecord).visible_to(user).filter(company_id=company)
    rows = _recorded(records.filter(date__range=(first, last)), last.day)
    known = list(_known(user, company, today, last, register))
    counts = [Counter(filter(None, day)) for day in zip(*(row.days for row in rows.values()), strict=True)][:over]
    until = _until(user, last, today)
    for one in known:
        row = rows.get(one.number)
        if row is not None:
            row.name = one.name
        if span := one.unmarked(first, until):
            if row is None:
                row = rows[one.number] = RollRow(one.number, one.name, [BLANK] * last.day)
            for day in range(span[0].day - 1, span[1].day):
                row.days[day] = row.days[day] or NO_RECORD
    if chosen.exception:
        for finding in exceptions(user, first, company, register).unseen:
            for row in filter(None, map(rows.get, finding.numbers)):
                if chosen.exception in (ANY, finding.kind):
                    row.has_exception = True
                    if finding.is_of_a_day:
                        row.looks_wrong.add(finding.day.day - 1)
    passed = [row for _number, row in sorted(rows.items()) if chosen.passes(row)]
    by_day = _tallied(passed, last.day, over)
    total = Tally()
    for row in passed:
        total.add_tally(row.tally)
    shifts = sorted({shift for row in rows.values() for shift in row.shifts if shift})
    return RollMonth(owner, first, _days(first, last.day, counts, today), passed, by_day, total, len(rows), shifts)


def person_day(user: User, company: int, number: str, day: dt.date, register: Register = DEFAULT) -> PersonDay | None:
    """One employee's day; None if the person may see no record of this number at the company, or not this day.

    Makes three queries.
    """
    owner = register.rows(Company).visible_to(user).filter(pk=company).first()
    earliest, latest = days_seen_by(user)
    if owner is None or not earliest <= day <= latest:
        return None
    today = timezone.localdate()
    records = register.rows(AttendanceRecord).visible_to(user).filter(company_id=company, ep_no=number)
    spans = records.order_by().aggregate(
        begin=Min("date"),
        end=Max("date"),
        first=Min("date", filter=Q(date__lte=today)),
        last=Max("date", filter=Q(date__lte=today)),
    )
    # The record of the day or the nearest one before it, else the first one: it says what the person is called.
    rows = records.select_related("company")
    named = rows.order_by("-date").filter(date__lte=day).first() or rows.order_by("date").first()
    if named is None:
        return None
    record = named if named.date == day else None
    known = KnownEmployee(number, named.ep_name, spans["first"], spans["last"])
    until = _until(user, moments.last_of_month(day), today)
    begin, end = spans["begin"], max(spans["end"], min(today, latest or today))
    return PersonDay(
        owner,
        number,
        named.ep_name,
        day,
        record,
        is_unmarked=record is None and (known.unmarked(day, until) or (None,))[0] == day,
        is_future=day > today,
        previous=day - _DAY if day > begin else None,
        following=day + _DAY if day < end else None,
    )


def _until(user: User, last: dt.date, today: dt.date) -> dt.date:
    """The last day of a month that can be unmarked: one that is over or today, and that the person may see."""
    return min(last, today, days_seen_by(user)[1])


def _recorded(records: AttendanceQuerySet, length: int) -> dict[str, RollRow]:
    """A row for each employee with records in a month of this ``length``, by number; its name is still blank."""
    rows: dict[str, RollRow] = {}
    columns = ("ep_no", "date", "status", "shift", "overtime", "overtime_to_mandays")
    # All of them at once would set off a collection of garbage.
    read = records.order_by().values_list(*columns).iterator(chunk_size=2000)
    for number, date, status, shift, overtime, mandays in read:
        row = rows.get(number)
        if row is None:
            row = rows[number] = RollRow(number, "", [BLANK] * length)
        day = date.day - 1
        row.days[day] = status
        row.shifts.add(shift)
        if overtime or mandays:
            row.overtime.append((day, overtime, mandays))
    return rows


def _known(user: User, company: int, today: dt.date, last: dt.date, register: Register) -> Iterator[KnownEmployee]:
    """The employees of a company, which the person may see, that have records up to the day ``last``, and their names
    as of that day.

    The index of employees has the days of each in order, so each takes a few look-ups, however many days they have. The
    conditions are those of ``visible_to``, written for that index: SQLite takes another one for any more than these.
    """
    connection = register.connection
    table = connection.ops.quote_name(AttendanceRecord._meta.db_table)
    own = f"FROM {table} WHERE company_id = %s AND ep_no = each.ep_no AND date BETWEEN %s AND %s"
    sql = f"""
        WITH RECURSIVE each(ep_no) AS (
            SELECT min(ep_no) FROM {table} WHERE company_id = %s
            UNION ALL
            SELECT (SELECT min(ep_no) FROM {table} WHERE company_id = %s AND ep_no > each.ep_no)
            FROM each WHERE ep_no IS NOT NULL
        )
        SELECT ep_no, (SELECT ep_name {own} ORDER BY date DESC LIMIT 1), (SELECT min(date) {own}),
            (SELECT max(date) {own})
        FROM each WHERE ep_no IS NOT NULL"""  # noqa: S608 - the table's name is the model's
    earliest, latest = days_seen_by(user)
    adapt = connection.ops.adapt_datefield_value
    named, counted = ([company, adapt(earliest), adapt(min(latest, day))] for day in (last, today))
    with connection.cursor() as cursor:
        cursor.execute(sql, [company, company, *named, *counted, *counted])
        for number, name, first, until in cursor.fetchall():
            if name is not None:  # otherwise all their records are later, or not for this person to see
                yield KnownEmployee(number, name, _date(first), _date(until))


def _date(value: dt.date | str | None) -> dt.date | None:
    """A date as the cursor has it: SQLite's is a text."""
    return dt.date.fromisoformat(value) if isinstance(value, str) else value


def _tallied(rows: Sequence[RollRow], length: int, over: int) -> list[Tally]:
    """The tally of each day. Sets that of each row. ``over``: how many days are not in the future."""
    by_day = [Tally() for _day in range(length)]
    for row in rows:
        for status, number in Counter(row.days[:over]).items():
            if status != BLANK:
                row.tally.add_days(status, number)
        for day, overtime, mandays in row.overtime:
            if day < over:
                row.tally.add_overtime(overtime, mandays)
                by_day[day].add_overtime(overtime, mandays)
    for day, statuses in zip(range(over), zip(*(row.days for row in rows), strict=True), strict=False):
        for status, number in Counter(statuses).items():
            if status != BLANK:
                by_day[day].add_days(status, number)
    return by_day


def _days(first: dt.date, length: int, counts: Sequence[Counter[str]], today: dt.date) -> list[MonthDay]:
    """The days of a month. ``counts``: of each day that is not in the future, the statuses of its records."""
    dates = [first + dt.timedelta(day) for day in range(length)]
    rest = rest_of(
        Recorded(date, statuses.total(), statuses[Status.WEEK_OFF], statuses[Status.PUBLIC_HOLIDAY])
        for date, statuses in zip(dates, counts, strict=False)
    )
    return [MonthDay(date, rest.is_off(date), date in rest.holidays, date == today, date > today) for date in dates]
