"""The pages of exceptions and of an employee: what they answer to odd addresses, and to a form that is out of date."""

from __future__ import annotations

import datetime as dt
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse

from core.attendance import exceptions
from core.models import AttendanceRecord, ExceptionKind, SeenException
from tests.builders.people import DAY, World, make_world

pytestmark = pytest.mark.django_db(databases=["default", "jobs", "history"])


@pytest.fixture
def world() -> World:
    world = make_world()
    AttendanceRecord.objects.filter(pk=world.record.pk).update(overstay=300)
    return world


def signed_in(world: World, who: str) -> Client:
    client = Client()
    client.force_login(world.people[who])
    return client


def address(world: World, **changes: object) -> str:
    named = {"kind": "overstay", "company": world.own.pk, "subject": "A001", "day": DAY.isoformat(), **changes}
    return f"{reverse('exception')}?{urlencode(named)}"


def test_what_changed_meanwhile_is_shown_and_the_reason_is_kept(world: World) -> None:
    client, url = signed_in(world, "admin"), address(world)
    looked_at = exceptions.exception(world.people["admin"], ExceptionKind.OVERSTAY, world.own.pk, "A001", DAY)
    assert looked_at is not None
    AttendanceRecord.objects.filter(pk=world.record.pk).update(overstay=301)
    answer = client.post(url, {"checksum": looked_at.checksum, "reason": "The gate was open."})
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "Look again." in page
    assert "The gate was open." in page
    assert "05:01" in page
    assert not SeenException.objects.exists()


def test_a_reason_is_needed(world: World) -> None:
    client, url = signed_in(world, "admin"), address(world)
    assert "This field is required." in client.post(url, {"reason": " "}).content.decode()
    assert not SeenException.objects.exists()


def test_a_reason_survives_the_end_of_a_session(world: World) -> None:
    answer = Client().post(address(world), {"checksum": "x", "reason": "The gate was open."})
    assert answer.status_code == 403
    assert "The+gate+was+open." in answer.content.decode()


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "other"}, {"company": "x"}, {"company": 10**30}, {"subject": "A\0"}, {"day": "0001-01-01"},
        {"day": "9999-12-31"}, {"day": "2026-13-01"}, {"kind": "missing_punch"}, {"company": 0},
    ],
)  # fmt: skip
def test_what_is_no_exception_leads_to_the_list(world: World, changes: dict[str, object]) -> None:
    answer = signed_in(world, "root").get(address(world, **changes), follow=True)
    assert answer.redirect_chain == [(f"{reverse('exceptions')}?", 302)]
    assert "This is no exception any more." in answer.content.decode()


@pytest.mark.parametrize("query", ["month=2026-13", "month=0001-01", "month=9999-12", "company=x", "kind=x", "seen=x"])
def test_a_filter_that_is_not_valid_is_said(world: World, query: str) -> None:
    assert "A filter is not valid" in signed_in(world, "root").get(f"/exceptions/?{query}").content.decode()


@pytest.mark.parametrize("query", ["month=0002-01", "month=9998-12", "page=x", "page=99", "month=&kind="])
def test_any_month_and_page_is_shown(world: World, query: str) -> None:
    assert "exception" in signed_in(world, "root").get(f"/exceptions/?{query}").content.decode()


@pytest.mark.parametrize("year", ["x", "0", "1", "9999", "10000", "-1", "²", "٢٠٢٦", ""])
def test_any_year_is_shown(world: World, year: str) -> None:
    answer = signed_in(world, "root").get(reverse("person", args=[world.own.pk, "A001"]), {"year": year})
    assert "A001" in answer.content.decode()
    assert answer.status_code == 200


def test_an_employee_whose_records_are_all_to_come(world: World) -> None:
    day = dt.date.max
    AttendanceRecord.objects.create(company=world.own, ep_no="Z1", date=day, status="P")
    page = signed_in(world, "root").get(reverse("person", args=[world.own.pk, "Z1"])).content.decode()
    assert "<strong>9999</strong>" in page
    assert '<a class="P later"' in page
