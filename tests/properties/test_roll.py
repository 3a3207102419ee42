"""A roll says what counting by hand says: every cell and every sum, in everybody's scope, on any day."""

from __future__ import annotations

import datetime as dt
import html
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from unittest.mock import patch

import pytest
from hypothesis import strategies as st

from core.attendance import month as months
from core.attendance.month import RollFilter
from core.models import AttendanceRecord, Company, Role, User
from core.register.database import Register
from core.web import roll_table
from tests.properties.laws import for_all

NUMBERS = {"E1": "Meena Rao", "e2": "ivan", "A/7": "<b>Ravi</b>", "..": "", "X ": "Ünal"}
CODES = {"P": "P", "A": "A", "PH": "PH", "WO": "WO", "PD": "PD", "L": "L", "-0.5": "½", "-1": "FL"}
SUMS = ({"P", "PD"}, {"-0.5"}, {"L", "-1"}, {"A"}, {"WO"}, {"PH"}, {"·"})
FIRST, LAST = dt.date(2026, 11, 1), dt.date(2026, 11, 30)
TODAYS = (dt.date(2026, 11, 17), LAST, dt.date(2026, 12, 9), dt.date(2026, 10, 31), FIRST)
EDGES = [day + dt.timedelta(n) for day in (FIRST, *TODAYS[:2]) for n in (-31, -30, -29, -1, 0, 1)]
around = st.sampled_from(EDGES) | st.integers(-45, 45).map(lambda n: dt.date(2026, 11, 15) + dt.timedelta(n))
minutes = st.sampled_from([None, 0, 30, 240, 480, 6000])


@dataclass(frozen=True)
class Row:
    """A record. ``name``: what the person is called on that day."""

    company: int
    number: str
    day: dt.date
    status: str
    shift: str
    overtime: int | None
    mandays: int | None
    name: str


@dataclass(frozen=True)
class Asked:
    rows: Sequence[Row]
    today: dt.date
    role: Role
    begin: dt.date | None
    end: dt.date | None
    q: str
    shift: str


@st.composite
def asked(draw: st.DrawFn) -> Asked:
    keys = st.tuples(st.sampled_from([0, 0, 1]), st.sampled_from(list(NUMBERS)), around)
    rows = [
        Row(
            company, number, day, draw(st.sampled_from([*CODES, "WO", "PH"])),
            draw(st.sampled_from(["", "G", "N"])), draw(minutes), draw(minutes),
            NUMBERS[number] if draw(st.integers(0, 9)) else f"Once {day}",
        )
        for company, number, day in draw(st.lists(keys, min_size=4, max_size=30, unique=True))
    ]  # fmt: skip
    return Asked(
        rows,
        draw(st.sampled_from(TODAYS)),
        draw(st.sampled_from([*Role, Role.USER1])),
        draw(st.none() | around),
        draw(st.none() | around),
        draw(st.sampled_from(["", "", "", "e", "E1", "RAVI", "once", "", ""])),
        draw(st.sampled_from(["", "", "", "N"])),
    )  # fmt: skip


DAYS = [FIRST + dt.timedelta(n) for n in range(30)]


def by_hand(case: Asked, company: int) -> Mapping[str, list[str]]:
    """The cells of everybody of a company who has any, by number: the statuses, ``·``, or blank."""
    scope = [row for row in case.rows if row.company == company and sees(case, row.day)]
    cells = {}
    until = max((day for day in DAYS if day <= case.today and sees(case, day)), default=None)
    for number in NUMBERS:
        own = {row.day: row.status for row in scope if row.number == number}
        until_now = sorted(day for day in own if day <= case.today)
        line = []
        for day in DAYS:
            missing = False
            if day not in own and until and FIRST <= day <= until and until_now and sees(case, day):
                is_between = until_now[0] <= day <= until_now[-1]
                is_still_there = until_now[0] <= day and any(0 <= (until - one).days < 30 for one in until_now)
                missing = is_between or is_still_there
            line.append(own.get(day, "·" if missing else ""))
        if any(line):
            cells[number] = line
    return cells


def sees(case: Asked, day: dt.date) -> bool:
    if case.role != Role.USER1:
        return True
    return (case.begin is None or day >= case.begin) and (case.end is None or day <= case.end)


