"""Exceptions equal what is counted in plain Python, record by record: for all roles, in their scope, on each engine."""

from __future__ import annotations

import calendar
import datetime as dt
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from hypothesis import strategies as st

from core.attendance import exceptions
from core.attendance.exceptions import Exceptions, Finding
from core.models import AttendanceRecord, Company, ExceptionKind, Role, User
from core.register.database import Register
from tests.properties.laws import for_all

Kind = ExceptionKind
MONTH = dt.date(2026, 11, 1)
TODAY = dt.date(2026, 11, 27)
DAY = dt.timedelta(1)

HOUR = st.sampled_from(["06:00", "09:00", "10:59", "13:00", "18:00", "22:00", "23:59"])
EDGES = st.sampled_from([(None, None), ("22:00", "11:00"), ("22:00", "11:01"), ("18:00", "09:00"), ("18:00", "18:00")])
PAIR = EDGES | st.tuples(HOUR, HOUR) | st.tuples(HOUR, st.none()) | st.tuples(st.none(), HOUR)
TIMES = st.tuples(PAIR, PAIR, PAIR).map(lambda pairs: pairs[0] + pairs[1] + pairs[2])
ONE_PAIR = PAIR.map(lambda pair: (*pair, None, None, None, None))
HABITS = st.sampled_from(["works", "absent", "seldom", "nights", "mixed"])


@dataclass(frozen=True)
class Row:
    """What becomes a record."""

    company: int
    number: str
    day: dt.date
    name: str
    status: str
    times: tuple[str | None, ...]
    overstay: int | None


@dataclass(frozen=True)
class Drawn:
    rows: list[Row]
    role: Role
    first: dt.date | None
    last: dt.date | None
    company: int | None


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    """The days of a few people: each has a habit, and single days that are not like it."""
    made: dict[tuple[int, str, dt.date], Row] = {}
    for company in range(2):
        rest = draw(st.sampled_from([6, 5, 0]))
        for number in draw(st.sets(st.sampled_from(["1", "2", "3"]), max_size=3)):
            habit, name = draw(HABITS), draw(st.sampled_from(["Asha", "Meena", ""]))
            begin = MONTH + draw(st.integers(-45, 25)) * DAY
            for day in (begin + n * DAY for n in range(draw(st.integers(1, 80)))):
                status = "P"
                times: tuple[str | None, ...] = ("09:00", "18:00", None, None, None, None)
                if day.weekday() == rest or habit == "absent":
                    status, times = ("WO" if day.weekday() == rest else "A"), (None,) * 6
                elif habit == "nights":
                    times = ("22:00", "06:00", None, None, None, None)
                if habit != "seldom" or day.day % 9 == 0:
                    made[company, number, day] = Row(company, number, day, name, status, times, None)
    if made:
        odd = st.builds(
            Row,
            company=st.integers(0, 1),
            number=st.sampled_from(["1", "2", "3"]),
            day=st.integers(-5, 30).map(lambda n: MONTH + n * DAY),
            name=st.sampled_from(["Asha", "Meena", "Ivan", ""]),
            status=st.sampled_from(["P", "A", "PH", "WO", "PD", "L", "-0.5", "-1"]),
            times=ONE_PAIR | TIMES | st.just((None,) * 6),
            overstay=st.sampled_from([None, 0, 179, 240, 241]),
        )
        for row in draw(st.lists(odd, min_size=5, max_size=25)):
            made[row.company, row.number, row.day] = row
        for key in draw(st.lists(st.sampled_from(sorted(made)), max_size=12)):
            made.pop(key, None)
    return list(made.values())


near = st.integers(-10, 30).map(lambda n: MONTH + n * DAY)
drawn = st.builds(
    Drawn,
    rows=rows(),
    role=st.sampled_from(Role),
    first=st.none() | near,
    last=st.none() | near,
    company=st.none() | st.integers(0, 1),
)


def minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def of_a_record(row: Row) -> set[ExceptionKind]:
    """The kinds of a single record, minute by minute."""
    pairs = list(zip(row.times[::2], row.times[1::2], strict=True))
    whole = [(minutes(begin), minutes(end)) for begin, end in pairs if begin is not None and end is not None]
    kinds = {Kind.MISSING_PUNCH for begin, end in pairs if (begin is None) != (end is None)}
    if any(end < begin and end + 24 * 60 - begin > 13 * 60 for begin, end in whole):
        kinds.add(Kind.OUT_BEFORE_IN)
    covered = Counter[int]()
    for begin, end in whole:
        covered.update(set(range(begin, end)) if begin <= end else {*range(begin, 24 * 60), *range(end)})
    points = [begin for begin, end in whole if begin == end]
    if any(number > 1 for number in covered.values()) or any(covered[point] for point in points):
        kinds.add(Kind.OVERLAPPING)
    has_time, worked = any(row.times), row.status in ("P", "PD", "-0.5")
    if worked and not has_time:
        kinds.add(Kind.PRESENCE_WITHOUT_TIME)
    if has_time and not worked:
        kinds.add(Kind.TIME_WITHOUT_PRESENCE)
    if (row.overstay or 0) > 240:
        kinds.add(Kind.OVERSTAY)
    return kinds


