"""Workbooks of what a list shows: written by the worker, fetched by the account that asked, and by nobody else."""

from __future__ import annotations

import datetime as dt
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from django.core.files.storage import storages
from django.test import Client

from core.models import JOBS, AttendanceRecord, BackupLog, Company, Operation, Role, User
from core.operations import queue as jobs
from core.sheets import export, export_jobs, uploads
from tests.builders.people import DAY, World, make_world
from tests.running import databases
from tests.running.work_queue import work


@pytest.fixture(autouse=True)
def world(django_db_setup: None, django_db_blocker: Any) -> Iterator[World]:
    with django_db_blocker.unblock():
        databases.empty("default", "jobs")
        yield make_world()
        databases.empty("default", "jobs")


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def asked(user: User, filters: str = "") -> Operation:
    """An export that waits."""
    address = signed_in(user).post(f"/attendance/export/workbook/?{filters}")["Location"]
    return Operation.objects.using(JOBS).get(pk=address.split("/")[2])


def fetched(user: User, operation: Operation) -> list[str] | int:
    """The numbers of the employees in the file; or the answer's status."""
    answer = signed_in(user).get(f"/operations/{operation.pk}/workbook/")
    if answer.status_code != 200:
        return answer.status_code
    book = openpyxl.load_workbook(io.BytesIO(answer.getvalue()))
    return sorted({str(row[0]) for row in book.worksheets[0].iter_rows(min_row=2, values_only=True)})


def page(user: User, operation: Operation) -> str:
    return signed_in(user).get(f"/operations/{operation.pk}/").content.decode()


def kept() -> list[str]:
    storage = storages["uploads"]
    return [name for name in storage.listdir("")[1] if name.endswith(".export")] if storage.exists("") else []


@pytest.fixture(autouse=True)
def _no_files() -> Iterator[None]:
    yield
    for name in kept():
        storages["uploads"].delete(name)


@pytest.mark.untraced
@pytest.mark.parametrize("who", ["root", "admin", "user1"])
def test_everybody_gets_what_their_list_shows(world: World, who: str) -> None:
    user = world.people[who]
    operation = asked(user, f"date_from={DAY}&sort=ep_no")
    assert "Waiting for the worker" in page(user, operation)
    assert fetched(user, operation) == 404
    work()
    shown = AttendanceRecord.objects.visible_to(user).filter(date__gte=DAY)
    assert fetched(user, operation) == sorted({record.ep_no for record in shown})
    text = page(user, operation)
    assert "Download the workbook" in text
    assert f"/attendance/?date_from={DAY}&amp;sort=ep_no" in text
    assert not BackupLog.objects.exists()
    (name,) = kept()
    assert os.stat(storages["uploads"].path(name)).st_mode & 0o777 == 0o600


def test_nobody_else_gets_the_file_or_sees_the_operation(world: World) -> None:
    operation = asked(world.people["admin"])
    work()
    alike = User.objects.create_user("alike", role=Role.ADMIN, company=world.own)
    for user in (world.people["user1"], world.people["other_admin"], alike):
        assert signed_in(user).get(f"/operations/{operation.pk}/").status_code == 403
        assert signed_in(user).post(f"/operations/{operation.pk}/cancel/").status_code == 403
        assert fetched(user, operation) == 404
    assert "your account may not see all of it" in page(world.people["root"], operation)
    assert fetched(world.people["root"], operation) == 404
    check = Operation.objects.using(JOBS).create(kind="check", actor_id=world.people["admin"].pk, actor_name="a")
    assert signed_in(world.people["admin"]).get(f"/operations/{check.pk}/").status_code == 403


@pytest.mark.parametrize("changed", ["company", "role", "days", "inactive"])
def test_an_account_that_changed_gets_what_it_may_see_by_now(world: World, changed: str) -> None:
    """Before the worker comes, and after."""
    user = world.people["user1"]
    before = asked(user)
    if changed == "company":
        user.company = world.other
    elif changed == "role":
        user.role = Role.ADMIN
    elif changed == "days":
        user.assigned_date_from = DAY + dt.timedelta(1)
    else:
        user.is_active = False
    user.save()
    work()
    before.refresh_from_db()
    if changed == "inactive":
        assert (before.state, before.message[:41]) == ("failed", "The account that asked for it was deleted")
        return
    shown = AttendanceRecord.objects.visible_to(user)
    assert fetched(user, before) == sorted({record.ep_no for record in shown})
    user.role, user.company, user.assigned_date_from = Role.USER1, world.own, DAY - dt.timedelta(1)
    user.save()
    assert fetched(user, before) == 404
    assert "Export the list again" in page(user, before)


def test_a_filter_that_is_not_valid_any_more(world: World) -> None:
    root = world.people["root"]
    nova = Company.objects.create(name="Nova")
    operation = asked(root, f"company={nova.pk}")
    nova.delete()
    work()
    operation.refresh_from_db()
    assert (operation.state, operation.message[:24]) == ("failed", "A filter of the list is ")
    assert "Back to the list" in page(root, operation)
    assert "backup" not in page(world.people["root"], operation).partition("<main")[2]


def test_one_export_at_a_time_and_the_newest_is_kept(world: World) -> None:
    root = world.people["root"]
    first = asked(root)
    client = signed_in(root)
    again = client.post("/attendance/export/workbook/", follow=True)
    assert again.redirect_chain[-1][0] == f"/operations/{first.pk}/"
    assert "not done yet" in again.content.decode()
    other = asked(world.people["admin"])
    work()
    assert len(kept()) == 2
    second = asked(root)
    work()
    assert fetched(root, first) == 404
    assert isinstance(fetched(root, second), list)
    assert isinstance(fetched(world.people["admin"], other), list)
    assert len(kept()) == 2


def test_too_many_rows_are_told_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "MAX_XLSX_ROWS", 3)
    answer = signed_in(world.people["root"]).post("/attendance/export/workbook/?sort=date", follow=True)
    assert answer.redirect_chain == [("/attendance/?sort=date", 302)]
    assert "too many for a workbook" in answer.content.decode()
    assert not Operation.objects.using(JOBS).exists()


def test_a_cancelled_export_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    root = world.people["root"]
    operation = asked(root)
    written = export._value

    def cancelled(name: str, value: Any) -> Any:
        jobs.cancel(operation)
        return written(name, value)

    monkeypatch.setattr(export, "_value", cancelled)
    monkeypatch.setattr(export, "_CHUNK", 1)
    monkeypatch.setattr("core.operations.run._SECONDS_BETWEEN_WRITES", 0.0)
    work()
    operation.refresh_from_db()
    assert (operation.state, operation.message) == ("cancelled", "It was cancelled. Nothing was changed.")
    assert kept() == []
    assert list(tmp_path.iterdir()) == []


def test_a_workbook_that_nobody_fetches_goes(world: World) -> None:
    root = world.people["root"]
    operation = asked(root)
    work()
    path = Path(storages["uploads"].path(kept()[0]))
    os.utime(path, (0, 0))
    uploads.sweep()
    assert fetched(root, operation) == 404
    assert "The workbook was deleted" in page(root, operation)
    assert export_jobs.file_of(operation, root) is None
