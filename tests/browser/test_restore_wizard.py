"""Backup and restore as root does them in a browser; the worker's tasks are run between the pages."""

from __future__ import annotations

import io
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connections
from playwright.sync_api import Browser, expect

from core.backups.backup_service import BackupService
from core.models import AttendanceRecord, BackupLog, Company, Installation, Operation, Seal
from core.operations import run as operations
from recordsync.models import Head
from tests.browser.conftest import PHONE, OpenAs, Opened
from tests.builders.people import DAY, PASSWORD, World
from tests.running.office import from_the_office
from tests.running.work_queue import work

SCRIPT = "<script>window.hacked = 1</script>"


@pytest.fixture(autouse=True)
def data_dir(settings: object, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path  # type: ignore[attr-defined]


@contextmanager
def held_while_it_writes() -> Iterator[threading.Event]:
    """The queue is worked in a thread that stops, inside its transaction, until the event is set."""
    arrived, go_on = threading.Event(), threading.Event()
    report = operations.Run.__call__

    def reported(run: operations.Run, phase: str, done: int, total: int | None, /) -> None:
        report(run, phase, done, total)
        if phase == "apply" and not arrived.is_set():
            arrived.set()
            assert go_on.wait(60)
            run._written = 0.0  # as if the next batch took a second: it looks whether somebody cancelled
            report(run, phase, done, total)

    def worked() -> None:
        try:
            work()
        finally:
            connections.close_all()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations.Run, "__call__", reported)
        worker = threading.Thread(target=worked)
        worker.start()
        try:
            assert arrived.wait(60), "it never came to writing"
            yield go_on
        finally:
            go_on.set()
            worker.join(60)


def a_backup_and_then_changes(tmp_path: Path) -> Path:
    path = tmp_path / "backup.json"
    AttendanceRecord.objects.filter(ep_no="A001").update(ep_name=SCRIPT)
    BackupService().create_backup(output=path)
    AttendanceRecord.objects.filter(ep_no="A001").update(shift="NIGHT", ep_name="Meena Rao")
    AttendanceRecord.objects.filter(ep_no="B001").delete()
    return path


def uploaded(opened: Opened, path: Path) -> None:
    page = opened.go("/restore/")
    page.set_input_files("input[type=file]", path)
    page.click("text=Check the file")
    assert "/operations/" in page.url
    work()
    page.goto(page.url)


@pytest.mark.parametrize("javascript", [True, False])
def test_the_whole_path(world: World, open_as: OpenAs, tmp_path: Path, javascript: bool) -> None:
    opened = open_as("root", javascript=javascript)
    page = opened.go("/backup/")
    page.click("button:has-text('Take backup')")
    assert page.locator("text=Waiting for the worker").is_visible()
    work()
    if not javascript:
        page.reload()
    page.locator("text=Done.").wait_for()
    with page.expect_download() as download:
        page.click("main >> text=Download backup_full")
    path = tmp_path / "downloaded.json"
    download.value.save_as(path)
    assert re.fullmatch(r"backup_full_\d{8}_\d{6}\.json", download.value.suggested_filename)
    AttendanceRecord.objects.filter(ep_no="A001").update(shift="NIGHT", ep_name="Other")
    AttendanceRecord.objects.filter(ep_no="B001").delete()

    uploaded(opened, path)
    page.click("text=Look at what would change")
    assert page.locator("#undecided").inner_text().startswith("Not decided yet: 2 of 2 differences in 1 record.")
    page.select_option("#id_kind", "conflict")
    page.click("button:has-text('Filter')")
    expect(page.locator("article")).to_have_count(1)
    page.click("article >> button:has-text('Keep what is here') >> nth=0")
    assert page.locator("#undecided").inner_text().startswith("Not decided yet: 1 of 2 differences in 1 record.")
    page.click("button:text-is('Take the backup’s')")
    assert page.locator("#undecided").inner_text() == "Everything is decided: 2 differences in 1 record."
    page.click("button:has-text('Keep what is here') >> nth=1")
    page.click("text=Apply to this register")
    work()
    page.goto(page.url)
    page.locator("text=Done.").wait_for()
    log = BackupLog.objects.filter(operation="restore").get()
    assert (log.success, log.records_added) == (True, 1)
    assert AttendanceRecord.objects.filter(ep_no="B001").exists()
    with page.expect_download():
        page.click("text=Download the list of changes")


