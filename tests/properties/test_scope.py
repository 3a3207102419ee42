"""Property 1 and its counterpart: root sees every record; nobody else sees, counts or changes one outside their scope.
Property 18 for the pages of the register."""

from __future__ import annotations

import datetime as dt
import html
from dataclasses import dataclass
from html.parser import HTMLParser

import pytest
from django.http import QueryDict
from django.test import Client
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st

from core.attendance.dashboard import Span, dashboard
from core.attendance.records import LostUpdate, RecordService
from core.models import AttendanceRecord, Company, Role, User
from core.register.database import Register
from core.web.filters import SORTS, AttendanceFilter
from tests.conftest import DEEP
from tests.properties.laws import for_all
from tests.running import databases

START = dt.date(2026, 11, 1)
days = st.integers(0, 6).map(lambda n: START + dt.timedelta(n))


@dataclass(frozen=True)
class Drawn:
    rows: list[tuple[int, str, dt.date]]
    role: Role
    first: dt.date | None
    last: dt.date | None
    query: str
    wanted: int


drawn = st.builds(
    Drawn,
    rows=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["E1", "e2", "E10", "X"]), days), max_size=12, unique=True
    ),
    role=st.sampled_from(Role),
    first=st.none() | days,
    last=st.none() | days,
    query=st.sampled_from(
        ["", "q=E1", "q=e", "q=company", "q=NAME", "status=P", "date_from=2026-11-03"]
        + [f"sort={sort}" for sort in SORTS]
    ),
    wanted=st.integers(1, 12),
)


def law(alias: str, case: Drawn) -> None:
    """Lists, searches, counts and changes go by the scope and by nothing else."""
    companies = [Company.objects.using(alias).create(name=f"Company {n}") for n in range(3)]
    user = User(
        username="somebody",
        role=case.role,
        company=None if case.role == Role.ROOT else companies[0],
        assigned_date_from=case.first,
        assigned_date_to=case.last,
    )
    user.save(using=alias)
    rows = [
        AttendanceRecord(company=companies[n], ep_no=ep_no, date=day, status="P", ep_name=f"Name of {ep_no}")
        for n, ep_no, day in case.rows
    ]
    AttendanceRecord.objects.using(alias).bulk_create(rows)

    def in_scope(row: AttendanceRecord) -> bool:
        if case.role == Role.ROOT:
            return True
        dated = (case.first is None or row.date >= case.first) and (case.last is None or row.date <= case.last)
        return row.company_id == companies[0].pk and (case.role == Role.ADMIN or dated)

    def passes(row: AttendanceRecord) -> bool:
        name, _equals, value = case.query.partition("=")
        if name == "q" and value == "E1":
            return row.ep_no.upper().startswith("E1")  # no name has a digit that a number does not begin with
        if name == "q" and value == "e":
            return True  # every name and company has one
        return name != "date_from" or row.date >= dt.date(2026, 11, 3)

    visible = {row.pk for row in rows if in_scope(row)}
    everything = AttendanceFilter(QueryDict(""), user=user, register=Register(alias)).rows()
    assert {row.pk for row in everything} == visible
    filters = AttendanceFilter(QueryDict(case.query), user=user, register=Register(alias))
    filtered = [row.pk for row in filters.rows()]
    assert set(filtered) == {row.pk for row in rows if in_scope(row) and passes(row)}
    assert [row.pk for row in filters.rows(first=case.wanted)[: case.wanted]] == filtered[: case.wanted]

    figures = dashboard(user, Register(alias)).figures
    assert figures.records == len(visible)
    assert figures.employees == len({(row.company_id, row.ep_no) for row in rows if row.pk in visible})

    def recorded(day: Span) -> int:
        return day.present + day.absent + day.other

    assert sum(map(recorded, figures.trend)) == len(visible)
    assert sum(recorded(company.day) for company in figures.by_company) == (
        recorded(figures.latest) if figures.latest else 0
    )

    service = RecordService(user, Register(alias))
    for row in rows:
        may = row.pk in visible and case.role in (Role.ROOT, Role.ADMIN)
        stored = AttendanceRecord.objects.using(alias).get(pk=row.pk)
        try:
            service.change(row.pk, stored.updated_at, {"status": "A"})
            stored.refresh_from_db(using=alias)
            service.delete(row.pk, stored.updated_at)
        except LostUpdate:
            assert not may
            assert AttendanceRecord.objects.using(alias).get(pk=row.pk).status == "P"
        else:
            assert may
    assert AttendanceRecord.objects.using(alias).count() == (
        len(rows) if case.role == Role.USER1 else len(rows) - len(visible)
    )


test_scope = for_all(case=drawn)(law)

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        "'; DROP TABLE core_company; --",
        "{{ user.password }}",
        '" onload="x',
        "&amp;",
        "=1+1",
    ]
)


class Attributes(HTMLParser):
    """The names of all attributes in a page."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    @classmethod
    def of(cls, page: str) -> set[str]:
        parser = cls()
        parser.feed(page)
        return parser.names

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.update(name for name, _value in attrs)


@pytest.mark.django_db(transaction=True, databases=["default", "jobs", "history"])
def test_any_text_is_shown_verbatim(django_db_setup: None) -> None:
    """Property 18: what is escaped and taken back is what is stored."""

    @settings(max_examples=200 if DEEP else 12)
    @given(number=TEXT, name=TEXT, company=TEXT, shift=TEXT)
    def example(number: str, name: str, company: str, shift: str) -> None:
        databases.empty("default", "jobs")
        owner = Company.objects.create(name=company)
        record = AttendanceRecord.objects.create(
            company=owner, ep_no=number, ep_name=name, shift=shift, date=START, status="P"
        )
        client = Client()
        client.force_login(User.objects.create_superuser("root"))
        for url, shown in {
            "/": [company],
            "/attendance/": [number, name, company, shift],
            f"/roll/{owner.pk}/2026-11/": [number, name, company, shift],
            reverse("roll_day", args=[owner.pk, START, 1, number]): [number, name, company, shift],
            reverse("person", args=[owner.pk, number]): [number, name, company],
            "/exceptions/?month=2026-11&kind=presence_without_time": [number, name, company],
            f"/attendance/{record.pk}/edit/": [number, name, company, shift],
            f"/attendance/{record.pk}/delete/": [number, name, company],
            "/companies/": [company],
            f"/companies/{owner.pk}/rename/": [company],
        }.items():
            page = client.get(url).content.decode()
            assert "<script>alert" not in page
            assert not Attributes.of(page) & {"onload", "onerror", "onclick"}
            for text in shown:
                assert text in html.unescape(page), (url, text)

    example()
