"""Sheets that people send: checked, decided and imported, and the truth about those whose process died."""

from __future__ import annotations

import datetime as dt
import errno
import io
import itertools
from typing import Any
from unittest.mock import patch

import openpyxl
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.test import Client
from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from pytest_django import Settings

from core.models import JOBS, AttendanceRecord, BackupLog, Company, Kind, Operation, Role, Seal, UploadLog, User
from core.operations import recovery
from core.operations import run as operations
from core.operations.errors import OperationFailed
from core.register.database import DEFAULT
from core.sheets import uploads
from core.sheets.dates import DateOrder
from core.sheets.import_service import ImportService
from recordsync.system import locks
from tests.builders.sheets import HEADINGS, as_csv, as_xlsx, row, table
from tests.builders.uploads import an_upload
from tests.core.sheets.test_import_service import BAD
from tests.running import databases
from tests.running.work_queue import perform, work

Stage = UploadLog.Stage


@pytest.fixture(autouse=True)
def _real_transactions(django_db_setup: None, django_db_blocker: object) -> object:
    """The pages' own register, without a transaction around the test."""
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        databases.empty("default", "jobs")
        yield
        databases.empty("default", "jobs")


@pytest.fixture
def root() -> User:
    return User.objects.create_superuser("root")


def sent(user: User, *rows: dict[str, str], name: str = "november.csv") -> UploadLog:
    """A sheet that was checked."""
    return checked(user, as_csv(table(*rows)).getvalue(), name)


def checked(user: User, content: bytes, name: str) -> UploadLog:
    upload = uploads.receive(user, ContentFile(content, name))
    work()
    upload.refresh_from_db()
    return upload


def decided(upload: UploadLog, user: User) -> None:
    uploads.decide(upload, user)
    work()
    upload.refresh_from_db()


def is_kept(name: str) -> bool:
    return bool(name) and storages["uploads"].exists(name)


def test_a_small_sheet_is_checked_decided_and_imported(root: User) -> None:
    upload = sent(root, row(), row(), row(ep_no="E2", status="?"))
    assert upload.stage == Stage.CHECKED
    assert (upload.summary["added"], upload.summary["repeated"], upload.summary["refused"]) == (1, 1, 1)
    assert upload.summary["changes"] == [
        {"kind": "add", "key": ["ABC Corp", "E1", "2026-11-20"], "cells": []},
    ]
    assert b"Row 4" in storages["uploads"].open(upload.refused_file).read()
    kept = upload.file
    assert is_kept(kept)
    decided(upload, root)
    assert str(upload.stage) == Stage.IMPORTED
    assert not is_kept(kept)
    assert AttendanceRecord.objects.count() == 1
    log = BackupLog.objects.get()
    assert (log.filename, log.actor_name, log.operation_id) == ("november.csv", "root", upload.operation_id)
    uploads.decide(upload, root)  # a second click
    assert BackupLog.objects.count() == 1
    client = Client()
    client.force_login(root)
    assert "2 rows left out: refused or repeated" in client.get("/backup/log/").content.decode()


def test_every_company_that_is_created_is_named_however_many_days_come_before_it(root: User) -> None:
    Company.objects.create(name="ABC Corp")
    days = [row(ep_no=f"E{number}") for number in range(1200)]
    upload = sent(
        root, *days, row(company_name="Nova"), row(company_name="Abc Corp"), row(company_name="X", status="?")
    )
    client = Client()
    client.force_login(root)
    page = client.get(f"/upload/{upload.pk}/").content.decode()
    assert "Records to add: 1,202; to change: 0." in page
    assert "Companies to create: 2 (Abc Corp, Nova)." in page
    assert "Import 1,202 rows" in page


