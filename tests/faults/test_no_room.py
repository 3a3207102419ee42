"""A disk without a single free byte under the real web server: what only reads answers, the rest says why not."""

from __future__ import annotations

import shutil
from pathlib import Path

from core.models import AttendanceRecord
from tests.builders.big_registers import filled
from tests.faults.conftest import SmallDisk
from tests.faults.test_held_register import SIGNED_IN
from tests.running import inspection
from tests.running.installation import NewInstallation, ScratchInstallation
from tests.running.server import Answer, serving

READ = (
    "/", "/attendance/", "/backup/", "/restore/", "/backup/log/", "/upload/", "/upload/logs/", "/companies/",
    "/users/", "/users/add/", "/attendance/add/", "/attendance/export/", "/admin/", "/admin/core/attendancerecord/",
)  # fmt: skip
BLOCK = 4096


def fill(disk: Path) -> Path:
    """Put into a file of the disk what goes in."""
    path = disk / "ballast"
    with path.open("ab", buffering=0) as ballast:
        try:
            while ballast.write(b"x" * BLOCK):
                pass
        except OSError:
            return path
    raise AssertionError("it is not full")


def test_a_full_disk_under_the_pages(
    new_installation: NewInstallation, small_disk: SmallDisk, static_files: Path
) -> None:
    """Databases, log and all. Nobody has opened a page before it was full."""
    made = new_installation("sqlite")
    disk = small_disk(8 * 1024)
    for file in made.folder.glob("muster*.sqlite3"):
        shutil.copy(file, disk)
    installation = ScratchInstallation("sqlite", disk, f"sqlite:///{disk / 'muster.sqlite3'}")
    filled(installation, 200)
    cookies = f"sessionid={installation.manage('shell', '--no-imports', '-c', SIGNED_IN, check=True).stdout.strip()}"
    with installation.opened() as alias:
        record = AttendanceRecord.objects.using(alias).first()
        assert record
    edit = f"/attendance/{record.pk}/edit/"
    day = {"seen": record.updated_at.isoformat(timespec="microseconds"), "status": "A", "ep_name": "typed"}
    forms = {
        edit: day,
        "/companies/": {"name": "typed"},
        "/users/add/": {"username": "typed", "password": "a longer and good one", "role": "root"},
        "/backup/": {"backup_type": "full"},
        "/admin/core/company/add/": {"name": "typed"},
    }
    before = inspection.state_of(installation)
    with serving(installation, static_files) as server:

        def get(path: str) -> Answer:
            return server.ask("GET", path, headers={"Cookie": cookies})

        ballast = fill(disk)
        for path in (*READ, edit):
            assert get(path).status == 200, path
        for path, data in forms.items():
            answer = server.form(path, data, cookies=cookies)
            assert (answer.status, b"disk is full" in answer.body) == (507, True), path
        assert b'value="typed"' in server.form(edit, day, cookies=cookies).body
        assert (signing := server.sign_in("root", "a good one")).status == 507
        assert b"disk is full" in signing.body
        assert inspection.state_of(installation) == before
        ballast.unlink()
        assert server.form(edit, day, cookies=cookies).status == 302
        assert server.sign_in("root", "a good one").status == 302
    assert f"root changed record {record.pk}" in (disk / "muster.log").read_text("utf-8"), "the log goes on"
