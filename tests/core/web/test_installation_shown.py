"""The name and colour of this installation on every page, in whatever state the page is."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import BadRequest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse

from core.models import Installation
from core.register import identity
from core.urls import urlpatterns
from tests.builders.people import World, make_world
from tests.core.web.access import ROUTES
from tests.running.installation import PROJECT

pytestmark = pytest.mark.django_db(databases=["default", "jobs", "history"])

NAME = "Site A <office> & PC"
WRITTEN = "Site A &lt;office&gt; &amp; PC"
PARTS = {"exception_counts"}
"""What is no page of its own."""


@pytest.fixture
def world() -> World:
    Installation.objects.create(name=NAME)
    return make_world()


@pytest.fixture
def root(world: World) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(world.people["root"])
    return client


def title(page: str) -> str:
    (found,) = re.findall(r"<title>(.*?)</title>", page, re.DOTALL)
    return str(found)


def assert_shown(page: str) -> None:
    assert title(page).startswith(f"{WRITTEN} · "), title(page)
    shown = re.search(r'<header.*?<(?:strong|span)[^>]* dir="auto">(.*?)</', page, re.DOTALL)
    assert shown, page
    assert shown[1] == WRITTEN
    assert NAME not in page
    (colour,) = re.findall(r'<body\s[^>]*class="[^"]*\binstallation-(\w+)', page)
    assert colour in settings.INSTALLATION_COLOURS


def test_every_page_says_which_installation_it_is_of(world: World, root: Client) -> None:
    titles = []
    for name, access in ROUTES.items():
        if name in PARTS:
            continue
        answer = (Client() if name == "login" else root).get(reverse(name, kwargs=access.kwargs(world)))
        if answer.status_code == 200 and answer["Content-Type"].startswith("text/html"):
            page = answer.content.decode()
            assert_shown(page)
            titles.append(title(page))
    assert len(titles) > 20
    assert len(titles) == len(set(titles)), "two pages of one title"
    for path in ("/admin/", "/admin/core/company/", "/admin/core/company/add/"):
        assert_shown(root.get(path).content.decode())


def broken(_request: object) -> None:
    raise RuntimeError


def bad(_request: object) -> None:
    raise BadRequest


def test_so_does_every_page_of_an_error(world: World, root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    admin, strict = Client(), Client(enforce_csrf_checks=True)
    admin.force_login(world.people["admin"])
    answers = {
        "404": root.get("/nowhere/"),
        "403": admin.get("/backup/"),
        "403 csrf": strict.post("/accounts/login/", {}),
        "429": [Client().post("/accounts/login/", {"username": "x", "password": str(n)}) for n in range(6)][-1],
    }
    dashboard = next(pattern for pattern in urlpatterns if pattern.name == "dashboard")
    for view, code in ((bad, "400"), (broken, "500")):
        monkeypatch.setattr(dashboard, "callback", view)
        answers[code] = root.get("/")
    for code, answer in answers.items():
        assert str(answer.status_code) == code[:3]
        assert_shown(answer.content.decode())


def test_another_name_is_shown_at_once(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    call_command("renew_installation", "--name", "Site B")
    assert title(root.get("/").content.decode()).startswith("Site B · ")
    monkeypatch.setattr(settings, "INSTALLATION_NAME", "Site C")
    assert title(root.get("/").content.decode()).startswith("Site C · ")


def test_the_colour_stays_with_the_installation_unless_somebody_chose_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    for number in range(50):
        Installation.objects.all().delete()
        here = Installation.objects.create(id=uuid.UUID(int=number), name="Here")
        colour = identity.identity().colour
        Installation.objects.filter(pk=here.pk).update(name=f"Renamed {number}")
        assert identity.identity() == identity.Identity(f"Renamed {number}", colour)
        seen.add(colour)
    assert seen == set(settings.INSTALLATION_COLOURS)
    monkeypatch.setattr(settings, "INSTALLATION_COLOUR", "pink")
    assert identity.identity().colour == "pink"


def test_a_page_that_is_looked_at_makes_no_installation(client: Client) -> None:
    assert title(client.get("/accounts/login/").content.decode())
    assert not Installation.objects.exists()
    assert identity.identity().colour == identity.UNKNOWN


def test_a_database_that_cannot_be_asked_makes_no_page_fail(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise OperationalError("the server closed the connection")

    def page() -> tuple[int, str]:
        with connection.execute_wrapper(refuse):
            answer = root.get("/")
        return answer.status_code, title(answer.content.decode())

    assert page() == (503, "This was not done · Muster")
    monkeypatch.setattr(settings, "INSTALLATION_NAME", "Site C")
    assert page() == (503, "Site C · This was not done · Muster")


def luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_colour_is_one_that_white_text_can_be_read_on() -> None:
    text = (PROJECT / "core/static/colours.css").read_text(encoding="utf-8")
    colours: dict[str, Any] = dict(re.findall(r"\.installation-(\w+) { --installation: (#\w{6}); }", text))
    assert set(colours) == {*settings.INSTALLATION_COLOURS, identity.UNKNOWN}
    assert all(1.05 / (luminance(colour) + 0.05) >= 5.5 for colour in colours.values())
