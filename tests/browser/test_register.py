"""The dashboard, the list and its filters, changing a record, companies and accounts: in a real browser."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone
from playwright.sync_api import Locator, expect

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
    page.click("#results summary")
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
    """The lists have one quiet link or menu a row, which a finger can hit, and nothing red."""
    Company.objects.create(name="Empty Works")
    BackupService().create_backup()
    BackupService().create_incremental_backup()
    opened = open_as("root", width=PHONE, javascript=javascript)
    for path, links in (("/attendance/?q=rao", 0), ("/companies/", 3), ("/users/", 4), ("/backup/", 0)):
        page = opened.go(path)
        assert page.locator("main :is(.btn-danger, .btn-outline-danger)").filter(visible=True).count() == 0, path
        assert page.locator(".muster-row-link").count() == links
        for link in (*page.locator(".muster-row-link").all(), *page.locator("main summary").all()):
            box = link.bounding_box()
            assert box, path
            assert min(box["width"], box["height"]) >= 24, (path, box)
    page = opened.go("/attendance/?q=rao")
    menu = page.locator("#results details")
    menu.locator("summary").press("Enter")
    assert menu.locator("summary").inner_text().endswith("Menu of A001 2026-11-20")
    for link in menu.get_by_role("link").all():
        box = link.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 24
    if javascript:
        menu.get_by_role("link", name="Edit").press("Escape")
        expect(menu.get_by_role("link", name="Edit")).to_be_hidden()
        expect(menu.locator("summary")).to_be_focused()
        page.keyboard.press("Enter")
    menu.get_by_role("link", name="Delete").press("Enter")
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
    for number, status in enumerate(["A", "A", "L", "WO", "PH", "PD", "-0.5"] * 4):
        company = Company.objects.get_or_create(name=f"Company {number % 7}")[0] if number > 6 else world.own
        AttendanceRecord.objects.create(company=company, ep_no=f"X{number}", date=DAY, status=status)
    page = open_as("root", width=width).go("/")
    tiles = [text.split("\n") for text in page.locator("section:has(#day-title) .muster-tile").all_inner_texts()]
    figures = {label: int(number) for label, number in tiles}
    headings = ["Not recorded", "Absent", "Present", "Off or on leave"]
    expected = [figures[heading] for heading in headings]
    assert sum(expected[1:]) == AttendanceRecord.objects.filter(date=DAY).count()
    page.click("summary:has-text('other companies')")
    first, others = page.locator("section:has(#companies-title) table").all()
    for table, totals in ((first, expected), (others, numbers(first.locator("tbody tr").last))):
        assert table.locator("thead th").all_inner_texts() == ["Company", *headings]
        rows = [numbers(row) for row in table.locator("tbody tr").all()]
        assert [sum(column) for column in zip(*rows, strict=True)] == totals
        for cell in table.locator("td, th").all():
            expect(cell).to_be_visible()
    assert numbers(first.locator("tfoot tr")) == expected
    page.click("summary:has-text('Show table')")
    _not_recorded, absent, present, other = expected
    assert numbers(page.locator("section:has(#trend-title) tbody tr").first) == [present, absent, other]


def numbers(row: Locator) -> list[int]:
    """The numbers of a row of a table."""
    return [int(cell) for cell in row.locator("td").all_inner_texts()]


@pytest.mark.parametrize("javascript", [True, False])
def test_the_dashboard_counts_exceptions_when_it_is_there(world: World, open_as: OpenAs, javascript: bool) -> None:
    AttendanceRecord.objects.filter(pk=world.record.pk).update(out_time=None)
    page = open_as("root", javascript=javascript).go("/")
    counted = page.get_by_role("region", name="Exceptions").get_by_role("listitem")
    if javascript:
        expect(counted.filter(has_text="Missing punch")).to_have_text("Missing punch 1")
        page.get_by_role("link", name="Missing punch").press("Enter")
        page.wait_for_url("**kind=missing_punch")
        assert page.locator("main tbody tr").count() == 1
    else:
        assert counted.all_inner_texts() == ["Exceptions in November 2026"]
        counted.get_by_role("link").press("Enter")
        page.wait_for_url("**/exceptions/?month=2026-11")


@pytest.mark.parametrize("javascript", [True, False])
def test_the_dashboard_shows_months_and_leads_on(world: World, open_as: OpenAs, javascript: bool) -> None:
    AttendanceRecord.objects.create(company=world.own, ep_no="X1", date=dt.date(2026, 8, 3), status="-0.5")
    page = open_as("user1" if not javascript else "root", javascript=javascript).go("/")
    page.get_by_role("link", name="12 months").press("Enter")
    page.wait_for_url("**over=months*")
    assert page.get_by_role("link", name="12 months").get_attribute("aria-current") == "true"
    page.click("summary:has-text('Show table')")
    rows = {row.locator("th").inner_text(): numbers(row) for row in page.locator("#trend-section tbody tr").all()}
    assert len(rows) == 12
    assert rows["August 2026"] == [int(javascript), 0, 0]  # a supervisor sees the days of the account
    page.get_by_role("link", name="30 days").click()
    present = page.locator(".muster-tile-present strong").inner_text()
    page.get_by_role("link", name="Present").click()
    assert f"{present} records" in page.inner_text("#results [role=status]")


def test_days_are_chosen_by_a_click(world: World, open_as: OpenAs) -> None:
    today = timezone.localdate()
    for age in (0, 1):
        AttendanceRecord.objects.create(
            company=world.own, ep_no=f"N{age}", date=today - dt.timedelta(age), status="P", ep_name="Meena Rao"
        )
    page = open_as("admin").go("/attendance/?q=rao&page=1")
    for age, name in enumerate(["Today", "Yesterday"]):
        page.get_by_role("link", name=name, exact=True).click()
        assert page.get_by_role("link", name=name, exact=True).get_attribute("aria-current") == "true"
        assert page.locator("#results tbody tr").count() == 1
        assert page.input_value("#id_date_from") == str(today - dt.timedelta(age))
    page.get_by_role("link", name="Last month").click()
    last = today.replace(day=1) - dt.timedelta(1)
    chosen = page.input_value("#id_date_from"), page.input_value("#id_date_to"), page.input_value("#id_q")
    assert chosen == (str(last.replace(day=1)), str(last), "rao")


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
        "dashboard-months": "/?over=months",
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
        page = opened.go(path)
        if name == "list":
            page.locator("#results summary").first.click()
        opened.look(name)
