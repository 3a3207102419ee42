"""Requirements 1.1 to 1.4 on the pages themselves: root gets every company, everybody else what is theirs."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client

from core.attendance.search import find
from core.models import AttendanceRecord, Company
from core.web.filters import AttendanceFilter
from core.web.views import attendance
from tests.builders.people import NOBODY, WHO, World, make_world

pytestmark = pytest.mark.django_db(databases=["default", "jobs", "history"])


@pytest.fixture
def world() -> World:
    return make_world()


def _of(world: World, who: str) -> set[str]:
    """The companies that somebody sees."""
    if who == "root":
        return {world.own.name, world.other.name}
    company = world.people[who].company
    assert company is not None
    return {company.name}


def _number(world: World, who: str) -> int:
    if who == "root":
        return AttendanceRecord.objects.count()
    records = AttendanceRecord.objects.filter(company=world.people[who].company)
    first = world.people[who].assigned_date_from
    return records.filter(date__gte=first).count() if first else records.count()


@pytest.mark.parametrize("who", [who for who in WHO if who != NOBODY])
def test_list_dashboard_search_and_export(world: World, who: str) -> None:
    client = Client()
    client.force_login(world.people[who])
    number, seen = _number(world, who), _of(world, who)

    def listed(query: str = "") -> Any:
        return client.get(f"/attendance/?{query}").context["page"]

    assert listed().paginator.count == number
    assert {row.company.name for row in listed()} == seen
    figures = client.get("/").context["figures"]
    assert figures.records == number
    assert figures.companies == (Company.objects.count() if who == "root" else 1)
    assert {one.name for one in figures.by_company} == seen
    for query in ("person", "A0", "Works"):
        visible = AttendanceRecord.objects.visible_to(world.people[who])
        for frequent in (False, True):
            found = visible.filter(find(query, visible).rows(frequent=frequent))
            assert [row.pk for row in listed(f"q={query}&sort=ep_no")] == [row.pk for row in found.order_by("ep_no")]
    both = listed("q=person")
    assert {row.company.name for row in both} == seen
    text = client.get("/attendance/export/").getvalue().decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == number
    assert {row["COMPANY NAME"] for row in rows} == seen


def test_a_sort_that_there_is_not_is_said_and_not_asked_for_again(world: World) -> None:
    client = Client()
    client.force_login(world.people["root"])
    text = client.get("/attendance/?sort=salary&q=A0").content.decode()
    assert "A filter is not valid" in text
    assert "salary is not one of the available choices" in text
    assert 'name="sort"' not in text
    assert 'value="A0"' in text


@pytest.mark.untraced
@pytest.mark.parametrize(
    "query", ["", "sort=date", "sort=ep_no", "sort=-ep_no", "q=person&sort=ep_no", "q=A0", "q=Works"]
)
def test_the_pages_of_a_list_that_is_cut_short(world: World, monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    """They are those of the whole list, however its rows were met."""
    monkeypatch.setattr(attendance, "REACH", 6)
    monkeypatch.setattr(attendance, "PER_PAGE", 2)
    client = Client()
    client.force_login(world.people["root"])
    whole = AttendanceFilter(QueryDict(query), user=world.people["root"]).rows()
    assert whole.count() > 6
    pages = [client.get(f"/attendance/?{query}&page={number}").context["page"] for number in (1, 2, 3)]
    assert [row.pk for page in pages for row in page] == [row.pk for row in whole[:6]]
    last = client.get(f"/attendance/?{query}&page=4")
    assert list(last.context["page"]) == list(pages[2])
    assert "More than 6 records" in last.content.decode()
