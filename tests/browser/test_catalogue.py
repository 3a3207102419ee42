"""The catalogue of backups in a browser: what is true of each file, and what somebody sees before deleting one."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.storage import storages

from core.backups.backup_service import BackupService
from core.models import AttendanceRecord, Backup
from core.restores.restore_service import RestoreService
from tests.browser.conftest import PHONE, OpenAs
from tests.builders.files import file
from tests.builders.people import World
from tests.builders.registers import SMALL


@pytest.mark.parametrize("javascript", [True, False])
def test_what_is_lost_with_a_backup_is_seen_before(
    world: World, open_as: OpenAs, tmp_path: Path, javascript: bool
) -> None:
    service = BackupService()
    full = service.create_backup()
    AttendanceRecord.objects.update(shift="other")
    other = service.create_backup()
    AttendanceRecord.objects.update(shift="first")
    first = service.create_incremental_backup()
    AttendanceRecord.objects.update(shift="second")
    second = service.create_incremental_backup()
    service.create_backup(output=tmp_path / "elsewhere.json")
    RestoreService().restore_backup(file(SMALL).stream(), "backup_wins")
    Path(storages["backups"].path(full.name)).unlink()
    opened = open_as("root", width=PHONE, javascript=javascript)
    page = opened.go("/backup/")
    shown = page.inner_text("main")
    assert "by a person" not in shown, "a script takes one every night"
    assert page.get_by_text(other.name, exact=True).and_(page.locator("p")).is_visible()
    assert f"Its file, {full.name}, is not in the folder of backups" in shown
    assert "Its file was written to another place" in shown
    assert "Muster keeps no copy of a file that it receives" in shown
    page.locator("summary", has_text=other.name).click()
    page.get_by_role("button", name=f"Delete… {other.name}").click()
    assert "2 incremental backups continue it" in page.inner_text(".alert-danger")
    button = page.get_by_role("button", name="Delete the file all the same")
    assert "btn-danger" in (button.get_attribute("class") or "")
    if javascript:
        opened.look("delete-backup")
    page.get_by_role("link", name="Keep it").click()
    assert Backup.objects.get(pk=other.id).file
    page.locator("summary", has_text=first.name).click()
    page.get_by_role("button", name=f"Delete… {first.name}").click()
    page.get_by_role("button", name="Delete the file all the same").click()
    assert f"Deleted the file {first.name}." in page.inner_text("main")
    assert page.locator("article", has_text=second.name).locator("text=Not enough by itself").is_visible()
    if javascript:
        page.locator("summary", has_text=second.name).click()
        opened.look("catalogue")
