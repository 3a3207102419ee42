"""Pages while somebody else holds the register: forms say who, with what was typed; the others get a page that does."""

from __future__ import annotations

import errno
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from django.db import connections
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from core.models import AttendanceRecord, BackupLog, Company, Operation, User
from tests.builders.people import PASSWORD, World, make_world
from tests.core.web.access import ROUTES
from tests.running import databases
from tests.running.databases import LONG, patient
from tests.running.holder import held
from tests.running.services import database_error

WHO = "meena has been running a restore since "


@pytest.fixture
def world(django_db_setup: None, django_db_blocker: object, settings: Settings) -> Iterator[World]:
    """Outside any transaction: the register is really held."""
    settings.SAVE_WAIT_SECONDS = 0.2
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        databases.empty("default", "jobs")
        yield make_world()
        databases.empty("default", "jobs")


@pytest.fixture
def root(world: World) -> Client:
    client = Client()
    client.force_login(world.people["root"])
    return client


def test_every_form_says_who_holds_the_register(world: World, root: Client) -> None:
    seen = world.record.updated_at.isoformat(timespec="microseconds")
    own, record = world.own.pk, world.record.pk
    names = {"username": "typed", "role": "admin", "company": str(own), "is_active": "on"}
    password = {"old_password": PASSWORD, "new_password1": "a longer and good one"}
    password["new_password2"] = password["new_password1"]
    forms: list[tuple[str, dict[str, Any]]] = [
        (reverse("add_record"), {"company": str(own), "ep_no": "typed", "date": "2026-11-01", "status": "P"}),
        (reverse("edit_record", args=[record]), {"seen": seen, "status": "A", "ep_name": "typed"}),
        (reverse("delete_record", args=[record]), {"seen": seen}),
        (reverse("companies"), {"name": "typed"}),
        (reverse("rename_company", args=[own]), {"name": "typed"}),
        (reverse("delete_company", args=[Company.objects.create(name="Empty").pk]), {}),
        (reverse("add_user"), names | {"password": "a longer and good one"}),
        (reverse("edit_user", args=[world.people["admin"].pk]), names),
        (reverse("change_password"), password),
        ("/admin/core/company/add/", {"name": "typed"}),
        (f"/admin/core/attendancerecord/{record}/change/", {"status": "A"}),
        (f"/admin/core/attendancerecord/{record}/delete/", {"post": "yes"}),
        (
            "/admin/core/attendancerecord/",
            {"action": "delete_selected", "_selected_action": str(record), "post": "yes"},
        ),
        (f"/admin/core/user/{world.people['admin'].pk}/change/", names),
        (f"/admin/core/user/{world.people['admin'].pk}/delete/", {"post": "yes"}),
        (f"/admin/core/user/{world.people['admin'].pk}/password/", {"usable_password": "false"}),
    ]
    before = _state()
    with held("default"):
        for url, data in forms:
            answer = root.post(url, data)
            text = answer.content.decode()
            assert (answer.status_code, answer["Retry-After"]) == (503, "10"), url
            assert WHO in text, url
            assert "Nothing was " in text, url
            if "typed" in data.values() and not url.startswith("/admin/"):
                assert 'value="typed"' in text, url
        assert _state() == before
    for url, data in forms[:2]:
        assert root.post(url, data).status_code == 302, url


@pytest.mark.untraced
def test_reading_goes_on_as_if_nothing_were(world: World, root: Client) -> None:
    pages = [reverse(name, kwargs=access.kwargs(world)) for name, access in ROUTES.items() if access.get[-1] == 200]
    expected = [root.get(url).status_code for url in pages]
    assert set(expected) == {200}
    with held("default"):
        assert [root.get(url).status_code for url in pages] == expected
        anonymous = Client()
        assert anonymous.post(reverse("login"), {"username": "administrator", "password": PASSWORD}).status_code == 302
        assert anonymous.get("/").status_code == 200


def test_a_page_that_would_note_how_something_ended_waits_for_nobody(
    world: World, root: Client, settings: Settings
) -> None:
    """Another program writes to the register; the audit row of a failure is written when that has ended."""
    settings.SAVE_WAIT_SECONDS = settings.LOCK_WAIT_SECONDS = LONG
    failed = Operation.objects.create(kind="restore", state="failed", actor_name="meena", message="It failed.")
    with closing(sqlite3.connect(connections["default"].settings_dict["NAME"])) as other:
        other.execute("BEGIN IMMEDIATE")
        patient("default")
        started = time.monotonic()
        assert root.get("/backup/log/").status_code == 200
        assert time.monotonic() - started < LONG / 2
    assert not BackupLog.objects.exists()
    root.get("/backup/log/")
    assert BackupLog.objects.get().operation_id == failed.pk


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("SQLITE_BUSY", 503, "another program is using it"),
        ("SQLITE_FULL", 507, "The database&#x27;s disk is full."),
        ("SQLITE_IOERR_SHMSIZE", 507, "The database&#x27;s disk is full."),
        ("", 503, "The database does not answer as it should"),
    ],
)
def test_a_database_in_trouble_is_said_wherever_it_is_met(
    world: World, root: Client, monkeypatch: pytest.MonkeyPatch, code: str, status: int, words: str
) -> None:
    """In a view, and in what surrounds it, where Django asks no view."""

    def fail(*args: object, **kwargs: object) -> HttpResponse:
        raise database_error(code, "connection to 10.0.0.5 failed for user muster")

    surrounding = "django.contrib.messages.middleware.MessageMiddleware.process_request"
    for place in (surrounding, "core.web.views.attendance.CappedPaginator"):
        with monkeypatch.context() as patch:
            patch.setattr(place, fail)
            root.raise_request_exception = False
            answer = root.get("/attendance/")
        text = answer.content.decode()
        assert answer.status_code == status, place
        assert words in text, place
        assert "10.0.0.5" not in text
        assert "still has what you typed" not in text
        assert ("Retry-After" in answer) == (code == "SQLITE_BUSY")


def test_a_file_of_the_server_that_cannot_be_used_is_said_and_not_named(
    root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/srv/secret")

    monkeypatch.setattr("core.web.views.attendance.CappedPaginator", fail)
    answer = root.get("/attendance/")
    assert answer.status_code == 503
    assert "Permission is denied. The log says which file or folder of this server it is" in answer.content.decode()
    assert "secret" not in answer.content.decode()


def test_what_nobody_foresaw_is_still_an_error(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.web.views.attendance.CappedPaginator", lambda *_: 1 / 0)
    root.raise_request_exception = False
    answer = root.get("/attendance/")
    assert answer.status_code == 500
    assert "Something went wrong" in answer.content.decode()


def _state() -> tuple[object, ...]:
    return tuple(list(model.objects.order_by("pk").values_list()) for model in (Company, AttendanceRecord, User))
