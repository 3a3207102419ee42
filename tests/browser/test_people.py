"""The page of an employee, in a real browser."""

from __future__ import annotations

import datetime as dt

from playwright.sync_api import expect

from core.models import AttendanceRecord
from tests.browser.conftest import OpenAs
from tests.builders.people import DAY, World


def test_a_year_of_somebody(world: World, open_as: OpenAs) -> None:
    codes = ("P", "A", "-0.5", "L", "WO", "PH", "PD", "-1")
    AttendanceRecord.objects.bulk_create(
        AttendanceRecord(
            company=world.own,
            ep_no="A001",
            ep_name="Meena R. Rao" if number > 200 else "Meena Rao",
            date=DAY - dt.timedelta(number),
            status=codes[number % 8],
            overtime=75,
        )
        for number in range(1, 330)
        if number % 10
    )
    AttendanceRecord.objects.create(company=world.other, ep_no="A001", ep_name="Ivan Petrov", date=DAY, status="P")
    opened = open_as("root")
    page = opened.go("/attendance/?q=A001")
    page.locator("#results").get_by_role("link", name="Meena Rao").first.press("Enter")
    expect(page.locator("h1")).to_have_text("A001 Meena Rao")
    assert page.url.endswith(f"/people/{world.own.pk}/A001/")
    tops = {box["y"] for one in page.locator("main dl > div").all() if (box := one.bounding_box())}
    assert len(tops) <= 2  # nine figures, side by side
    expect(page.locator(".muster-year table")).to_have_count(12)
    november = page.locator(".muster-year table").nth(10)
    expect(november.locator("caption")).to_have_text("November 2026")
    expect(november.get_by_role("link", name="20 P", exact=True)).to_have_attribute("title", "Present")
    expect(november.get_by_role("link", name="18 ½", exact=True)).to_be_visible()
    expect(page.locator("main")).to_contain_text("Meena R. Rao")
    opened.look("person")
    november.get_by_role("link", name="19 A", exact=True).press("Enter")
    expect(page.locator("h1")).to_have_text("A001 Meena Rao")
    assert f"/roll/{world.own.pk}/2026-11/19/A001/" in page.url
    page.go_back()
    page.get_by_role("link", name="2025", exact=True).press("Enter")
    expect(page.locator("main nav + strong, main p strong").last).to_have_text("2025")
    page.get_by_role("link", name="Borealis Works").press("Enter")
    expect(page.locator("h1")).to_have_text("A001 Ivan Petrov")
