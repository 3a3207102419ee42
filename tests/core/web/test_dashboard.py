"""The dashboard in a browser's eyes: figures, table and imports of the viewer's scope; and delete all from its page."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.models import AttendanceRecord, Company, Installation, Operation, User
from tests.builders.people import DAY, World, make_world
from tests.builders.uploads import an_upload

pytestmark = pytest.mark.django_db(databases=["default", "jobs", "history"])


@pytest.fixture
def world() -> World:
    return make_world()


def page(user: User) -> tuple[Any, str]:
    client = Client()
    client.force_login(user)
    response = client.get("/")
    return response.context, response.content.decode()


def test_the_latest_day_and_thirty_days_as_a_table(world: World) -> None:
    AttendanceRecord.objects.filter(date=DAY).exclude(pk=world.record.pk).delete()
    for status, number in (("A", "A002"), ("L", "A003")):
        AttendanceRecord.objects.create(company=world.own, ep_no=number, date=DAY, status=status)
    AttendanceRecord.objects.create(company=world.own, ep_no="A999", date=DAY - dt.timedelta(40), status="P")
    context, text = page(world.people["root"])
    figures = context["figures"]
    latest = figures.latest
    assert (latest.first, latest.present, latest.absent, latest.other) == (DAY, 1, 1, 1)
    recent = AttendanceRecord.objects.filter(date__gt=DAY - dt.timedelta(30)).values("company", "ep_no").distinct()
    assert figures.not_recorded == recent.count() - 3
    assert figures.employees == recent.count() + 1
    assert "Show table" in text
    table = text.partition("Show table")[2].partition("</table>")[0]
    days = [DAY - dt.timedelta(day) for day in range(30)]
    assert table.count('<th scope="row">') == 30
    assert all(f'<th scope="row">{day}</th>' in table for day in days)
    row = table.partition(f'<th scope="row">{DAY}</th>')[2].partition("</tr>")[0]
    assert row.count('<td class="text-end">1</td>') == 3


@pytest.mark.parametrize("who", ["root", "admin", "user1"])
def test_each_figure_leads_to_what_it_counts(world: World, who: str) -> None:
    """To the records that it counts, or for people without a record to their last ones."""
    AttendanceRecord.objects.filter(date=DAY, ep_no__in=["A004", "B004", "B008"]).delete()
    for status, number in (("A", "A101"), ("-0.5", "A102"), ("PD", "A103"), ("L", "A104"), ("PH", "A105")):
        AttendanceRecord.objects.create(company=world.own, ep_no=number, date=DAY, status=status)
    client = Client()
    client.force_login(world.people[who])
    context = client.get("/").context
    led = {tile.label: client.get(tile.href).context["page"].paginator.count for tile in context["of_the_day"]}
    assert led == {tile.label: tile.number for tile in context["of_the_day"]}
    assert led["Not recorded"] > 0
    assert led["Present"] == (2 if who != "root" else 3) + 2
    for company in context["figures"].by_company:
        assert company.name in str(client.get("/").content.decode())
    *_before, employees, records = context["of_all"]
    assert client.get(records.href).context["page"].paginator.count == records.number
    people = AttendanceRecord.objects.visible_to(world.people[who]).values("company", "ep_no").distinct()
    listed = client.get(employees.href).context["page"]
    assert employees.number == listed.paginator.count == people.count()
    assert len({(row.company_id, row.ep_no) for row in listed}) == people.count()


def test_the_worst_companies_come_first_and_the_rest_is_folded(world: World) -> None:
    for number in range(8):
        company = Company.objects.create(name=f"Company {number}")
        for person in range(number):
            status = "A" if person % 2 else "P"
            AttendanceRecord.objects.create(company=company, ep_no=f"N{person}", date=DAY, status=status)
    figures = page(world.people["root"])[0]["figures"]
    missing = [company.missing for company in figures.by_company]
    assert missing == sorted(missing, reverse=True)
    assert len(figures.by_company) == 10
    assert [*figures.first_companies, *figures.other_companies] == list(figures.by_company)
    assert len(figures.first_companies) == 5
    listed = [*figures.first_companies, figures.others]
    assert sum(company.day.present for company in listed) == figures.latest.present
    assert sum(company.not_recorded for company in listed) == figures.not_recorded
    assert "Show the 5 other companies" in page(world.people["root"])[1]


def test_the_exceptions_of_the_month_are_counted_and_led_to(world: World) -> None:
    AttendanceRecord.objects.filter(pk=world.record.pk).update(out_time=None)
    AttendanceRecord.objects.filter(pk=world.other_record.pk).update(overstay=300)
    client = Client()
    client.force_login(world.people["root"])
    every, *kinds = client.get("/exceptions/2026-11/counts/").context["tiles"]
    assert {tile.label: tile.number for tile in kinds}.items() >= {"Missing punch": 1, "Overstay over 4 h": 1}.items()
    assert sum(tile.number for tile in kinds) == every.number
    for tile in (every, *kinds):
        assert client.get(tile.href).context["page"].paginator.count == tile.number
    client.force_login(world.people["admin"])
    tiles = client.get("/exceptions/2026-11/counts/").context["tiles"]
    assert "Overstay over 4 h" not in [tile.label for tile in tiles]


def test_the_dashboard_leaves_the_exceptions_for_a_request_of_their_own(world: World) -> None:
    """To count them in a large register takes longer than all else. Without scripts, a link leads to them."""
    with CaptureQueriesContext(connection) as queries:
        _context, text = page(world.people["root"])
    assert not [query for query in queries if "in_time" in query["sql"]]
    assert 'hx-get="/exceptions/2026-11/counts/" hx-trigger="load"' in text
    assert 'href="/exceptions/?month=2026-11"' in text


@pytest.mark.parametrize("month", ["0001-01", "9999-12"])
def test_the_ends_of_the_calendar_have_no_counts(world: World, month: str) -> None:
    client = Client()
    client.force_login(world.people["root"])
    assert client.get(f"/exceptions/{month}/counts/").status_code == 404


def test_a_day_in_the_future_is_named_and_not_counted(world: World) -> None:
    tomorrow = timezone.localdate() + dt.timedelta(1)
    AttendanceRecord.objects.create(company=world.own, ep_no="A001", date=tomorrow, status="P")
    context, text = page(world.people["admin"])
    assert context["figures"].latest.first == DAY
    assert "1 record is dated in the future. It is not counted as a day." in text
    assert f"/attendance/?date_from={tomorrow}" in text


@pytest.mark.parametrize("who", ["root", "admin", "other_admin", "user1"])
def test_company_table_and_imports_keep_to_the_scope(world: World, who: str) -> None:
    for company in (world.own, world.other):
        an_upload(filename=f"of {company.pk}.csv", company_id=company.pk)
    _context, text = page(world.people[who])
    mine = {"root": [world.own, world.other], "other_admin": [world.other]}.get(who, [world.own])
    for company in (world.own, world.other):
        table = text.partition("By company")[2].partition("</table>")[0]
        assert (company.name in table) == (company in mine)
        assert (f"of {company.pk}.csv" in text) == (company in mine and who != "user1")


def test_delete_all_asks_for_the_name_and_leaves_it_to_the_worker(world: World) -> None:
    client = Client()
    client.force_login(world.people["root"])
    assert client.post("/attendance/delete-all/", {"typed": "something else"}).status_code == 200
    assert not Operation.objects.exists()
    answer = client.post("/attendance/delete-all/", {"typed": Installation.current().name})
    operation = Operation.objects.get()
    assert answer["Location"] == f"/operations/{operation.pk}/"
    assert (operation.kind, operation.state) == ("delete_all", Operation.State.WAITING)
    assert AttendanceRecord.objects.exists()
    assert "Delete all records" in client.get(answer["Location"]).content.decode()
