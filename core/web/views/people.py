"""The page of an employee: a year's calendar, and what is known of the number."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.dates import WEEKDAYS, WEEKDAYS_ABBR
from django.views.decorators.http import require_safe

from core.attendance.people import BLANK, PersonDayOfYear, PersonMonth, PersonYear, person_year
from core.models import Role
from core.web.decorators import role_required
from core.web.roll_table import LEGEND, SUMS, address, code_of, sums_of
from core.web.views.request import signed_in


class _Cell(NamedTuple):
    """A day of the calendar. ``style`` and ``code``: how its status is shown; ``href``: its own page; both are blank
    where nothing is known and nothing is missing."""

    day: int
    style: str = ""
    code: str = ""
    title: str = ""
    href: str = ""
    is_future: bool = False


class _Month(NamedTuple):
    """A month of the calendar. ``weeks``: from Monday to Sunday, None for the days of other months."""

    first: dt.date
    weeks: Sequence[Sequence[_Cell | None]]
    sums: Sequence[str]


@require_safe
@role_required(Role.values)
def person_view(request: HttpRequest, company: int, number: str) -> HttpResponse:
    """An employee's year, which the query string names, else the newest one."""
    asked = request.GET.get("year", "")
    year = int(asked) if asked.isdecimal() and len(asked) <= 4 and int(asked) else None
    person = person_year(signed_in(request), company, number, year)
    if person is None:
        raise Http404
    first, last = person.years
    context = {
        "person": person,
        "months": [_month(person, month) for month in person.months],
        "totals": list(zip(SUMS, sums_of(person.total), strict=True)),
        "legend": LEGEND,
        "weekdays": list(zip(WEEKDAYS_ABBR.values(), WEEKDAYS.values(), strict=True)),
        "previous": min(person.year - 1, last) if person.year > first else None,
        "following": max(person.year + 1, first) if person.year < last else None,
        "section": "attendance_list",
    }
    return render(request, "person.html", context)


def _month(person: PersonYear, month: PersonMonth) -> _Month:
    roll, part = reverse("roll_month", args=[person.company.pk, month.first]), address(person.number)
    cells: list[_Cell | None] = [None] * month.first.weekday()
    cells += _cells(month.days, roll, part)
    cells += [None] * (-len(cells) % 7)
    return _Month(month.first, [cells[at : at + 7] for at in range(0, len(cells), 7)], sums_of(month.tally))


def _cells(days: Sequence[PersonDayOfYear], roll: str, part: str) -> Iterator[_Cell]:
    for date, status, is_future in days:
        if status == BLANK:
            yield _Cell(date.day)
        else:
            code = code_of(status)
            yield _Cell(date.day, code.style, code.code, str(code.name), f"{roll}{date.day}/{part}/", is_future)
