"""The pages of closed months: who closes and reopens them, and what every page that leads to a day of them says."""

from __future__ import annotations

import datetime as dt
import html
import re

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.attendance.dashboard import FIRST_SHOWN
from core.attendance.seals import months_waiting
from core.models import AttendanceRecord, Company, Kind, Seal
from recordsync.models import Snapshot
from tests.builders.people import DAY, World, make_world

pytestmark = pytest.mark.django_db(databases=["default", "jobs", "history"], transaction=True)

NOVEMBER = DAY.replace(day=1)


@pytest.fixture(autouse=True)
def today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "localdate", lambda: dt.date(2026, 12, 3))


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def client(world: World) -> Client:
    return signed_in(world, "admin")


def signed_in(world: World, who: str) -> Client:
    client = Client()
    client.force_login(world.people[who])
    return client


def text_of(client: Client, address: str) -> str:
    page = client.get(address)
    assert page.status_code == 200
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.content.decode())).split())


def roll(world: World, name: str = "roll_month") -> str:
    return reverse(name, args=[world.own.pk, NOVEMBER])


def fields(page: str) -> dict[str, str]:
    """The hidden fields of the form on a page."""
    return dict(re.findall(r'<input type="hidden" name="(seen|unseen)" value="([^"]*)"', page))


def close(client: Client, world: World) -> None:
    address = roll(world, "close_month")
    form = fields(client.get(address).content.decode()) | {"accepts": "on"}
    assert client.post(address, form)["Location"] == roll(world)


def test_a_month_is_closed_with_the_exceptions_that_somebody_accepts(client: Client, world: World) -> None:
    address = roll(world, "close_month")
    assert f'href="{address}"' in client.get(roll(world)).content.decode()
    page = client.get(address).content.decode()
    form = fields(page)
    assert int(form["unseen"]) > 0
    assert f"?month=2026-11&amp;company={world.own.pk}" in page
    refused = client.post(address, form)
    assert "Tick the box, or look at the exceptions first. Nothing was changed." in refused.content.decode()
    moved = client.post(address, form | {"unseen": "1", "accepts": "on"})
    assert moved.status_code == 409
    assert fields(moved.content.decode()) == form
    world.record.shift = "N"
    world.record.save()
    moved = client.post(address, form | {"accepts": "on"})
    assert moved.status_code == 409
    assert "changed since you looked at it" in moved.content.decode()
    form = fields(moved.content.decode())
    assert not Seal.objects.exists()
    done = client.post(address, form | {"accepts": "on"}, follow=True)
    assert "November 2026 of Asha Builders is closed." in done.content.decode()
    assert Seal.objects.get().closed_by == "administrator"
    assert "is closed already (by administrator," in text_of(client, address)
    again = client.post(address, form | {"accepts": "on"})
    assert (again.status_code, "is closed already (by administrator," in again.content.decode()) == (409, True)


def test_without_exceptions_there_is_nothing_to_tick(client: Client, world: World) -> None:
    AttendanceRecord.objects.all().delete()
    AttendanceRecord.objects.create(
        company=world.own, ep_no="A1", date=dt.date(2026, 11, 30), status="P", in_time=dt.time(9), out_time=dt.time(18)
    )
    address = roll(world, "close_month")
    page = client.get(address).content.decode()
    assert 'name="accepts"' not in page
    assert client.post(address, fields(page)).status_code == 302
    assert Seal.objects.count() == 1


def test_what_the_roll_says_of_a_closed_month(client: Client, world: World) -> None:
    close(client, world)
    page = text_of(client, roll(world))
    assert re.search(r"Closed by administrator on \S+ \S+ \S+ ?\. Proof code: \w{5} \w{5}", page), page
    assert "Select days" not in page
    assert "Reopen…" in page
    supervisor = text_of(signed_in(world, "user1"), roll(world))
    assert "Closed by administrator" in supervisor
    assert "Proof code" not in supervisor, "of days that they do not see"
    assert "Reopen…" not in supervisor
    assert client.post(roll(world, "reopen_month"), {"seen": "another"}).status_code == 409
    reopened = reopen(client, world)
    assert "November 2026 of Asha Builders is open again." in reopened
    page = text_of(client, roll(world))
    assert re.search(r"Closed before Closed by administrator on .*; reopened by administrator on ", page)
    assert "Select days" in page
    assert client.post(roll(world, "reopen_month")).status_code == 409