def test_how_it_looks(world: World, open_as: OpenAs, tmp_path: Path) -> None:
    """Axe, nothing wider than the screen; and what a file says is shown, not run."""
    opened = open_as("root", width=PHONE)
    Company.objects.filter(pk=world.own.pk).update(name="Asha Builders, Engineers and Contractors (Private) Limited")
    path = a_backup_and_then_changes(tmp_path)
    BackupService().create_backup()
    for success, message in ((True, ""), (False, "The register changed after the preview: " + "something, " * 20)):
        BackupLog.objects.create(
            operation="restore",
            operation_id=uuid.uuid4(),
            actor_name="root",
            filename="backup_full_20261120_184000.json",
            records_count=1_000_000,
            records_added=1_000_000,
            success=success,
            error_message=message,
        )
    opened.go("/backup/")
    opened.look("backup")
    opened.go("/restore/")
    opened.look("restore")
    opened.go("/backup/log/")
    opened.look("backup-log")
    uploaded(opened, path)
    opened.look("checked")
    opened.page.click("text=Look at what would change")
    opened.page.locator(f"text={SCRIPT}").first.wait_for()
    assert opened.page.evaluate("window.hacked") is None
    opened.look("preview")
    opened.page.click("button:text-is('Take the backup’s')")
    opened.page.click("text=Apply to this register")
    opened.look("operation")
    work()
    opened.page.goto(opened.page.url)
    opened.look("summary")


