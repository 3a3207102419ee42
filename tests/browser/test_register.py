"""The dashboard, the list and its filters, changing a record, companies and accounts: in a real browser."""

from __future__ import annotations

import datetime as dt

import pytest

from core.models import AttendanceRecord
from tests.browser.conftest import PHONE, OpenAs
from tests.world import World


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


def test_a_lost_update_is_refused(world: World, open_as: OpenAs) -> None:
    first, second = open_as("admin"), open_as("root")
    second.allowed.add(409)
    for opened in (first, second):
        opened.go(f"/attendance/{world.record.pk}/edit/")
    first.page.fill("#id_ep_name", "Meena R. Rao")
    first.page.click("main form button")
    second.page.select_option("#id_status", "A")
    second.page.click("main form button")
    assert "Your changes were not saved" in second.page.inner_text("main")
    assert second.page.input_value("#id_ep_name") == "Meena R. Rao"
    record = AttendanceRecord.objects.get(pk=world.record.pk)
    assert (record.ep_name, record.status) == ("Meena R. Rao", "P")


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
