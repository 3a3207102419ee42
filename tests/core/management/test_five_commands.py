"""What a person can do (issue 2): the commands in their order, as the README gives them."""

from __future__ import annotations

import json

import pytest

from core.models import AttendanceRecord, Company
from tests.running import inspection
from tests.running.commands import run
from tests.running.installation import NewInstallation, ScratchInstallation


@pytest.mark.postgres
def test_in_their_order(new_installation: NewInstallation) -> None:
    here = new_installation("sqlite")
    seeded = run(here, "seed_demo", "--companies", "4", "--records", "2000")
    assert seeded.code == 0, seeded.err

    assert run(here, "backup_data", "--output", "full.json").code == 0
    content = inspection.content_of(here)
    preview = run(here, "restore_data", "--input", "full.json", "--preview")
    assert preview.code == 0
    assert "2,000 skipped" in preview.out
    assert "Nothing to do." in preview.out

    with here.opened() as alias:
        rows = AttendanceRecord.objects.using(alias)
        edited, deleted = rows.order_by("pk")[0], rows.order_by("pk")[1]
        rows.filter(pk=edited.pk).update(shift="CHANGED", updated_at="2026-11-02T00:00:00Z")
        rows.filter(pk=deleted.pk).delete()
        company = Company.objects.using(alias).order_by("pk")[0]
        rows.create(company=company, ep_no="NEW-1", date="2026-11-02", status="P")
    preview = run(here, "restore_data", "--input", "full.json", "--preview", "--json", "--quiet")
    said = json.loads(preview.out)
    assert [said[name] for name in ("added", "updated", "deleted", "skipped")] == [1, 1, 0, 1998]

    incremental = run(
        here, "backup_data", "--type", "incremental", "--since", edited_at(here), "--output", "inc.json.zst"
    )
    assert incremental.code == 0, incremental.err
    restored = run(here, "restore_data", "--input", "inc.json.zst", "--strategy", "database_wins", "--json")
    said = json.loads(restored.out)
    assert (said["ok"], said["updated"], said["conflicts"]) == (True, 0, 0)
    assert said["skipped"] == said["records"] >= 2

    there = new_installation("postgres")
    done = run(there, "restore_data", "--input", here.folder / "full.json", "--json")
    assert json.loads(done.out)["added"] == 2000
    assert inspection.content_of(there) == content
    assert run(there, "backup_data", "--output", "back.json").code == 0
    assert checksums(there, "back.json") == checksums(here, "full.json")


def edited_at(installation: ScratchInstallation) -> str:
    """A moment that takes in the edited and the added record."""
    with installation.opened() as alias:
        row = AttendanceRecord.objects.using(alias).get(shift="CHANGED")
        return row.updated_at.isoformat()


def checksums(installation: ScratchInstallation, name: str) -> list[str]:
    """Every record's checksum, in the file's order."""
    content = json.loads((installation.folder / name).read_bytes())
    return [record["checksum"] for record in content["companies"] + content["attendance_records"]]