def reopen(client: Client, world: World) -> str:
    """The page after the month was reopened, as the form says it."""
    form = client.get(roll(world, "reopen_month")).content.decode()
    seen = re.search(r'name="seen" value="([^"]+)"', form)
    assert seen
    return client.post(roll(world, "reopen_month"), {"seen": seen[1]}, follow=True).content.decode()


def test_what_was_changed_after_it_was_closed(client: Client, world: World) -> None:
    close(client, world)
    AttendanceRecord.objects.filter(company=world.own, ep_no="A002").update(status="A")
    AttendanceRecord.objects.filter(company=world.own, ep_no="A003").delete()
    page = text_of(client, roll(world))
    assert "Changed after it was closed. 2 days differ from what was closed." in page
    assert "2026-11-18, A002 : Status Present → Absent" in page
    assert "2026-11-17, A003 : deleted" in page
    supervisor = text_of(signed_in(world, "user1"), roll(world))  # from the 18th
    assert "1 day differs from what was closed. 1 day that differs is one that you do not see." in supervisor
    assert "A003" not in supervisor.split("Which roll")[0].split("Show what differs")[1].split("Choose")[0]
    proof = Seal.objects.get().digest
    paper = text_of(client, roll(world, "roll_print"))
    assert f"with the proof code {proof[:5]} {proof[5:10]}. Changed after it was closed" in paper


def test_paper_says_whether_the_month_is_closed(client: Client, world: World) -> None:
    assert "Closed Not closed" in text_of(client, roll(world, "roll_print"))
    close(client, world)
    assert re.search(
        r"Closed By administrator on 20\S+ \S+ \S+ Employee|Closed By administrator on 20",
        text_of(client, roll(world, "roll_print")),
    )
    assert "Changed after" not in text_of(client, roll(world, "roll_print"))


def test_pages_of_a_day_offer_nothing_that_cannot_be_done(client: Client, world: World) -> None:
    record = world.record
    day = reverse("roll_day", args=[world.own.pk, NOVEMBER, DAY.day, record.ep_no])
    edit, delete = (reverse(name, args=[record.pk]) for name in ("edit_record", "delete_record"))
    form = fields_of_record(client, delete)
    assert edit in client.get(day).content.decode()
    close(client, world)
    page = client.get(day).content.decode()
    assert edit not in page
    assert "November 2026 is closed, so nobody can change this day." in page
    page = client.get("/attendance/").content.decode()
    assert edit not in page
    assert f"The month is closed: {record.ep_no}" in page
    assert "data-bulk-box" not in page
    assert 'id="bulk-edit"' not in page
    for address, button in ((edit, ">Save<"), (delete, ">Delete<")):
        page = client.get(address).content.decode()
        assert "is closed, so nobody can change this record" in page
        assert button not in page
    refused = client.post(delete, form)
    assert "November 2026 of Asha Builders is closed (by administrator," in refused.content.decode()
    assert "Nothing was changed. Reopen the month first.<" in refused.content.decode()
    added = {"company": world.own.pk, "ep_no": "NEW", "date": "2026-11-20", "status": "P"}
    refused = client.post("/attendance/add/", added)
    assert "Nothing was saved. Reopen the month first" in refused.content.decode()
    edit_of_days = {"days": [f"{world.own.pk} 2026-11-20 {record.ep_no}"], "doing": "status", "status": "A"}
    told = client.post("/attendance/change/", edit_of_days, follow=True).content.decode()
    assert "Nothing was changed. Reopen the month first.<" in told
    assert AttendanceRecord.objects.get(pk=record.pk).status == "P"


def fields_of_record(client: Client, address: str) -> dict[str, str]:
    page = client.get(address).content.decode()
    return {name: html.unescape(value) for name, value in re.findall(r'name="(seen|base)" value="([^"]*)"', page)}


def test_a_company_with_a_closed_month_is_not_offered_to_be_deleted(client: Client, world: World) -> None:
    root = signed_in(world, "root")
    empty = Company.objects.create(name="Empty")
    Seal.objects.create(company=empty, month=NOVEMBER, closed_by="x", closed_as="Empty", digest="0" * 64)
    rename, delete = (reverse(name, args=[empty.pk]) for name in ("rename_company", "delete_company"))
    assert delete not in root.get(rename).content.decode()
    assert "of Empty is closed (by x," in root.post(delete).content.decode()
    Seal.objects.update(reopened_at=timezone.now(), reopened_by="x")
    assert delete in root.get(rename).content.decode()
    assert root.post(delete).status_code == 302


