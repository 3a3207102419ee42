"""Closing a month in a real browser: with the keyboard, at both widths, in both themes."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from core.models import AttendanceRecord, Seal
from tests.browser.conftest import OpenAs
from tests.builders.people import World


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
    list(opened.views("closed", narrow=390))
    AttendanceRecord.objects.filter(company=world.own, ep_no="A002").update(status="A", shift="N")  # past the seals
    AttendanceRecord.objects.filter(company=world.own, ep_no="A003").delete()
    opened.go("/attendance/")
    opened.look("list-of-a-closed-month")
    page.goto(roll)
    page.locator("summary", has_text="Show what differs").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="2026-11-18, A002").wait_for()
    list(opened.views("changed-after-closing", narrow=390))
    page.get_by_role("link", name="2026-11-18, A002").click()
    expect(page.locator("main")).to_contain_text("November 2026 is closed, so nobody can change this day.")
    opened.look("day-of-a-closed-month")
    page.get_by_role("link", name="Who closed it").click()
    page.get_by_role("link", name="Reopen…").click()
    opened.look("reopening")
    page.get_by_role("button", name="Reopen the month").click()
    page.wait_for_url(roll)
    page.locator("summary", has_text="Closed before").click()
    list(opened.views("closed-before", narrow=390))
    assert Seal.objects.get().reopened_by == "administrator"
