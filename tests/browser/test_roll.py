"""The muster roll in a real browser: with the keyboard, at both widths, in both themes, without JavaScript."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from core.models import AttendanceRecord
from tests.browser.conftest import SCREENSHOTS, OpenAs
from tests.builders.people import World

STATUSES = ("P", "P", "PD", "-0.5", "A", "L", "-1")


@pytest.fixture
def november(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Forty people, who have a Sunday off and a holiday, some of whom have not been recorded for a week."""
    monkeypatch.setattr(timezone, "localdate", lambda: dt.date(2026, 11, 25))
    AttendanceRecord.objects.bulk_create(
        AttendanceRecord(
            company=world.own,
            ep_no=f"E{person:03}/P",
            ep_name="Venkatanarasimha Rajuvaripeta" if person % 3 else "Asha Rao",
            date=day,
            status="WO" if day.weekday() == 6 else "PH" if day.day == 12 else STATUSES[(person + day.day) % 7],
            overtime=90 if person % 5 == 0 else None,
        )
        for person in range(40)
        for day in (dt.date(2026, 11, 1) + dt.timedelta(n) for n in range(18 if person % 7 == 6 else 26))
    )
    return world


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.getAttribute('href') || ''"))


def in_sight(page: Page) -> bool:
    """Whether nothing covers the day or the employee that has the focus."""
    return bool(
        page.evaluate("""() => {
          const box = document.activeElement.getBoundingClientRect();
          const there = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
          return document.activeElement.contains(there);
        }""")
    )


def test_the_roll_is_gone_through_with_the_keyboard(november: World, open_as: OpenAs) -> None:
    opened = open_as("admin")
    page = opened.go("/roll/")
    assert page.url.endswith(f"/roll/{november.own.pk}/2026-11/")
    assert page.locator("[aria-current=page]").inner_text() == "Muster roll"
    assert page.locator("tbody [tabindex='0']").count() == 1  # one stop for the Tab key
    page.locator("tbody [tabindex='0']").focus()
    for keys, href in (
        ("Control+End Home ArrowRight ArrowDown", "1/E039/P/"),
        ("Control+Home Home ArrowUp End PageUp", ""),  # the first row: a day that is not over has no link
        ("Control+End Home ArrowLeft", f"../../../people/{november.own.pk}/E039/P/?year=2026"),
        ("ArrowRight ArrowLeft ArrowRight", "1/E039/P/"),
        ("ArrowRight ArrowUp", "2/E038/P/"),
        ("PageUp", "2/E028/P/"),
        ("ArrowDown", "2/E029/P/"),
    ):
        for key in keys.split():
            page.keyboard.press(key)
            assert in_sight(page), key
        assert focused(page) == href, keys
    assert page.get_attribute(":focus", "title") == "E029/P Venkatanarasimha Rajuvaripeta, 2026-11-02: Half day"
    page.keyboard.press("Enter")
    page.wait_for_url("**/2026-11/2/E029/P/")
    page.get_by_role("link", name="Muster roll, November 2026").click()
    expect(page.locator(":focus")).to_have_attribute("href", "2/E029/P/")
    assert in_sight(page)


@pytest.mark.parametrize("javascript", [True, False])
def test_a_day_that_is_unmarked_is_added_from_the_roll(november: World, open_as: OpenAs, javascript: bool) -> None:
    page = open_as("admin", javascript=javascript).go(f"/roll/{november.own.pk}/2026-11/?q=e006")
    row = page.locator("tbody tr")
    assert row.locator("td").all_inner_texts()[17:27] == ["½", "·", "·", "·", "·", "·", "·", "·", "", ""]
    row.locator("a[href='20/E006/P/']").click()
    assert "Unmarked: nothing is recorded" in page.inner_text("main")
    page.get_by_role("link", name="Add").click()
    assert [page.input_value(f"#id_{name}") for name in ("company", "ep_no", "date")] == [
        str(november.own.pk), "E006/P", "2026-11-20",
    ]  # fmt: skip
    page.select_option("#id_status", "L")
    page.click("main form button")
    assert page.url.endswith("/2026-11/20/E006/P/")
    assert "Added the record of E006/P on 2026-11-20" in page.inner_text("main")
    page.get_by_role("link", name="2026-11-19").click()
    assert page.url.endswith("/2026-11/19/E006/P/")


