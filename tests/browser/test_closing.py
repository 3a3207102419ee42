"""Closing a month in a real browser: with the keyboard, at both widths, in both themes."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from core.models import AttendanceRecord, Seal
from tests.browser.conftest import DESKTOP, HEIGHT, RULES_OF_COLOURS, SCREENSHOTS, THEMES, OpenAs, Opened
from tests.builders.people import World


def roll_looks_right(opened: Opened, name: str) -> None:
    """At both widths and in both themes nothing for axe to find, and nothing wider than the page but the table, which
    scrolls; and pictures where MUSTER_SCREENSHOTS names a folder."""
    page = opened.page
    for width, theme in itertools.product((DESKTOP, 390), THEMES):
        page.set_viewport_size({"width": width, "height": HEIGHT})
        page.emulate_media(color_scheme=theme)
        page.locator(f"html[data-bs-theme={theme}]").wait_for(state="attached")
        if SCREENSHOTS:
            page.screenshot(path=Path(SCREENSHOTS) / f"{name}-{width}-{theme}.png")
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        opened.axe(*(() if theme == THEMES[0] else RULES_OF_COLOURS))
    page.set_viewport_size({"width": DESKTOP, "height": HEIGHT})
    page.emulate_media(color_scheme=THEMES[0])


def test_a_month_is_closed_shows_what_changed_and_is_reopened(
    world: World, open_as: OpenAs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timezone, "localdate", lambda: dt.date(2026, 12, 3))
    opened = open_as("admin")
    page = opened.go("/")
    opened.look("waiting")
    page.get_by_role("link", name="November 2026", exact=True).click()
    roll = page.url
    page.get_by_role("link", name="Close…").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/close/")
    opened.look("closing")
    page.get_by_role("button", name="Close the month").click()  # the browser asks for the tick
    assert page.url.endswith("/close/")
    page.get_by_role("checkbox").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(roll)
    expect(page.get_by_role("alert").or_(page.get_by_role("status")).first).to_contain_text("is closed")
    expect(page.get_by_role("button", name="Select days")).to_have_count(0)
    roll_looks_right(opened, "closed")
    AttendanceRecord.objects.filter(company=world.own, ep_no="A002").update(status="A", shift="N")  # past the seals
    AttendanceRecord.objects.filter(company=world.own, ep_no="A003").delete()
    opened.go("/attendance/")
    opened.look("list-of-a-closed-month")
    page.goto(roll)
    page.locator("summary", has_text="Show what differs").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="2026-11-18, A002").wait_for()
    roll_looks_right(opened, "changed-after-closing")
    page.get_by_role("link", name="2026-11-18, A002").click()
    expect(page.locator("main")).to_contain_text("November 2026 is closed, so nobody can change this day.")
    opened.look("day-of-a-closed-month")
    page.get_by_role("link", name="Who closed it").click()
    page.get_by_role("link", name="Reopen…").click()
    opened.look("reopening")
    page.get_by_role("button", name="Reopen the month").click()
    page.wait_for_url(roll)
    page.locator("summary", has_text="Closed before").click()
    roll_looks_right(opened, "closed-before")
    assert Seal.objects.get().reopened_by == "administrator"
