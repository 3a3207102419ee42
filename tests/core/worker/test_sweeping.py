"""What killed processes leave behind is removed after a day, and nothing that is in use."""

from __future__ import annotations

import datetime as dt
import os
import stat
import time
import uuid
from pathlib import Path

import pytest
from axes.models import AccessAttempt
from django.contrib.sessions.models import Session
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.utils import timezone
from pytest_django import Settings

from core.models import JOBS, Kind, Operation
from core.preview import changes as preview_changes
from core.preview import folders as preview_folders
from core.restores import jobs as restore_jobs
from core.sheets import uploads
from core.worker import sweeping
from recordsync.system.files import hidden_file
from tests.builders.uploads import an_upload

pytestmark = pytest.mark.django_db(databases=["default", "jobs", "history"])


@pytest.fixture(autouse=True)
def data(settings: Settings, tmp_path: Path) -> Path:
    """The installation's folder."""
    settings.DATA_DIR = tmp_path
    settings.BACKUP_DIR = tmp_path / "backups"
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "incoming"
    kept = {
        name: options | {"OPTIONS": dict(options.get("OPTIONS", {}))} for name, options in settings.STORAGES.items()
    }
    kept["uploads"]["OPTIONS"]["location"] = tmp_path / "uploads"
    settings.STORAGES = kept
    for name in ("backups", "incoming", "uploads", "changes"):
        (tmp_path / name).mkdir()
    return tmp_path


def aged(path: Path, **age: float) -> Path:
    """The file, which nobody has written to for that long."""
    path.touch()
    at = time.time() - dt.timedelta(**age).total_seconds()
    os.utime(path, (at, at))
    return path


def test_a_file_that_is_received_is_ours_alone_and_goes_after_a_day(data: Path) -> None:
    with TemporaryUploadedFile("november.csv", "text/csv", 1, None) as received:
        new = Path(received.temporary_file_path())
        assert new.parent == data / "incoming"
        assert stat.S_IMODE(new.stat().st_mode) == 0o600
        old = aged(new.with_name("tmp_of_a_killed_process.upload.csv"), hours=25)
        aged(new, hours=23)
        sweeping.sweep()
        assert (old.exists(), new.exists()) == (False, True)


def test_a_key_that_was_never_used_goes(data: Path) -> None:
    old, new, key = aged(data / ".secret_key-a", days=2), data / ".secret_key-b", aged(data / "secret_key", days=2)
    new.touch()
    sweeping.sweep()
    assert (old.exists(), new.exists(), key.exists()) == (False, True, True)


def test_an_unfinished_backup_goes_unless_somebody_writes_it(data: Path) -> None:
    left = data / "backups" / ".muster-0123456789abcdef.part"
    left.touch()
    backup = aged(data / "backups" / "backup_full_1.json", days=400)
    with hidden_file(data / "backups") as (hidden, _stream):
        left.touch()
        sweeping.sweep()
        assert hidden.exists()
    assert not left.exists()
    assert backup.exists()


@pytest.mark.parametrize(
    ("outcome", "days", "kept"),
    [
        ("succeeded", 2, True),
        ("succeeded", 89, True),
        ("succeeded", 91, False),
        ("failed", 0.9, True),
        ("failed", 2, False),
        ("running", 2, True),
        (None, 2, False),
    ],
)
def test_lists_of_changes_are_kept_for_ninety_days(outcome: str | None, days: float, kept: bool) -> None:
    pk = uuid.uuid4()
    if outcome:
        at = timezone.now() - dt.timedelta(days=days)
        Operation.objects.using(JOBS).create(pk=pk, kind="restore", state=outcome, finished_at=at)
    path = aged(preview_changes.changes_file(pk), days=days)
    restore_jobs.sweep_changes()
    assert path.exists() == kept


def test_a_sheet_that_no_row_names_goes(data: Path) -> None:
    storage = storages["uploads"]
    names = [storage.save(f"{name}.sheet", ContentFile(b"x")) for name in ("named", "refused", "lost", "new")]
    an_upload(Kind.CHECK_SHEET, file="named.sheet", refused_file="refused.sheet")
    for name in names[:3]:
        aged(data / "uploads" / name, hours=25)
    uploads.sweep()
    assert sorted(storage.listdir("")[1]) == ["named.sheet", "new.sheet", "refused.sheet"]


def test_what_cannot_be_removed_keeps_nothing_else(
    data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Session.objects.create(session_key="old", expire_date=timezone.now() - dt.timedelta(days=1))
    Session.objects.create(session_key="new", expire_date=timezone.now() + dt.timedelta(days=1))
    AccessAttempt.objects.create(username="root", failures_since_start=1)
    AccessAttempt.objects.update(attempt_time=timezone.now() - dt.timedelta(days=2))
    old = aged(data / "incoming" / "a.upload.csv", days=2)
    monkeypatch.setattr(preview_folders, "remove_abandoned", lambda busy: 1 / 0)
    sweeping.sweep()
    assert not old.exists()
    assert not AccessAttempt.objects.exists()
    assert list(Session.objects.values_list("session_key", flat=True)) == ["new"]
