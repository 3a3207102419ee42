"""Every page on paper: what it says, of which installation and when, and nothing to press."""

from __future__ import annotations

import datetime as dt

import pytest
from django.conf import settings

from core.models import AttendanceRecord, Company, Role, User
from tests.browser.conftest import BROKEN_WORDS, OpenAs, Opened
from tests.world import DAY, World

A4 = 703
"""Pixels between the margins of an upright page."""

PRESSED = "a.btn, button, summary, header *, nav a, [type=submit], [type=file], [type=search]"


def assert_fit_for_paper(opened: Opened, path: str) -> None:
    opened.page.emulate_media(media="screen", color_scheme="dark")
    page = opened.go(path)
    page.locator("html[data-bs-theme=dark]").wait_for(state="attached")
    page.set_viewport_size({"width": A4, "height": 900})
    page.emulate_media(media="print", color_scheme="dark")
    page.locator("html[data-bs-theme=light]").wait_for(state="attached")
    pressed = page.locator(PRESSED).filter(visible=True)
    assert not pressed.count(), f"{path}: {pressed.all_inner_texts()}"
    fields = page.locator("form:not(.muster-paper) :is(input, select, textarea)").filter(visible=True)
    assert not fields.count(), path
    head = page.locator(".muster-on-paper").inner_text()
    assert head.startswith("Site A office PC"), path
    assert f"{dt.datetime.now(dt.UTC):%b %Y}" in head, path
    assert page.locator("h1").is_visible(), path
    assert page.evaluate(BROKEN_WORDS, 16) == [], path
    assert page.evaluate("document.documentElement.scrollWidth") <= A4, path
    for table in page.locator("table").filter(visible=True).all():
        assert table.evaluate("table => getComputedStyle(table.tHead).display") == "table-header-group", path
        assert table.evaluate("table => getComputedStyle(table.tHead).position") == "static", path
    underlined = "[...document.links].filter(one => getComputedStyle(one).textDecorationLine !== 'none').length"
    assert not page.evaluate(underlined), path
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)", path


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
        assert_fit_for_paper(opened, path)


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
