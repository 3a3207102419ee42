"""The worklist of exceptions, in a real browser."""

from __future__ import annotations

from playwright.sync_api import expect

from core.models import AttendanceRecord, SeenException
from tests.browser.conftest import OpenAs
from tests.builders.people import DAY, World


def test_an_exception_is_found_right_and_taken_back_with_the_keyboard(world: World, open_as: OpenAs) -> None:
    rows = AttendanceRecord.objects.filter(company=world.own)
    rows.filter(ep_no="A004").update(out_time=None)
    rows.filter(ep_no="A008").update(status="A", overstay=300, ep_name="Meena Rao")
    rows.filter(ep_no="A001").update(in_time_2="17:00", out_time_2="19:00")
    opened = open_as("admin")
    page = opened.go(f"/exceptions/?month={DAY:%Y-%m}")
    opened.look("exceptions")
    page.get_by_role("link", name="Missing punch 1", exact=True).press("Enter")
    expect(page.get_by_role("status")).to_contain_text("1 exception")
    page.get_by_role("link", name="Edit A004").press("Enter")
    page.get_by_role("link", name="Cancel").click()
    assert "kind=missing_punch" in page.url
    page.get_by_role("link", name="It is right… Missing punch A004").press("Enter")
    opened.look("exception")
    page.get_by_label("It is right, because").fill("The gate was open.")
    page.keyboard.press("Enter")
    assert "kind=missing_punch" in page.url  # back in the list as it was
    expect(page.locator("main")).to_contain_text("out of the list")
    expect(page.locator("main")).to_contain_text("No exceptions to show")
    page.select_option("#id_seen", "yes")
    page.get_by_role("button", name="Show").press("Enter")
    expect(page.locator("tbody")).to_contain_text("administrator: The gate was open.")
    page.get_by_role("link", name="Open Missing punch A004").press("Enter")
    page.get_by_role("button", name="Take back").press("Enter")
    expect(page.locator("main")).to_contain_text("Nobody has found one right in this month.")
    assert not SeenException.objects.exists()


def test_a_supervisor_reads_and_a_day_without_a_record_is_added(world: World, open_as: OpenAs) -> None:
    AttendanceRecord.objects.filter(pk=world.record.pk).update(overstay=300)
    page = open_as("user1").go(f"/exceptions/?month={DAY:%Y-%m}&kind=overstay")
    assert page.get_by_role("link", name="Edit").count() == 0
    page.get_by_role("link", name="Open Overstay").click()
    expect(page.locator("main")).to_contain_text("More than 4 hours of overstay.")
    assert page.get_by_role("button", name="It is right").count() == 0
    page = open_as("admin").go(f"/exceptions/?month={DAY:%Y-%m}&kind=not_recorded")
    first = page.locator("tbody").get_by_role("link", name="Add").first
    _add, number, day = first.inner_text().split()
    first.click()
    assert (page.input_value("#id_ep_no"), page.input_value("#id_date")) == (number, day)
    page.select_option("#id_status", "L")
    page.get_by_role("button", name="Add").click()
    assert "kind=not_recorded" in page.url
    assert page.get_by_role("link", name=f"Add {number} {day}").count() == 0
    assert AttendanceRecord.objects.filter(company=world.own, ep_no=number, date=day, status="L").count() == 1
