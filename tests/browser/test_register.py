"""The dashboard, the list and its filters, changing a record, companies and accounts: in a real browser."""

from __future__ import annotations

import datetime as dt

import pytest
from playwright.sync_api import expect

from core.backups.backup_service import BackupService
from core.models import AttendanceRecord, Company
from tests.browser.conftest import PHONE, OpenAs
from tests.builders.people import DAY, PASSWORD, World


@pytest.mark.parametrize("javascript", [True, False])
def test_filter_and_edit(world: World, open_as: OpenAs, javascript: bool) -> None:
    page = open_as("admin", javascript=javascript).go("/attendance/")
    assert "11 records" in page.inner_text("#results")
    page.fill("#id_q", "rao")
    page.click("form[role=search] button")
    assert "q=rao" in page.url
    assert "1 record" in page.inner_text("#results")
    page.click("#results a:has-text('Edit')")
    page.fill("#id_out_time", "17:45:00")
    page.fill("#id_overstay", "1:30")
    page.click("main form button")
    assert "q=rao" in page.url  # back to the list as it was
    assert "Saved the record of A001" in page.inner_text("main")
    world.record.refresh_from_db()
    assert (world.record.out_time, world.record.overstay) == (dt.time(17, 45), 90)


@pytest.mark.parametrize("javascript", [True, False])
def test_on_a_phone_the_filters_open_and_stay_open_while_one_is_set(
    world: World, open_as: OpenAs, javascript: bool
) -> None:
    page = open_as("root", width=PHONE, javascript=javascript).go("/attendance/")
    expect(page.locator("#id_q")).to_be_visible()
    expect(page.locator("#id_status")).to_be_hidden()
    expect(page.locator("#results tbody tr").first).to_be_in_viewport()
    page.get_by_text("More filters").click()
    page.select_option("#id_status", "A")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#id_status")).to_be_visible()
    assert "No record matches these filters." in page.inner_text("main")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(page.url.split("?")[0])
    expect(page.locator("#id_status")).to_be_visible()
    expect(page.get_by_text("More filters")).to_be_hidden()


@pytest.mark.parametrize("javascript", [True, False])
def test_a_record_is_deleted_from_its_own_page(world: World, open_as: OpenAs, javascript: bool) -> None:
    """The lists have one quiet link a row, which a finger can hit, and nothing red."""
    Company.objects.create(name="Empty Works")
    BackupService().create_backup()
    BackupService().create_incremental_backup()
    opened = open_as("root", width=PHONE, javascript=javascript)
    for path, links in (("/attendance/?q=rao", 1), ("/companies/", 3), ("/users/", 4), ("/backup/", 0)):
        page = opened.go(path)
        assert page.locator("main :is(.btn-danger, .btn-outline-danger)").filter(visible=True).count() == 0, path
        assert page.locator(".muster-row-link").count() == links
        for link in (*page.locator(".muster-row-link").all(), *page.locator("main summary").all()):
            box = link.bounding_box()
            assert box, path
            assert min(box["width"], box["height"]) >= 24, (path, box)
    page = opened.go("/attendance/?q=rao")
    page.locator("#results").get_by_role("link", name="Edit A001 2026-11-20").press("Enter")
    page.get_by_role("link", name="Delete this record").click()
    page.get_by_role("button", name="Delete").click()
    assert page.url.endswith("/attendance/?q=rao")
    assert "Deleted the record of A001" in page.inner_text("main")
    assert not AttendanceRecord.objects.filter(pk=world.record.pk).exists()
    opened.go("/companies/")
    page.get_by_role("link", name="Rename or delete Empty Works").click()
    page.get_by_role("link", name="Delete this company").click()
    page.get_by_role("button", name="Delete").click()
    assert "Deleted Empty Works." in page.inner_text("main")
    opened.go(f"/companies/{world.own.pk}/rename/")
    assert page.get_by_role("link", name="Delete this company").count() == 0


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_the_figures_of_the_dashboard_add_up_at_every_width(world: World, open_as: OpenAs, width: int) -> None:
    for number, status in enumerate(["A", "A", "L", "WO", "PH", "PD"]):
        AttendanceRecord.objects.create(
            company=world.other if number % 2 else world.own, ep_no=f"X{number}", date=DAY, status=status
        )
    page = open_as("root", width=width).go("/")
    figures = {
        text.split("\n")[0]: int(text.split("\n")[1]) for text in page.locator(".muster-figure").all_inner_texts()
    }
    expected = [figures["Present, 2026-11-20"], figures["Absent"], figures["Off or on leave"]]
    assert sum(expected) == AttendanceRecord.objects.filter(date=DAY).count()
    table = page.locator("section:has(#companies-title) table")
    assert table.locator("thead th").all_inner_texts() == ["Company", "Present", "Absent", "Off or on leave"]
    rows = [[int(cell) for cell in row.locator("td").all_inner_texts()] for row in table.locator("tbody tr").all()]
    assert [sum(column) for column in zip(*rows, strict=True)] == expected
    assert [int(cell) for cell in table.locator("tfoot td").all_inner_texts()] == expected
    for cell in table.locator("td, th").all():
        expect(cell).to_be_visible()
    page.click("summary:has-text('Show table')")
    latest = page.locator("section:has(#trend-title) tbody tr").first
    assert [int(cell) for cell in latest.locator("td").all_inner_texts()] == expected


