"""The pages of the muster roll: where they lead to, numbers that are hard to write in an address, and pages of many."""

from __future__ import annotations

import datetime as dt
import re
from urllib.parse import quote, urljoin, urlsplit

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.attendance.exceptions import exceptions
from core.models import AttendanceRecord, Company, Role, User
from core.web.views import roll
from tests.builders.people import World, make_world

pytestmark = pytest.mark.django_db(databases=["default", "jobs", "history"])

NOVEMBER = dt.date(2026, 11, 1)


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def client(world: World) -> Client:
    client = Client()
    client.force_login(world.people["root"])
    return client


@pytest.fixture(autouse=True)
def today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "localdate", lambda: dt.date(2026, 11, 25))


def record(company: Company, number: str, day: dt.date, **fields: object) -> AttendanceRecord:
    values = {"ep_name": "Person", "status": "P", **fields}
    return AttendanceRecord.objects.create(company=company, ep_no=number, date=day, **values)


NUMBERS = (".", "..", "a/../b", "a/./b", "~", "~.", "~a", "a//b", "/", "a/", "a\nb", "a?b#c%2Fd", "a;b", "a\\b", "ü ½")


@pytest.mark.parametrize("number", NUMBERS)
def test_every_number_has_a_page(client: Client, world: World, number: str) -> None:
    """As a browser takes the link: it goes up for each step of two dots, even if they are escaped."""
    record(world.own, number, NOVEMBER)
    address = reverse("roll_month", args=[world.own.pk, NOVEMBER])
    page = client.get(f"{address}?q={quote(number.strip())}").content.decode()
    links = re.findall(r'href="(1/[^"]+/)"', page)
    assert len(links) == 1
    path = urlsplit(urljoin(f"http://muster{address}", links[0])).path
    assert not re.search(r"(?i)/(\.|%2e){1,2}/", path)
    response = client.get(path)
    assert response.status_code == 200
    assert response.context["shown"].number == number
    assert client.get(reverse("roll_day", args=[world.own.pk, NOVEMBER, 1, number])).context["shown"].number == number


def test_the_roll_opens_at_the_newest_month_that_is_not_in_the_future(client: Client, world: World) -> None:
    record(world.own, "A001", dt.date(2027, 2, 1))
    assert client.get("/roll/")["Location"] == f"/roll/{world.own.pk}/2026-11/"
    AttendanceRecord.objects.filter(company=world.own, date__month=11).delete()
    record(world.own, "A001", dt.date(2025, 3, 9))
    assert client.get(f"/roll/?company={world.own.pk}&q=a&shift=GEN")["Location"] == (
        f"/roll/{world.own.pk}/2025-03/?q=a&shift=GEN"
    )
    assert client.get("/roll/?month=2026-02")["Location"] == f"/roll/{world.own.pk}/2026-02/"
    wrong = client.get("/roll/?month=2026-13", follow=True)
    assert wrong.redirect_chain[-1][0] == f"/roll/{world.own.pk}/2025-03/"
    assert "Write a month, such as 2026-11." in wrong.content.decode()
    AttendanceRecord.objects.filter(company=world.own).delete()
    assert client.get("/roll/")["Location"] == f"/roll/{world.other.pk}/2026-11/"  # the first one with records
    assert client.get(f"/roll/?company={world.own.pk}")["Location"] == f"/roll/{world.own.pk}/2026-11/"
    page = client.get(f"/roll/{world.own.pk}/2026-11/").content.decode()
    assert "This company has no employees in this month." in page


def test_without_any_company_the_roll_says_so(client: Client, world: World) -> None:
    AttendanceRecord.objects.all().delete()
    User.objects.exclude(role=Role.ROOT).delete()
    Company.objects.all().delete()
    assert "There is no company yet" in client.get("/roll/").content.decode()


@pytest.mark.parametrize("path", ["0000-01/", "2026-00/", "2026-11/31/A001/", "2026-11/0/A001/", "2026-11/5/NOBODY/"])
def test_what_is_no_month_or_nobodys_day_is_not_found(client: Client, world: World, path: str) -> None:
    assert client.get(f"/roll/{world.own.pk}/{path}").status_code == 404


def test_a_supervisor_opens_no_day_outside_their_own(world: World) -> None:
    client = Client()
    client.force_login(world.people["user1"])  # from 18 November on
    for day, status in {17: 404, 18: 200, 25: 200}.items():
        assert client.get(f"/roll/{world.own.pk}/2026-11/{day}/A001/").status_code == status
    assert "Edit" not in client.get(f"/roll/{world.own.pk}/2026-11/20/A001/").content.decode()
    first = client.get(f"/roll/{world.own.pk}/2026-11/20/A001/").content.decode()
    assert 'rel="prev"' not in first  # there is nothing before the first record that they may see
    assert client.get(f"/roll/{world.own.pk}/2026-11/25/A001/").content.decode().count('rel="next"') == 0


@pytest.mark.parametrize("month", ["0001-01", "9999-12"])
def test_the_ends_of_the_calendar(client: Client, world: World, month: str) -> None:
    day = dt.date.min if month == "0001-01" else dt.date.max
    record(world.own, "END", day)
    page = client.get(f"/roll/{world.own.pk}/{month}/")
    assert page.status_code == 200
    assert "END" in page.content.decode()
    assert client.get(f"/roll/{world.own.pk}/{month}/{day.day}/END/").status_code == 200


def test_the_sums_are_of_all_pages(client: Client, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roll, "PER_PAGE", 4)
    pages = [client.get(f"/roll/{world.own.pk}/2026-11/?page={number}") for number in (1, 2, 3)]
    assert [len(page.context["page"].object_list) for page in pages] == [4, 4, 3]
    assert len({page.context["feet"][0].total for page in pages}) == 1
    assert pages[0].context["feet"][0].total == "11"
    assert "11 employees; 1 to 4 are on this page, the sums are of all" in pages[0].content.decode()


def test_the_roll_shows_who_has_an_exception(client: Client, world: World) -> None:
    record(world.own, "LATE", dt.date(2026, 11, 24), ep_name="Late", in_time=dt.time(9), overstay=300)
    record(world.own, "A001", dt.date(2026, 11, 24), ep_name="Another name", in_time=dt.time(9), out_time=dt.time(10))
    found = exceptions(world.people["root"], NOVEMBER, world.own.pk).unseen
    assert {one.kind for one in found} >= {"missing_punch", "overstay", "two_names", "not_recorded"}
    for kind in ("any", *{one.kind.value for one in found}):
        these = [one for one in found if kind in ("any", one.kind)]
        page = client.get(f"/roll/{world.own.pk}/2026-11/?exception={kind}")
        rows = page.context["page"].object_list
        assert {row.number for row in rows} == {number for one in these for number in one.numbers}
        marked = {(row.number, day + 1) for row in rows for day in row.looks_wrong}
        assert marked == {(one.subject, one.day.day) for one in these if one.kind != "two_names"}
        assert page.content.decode().count('<td class="wrong">') == len(marked)
    assert "wrong" not in client.get(f"/roll/{world.own.pk}/2026-11/").content.decode()
