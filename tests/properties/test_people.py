"""An employee's year equals what plain Python counts, day by day: for all roles, in their scope, on each engine."""

from __future__ import annotations

import calendar
import datetime as dt
from collections import Counter
from dataclasses import dataclass
from unittest.mock import patch

from hypothesis import strategies as st

from core.attendance.people import person_year
from core.models import AttendanceRecord, Company, Role, User
from core.register.database import Register
from tests.properties.laws import for_all

TODAY = dt.date(2026, 11, 27)
MEANINGS = {
    "P": "present", "PD": "present", "-0.5": "half", "L": "leave", "-1": "leave", "A": "absent", "WO": "off",
    "PH": "holiday", "·": "unmarked",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What becomes a record."""

    company: int
    number: str
    day: dt.date
    name: str
    status: str
    overtime: int | None
    mandays: int | None


@dataclass(frozen=True)
class Drawn:
    rows: list[Row]
    role: Role
    first: dt.date | None
    last: dt.date | None
    company: int
    year: int | None


near = st.integers(-60, 50).map(lambda n: TODAY + dt.timedelta(n))
days = near | st.integers(-340, 50).map(lambda n: TODAY + dt.timedelta(n))
some = st.builds(
    Row,
    company=st.sampled_from([0, 0, 1]),
    number=st.sampled_from(["1", "1", "1", "2/B"]),
    day=days,
    name=st.sampled_from(["Asha", "Meena", ""]),
    status=st.sampled_from(sorted(set(MEANINGS) - {"·"})),
    overtime=st.none() | st.integers(0, 500),
    mandays=st.none() | st.sampled_from([240, 480]),
)
drawn = st.builds(
    Drawn,
    rows=st.lists(some, min_size=3, max_size=30, unique_by=lambda row: (row.company, row.number, row.day)),
    role=st.sampled_from([*Role, Role.USER1]),
    first=st.none() | st.none() | days,
    last=st.none() | near | st.integers(-20, 0).map(lambda n: TODAY + dt.timedelta(n)),
    company=st.sampled_from([0, 0, 1]),
    year=st.sampled_from([None, 2025, 2026, 2027]),
)


@patch("django.utils.timezone.localdate", lambda: TODAY)
def law(alias: str, case: Drawn) -> None:
    """The page of number 1 says of each day, month and year what the records in the person's scope say."""
    companies = [Company.objects.using(alias).create(name=f"Company {n}") for n in range(2)]
    user = User(
        username="somebody",
        role=case.role,
        company=None if case.role == Role.ROOT else companies[0],
        assigned_date_from=case.first,
        assigned_date_to=case.last,
    )
    AttendanceRecord.objects.using(alias).bulk_create(
        AttendanceRecord(
            company=companies[row.company], ep_no=row.number, ep_name=row.name, date=row.day, status=row.status,
            overtime=row.overtime, overtime_to_mandays=row.mandays,
        )
        for row in case.rows
    )  # fmt: skip
    limit = (case.role == Role.USER1 and case.last) or dt.date.max

    def in_scope(row: Row) -> bool:
        begin = (case.role == Role.USER1 and case.first) or dt.date.min
        return (case.role == Role.ROOT or row.company == 0) and begin <= row.day <= limit

    numbered = [row for row in case.rows if in_scope(row) and row.number == "1"]
    here = {row.day: row for row in numbered if row.company == case.company}
    shown = person_year(user, companies[case.company].pk, "1", case.year, Register(alias))
    if not here:
        assert shown is None
        return
    assert shown is not None
    past = [day for day in here if day <= TODAY]
    assert shown.year == (case.year or (max(past) if past else min(here)).year)
    wholes: Counter[str] = Counter()
    minutes = [0, 0]
    for number, month in enumerate(shown.months, 1):
        end = dt.date(shown.year, number, calendar.monthrange(shown.year, number)[1])
        until = min(end, TODAY, limit)
        assert [day.date for day in month.days] == [end.replace(day=at) for at in range(1, end.day + 1)]
        counts: Counter[str] = Counter()
        for day in month.days:
            expected = ""
            if day.date in here:
                expected = here[day.date].status
            elif past and min(past) <= day.date <= until:
                expected = "·" if day.date <= max(past) or (until - max(past)).days < 30 else ""
            assert (day.status, day.is_future) == (expected, day.date > TODAY), day
            if expected and day.date <= TODAY:
                counts[MEANINGS[expected]] += 1
        worked = [row for row in here.values() if row.day.replace(day=1) == month.first and row.day <= TODAY]
        overtime, mandays = sum(row.overtime or 0 for row in worked), sum(row.mandays or 0 for row in worked)
        assert {kind.value: number for kind, number in month.tally.days.items() if number} == counts
        assert (month.tally.overtime, month.tally.overtime_to_mandays) == (overtime, mandays)
        wholes += counts
        minutes = [minutes[0] + overtime, minutes[1] + mandays]
    assert {kind.value: number for kind, number in shown.total.days.items() if number} == wholes
    assert shown.total.overtime == minutes[0]
    assert shown.total.mandays == wholes["present"] + wholes["half"] / 2 + minutes[1] / 480
    for name, first, last in shown.names:
        having = [row.day for row in here.values() if row.name == name]
        assert (first, last) == (min(having), max(having))
    assert {name.name for name in shown.names} == {row.name for row in here.values()} - {""}
    assert {(one.company.name, one.first, one.last) for one in shown.companies} == {
        (f"Company {n}", min(of), max(of))
        for n in range(2)
        if (of := [row.day for row in numbered if row.company == n])
    }
    assert {row.date for row in shown.latest} <= set(here)
    assert len(shown.latest) == min(10, len(here))
    assert shown.years[0] == min(here).year
    assert shown.years[1] >= max(here).year


test_people = for_all(case=drawn)(law)