def test_a_corrupt_file(world: World, open_as: OpenAs, tmp_path: Path) -> None:
    path = a_backup_and_then_changes(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"status":"P"', b'"status":"X"', 1))
    opened = open_as("root")
    uploaded(opened, path)
    assert opened.page.locator("text=What is wrong with the file").is_visible()
    assert "status" in opened.page.locator("tbody").first.inner_text()
    opened.look("corrupt")


def test_data_that_moved_and_a_cancelled_one(world: World, open_as: OpenAs, tmp_path: Path) -> None:
    path = a_backup_and_then_changes(tmp_path)
    opened = open_as("root")
    uploaded(opened, path)
    page = opened.page
    page.click("text=Look at what would change")
    page.click("button:text-is('Take the backup’s')")
    preview = page.url
    page.click("text=Apply to this register")
    page.click("button:has-text('Cancel')")
    work()
    page.goto(page.url)
    assert page.locator("text=cancelled before it began").is_visible()
    AttendanceRecord.objects.filter(ep_no="A001").update(shift="MOVED")
    page.goto(preview)
    page.click("text=Apply to this register")
    work()
    page.goto(page.url)
    assert page.locator("text=The register changed after the preview").is_visible()
    assert AttendanceRecord.objects.get(ep_no="A001", date=DAY).shift == "MOVED"
    assert page.locator("text=Try again").count() == 0  # it would be the same again
    assert "2 differences were decided. A new preview carries the decisions over" in page.inner_text("main")
    page.click("text=Make a new preview of this file")
    work()
    page.goto(page.url)
    page.click("text=Look at what would change")
    assert "MOVED" in page.locator("article").first.inner_text()
    told = page.inner_text("[role=note]")
    assert "Decisions of the earlier preview: 0 of 2 are carried over." in told
    assert "2 are not, because their records have changed since" in told
    opened.look("not-carried")


def test_another_tab_decided_meanwhile(world: World, open_as: OpenAs, browser: Browser, tmp_path: Path) -> None:
    path = a_backup_and_then_changes(tmp_path)
    opened = open_as("root")
    uploaded(opened, path)
    page = opened.page
    page.click("text=Look at what would change")
    page.click("button:text-is('Take the backup’s')")
    elsewhere = browser.new_context(timezone_id="Asia/Kolkata", storage_state=page.context.storage_state())
    other = elsewhere.new_page()
    other.goto(page.url)
    changed = AttendanceRecord.objects.get(ep_no="A001", date=DAY).updated_at
    assert f"last changed {changed:%Y-%m-%d %H:%M} UTC" in other.locator("article >> thead").inner_text()
    other.select_option("#id_of_company", "Asha Builders")
    other.select_option("#id_of_unit", "shift")
    other.click("button:text-is('Keep what is here')")
    assert other.locator("[role=status]").inner_text() == "Everything there was decided already."
    assert other.locator("h2 >> nth=0").inner_text() == "Change 1 decision that was made before?"
    other.click("text=Keep what is here there, too")
    assert other.locator("[role=status]").inner_text() == "1 decision was changed: what is here is kept."
    chosen = other.locator("article >> .muster-chosen")
    assert chosen.all_inner_texts() == [SCRIPT, "NIGHT"]
    background = "cell => getComputedStyle(cell).backgroundColor"
    assert chosen.first.evaluate(background) != other.locator("article >> .muster-differs > th").first.evaluate(
        background
    )
    elsewhere.close()
    page.click("text=Apply to this register")
    assert page.locator("text=another tab").is_visible()
    assert not Operation.objects.using("jobs").filter(kind="restore").exists()


def test_while_one_is_written(world: World, open_as: OpenAs, tmp_path: Path) -> None:
    """In the middle of its transaction others read and sign in, a second one is told, and cancelling undoes it."""
    path = a_backup_and_then_changes(tmp_path)
    opened = open_as("root")
    page = opened.page
    previews = []
    for _ in range(2):
        uploaded(opened, path)
        page.click("text=Look at what would change")
        page.click("button:text-is('Take the backup’s')")
        previews.append(page.url)
    second = previews[0]
    page.click("text=Apply to this register")
    first = page.url
    with held_while_it_writes() as go_on:
        page.locator("text=writing to the register").wait_for()  # htmx found out by itself
        other = open_as(None)
        other.go("/accounts/login/")
        other.page.fill("#id_username", "administrator")
        other.page.fill("#id_password", PASSWORD)
        other.page.click("text=Sign in >> nth=-1")
        other.go("/attendance/?q=A001")
        assert other.page.locator("text=Meena Rao").first.is_visible(), "what is not committed is not there"
        page.goto(second)
        page.click("text=Apply to this register")
        told = page.locator("[role=status]").inner_text()
        assert re.search(r"root has been running a restore since 2\d{3}-\d\d-\d\d \d\d:\d\d UTC \(apply, ", told), told
        assert "Nothing was changed" in told
        page.goto(first)
        page.click("button:has-text('Cancel')")
        page.locator("text=Cancelling").wait_for()
        go_on.set()
        page.locator("text=It was cancelled. Nothing was changed.").wait_for()
    assert AttendanceRecord.objects.get(ep_no="A001", date=DAY).shift == "NIGHT"
    assert not AttendanceRecord.objects.filter(ep_no="B001").exists()
    assert BackupLog.objects.get(operation="restore").success is False
    page.click("text=Try again")
    page.click("text=Apply to this register")
    work()
    page.locator("text=Done.").wait_for()
    assert AttendanceRecord.objects.filter(ep_no="B001").exists()


def look_at_it(opened: Opened) -> None:
    """From the operation that checks something to its preview."""
    work()
    opened.page.goto(opened.page.url)
    opened.page.click("text=Look at what would change")


def apply_it(opened: Opened, button: str) -> None:
    """From the preview to the summary."""
    opened.page.get_by_role("button", name=button, exact=True).click()
    work()
    opened.page.goto(opened.page.url)
    opened.page.locator("text=Done.").wait_for()


def test_merged_withdrawn_and_brought_back(world: World, open_as: OpenAs, tmp_path: Path) -> None:
    """What changed on one side is not asked; what came is withdrawn, and comes back."""
    path = tmp_path / "office.json"
    path.write_bytes(from_the_office(world.own))
    opened = open_as("root")
    uploaded(opened, path)
    page = opened.page
    page.click("text=Look at what would change")
    told = page.locator(".muster-told")
    assert told.first.inner_text().startswith("1 record will be deleted here: deleted at Site A office PC.")
    assert told.last.inner_text().startswith("3 came from Site A office PC (1 added, 1 updated, 1 deleted), 1 changed")
    opened.look("merge")
    page.click("text=1 needs you")
    page.click("article >> button:has-text('Take the backup’s')")
    apply_it(opened, "Apply to this register")
    opened.look("merged")
    page.get_by_role("button", name="Withdraw", exact=True).click()
    look_at_it(opened)
    opened.look("withdrawal")
    apply_it(opened, "Withdraw")
    assert AttendanceRecord.objects.get(ep_no="A002", company=world.own).shift == "G3"
    page.goto(f"{opened.base}/history/")
    page.get_by_role("button", name="Bring it back").click()
    look_at_it(opened)
    apply_it(opened, "Bring it back")
    assert AttendanceRecord.objects.get(ep_no="A002", company=world.own).shift == "G2"


def test_a_closed_month_is_decided_by_a_person(world: World, open_as: OpenAs, tmp_path: Path) -> None:
    path = tmp_path / "office.json"
    path.write_bytes(from_the_office(world.own))
    closed = {"closed_by": "asha", "closed_as": world.own.name, "digest": "0" * 64}
    Seal.objects.create(company=world.own, month=DAY.replace(day=1), **closed)
    opened = open_as("root")
    uploaded(opened, path)
    page = opened.page
    page.click("text=Look at what would change")
    page.click("text=4 are of closed months")
    assert page.get_by_role("button", name="Apply to this register").count() == 0
    opened.look("closed-month")
    page.get_by_role("button", name="Keep closed").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Decided: they stay closed").wait_for()
    page.get_by_role("link", name="Show them").click()
    expect(page.get_by_text("it stays as it is")).to_have_count(4)
    opened.look("closed-month-kept")
    page.get_by_role("button", name="Reopen").click()
    page.get_by_text("Decided: they change, and are reopened").wait_for()
    page.click("text=1 needs you")
    page.click("article >> button:has-text('Keep what is here')")
    apply_it(opened, "Apply to this register")
    assert f"Reopened and changed: November 2026 of {world.own.name}." in page.inner_text("main")
    opened.look("closed-month-done")
    assert Seal.objects.get().reopened_by == "root"


def test_exactly_as_it_was(world: World, open_as: OpenAs) -> None:
    """What is removed is named, and the name of this installation is typed before."""
    BackupService().create_backup(output=io.BytesIO())
    AttendanceRecord.objects.filter(ep_no="A001").update(shift="NIGHT")
    late = Company.objects.create(name="Late Builders, Engineers and Contractors (Private) Limited")
    for number in range(3):
        AttendanceRecord.objects.create(company=late, ep_no=f"L{number}", ep_name="Late", date=DAY, status="P")
    opened = open_as("root", javascript=False)
    page = opened.go(f"/history/{Head.objects.get().snapshot_id}/")
    page.get_by_role("button", name="Make the register as it was then").click()
    look_at_it(opened)
    page.fill("#id_typed", "another")
    page.get_by_role("button", name="Make the register exactly so").click()
    assert "is not the name of this installation. Nothing was changed." in page.inner_text("[role=status]")
    assert "Contractors (Private) Limited: 3 of 3 records" in page.inner_text("main")
    page.fill("#id_typed", Installation.current().name)
    apply_it(opened, "Make the register exactly so")
    assert not Company.objects.filter(pk=late.pk).exists()
    assert page.get_by_role("button", name="Undo everywhere").is_visible()


def test_signed_out_while_watching(world: World, open_as: OpenAs) -> None:
    """The whole page goes to the sign-in, and comes back to the operation."""
    page = open_as("root").go("/backup/")
    page.click("button:has-text('Take backup')")
    watched = page.url
    page.context.clear_cookies()
    page.wait_for_url(re.compile("/accounts/login/"))
    assert page.locator("h1").count() == 1
    page.fill("#id_username", "root")
    page.fill("#id_password", PASSWORD)
    page.press("#id_password", "Enter")
    page.wait_for_url(watched)