@pytest.mark.parametrize("javascript", [True, False])
def test_a_lost_update_keeps_what_was_typed(world: World, open_as: OpenAs, javascript: bool) -> None:
    first, second = open_as("admin"), open_as("root", javascript=javascript)
    second.allowed.add(409)
    for opened in (first, second):
        opened.go(f"/attendance/{world.record.pk}/edit/")
    first.page.fill("#id_ep_name", "Meena R. Rao")
    first.page.click("main form button")
    second.page.select_option("#id_status", "A")
    second.page.click("main form button")
    page = second.page
    assert "Nothing of yours was saved" in page.inner_text("main [role=alert]")
    assert (page.input_value("#id_ep_name"), page.input_value("#id_status")) == ("Meena R. Rao", "A")
    assert page.inner_text("#id_ep_name_helptext") == "Somebody changed this. It was: Meena Rao"
    assert page.get_attribute("#id_status", "aria-describedby") == "id_status_helptext"
    assert page.inner_text("#id_status_helptext") == "Saved now: Present"
    if javascript:
        second.look("lost-update")
    record = AttendanceRecord.objects.get(pk=world.record.pk)
    assert (record.ep_name, record.status) == ("Meena R. Rao", "P")
    page.click("main form >> button:text-is('Save')")
    record.refresh_from_db()
    assert (record.ep_name, record.status) == ("Meena R. Rao", "A")


@pytest.mark.parametrize("javascript", [True, False])
def test_what_was_typed_survives_the_end_of_a_session(world: World, open_as: OpenAs, javascript: bool) -> None:
    opened = open_as("admin", javascript=javascript)
    opened.allowed.add(403)
    page = opened.go(f"/attendance/{world.record.pk}/edit/")
    page.fill("#id_shift", "NIGHT")
    page.context.clear_cookies(name="sessionid")
    page.click("main form >> button:text-is('Save')")
    assert "What you typed is kept" in page.inner_text("[role=status]")
    if javascript:
        opened.look("signed-out")
    page.fill("#id_username", "administrator")
    page.fill("#id_password", PASSWORD)
    page.click("main form button")
    if javascript:
        opened.look("typed")
    page.click("text=Back to the form")
    assert page.input_value("#id_shift") == "NIGHT"
    assert page.inner_text("#id_shift_helptext") == "Saved now: GEN"
    page.click("main form >> button:text-is('Save')")
    world.record.refresh_from_db()
    assert world.record.shift == "NIGHT"


def test_pages_look_right(world: World, open_as: OpenAs) -> None:
    opened = open_as("root", width=PHONE)
    for name, path in {
        "dashboard": "/",
        "list": "/attendance/",
        "list-empty": "/attendance/?q=nobody",
        "list-invalid": "/attendance/?date_from=soon&status=X",
        "edit": f"/attendance/{world.record.pk}/edit/",
        "add": "/attendance/add/",
        "delete": f"/attendance/{world.record.pk}/delete/",
        "delete-all": "/attendance/delete-all/",
        "companies": "/companies/",
        "rename": f"/companies/{world.own.pk}/rename/",
        "users": "/users/",
        "user": "/users/add/",
    }.items():
        opened.go(path)
        opened.look(name)