def test_dates_are_read_the_other_way_and_imported_as_they_were_previewed(root: User) -> None:
    upload = sent(root, row(date="05/11/2025"), row(ep_no="E2", date="2025-11-20"))
    client = Client()
    client.force_login(root)
    page = client.get(f"/upload/{upload.pk}/").content.decode()
    assert "“05/11/2025” (row 2) as 5 November 2025. Month first, it would be 11 May 2025." in page
    assert "Read the dates month first" in page
    for order in ("", "year"):
        client.post(f"/upload/{upload.pk}/dates/", {"order": order})
        upload.refresh_from_db()
        assert upload.stage == Stage.CHECKED
    client.post(f"/upload/{upload.pk}/dates/", {"order": "month"})
    upload.refresh_from_db()
    assert upload.stage == Stage.WAITING
    work()
    page = client.get(f"/upload/{upload.pk}/").content.decode()
    assert "as you chose: “05/11/2025” (row 2) as 11 May 2025" in page
    assert "Read the dates day first" in page
    decided(sent(root, row(ep_no="E2", date="2025-11-20", shift="N")), root)
    upload.refresh_from_db()
    decided(upload, root)  # the register has moved: it is checked again, in the order that was chosen
    assert (upload.stage, upload.summary["updated"]) == (Stage.CHECKED, 1)
    decided(upload, root)
    assert sorted(f"{record.date}" for record in AttendanceRecord.objects.all()) == ["2025-05-11", "2025-11-20"]
    uploads.read_dates(upload, root, DateOrder.DAY)  # a second click
    assert str(upload.stage) == Stage.IMPORTED
    page = client.get(f"/upload/{upload.pk}/").content.decode()
    assert "as you chose" in page
    assert "Read the dates" not in page


def test_blank_text_is_seen_and_is_not_nothing(root: User) -> None:
    decided(sent(root, row(shift="N", in_time="09:00")), root)
    upload = sent(root, row(shift="", in_time=""))
    client = Client()
    client.force_login(root)
    page = client.get(f"/upload/{upload.pk}/").content.decode()
    assert 'SHIFT: <del class="muster-old">N</del> → <ins class="muster-new"><em>blank</em></ins>' in page
    assert 'IN: <del class="muster-old">09:00</del> → <ins class="muster-new">—</ins>' in page


def test_a_workbooks_other_sheets_are_named(root: User) -> None:
    book = openpyxl.load_workbook(as_xlsx(table(row())))
    book.create_sheet("<Second> half")
    stream = io.BytesIO()
    book.save(stream)
    checked(root, stream.getvalue(), "november.xlsx")
    upload = UploadLog.objects.get()
    client = Client()
    client.force_login(root)
    page = client.get(f"/upload/{upload.pk}/").content.decode()
    assert "Other sheets of the workbook, which are not read: &lt;Second&gt; half" in page


def test_what_is_said_of_a_sheet_can_be_stored(root: User) -> None:
    """PostgreSQL keeps no NUL in JSON."""
    cells = [[*HEADINGS, "_x0000_a"], [*table(row(status="_x0000_"))[1], ""]]
    upload = checked(root, as_xlsx(cells).getvalue(), "november.xlsx")
    assert (upload.stage, upload.summary["refused"]) == (Stage.CHECKED, 1)
    assert upload.summary["notices"] == ["Columns that are not read: \ufffda."]
    assert upload.summary["problems"][0][1:3] == ["STATUS", "\ufffd"]


def test_of_a_sheet_only_its_head_is_read_in_a_request(root: User) -> None:
    """The worker checks and imports it."""
    upload = uploads.receive(root, ContentFile(as_csv(table(row(), row(status="?"))).getvalue(), "november.csv"))
    assert (upload.stage, upload.summary) == (Stage.WAITING, {})
    client = Client()
    client.force_login(root)
    assert "Waiting to be checked" in client.get(f"/upload/{upload.pk}/").content.decode()
    work()
    upload.refresh_from_db()
    assert upload.stage == Stage.CHECKED
    uploads.decide(upload, root)
    assert str(upload.stage) == Stage.QUEUED
    assert not AttendanceRecord.objects.exists()
    work()
    upload.refresh_from_db()
    assert str(upload.stage) == Stage.IMPORTED


def test_what_is_no_sheet_is_said(root: User) -> None:
    upload = uploads.receive(root, ContentFile(b"\x89PNG\0", "a.csv"))
    assert (upload.stage, upload.file) == (Stage.FAILED, "")
    assert "not a spreadsheet" in upload.message


def test_what_is_named_as_a_workbook_and_is_none_is_said(root: User) -> None:
    upload = uploads.receive(root, ContentFile(b"Dear all,\nplease see below\n", "november.xlsx"))
    assert (upload.stage, upload.file) == (Stage.FAILED, "")
    assert "not a workbook" in upload.message


