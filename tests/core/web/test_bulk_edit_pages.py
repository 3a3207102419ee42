"""The pages of a change to many days."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from core.models import AttendanceRecord, Operation, User
from tests.builders.people import DAY, World, make_world

pytestmark = pytest.mark.django_db(databases=["default", "jobs", "history"], transaction=True)


@pytest.fixture
def world() -> World:
    return make_world()


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def asked(world: World, *numbers: str, **what: str) -> dict[str, Any]:
    return {"days": [f"{world.own.pk} {DAY} {number}" for number in numbers], "back": "/attendance/?page=2", **what}


def confirmed(page: Any) -> dict[str, Any]:
    """What the form of the preview sends."""
    form = page.context["form"].cleaned_data
    names = ("doing", "status", "shift")
    seen = {"days": page.context["days"], "seen": page.context["preview"].digest, "back": page.context["back"]}
    return {**{name: form[name] for name in names}, **seen}


def test_it_is_previewed_done_and_undone_by_the_administrator(world: World) -> None:
    admin = signed_in(world.people["admin"])
    page = admin.post(reverse("bulk_edit"), asked(world, "A001", "A004", "A002", doing="status", status="L"))
    text = page.content.decode()
    assert page.status_code == 200
    assert "2 records are changed." in text
    assert "1 day has no record and gets one." in text
    assert "2 of these days have times in and out." in text
    assert "Meena Rao" in text
    assert AttendanceRecord.objects.get(pk=world.record.pk).status == "P"
    done = admin.post(reverse("bulk_edit"), confirmed(page), follow=True)
    assert done.redirect_chain == [("/attendance/?page=2", 302)]
    assert "Done: Status: Leave, 3 days." in done.content.decode()
    assert list(AttendanceRecord.objects.filter(status="L").values_list("ep_no", flat=True).order_by("ep_no")) == [
        "A001",
        "A002",
        "A004",
    ]
    operation = Operation.objects.using("jobs").get(kind="bulk_edit")
    summary = admin.get(reverse("operation", args=[operation.pk]))
    assert "Status: Leave, 3 days" in summary.content.decode()
    assert "Records: 1 added, 2 updated, 0 deleted" in summary.content.decode()
    assert reverse("undo_operation", args=[operation.pk]) in summary.content.decode()
    assert signed_in(world.people["other_admin"]).get(reverse("operation", args=[operation.pk])).status_code == 403


def test_what_changed_meanwhile_is_shown_in_a_new_preview(world: World) -> None:
    root = signed_in(world.people["root"])
    page = root.post(reverse("bulk_edit"), asked(world, "A001", doing="shift", shift="N"))
    AttendanceRecord.objects.filter(pk=world.record.pk).update(shift="EVE")
    again = root.post(reverse("bulk_edit"), confirmed(page))
    assert again.status_code == 409
    assert "Some of these days changed after the preview. Nothing was changed." in again.content.decode()
    assert "EVE" in again.content.decode()
    root.post(reverse("bulk_edit"), confirmed(again))
    assert AttendanceRecord.objects.get(pk=world.record.pk).shift == "N"


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"doing": "status"}, "Choose a status."),
        ({"doing": "status", "status": "X"}, "Select a valid choice."),
        ({"doing": "shift", "shift": "x" * 51}, "at most 50 characters"),
        ({"doing": "delete", "days": ["nonsense"]}, "This is no day that can be selected."),
        ({"doing": "delete", "days": []}, "Select at least one day."),
    ],
)
def test_what_cannot_be_done_is_told_on_the_page_that_it_came_from(
    world: World, form: dict[str, Any], why: str
) -> None:
    page = signed_in(world.people["root"]).post(reverse("bulk_edit"), asked(world, "A001") | form, follow=True)
    assert page.redirect_chain == [("/attendance/?page=2", 302)]
    assert why in page.content.decode()
    assert AttendanceRecord.objects.filter(pk=world.record.pk, status="P", shift="GEN").exists()