def by_hand(seen: list[Row], until: dt.date) -> set[tuple[Any, ...]]:
    """(kind, company, subject, day, details) of all exceptions of the month in these records."""
    found: set[tuple[Any, ...]] = set()
    past = [row for row in seen if row.day <= TODAY]
    month = [row for row in past if MONTH <= row.day <= until]
    for row in month:
        found |= {(kind, row.company, row.number, row.day, ()) for kind in of_a_record(row)}
    people: dict[tuple[int, str], dict[dt.date, Row]] = defaultdict(dict)
    for row in past:
        people[row.company, row.number][row.day] = row
    days = [MONTH + n * DAY for n in range((until - MONTH).days + 1)]
    for (company, number), has in people.items():
        last = max(has)
        for day in days:
            of_day = [row for row in month if (row.company, row.day) == (company, day)]
            of_weekday = [row for row in month if (row.company, row.day.weekday()) == (company, day.weekday())]
            is_off = of_weekday and 2 * sum(row.status == "WO" for row in of_weekday) >= len(of_weekday)
            is_holiday = of_day and 2 * sum(row.status == "PH" for row in of_day) >= len(of_day)
            is_there = min(has) <= day and (day <= last or (until - last).days < 30)
            if day not in has and day < TODAY and is_there and not is_off and not is_holiday:
                found.add((Kind.NOT_RECORDED, company, number, day, ()))
        told = False
        for day in days:
            absent, back = [], day
            while back >= MONTH - 14 * DAY and back in has and has[back].status in ("A", "WO", "PH"):
                absent += [back] if has[back].status == "A" else []
                back -= DAY
            told = told and bool(absent)
            if len(absent) >= 3 and has[day].status == "A" and not told:
                told = True
                details = tuple(one.isoformat() for one in sorted(absent))
                found.add((Kind.ABSENT_IN_A_ROW, company, number, day, details))
        before = [row.name for day, row in sorted(has.items()) if day < MONTH and row.name][-1:]
        first = {has[day].name: day for day in reversed(days) if day in has and has[day].name}
        names = tuple(sorted({*before, *first}))
        if first and len(names) > 1:
            found.add((Kind.TWO_NAMES, company, number, max(first.values()), names))
    for company in range(2):
        for name in ("Asha", "Meena", "Ivan"):
            having = sorted((row.day, row.number) for row in month if (row.company, row.name) == (company, name))
            first_of = {number: day for day, number in reversed(having)}
            if len(first_of) > 1:
                found.add((Kind.TWO_NUMBERS, company, name, max(first_of.values()), tuple(sorted(first_of))))
    return found


def told(findings: Any, pks: list[int]) -> list[tuple[Any, ...]]:
    return [(one.kind, pks.index(one.company), one.subject, one.day, one.details) for one in findings]


def time(text: str | None) -> dt.time | None:
    return dt.time.fromisoformat(text) if text else None


@patch("django.utils.timezone.localdate", lambda: TODAY)
def law(alias: str, case: Drawn) -> None:
    """What is found is what plain Python finds in what the person may see; and what is found right is away."""
    register = Register(alias)
    companies = [Company.objects.using(alias).create(name=f"Company {n}") for n in range(2)]
    pks = [company.pk for company in companies]
    user = User(
        username="somebody",
        role=case.role,
        company=None if case.role == Role.ROOT else companies[0],
        assigned_date_from=case.first,
        assigned_date_to=case.last,
    )
    user.save(using=alias)
    fields = ("in_time", "out_time", "in_time_2", "out_time_2", "in_time_3", "out_time_3")
    AttendanceRecord.objects.using(alias).bulk_create(
        AttendanceRecord(
            company=companies[row.company], ep_no=row.number, ep_name=row.name, date=row.day, status=row.status,
            overstay=row.overstay, **dict(zip(fields, map(time, row.times), strict=True)),
        )
        for row in case.rows
    )  # fmt: skip

    def is_seen(row: Row) -> bool:
        if case.role != Role.ROOT and row.company != 0:
            return False
        if case.role == Role.USER1 and not (case.first or dt.date.min) <= row.day <= (case.last or dt.date.max):
            return False
        return case.company is None or row.company == case.company

    end = MONTH.replace(day=calendar.monthrange(MONTH.year, MONTH.month)[1])
    until = min(end, TODAY, (case.role == Role.USER1 and case.last) or end)
    expected = by_hand([row for row in case.rows if is_seen(row)], until)
    company = None if case.company is None else pks[case.company]
    found = exceptions.exceptions(user, MONTH, company, register)
    listed = told(found.unseen, pks)
    assert len(listed) == len(set(listed))
    assert set(listed) == expected
    assert [one.day for one in found.unseen] == sorted((one.day for one in found.unseen), reverse=True)
    assert found.counts() == Counter(kind for kind, *_rest in expected)
    if case.role != Role.USER1 and found.unseen:
        _found_right(user, found, company, register)


def _found_right(user: User, found: Exceptions, company: int | None, register: Register) -> None:
    """One of each kind is found right: it alone is away, until somebody takes that back."""
    one_each: dict[ExceptionKind, Finding] = {one.kind: one for one in found.unseen}
    for one in one_each.values():
        looked_at = exceptions.exception(user, one.kind, one.company, one.subject, one.day, register)
        assert looked_at is not None
        assert looked_at.finding == one
        exceptions.find_right(user, looked_at, looked_at.checksum, "seen", register)
    after = exceptions.exceptions(user, MONTH, company, register)
    assert set(after.seen) == set(one_each.values())
    assert [one for one in found.unseen if one not in after.seen] == list(after.unseen)
    for one in one_each.values():
        looked_at = exceptions.exception(user, one.kind, one.company, one.subject, one.day, register)
        assert looked_at is not None
        assert looked_at.seen is not None
        exceptions.take_back(user, looked_at, register)
    assert exceptions.exceptions(user, MONTH, company, register) == found


test_exceptions = for_all(case=drawn)(law)