def test_every_bad_sheet_gets_a_page_that_says_so(root: User) -> None:
    client = Client()
    client.force_login(root)
    for name, (file, _text) in BAD.items():
        page = client.post("/upload/", {"file": ContentFile(file.getvalue(), name)}, follow=True)
        work()
        text = client.get(page.redirect_chain[-1][0]).content.decode() if page.redirect_chain else page.content.decode()
        assert page.status_code == 200, name
        assert "Nothing was changed" in text or "empty" in text, name
    assert {upload.stage for upload in UploadLog.objects.all()} == {Stage.FAILED}
    assert not AttendanceRecord.objects.exists()


def test_an_unforeseen_error_is_said(root: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_details", lambda preview: 1 / 0)
    upload = sent(root, row())
    assert upload.stage == Stage.FAILED
    assert upload.message.startswith("Unexpected error")


def test_a_register_that_moved_is_looked_at_again(root: User) -> None:
    upload = sent(root, row())
    other = sent(root, row(shift="N"))
    decided(other, root)
    decided(upload, root)
    assert (upload.stage, upload.summary["updated"]) == (Stage.CHECKED, 1)
    assert "changed after the preview" in upload.message
    decided(upload, root)
    assert upload.stage == Stage.IMPORTED
    assert AttendanceRecord.objects.get().shift == "GS"


def test_a_preview_is_put_away(root: User) -> None:
    upload = sent(root, row())
    kept = upload.file
    uploads.cancel(upload)
    assert upload.stage == Stage.PUT_AWAY
    assert not is_kept(kept)
    decided(upload, root)
    assert not AttendanceRecord.objects.exists()


def test_others_are_not_kept(root: User) -> None:
    user = User(username="x", role=Role.USER1)
    with pytest.raises(OperationFailed, match="may not import"):
        uploads.receive(user, ContentFile(b"x", "a.csv"))
    assert not UploadLog.objects.exists()


ONE = Operation.State


@pytest.mark.parametrize(
    ("kind", "operation", "state"),
    [
        (Kind.CHECK_SHEET, ONE.WAITING, Stage.WAITING),
        (Kind.CHECK_SHEET, ONE.RUNNING, Stage.CHECKING),
        (Kind.CHECK_SHEET, ONE.SUCCEEDED, Stage.CHECKED),
        (Kind.CHECK_SHEET, ONE.FAILED, Stage.FAILED),
        (Kind.CHECK_SHEET, ONE.CANCELLED, Stage.PUT_AWAY),
        (Kind.IMPORT, ONE.WAITING, Stage.QUEUED),
        (Kind.IMPORT, ONE.RUNNING, Stage.APPLYING),
        (Kind.IMPORT, ONE.SUCCEEDED, Stage.IMPORTED),
        (Kind.IMPORT, ONE.FAILED, Stage.FAILED),
        (Kind.IMPORT, ONE.CANCELLED, Stage.PUT_AWAY),
    ],
)
def test_how_a_sheet_stands_is_told_by_its_operation(kind: Kind, operation: Operation.State, state: str) -> None:
    upload = an_upload(kind, operation)
    assert upload.stage == state
    assert upload.is_at_work == (operation in (ONE.WAITING, ONE.RUNNING))
    assert upload.is_waiting == (operation == ONE.WAITING)
    upload.put_away = uploads.PutAway.UNDECIDED
    assert (upload.stage, upload.message) == (Stage.PUT_AWAY, "Nobody decided about it. Nothing was changed.")
    assert not upload.is_at_work


@pytest.mark.parametrize("kind", [Kind.CHECK_SHEET, Kind.IMPORT])
def test_a_sheet_whose_process_died_is_tried_again(root: User, kind: Kind) -> None:
    """Not as long as it lives: the lock tells."""
    upload = sent(root, row())
    if kind == Kind.IMPORT:
        uploads.decide(upload, root)
    Operation.objects.filter(pk=upload.operation_id).update(kind=kind, state="running", phase="apply")
    with locks.held(f"operation-{upload.operation_id}", JOBS):
        recovery.settle_accounts()
        upload.refresh_from_db()
        assert upload.is_at_work
    recovery.settle_accounts()
    upload.refresh_from_db()
    assert (upload.stage, upload.message) == (
        Stage.FAILED,
        "The process was killed before it finished. Nothing was changed.",
    )
    assert upload.may_be_tried_again
    uploads.try_again(upload, root)
    DBTaskResult.objects.using(JOBS).exclude(pk=str(upload.operation.task_id)).delete()
    work()
    upload.refresh_from_db()
    assert (upload.stage, upload.message) == (Stage.CHECKED, "")


def test_a_sheet_that_was_imported_by_a_process_that_died_then_is_imported(root: User) -> None:
    """Its audit row was written with its data; the file, which it did not live to delete, goes with the next sweep."""
    upload = sent(root, row())
    kept = upload.file
    decided(upload, root)
    storages["uploads"].save(kept, ContentFile(b"x"))
    UploadLog.objects.update(file=kept)
    Operation.objects.filter(pk=upload.operation_id).update(state="running", phase="commit", log_id=None)
    recovery.settle_accounts()
    upload.refresh_from_db()
    assert upload.stage == Stage.IMPORTED
    uploads.sweep()
    assert not is_kept(kept)


def test_a_decision_that_another_has_overtaken_leaves_nothing_waiting(
    root: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody puts the sheet away between the look at it and the decision."""
    upload = sent(root, row())
    look = UploadLog.refresh_from_db

    def overtaken(seen: UploadLog) -> None:
        look(seen)
        UploadLog.objects.update(put_away=uploads.PutAway.BY_SOMEBODY)

    monkeypatch.setattr(UploadLog, "refresh_from_db", overtaken)
    uploads.decide(upload, root)
    assert not Operation.objects.filter(kind=Kind.IMPORT).exists()
    assert not DBTaskResult.objects.using(JOBS).filter(status="READY").exists()


def test_who_puts_a_sheet_away_while_another_decides_has_the_last_word(root: User) -> None:
    """The page was made before somebody decided: what is asked of it then concerns the import that waits."""
    upload = sent(root, row())
    seen = UploadLog.objects.get()
    uploads.decide(upload, root)
    uploads.read_dates(seen, root, DateOrder.MONTH)
    assert seen.stage == Stage.QUEUED
    uploads.cancel(seen)
    assert (seen.stage, seen.operation.state) == (Stage.PUT_AWAY, ONE.CANCELLED)
    uploads.decide(upload, root)
    work()
    assert not AttendanceRecord.objects.exists()


def test_what_nobody_came_back_for_goes(root: User, monkeypatch: pytest.MonkeyPatch) -> None:
    old = sent(root, row(), row(status="?"))
    names = [old.file, old.refused_file]
    monkeypatch.setattr(uploads, "KEPT_DAYS", 0)
    sent(root, row())
    old.refresh_from_db()
    assert (old.stage, old.file, old.refused_file) == (Stage.PUT_AWAY, "", "")
    assert not any(map(is_kept, names))


@pytest.mark.parametrize("gone", ["deleted", "inactive", "supervisor"])
def test_a_waiting_sheet_of_an_account_that_may_not_import_any_more(root: User, gone: str) -> None:
    sender = User.objects.create_superuser("sender")
    upload = uploads.receive(sender, ContentFile(as_csv(table(row())).getvalue(), "november.csv"))
    job = DBTaskResult.objects.using(JOBS).get()
    if gone == "deleted":
        sender.delete()
    else:
        sender.is_active, sender.role = gone != "inactive", Role.USER1 if gone == "supervisor" else Role.ROOT
        sender.company = Company.objects.create(name="Own")
        sender.save()
    perform(*job.args_kwargs["args"])
    upload.refresh_from_db()
    assert (upload.stage, upload.file) == (Stage.FAILED, "")
    assert "Nothing was changed" in upload.message
    assert not AttendanceRecord.objects.exists()


def test_more_than_a_sheet_may_have_is_refused_before_it_is_read(root: User, settings: Settings) -> None:
    client = Client()
    client.force_login(root)
    settings.MUSTER_MAX_SHEET_UPLOAD_BYTES = 1 << 20
    page = client.post("/upload/", {"file": ContentFile(b"x" * (2 << 20), "a.csv")})
    assert page.status_code == 413
    assert "larger than 1 MiB" in page.content.decode()
    assert not UploadLog.objects.exists()


def test_a_sheet_needs_the_token_of_its_form(root: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(root)
    assert client.post("/upload/", {"file": ContentFile(b"x", "a.csv")}).status_code == 403
    assert not UploadLog.objects.exists()


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_an_export_of_what_is_no_filter_shows_the_list_that_says_so(root: User, form: str) -> None:
    client = Client()
    client.force_login(root)
    if form == "csv":
        page = client.get("/attendance/export/?date_from=2026-13-45&q=x", follow=True)
    else:
        page = client.post("/attendance/export/workbook/?date_from=2026-13-45&q=x", follow=True)
    assert page.redirect_chain == [("/attendance/?date_from=2026-13-45&q=x", 302)]
    assert "A filter is not valid" in page.content.decode()


def test_a_sheet_that_waits_for_the_worker_is_put_away(root: User) -> None:
    client = Client()
    client.force_login(root)
    for waiting in (Stage.WAITING, Stage.QUEUED):
        upload = uploads.receive(root, ContentFile(as_csv(table(row())).getvalue(), "november.csv"))
        if waiting == Stage.QUEUED:
            work()
            upload.refresh_from_db()
            uploads.decide(upload, root)
        kept = upload.file
        assert "Cancel the import" in client.get(f"/upload/{upload.pk}/").content.decode()
        client.post(f"/upload/{upload.pk}/cancel/")
        work()
        upload.refresh_from_db()
        assert (upload.stage, upload.message) == (Stage.PUT_AWAY, "It was put away. Nothing was changed.")
        assert not is_kept(kept)
    assert not AttendanceRecord.objects.exists()


@pytest.mark.parametrize("told", [True, False])
def test_a_check_is_cancelled(root: User, monkeypatch: pytest.MonkeyPatch, told: bool) -> None:
    """While it reads, and after its last word about how far it is."""
    upload = uploads.receive(root, ContentFile(as_csv(table(row())).getvalue(), "november.csv"))
    kept = upload.file
    monkeypatch.setattr(operations, "_SECONDS_BETWEEN_WRITES", 0.0 if told else 60.0)
    preview = ImportService.preview

    def cancelled(*args: Any, **options: Any) -> Any:
        if told:
            uploads.cancel(UploadLog.objects.get())
        found = preview(*args, **options)
        if not told:
            uploads.cancel(UploadLog.objects.get())
        return found

    monkeypatch.setattr(ImportService, "preview", cancelled)
    work()
    upload.refresh_from_db()
    assert (upload.stage, upload.message) == (Stage.PUT_AWAY, "It was put away. Nothing was changed.")
    assert not is_kept(kept)
    assert (upload.operation.state, upload.summary) == (ONE.CANCELLED, {})


def test_one_account_has_so_many_sheets_kept_and_no_more(root: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "KEPT_OF_ONE", 2)
    other = sent(User.objects.create_superuser("other"), row())
    first, second = sent(root, row()), sent(root, row(status="?"))
    decided(second, root)
    names = [first.file, second.refused_file]
    sent(root, row())
    sent(root, row())
    for upload in (first, second, other):
        upload.refresh_from_db()
    assert (first.stage, first.message[:23]) == (Stage.PUT_AWAY, "You sent newer sheets, ")
    assert (second.stage, second.refused_file) == (Stage.IMPORTED, "")
    assert not any(map(is_kept, names))
    assert is_kept(other.file)


def test_sheets_that_wait_for_the_worker_have_a_limit(root: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "KEPT_OF_ONE", 2)
    client = Client()
    client.force_login(root)
    for expected in (302, 302, 409):
        page = client.post("/upload/", {"file": ContentFile(as_csv(table(row())).getvalue(), "november.csv")})
        assert page.status_code == expected
    assert "2 of your sheets wait for the worker already" in page.content.decode()
    assert UploadLog.objects.count() == 2


def test_what_is_certainly_no_sheet_is_refused_before_it_is_kept(root: User, django_assert_num_queries: Any) -> None:
    for content, told in (
        (b"EP NO,EP NAME\n1,Asha\n", "The heading lacks COMPANY NAME"),
        (b"PK\x03\x04", "damaged"),
        (b"", "empty"),
    ):
        upload = uploads.receive(root, ContentFile(content, "november.csv"))
        assert upload.stage == Stage.FAILED
        assert told in upload.message
        assert not upload.file
    assert not DBTaskResult.objects.using(JOBS).exists()


def test_the_log_accounts_for_every_row_and_says_what_waits_for_somebody(root: User) -> None:
    client = Client()
    client.force_login(root)
    upload = sent(root, row(), row(ep_no="E2", status="?"), row())
    text = client.get("/upload/logs/").content.decode()
    assert "3 rows: 1 new, 0 changed, 0 unchanged, 1 repeated, 1 refused" in text
    assert "Waiting for a decision" in text
    decided(upload, root)
    sent(root, row(), name="again.csv")
    text = client.get("/upload/logs/").content.decode()
    assert "1 rows: 0 new, 0 changed, 1 unchanged, 0 repeated, 0 refused" in text
    assert "Nothing to import" in text
    assert "Waiting for a decision" not in text


def test_a_sheet_whose_worker_died_before_it_began_is_told_and_tried_again(root: User) -> None:
    """Before its check, and before its import: the task has failed, or a worker that is dead has taken it."""
    client = Client()
    client.force_login(root)
    for state, ended in itertools.product((Stage.WAITING, Stage.QUEUED), ("FAILED", "RUNNING")):
        upload = uploads.receive(root, ContentFile(as_csv(table(row())).getvalue(), "november.csv"))
        if state == Stage.QUEUED:
            work()
            upload.refresh_from_db()
            uploads.decide(upload, root)
        DBTaskResult.objects.using(JOBS).filter(pk=str(upload.operation.task_id)).update(
            status=ended, worker_ids=["gone"]
        )
        page = client.get(f"/upload/{upload.pk}/").content.decode()
        assert "The worker was killed before it began. Nothing was changed." in page
        assert "Try again" in page
        upload.refresh_from_db()
        assert (upload.stage, is_kept(upload.file)) == (Stage.FAILED, True)
        client.post(f"/upload/{upload.pk}/again/")
        work()
        upload.refresh_from_db()
        assert (upload.stage, upload.message) == (Stage.CHECKED, "")
    decided(upload, root)
    assert AttendanceRecord.objects.count() == 1


def test_a_sheet_that_a_living_worker_has_taken_is_left_alone(root: User) -> None:
    upload = uploads.receive(root, ContentFile(as_csv(table(row())).getvalue(), "november.csv"))
    DBTaskResult.objects.using(JOBS).filter(pk=str(upload.operation.task_id)).update(
        status="RUNNING", worker_ids=["alive"]
    )
    with locks.held(recovery.worker_lock("alive"), JOBS):
        recovery.settle_accounts()
    upload.refresh_from_db()
    assert upload.stage == Stage.WAITING


def test_a_sheet_that_was_begun_since_it_was_looked_at_is_left_alone(root: User) -> None:
    upload = uploads.receive(root, ContentFile(as_csv(table(row())).getvalue(), "november.csv"))
    work()
    assert upload.stage == Stage.WAITING
    recovery.settle_accounts()
    upload.refresh_from_db()
    assert str(upload.stage) == Stage.CHECKED


def test_a_sheet_that_no_worker_takes_says_so_until_one_does(root: User) -> None:
    client = Client()
    client.force_login(root)
    upload = uploads.receive(root, ContentFile(as_csv(table(row())).getvalue(), "november.csv"))
    missed = "or it is not running (manage.py db_worker)"
    assert missed not in client.get(f"/upload/{upload.pk}/").content.decode()
    task = DBTaskResult.objects.using(JOBS).filter(pk=str(upload.operation.task_id))
    task.update(enqueued_at=timezone.now() - dt.timedelta(minutes=1))
    assert missed in client.get(f"/upload/{upload.pk}/").content.decode()
    work()
    page = client.get(f"/upload/{upload.pk}/").content.decode()
    assert missed not in page
    assert "Import 1 row" in page


def test_a_register_that_was_held_for_too_long_costs_no_sheet(root: User, settings: Settings) -> None:
    settings.LOCK_WAIT_SECONDS = 0
    upload = sent(root, row())
    with DEFAULT.lock(0):
        decided(upload, root)
    assert (upload.stage, upload.may_be_tried_again) == (Stage.FAILED, True)
    assert "in use by another restore or import" in upload.message
    uploads.try_again(upload, root)
    work()
    upload.refresh_from_db()
    decided(upload, root)
    assert upload.stage == Stage.IMPORTED


def test_a_sheet_of_a_closed_month_is_not_imported_until_it_is_reopened(root: User) -> None:
    company = Company.objects.create(name="ABC Corp")
    closed = {"month": "2026-11-01", "closed_by": "asha", "closed_as": "ABC Corp", "digest": "0" * 64}
    late = sent(root, row(ep_no="E2"))
    seal = Seal.objects.create(company=company, **closed)
    decided(late, root)
    assert (late.stage, late.summary["closed"]) == (Stage.CHECKED, 1), "it is looked at again"
    upload = sent(root, row(), row(ep_no="E3", date="2026-10-05"))
    assert [upload.summary[name] for name in ("rows", "added", "closed")] == [2, 1, 1]
    client = Client()
    client.force_login(root)
    page = client.get(f"/upload/{upload.pk}/").content.decode()
    assert "This cannot be imported: it would change closed months." in page
    assert "November 2026 of ABC Corp is closed (by asha, " in page
    assert "Check it again" in page
    assert "Import 1 row" not in page
    decided(upload, root)
    assert (upload.stage, upload.may_be_tried_again) == (Stage.FAILED, True)
    assert "1 day of it would change. Nothing was changed. Reopen what is closed first" in upload.message
    Seal.objects.filter(pk=seal.pk).update(reopened_at=timezone.now(), reopened_by="asha")
    for sheet in (upload, late):
        uploads.try_again(sheet, root)
        work()
        sheet.refresh_from_db()
        decided(sheet, root)
    assert AttendanceRecord.objects.count() == 3


def test_what_is_no_sheet_is_not_tried_again(root: User) -> None:
    upload = checked(root, b"no,headings\n1,2\n", "november.csv")
    assert (upload.stage, upload.may_be_tried_again) == (Stage.FAILED, False)
    uploads.try_again(upload, root)
    assert upload.stage == Stage.FAILED
    assert not DBTaskResult.objects.using(JOBS).filter(status="READY").exists()


def test_sheets_of_dead_workers_take_nobodys_room(root: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "KEPT_OF_ONE", 1)
    uploads.receive(root, ContentFile(as_csv(table(row())).getvalue(), "november.csv"))
    with pytest.raises(OperationFailed, match="wait for the worker already"):
        uploads.receive(root, ContentFile(as_csv(table(row())).getvalue(), "november.csv"))
    DBTaskResult.objects.using(JOBS).update(status="FAILED")
    assert sent(root, row()).stage == Stage.CHECKED


def test_a_sheet_that_the_disk_has_no_room_for_is_refused_in_its_form(root: User) -> None:
    client = Client()
    client.force_login(root)
    sheet = ContentFile(as_csv(table(row())).getvalue(), "november.csv")
    with patch("django.core.files.storage.base.Storage.save", side_effect=OSError(errno.ENOSPC, "No space left")):
        answer = client.post("/upload/", {"file": sheet})
    assert answer.status_code == 507
    assert "The disk is full. Nothing was changed." in answer.content.decode()
    assert not UploadLog.objects.exists()


def test_a_kept_file_that_cannot_be_deleted_keeps_nobody_from_sending(
    root: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = sent(root, row(), row(status="?"))
    monkeypatch.setattr(uploads, "KEPT_DAYS", 0)
    with patch("os.remove", side_effect=PermissionError(errno.EACCES, "Permission denied")):
        uploads.receive(root, ContentFile(as_csv(table(row())).getvalue(), "november.csv"))
    old.refresh_from_db()
    assert is_kept(old.refused_file), "the row does not say that it is gone"
    uploads.sweep()
    old.refresh_from_db()
    assert old.refused_file == ""
