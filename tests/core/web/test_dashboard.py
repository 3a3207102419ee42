"""The dashboard in a browser's eyes: figures, table and imports of the viewer's scope; and delete all from its page."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.test import Client

from core.models import AttendanceRecord, Installation, Operation, User
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
    assert (latest.date, latest.present, latest.absent, latest.other) == (DAY, 1, 1, 1)
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