def test_many_days_are_changed_from_the_roll(november: World, open_as: OpenAs) -> None:
    opened = open_as("admin")
    page = opened.go(f"/roll/{november.own.pk}/2026-11/?q=e00")
    bar = page.get_by_role("form", name="Change the selected days")
    expect(bar).to_be_hidden()
    page.get_by_role("button", name="Select days").click()
    expect(bar).to_contain_text("Selected: 0")
    page.locator("a[href='2/E001/P/']").click()
    page.locator("a[href='3/E001/P/']").focus()
    for key in (" ", "ArrowDown", " ", " "):
        page.keyboard.press(key)
    expect(bar).to_contain_text("Selected: 2")
    page.locator("tbody th", has_text="E006").click()
    expect(bar).to_contain_text("Selected: 27")  # of which seven are unmarked
    page.locator("thead th[title^='2026-11-02']").click()
    expect(bar).to_contain_text("Selected: 35")
    opened.axe()
    page.select_option("#bulk-edit [name=status]", "L")
    page.get_by_role("button", name="Preview…").click()
    assert "7 days have no record and get one." in page.inner_text("main")
    opened.axe()
    page.get_by_role("button", name="Change them").click()
    assert page.url.endswith("/2026-11/?q=e00")
    assert "Done: Status: Leave, 35 days." in page.inner_text("main")
    assert page.locator("tbody tr", has_text="E006").locator("td").all_inner_texts()[:25] == ["L"] * 25


@pytest.mark.parametrize("javascript", [True, False])
def test_many_days_are_changed_from_the_list(november: World, open_as: OpenAs, javascript: bool) -> None:
    page = open_as("admin", javascript=javascript).go("/attendance/?date_from=2026-11-25&date_to=2026-11-25&q=e00")
    if javascript:
        page.get_by_label("Select all on this page").check()
        page.get_by_label("Select E001/P 2026-11-25").uncheck()
    else:
        for box in page.locator("[data-bulk-box]").all()[2:]:
            box.check()
    page.select_option("#bulk-edit [name=doing]", "delete")
    page.get_by_role("button", name="Preview…").click()
    assert "records are deleted." in page.inner_text("main")
    page.get_by_role("button", name="Delete").click()
    assert page.url.endswith("&q=e00")
    left = AttendanceRecord.objects.filter(date="2026-11-25", ep_no__startswith="E00").count()
    assert left == (1 if javascript else 2)


def test_the_roll_can_be_read_at_every_width_and_in_both_themes(november: World, open_as: OpenAs) -> None:
    opened = open_as("root")
    paths = {"roll": "", "roll-day": "5/E001/P/", "roll-print": "print/?profile=custom&blank=Sex"}
    for name, path in paths.items():
        page = opened.go(f"/roll/{november.own.pk}/2026-11/{path}")
        for _width in opened.views(name, narrow=390):
            if path:
                continue
            box = page.locator(".muster-roll-box")
            box.evaluate("box => box.scrollTo(9999, 9999)")
            edge = box.bounding_box()
            corner = box.locator("thead th").first.bounding_box()
            who = box.locator("tfoot th").last.bounding_box()
            assert edge
            assert corner
            assert who
            assert abs(corner["x"] - edge["x"]) <= 1, "the employees are out of sight"
            assert abs(corner["y"] - edge["y"]) <= 1, "the days are out of sight"
            assert abs(who["x"] - edge["x"]) <= 1, "the names of the sums are out of sight"
            box.evaluate("box => box.scrollTo(0, 0)")


@pytest.mark.parametrize(("paper", "size"), [("a4", (842, 595)), ("a3", (1191, 842))])
def test_a_roll_is_printed_on_sheets_that_lie_on_their_side(
    november: World, open_as: OpenAs, paper: str, size: tuple[int, int]
) -> None:
    opened = open_as("admin")
    page = opened.go(f"/roll/{november.own.pk}/2026-11/?q=e0")
    page.get_by_role("link", name="Print or XLSX").click()
    assert page.get_by_role("button", name="Print").is_visible()
    page.select_option("#id_paper", paper)
    page.select_option("#id_profile", "form-d")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("tbody tr")).to_have_count(40)  # those of the roll, which the address keeps
    page.emulate_media(media="print")
    pdf = page.pdf(path=Path(SCREENSHOTS) / f"roll-{paper}.pdf" if SCREENSHOTS else None, prefer_css_page_size=True)
    sheets = re.findall(rb"/MediaBox *\[0 0 ([0-9.]+) ([0-9.]+)\]", pdf)
    assert {(round(float(width)), round(float(height))) for width, height in sheets} == {size}
    assert 1 < len(sheets) < 4
    for hidden in ("header", "form", ".muster-sheet ~ *"):
        assert not page.locator(hidden).filter(visible=True).count(), hidden
    display = [page.locator(part).evaluate("it => getComputedStyle(it).display") for part in ("thead", "tfoot")]
    assert display == ["table-header-group", "table-row-group"]  # the head on each sheet, the sums on the last one
    page.set_viewport_size({"width": round(size[0] * 96 / 72) - 80, "height": 600})
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{wide} px are cut off"
