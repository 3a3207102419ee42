"""Every page on paper: what it says, of which installation and when, and nothing to press."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from django.conf import settings

from core.models import AttendanceRecord, Company, Role, User
from tests.browser.conftest import A4, SCREENSHOTS, OpenAs
from tests.builders.people import DAY, World


@pytest.fixture
def wide(world: World) -> World:
    """A register of long words, and of a name without any."""
    for number, name in enumerate(("Westfield Catering & Hospitality Administration Group", "W" * 100)):
        company = Company.objects.create(name=name)
        User.objects.create(username=f"supervisor-of-{number}", role=Role.USER1, company=company)
        AttendanceRecord.objects.create(
            company=company,
            ep_no=f"EMP{number:07}",
            ep_name="Venkatanarasimha Rajuvaripeta",
            date=DAY,
            status="-1",
            shift="Afternoon",
            overstay=599_999,
            overtime=599_999,
            in_time=dt.time(9),
            out_time=dt.time(18),
        )
    return world


def test_every_page_is_fit_for_paper(wide: World, open_as: OpenAs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "INSTALLATION_NAME", "Site A office PC")
    opened = open_as("root")
    opened.allowed.add(404)
    for path in (
        "/",
        "/attendance/",
        f"/attendance/{wide.record.pk}/edit/",
        f"/attendance/{wide.record.pk}/delete/",
        "/attendance/delete-all/",
        "/companies/",
        f"/companies/{wide.own.pk}/rename/",
        "/users/",
        f"/users/{wide.people['user1'].pk}/",
        "/upload/",
        "/upload/logs/",
        "/backup/",
        "/backup/log/",
        "/restore/",
        "/accounts/password/",
        "/nowhere/",
    ):
        page = opened.go(path)
        opened.on_paper(f"wide-{path.strip('/').replace('/', '-')}")
        assert page.inner_text(".muster-on-paper strong") == "Site A office PC"


def test_a_list_on_paper_says_what_it_leaves_out_and_all_that_it_shows(world: World, open_as: OpenAs) -> None:
    page = open_as("root").go(f"/attendance/?q=a0&company={world.own.pk}&status=P&missing=on&date_to=2026-11-20")
    page.emulate_media(media="print")
    shown = page.inner_text("main")
    assert "Search: a0 · To: 2026-11-20 · Company: Asha Builders · Status: Present · Missing punch" in shown, (
        "the form is not on paper"
    )
    AttendanceRecord.objects.bulk_create(
        AttendanceRecord(company=world.own, ep_no=f"X{number}", date=DAY, status="P") for number in range(60)
    )
    page.goto(page.url.split("?")[0])
    assert "Page 1 of 2" in page.inner_text("main")
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "core/attendancerecord/",
        "core/attendancerecord/add/",
        "core/attendancerecord/RECORD/delete/",
        "core/user/ROOT/change/",
    ],
)
def test_the_administration_site_on_paper_has_nothing_to_press_and_is_light(
    world: World, open_as: OpenAs, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "INSTALLATION_NAME", "Site A office PC")
    path = path.replace("RECORD", str(world.record.pk)).replace("ROOT", str(world.people["root"].pk))
    page = open_as("root").go(f"/admin/{path}")
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": A4, "height": 800})
    if SCREENSHOTS:
        page.pdf(path=Path(SCREENSHOTS) / f"admin-{path.replace('/', '-')}.pdf", prefer_css_page_size=True)
        page.screenshot(path=Path(SCREENSHOTS) / f"admin-{path.replace('/', '-')}.png", full_page=True)
    pressed = page.locator("button, [type=submit], [type=button], .object-tools a, #user-tools a, #content-related *")
    assert not pressed.filter(visible=True).all_inner_texts()
    assert page.locator("#site-name").is_visible()
    assert "Site A office PC" in page.inner_text("#site-name")
    assert page.evaluate("getComputedStyle(document.querySelector('#site-name a')).color") == "rgb(0, 0, 0)"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= A4, wide