def sums_by_hand(statuses: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """The sums of some days of which none is in the future."""
    counts = Counter(statuses)
    numbers = [sum(counts[status] for status in kind) for kind in SUMS]
    overtime = sum(row.overtime or 0 for row in rows)
    halves = 2 * numbers[0] + numbers[1]
    mandays = round((halves * 240 + sum(row.mandays or 0 for row in rows)) / 480, 2)
    shown = f"{overtime // 60:02}:{overtime % 60:02}" if overtime else "0"
    return [*map(str, numbers), shown, f"{mandays:g}" if mandays < 100_000 else str(mandays)]


def law(alias: str, case: Asked) -> None:
    companies = [Company.objects.using(alias).create(name=f"Company {n}") for n in range(2)]
    user = User(
        username="somebody", role=case.role, company=None if case.role == Role.ROOT else companies[0],
        assigned_date_from=case.begin, assigned_date_to=case.end,
    )  # fmt: skip
    user.save(using=alias)
    AttendanceRecord.objects.using(alias).bulk_create(
        AttendanceRecord(
            company=companies[row.company], ep_no=row.number, ep_name=row.name, date=row.day, status=row.status,
            shift=row.shift, overtime=row.overtime, overtime_to_mandays=row.mandays,
        )
        for row in case.rows
    )  # fmt: skip
    with patch("django.utils.timezone.localdate", lambda: case.today):
        for at, company in enumerate(companies):
            month = months.roll_month(user, company.pk, FIRST, RollFilter(case.q, case.shift), Register(alias))
            if at and case.role != Role.ROOT:
                assert month is None
                continue
            assert month
            compare(case, at, month)
            for number, line in by_hand(case, at).items():
                for day, cell in list(zip(DAYS, line, strict=True))[::9]:
                    shown = months.person_day(user, company.pk, number, day, Register(alias))
                    if not sees(case, day):
                        assert shown is None
                    else:
                        assert shown
                        assert (shown.record.status if shown.record else "·" if shown.is_unmarked else "") == cell


def compare(case: Asked, company: int, month: months.RollMonth) -> None:
    cells = by_hand(case, company)
    scope = [row for row in case.rows if row.company == company and sees(case, row.day)]
    counted = [row for row in scope if FIRST <= row.day <= min(LAST, case.today)]
    past = [day for day in DAYS if day <= case.today]

    def name_of(number: str) -> str:
        return max((row.day, row.name) for row in scope if row.number == number and row.day <= LAST)[1]

    def stays(number: str) -> bool:
        found = number.casefold().startswith(case.q.casefold()) or case.q.casefold() in name_of(number).casefold()
        shifts = {row.shift for row in scope if row.number == number and FIRST <= row.day <= LAST}
        return found and (not case.shift or case.shift in shifts)

    shown = sorted(number for number in cells if stays(number))
    table = [
        [html.unescape(re.sub("<[^>]+>", "", cell)) for cell in re.split("(?=<t[hd])", row)[1:]]
        for row in roll_table.body(month.rows, month.days, month.company.pk).splitlines()
    ]
    assert month.employees == len(cells)
    assert table == [
        [
            f"{number} {name_of(number)}",
            *(CODES.get(status, status) for status in cells[number]),
            *sums_by_hand(cells[number][: len(past)], [row for row in counted if row.number == number]),
        ]
        for number in shown
    ]
    own = [row for row in counted if row.number in shown]
    by_day = [
        sums_by_hand([cells[number][at] for number in shown], [row for row in own if row.day == day])
        for at, day in enumerate(past)
    ]
    total = sums_by_hand([cells[number][at] for number in shown for at in range(len(past))], own)
    later = [""] * (30 - len(past))
    feet = [[foot.days, foot.total] for foot in roll_table.feet(month)]
    assert feet == [[[sums[at] for sums in by_day] + later, total[at]] for at in range(9)]
    for day in month.days:
        weekday = [row.status for row in counted if row.day.weekday() == day.date.weekday()]
        holiday = [row.status for row in counted if row.day == day.date]
        assert day.is_off == (weekday.count("WO") * 2 >= len(weekday) > 0)
        assert day.is_holiday == (holiday.count("PH") * 2 >= len(holiday) > 0)
        assert (day.is_today, day.is_future) == (day.date == case.today, day.date > case.today)
    assert month.shifts == sorted({row.shift for row in scope if FIRST <= row.day <= LAST and row.shift})


test_a_roll_says_what_counting_by_hand_says = for_all(case=asked())(law)


@pytest.mark.parametrize(
    ("days", "role", "end"),
    [
        pytest.param([3], Role.USER1, 10, id="nothing is unmarked on days that a supervisor may not see"),
        pytest.param([20], Role.ROOT, None, id="a record of the future does not say that somebody stays"),
    ],
)
def test_the_edges(register_db: str, days: list[int], role: Role, end: int | None) -> None:
    rows = [Row(0, "E1", dt.date(2026, 11, day), "P", "", 60, 60, "Meena") for day in days]
    rows.append(Row(0, "E1", dt.date(2026, 9, 1), "P", "", 60, 60, "Meena"))
    law(register_db, Asked(rows, dt.date(2026, 11, 17), role, None, dt.date(2026, 11, end) if end else None, "", ""))
