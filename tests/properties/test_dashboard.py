"""Every figure of the dashboard equals a count by hand in the viewer's scope, and the list shows what it counts."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass

from django.http import QueryDict
from django.utils import timezone
from hypothesis import strategies as st

from core.attendance.dashboard import dashboard
from core.models import AttendanceRecord, Company, Role, User
from core.register.database import Register
from core.web.filters import AttendanceFilter
from tests.properties.laws import for_all

Row = tuple[int, str, int, str]
"""Company, number, days before today, status."""
AT_WORK, AWAY = {"P", "PD", "-0.5"}, {"L", "-1", "WO", "PH"}
ages = st.sampled_from([-40, -1, 0, 1, 2, 3, 28, 29, 30, 31, 59, 364, 365, 400])


@dataclass(frozen=True)
class Drawn:
    rows: list[Row]
    role: Role
    first: int | None
    last: int | None


drawn = st.builds(
    Drawn,
    rows=st.lists(
        st.tuples(
            st.integers(0, 2), st.sampled_from(["E1", "E2", "E3"]), ages, st.sampled_from(["A", *AT_WORK, *AWAY])
        ),
        max_size=25,
        unique_by=lambda row: row[:3],
    ),
    role=st.sampled_from(Role),
    first=st.none() | st.sampled_from([2, 30, 400]),
    last=st.none() | st.sampled_from([-1, 0, 1, 29]),
)


def law(alias: str, case: Drawn) -> None:
    today = timezone.localdate()
    companies = [Company.objects.using(alias).create(name=f"Company {n}") for n in range(3)]
    user = User(username="somebody", role=case.role, company=None if case.role == Role.ROOT else companies[0])
    if case.role == Role.USER1:
        user.assigned_date_from = None if case.first is None else today - dt.timedelta(case.first)
        user.assigned_date_to = None if case.last is None else today - dt.timedelta(case.last)
    user.save(using=alias)
    AttendanceRecord.objects.using(alias).bulk_create(
        AttendanceRecord(company=companies[n], ep_no=number, date=today - dt.timedelta(age), status=status)
        for n, number, age, status in case.rows
    )
    seen = [
        row
        for row in case.rows
        if case.role == Role.ROOT
        or (
            row[0] == 0
            and (case.role == Role.ADMIN or case.first is None or row[2] <= case.first)
            and (case.role == Role.ADMIN or case.last is None or row[2] >= case.last)
        )
    ]
    figures = dashboard(user, Register(alias)).figures
    assert figures.records == len(seen)
    assert figures.employees == (len({row[:2] for row in seen}) if any(row[2] >= 0 for row in seen) else 0)
    assert figures.future == sum(row[2] < 0 for row in seen)
    past = [row for row in seen if row[2] >= 0]
    if not past:
        assert (figures.latest, figures.trend) == (None, ())
        return
    newest = min(row[2] for row in past)
    latest = [row for row in past if row[2] == newest]
    assert figures.latest
    assert figures.latest.first == today - dt.timedelta(newest)

    def count(rows: list[Row]) -> tuple[int, int, int]:
        present, absent, other = (sum(row[3] in kind for row in rows) for kind in (AT_WORK, {"A"}, AWAY))
        return present, absent, other

    assert (figures.latest.present, figures.latest.absent, figures.latest.other) == count(latest)
    for span, age in zip(figures.trend, range(newest + 29, newest - 1, -1), strict=True):
        assert span.first == today - dt.timedelta(age)
        assert (span.present, span.absent, span.other) == count([row for row in past if row[2] == age])
    recent = {row[:2] for row in past if row[2] < newest + 30} - {row[:2] for row in latest}
    not_recorded = Counter(n for n, _number in recent)
    of_companies = {one.name: one for one in figures.by_company}
    assert len(of_companies) == (3 if case.role == Role.ROOT else 1)
    for n, company in enumerate(companies[: len(of_companies)]):
        one = of_companies[company.name]
        assert one.not_recorded == not_recorded[n]
        assert (one.day.present, one.day.absent, one.day.other) == count([row for row in latest if row[0] == n])
    missing = [one.day.absent + one.not_recorded for one in figures.by_company]
    assert missing == sorted(missing, reverse=True)

    months = dashboard(user, Register(alias), by_month=True).figures.trend
    assert len(months) == 12
    assert months[-1].first == figures.latest.first.replace(day=1)
    for span in months:
        ages = [row for row in past if (today - dt.timedelta(row[2])).replace(day=1) == span.first]
        assert (span.present, span.absent, span.other) == count(ages)

    def listed(query: str) -> int:
        return AttendanceFilter(QueryDict(query), user=user, register=Register(alias)).rows().count()

    day = str(figures.latest.first)
    assert listed(f"not_on={day}") == len(recent)
    assert listed("last=on") == figures.employees
    on_it = f"date_from={day}&date_to={day}&status="
    assert tuple(listed(on_it + status) for status in ("present", "A", "off")) == count(latest)


test_dashboard = for_all(case=drawn)(law)
