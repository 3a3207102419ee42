"""A session that ends while somebody types: what they typed is in the form again when they have signed in."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from core.models import AttendanceRecord, Company, Operation, User
from tests.builders.people import PASSWORD, World, make_world

pytestmark = pytest.mark.django_db(databases=["default", "jobs", "history"])

OURS = {"origin": "http://testserver"}


@pytest.fixture
def world() -> World:
    return make_world()


def inputs(page: Any) -> dict[str, str]:
    """The hidden fields of a page."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', page.content.decode())
    return {name: unescape(value) for name, value in found}


def signed_in_again(client: Client, page: Any) -> Any:
    """After the sign-in page, the form that is led back to."""
    back = client.post(reverse("login"), {**inputs(page), "username": "root", "password": PASSWORD})
    assert "Nothing was saved yet" in back.content.decode()
    (action,) = re.findall(r'<form method="post" action="([^"]*)">\s*<input type="hidden"', back.content.decode())[-1:]
    return client.post(unescape(action), inputs(back))


def test_an_edit_comes_back_merged_with_what_was_saved_meanwhile(world: World) -> None:
    client = Client()
    client.force_login(world.people["root"])
    url = reverse("edit_record", args=[world.record.pk]) + "?back=/attendance/%3Fq%3Drao"
    sent = {bound.html_name: str(bound.value() or "") for bound in client.get(url).context["form"]}
    sent |= {"shift": 'N "2" & <b>', "back": "/attendance/"}
    client.logout()
    AttendanceRecord.objects.filter(pk=world.record.pk).update(ep_name="Meena R. Rao")
    page = client.post(url, sent)
    assert page.status_code == 403
    assert "What you typed is kept, but it is not saved yet" in page.content.decode()
    wrong = client.post(reverse("login"), {**inputs(page), "username": "root", "password": "no"})
    assert inputs(wrong)["kept"] == inputs(page)["kept"], "a wrong password loses nothing"
    shown = signed_in_again(client, wrong)
    values = shown.context["form"].initial
    assert (values["shift"], values["ep_name"]) == ('N "2" & <b>', "Meena R. Rao")
    assert AttendanceRecord.objects.get(pk=world.record.pk).shift == "GEN", "shown, not saved"


@pytest.mark.parametrize(
    ("name", "typed", "field"),
    [
        ("add_record", {"ep_no": "X1", "date": "2026-11-20", "status": "P", "ep_name": "Ann"}, "ep_name"),
        ("companies", {"name": "Nova"}, "name"),
        ("rename_company", {"name": "Nova", "initial-name": "Asha Builders"}, "name"),
        ("add_user", {"username": "new", "first_name": "New", "password": "a long and good one"}, "first_name"),
        ("backup_data", {"backup_type": "full", "date_from": "2026-01-01"}, "date_from"),
    ],
)
def test_every_form_comes_back_and_does_nothing(world: World, name: str, typed: dict[str, str], field: str) -> None:
    client = Client()
    url = reverse(name, args=[world.own.pk] if name == "rename_company" else [])
    company = {"company": str(world.own.pk)} if name == "add_record" else {}
    page = client.post(url, typed | company)
    assert page.status_code == 403
    assert "password" not in inputs(page)["kept"], "no password is sent back"
    shown = signed_in_again(client, page)
    assert shown.status_code == 200
    assert shown.context["form"][field].value() == typed[field]
    assert not User.objects.filter(username="new").exists()
    assert not AttendanceRecord.objects.filter(ep_no="X1").exists()
    assert not Company.objects.filter(name="Nova").exists()
    assert not Operation.objects.using("jobs").exists()


def test_what_changes_something_at_once_is_not_sent_again(world: World) -> None:
    """A form without anything typed, and pages that cannot show theirs again, lead to the sign-in as ever."""
    client = Client()
    for name, args in (("delete_record", [world.record.pk]), ("delete_all", []), ("change_password", [])):
        answer = client.post(reverse(name, args=args), {"typed": "x", "seen": "y", "old_password": "z"})
        assert answer["Location"].startswith(reverse("login"))
    assert client.post(reverse("add_record"), {"back": "/attendance/"}).status_code == 302


def test_a_form_from_before_the_last_sign_in_comes_back_if_it_is_ours(world: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.people["root"])
    url, typed = reverse("add_record"), {"ep_no": "X1", "ep_name": "Ann", "csrfmiddlewaretoken": "x" * 64}
    back = client.post(url, typed, headers=OURS)
    assert back.status_code == 403
    assert inputs(back)["ep_name"] == "Ann"
    assert "x" * 64 not in back.content.decode()
    shown = client.post(url, inputs(back), headers=OURS)
    assert shown.context["form"]["ep_name"].value() == "Ann"
    left_open = {"next": url, "kept": "ep_name=Ann", "username": "root", "password": "x"}
    assert inputs(client.post(reverse("login"), left_open, headers=OURS))["ep_name"] == "Ann"
    for origin in ({}, {"origin": "https://elsewhere.example"}):
        foreign = client.post(url, typed, headers=origin)
        assert foreign.status_code == 403
        assert "Ann" not in foreign.content.decode()
    client.logout()
    assert "What you typed is kept" in client.post(url, typed, headers=OURS).content.decode()


@pytest.mark.parametrize(
    "path", ["https://elsewhere.example/attendance/add/", "//elsewhere.example/companies/", "/x", ""]
)
def test_it_leads_nowhere_else(world: World, path: str) -> None:
    sent = {"next": path, "kept": "ep_name=Ann", "username": "root", "password": PASSWORD}
    answer = Client().post(reverse("login"), sent)
    assert (answer.status_code, answer["Location"]) == (302, "/x" if path == "/x" else "/")