def test_exceptions_of_a_closed_month_lead_to_its_roll(client: Client, world: World) -> None:
    listed = f"{reverse('exceptions')}?month=2026-11"
    assert reverse("add_record") in client.get(listed).content.decode()
    address = re.findall(r'href="(/exceptions/one/[^"]+)"', client.get(listed).content.decode())[0]
    close(client, world)
    for page in (listed, html.unescape(address)):
        content = client.get(page).content.decode()
        assert not re.search(rf'href="({reverse("add_record")}|/attendance/\d+/edit/)', content)
        assert "The month is closed" in content
        assert roll(world) in content


def test_the_dashboard_lists_months_that_wait(client: Client, world: World) -> None:
    months = [dt.date(2026, month, 5) for month in (12, 10, 9)] + [dt.date(2025, 12, 31), dt.date(2025, 11, 30)]

    def record(day: dt.date) -> None:
        AttendanceRecord.objects.create(company=world.own, ep_no="A1", date=day, status="P")

    for day in months:
        record(day)
    for number in range(FIRST_SHOWN):
        company = Company.objects.create(name=f"Company {number}")
        AttendanceRecord.objects.create(company=company, ep_no="A1", date=dt.date(2026, 9, 1), status="P")
    found = months_waiting(world.people["root"])
    assert [(one.company, len(one.months)) for one in found[:2]] == [("Asha Builders", 4), ("Borealis Works", 1)]
    assert [f"{month:%Y-%m}" for month in found[0].months] == ["2025-12", "2026-09", "2026-10", "2026-11"]
    assert f"Show the {len(found) - FIRST_SHOWN} other companies" in text_of(signed_in(world, "root"), "/")
    page = client.get("/").content.decode()
    assert roll(world) in page
    assert "Borealis" not in page
    record(dt.date(2026, 8, 1))
    assert ": December 2025 , August 2026 , September 2026 and 2 more" in text_of(client, "/")
    close(client, world)
    assert "December 2025 , August 2026 , September 2026 , October 2026" in text_of(client, "/")
    assert roll(world) not in client.get("/").content.decode()
    supervisor = signed_in(world, "user1")
    assert "waiting to be closed" not in supervisor.get("/").content.decode()
    assert months_waiting(world.people["user1"]) == []


def test_a_closing_elsewhere_with_other_days_is_no_change_here(client: Client, world: World) -> None:
    close(client, world)
    here = Seal.objects.get()
    there = Seal(company=here.company, month=here.month, closed_by="zoya", closed_as=here.closed_as, digest="0" * 64)
    there.save()
    page = text_of(client, roll(world))
    assert page.count("This was closed elsewhere, with other days than here.") == 1
    assert "Changed after it was closed" not in page
    assert re.search(r"zoya on [^.]*\. Proof code: 00000 00000 This was closed elsewhere", page), page


def test_the_history_shows_that_a_month_was_closed(client: Client, world: World) -> None:
    close(client, world)
    root = signed_in(world, "root")
    snapshot = Snapshot.objects.order_by("-order")[0]
    page = text_of(root, reverse("snapshot", args=[snapshot.pk]))
    assert "Close a month" in page
    assert "A month was closed or reopened." in page
    (move,) = root.get("/history/").context["done"]
    assert move.move.cause == Kind.CLOSE_MONTH
    listed = root.get("/history/").content.decode()
    assert reverse("undo_operation", args=[move.move.operation]) not in listed, "nothing is offered that is refused"
    assert "On the month’s roll" in listed
    seal = Seal.objects.get()
    for address in ("/admin/core/seal/", f"/admin/core/seal/{seal.pk}/change/"):
        assert "administrator" in root.get(address).content.decode()
    assert root.post(f"/admin/core/seal/{seal.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_month_of_which_a_record_is_one_that_no_file_could_hold(client: Client, world: World) -> None:
    close(client, world)
    with connection.cursor() as cursor:  # past the checks of the table
        cursor.execute("PRAGMA ignore_check_constraints = 1")
        cursor.execute("UPDATE core_attendancerecord SET overstay = -5 WHERE ep_no = 'A002'")
        cursor.execute("PRAGMA ignore_check_constraints = 0")
    page = text_of(client, roll(world))
    assert "Changed after it was closed." in page
    assert "A002" in page
    reopen(client, world)
    assert "A002" in text_of(client, roll(world, "close_month"))
