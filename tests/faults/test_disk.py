"""Full disks, folders that may not be written, files that are not there."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connections

from core.models import AttendanceRecord
from tests.builders.big_registers import filled
from tests.faults.conftest import Files, SmallDisk
from tests.running import commands, inspection
from tests.running.commands import Ended, run
from tests.running.installation import NewInstallation, ScratchInstallation

FULL = "disk is full"
LIMITED = "larger than allowed"


def fold_wal(installation: ScratchInstallation) -> None:
    """Move what is in SQLite's journal into the database file."""
    with installation.opened() as alias, connections[alias].cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def move_records_to(installation: ScratchInstallation, folder: Path) -> None:
    """Put the table of attendance records and its indexes into a PostgreSQL table space in this folder."""
    owner = Path(str(psycopg.conninfo.conninfo_to_dict(installation.database_url)["host"])).stat()
    os.chown(folder, owner.st_uid, owner.st_gid)
    folder.chmod(0o700)
    table = AttendanceRecord._meta.db_table
    with psycopg.connect(installation.database_url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
        connection.execute(f"ALTER TABLE {table} SET TABLESPACE small")


def move_records_back(installation: ScratchInstallation) -> None:
    with psycopg.connect(installation.database_url, autocommit=True) as connection:
        connection.execute(f"ALTER TABLE {AttendanceRecord._meta.db_table} SET TABLESPACE pg_default")
        connection.execute("DROP TABLESPACE small")


def limited(size: int) -> dict[str, Any]:
    """For start and run: no file of the process grows past so many bytes. Works for everybody, everywhere."""
    return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))}


def assert_failed(installation: ScratchInstallation, ended: Ended, *words: str) -> None:
    """Refused in one sentence, which is also in the audit trail."""
    sentence = ended.assert_refused(*words)
    log = inspection.last_log(installation)
    assert not log.success
    assert log.error_message in sentence
    inspection.accounts(installation).assert_settled()


def test_the_backups_target(installation: ScratchInstallation, small_disk: SmallDisk) -> None:
    filled(installation, 3_000)
    before = inspection.state_of(installation)
    disk = small_disk(512)
    for name in ("full.json", "full.json.gz"):
        (disk / "ballast").write_bytes(b"x" * (0 if name == "full.json" else 450_000))
        ended = run(installation, "backup_data", "--output", disk / name)
        assert_failed(installation, ended, FULL, "No backup was written")
        assert [path.name for path in disk.iterdir()] == ["ballast"]
    installation.env["BACKUP_DIR"] = str(disk)
    assert_failed(installation, run(installation, "backup_data"), FULL)
    assert [path.name for path in disk.iterdir()] == ["ballast"]
    assert inspection.state_of(installation) == before


def test_the_backups_target_keeps_the_file_that_was_there(
    installation: ScratchInstallation, small_disk: SmallDisk
) -> None:
    filled(installation, 1_000)
    disk = small_disk(700)
    assert run(installation, "backup_data", "--output", disk / "full.json").code == 0
    kept = (disk / "full.json").read_bytes()
    assert_failed(installation, run(installation, "backup_data", "--output", disk / "full.json"), FULL)
    assert (disk / "full.json").read_bytes() == kept
    assert inspection.leftovers(disk) == []


def test_the_backups_target_by_limit(installation: ScratchInstallation) -> None:
    """The same by a limit on file sizes, which needs no rights. It stays above what the database's files have."""
    filled(installation, 3_000)
    before = inspection.state_of(installation)
    target = installation.folder / "full.json"
    size = 1_250_000
    if installation.engine == "sqlite":
        fold_wal(installation)
        assert (installation.folder / "muster.sqlite3").stat().st_size < size
    ended = run(installation, "backup_data", "--output", target, **limited(size))
    assert_failed(installation, ended, LIMITED, "No backup was written")
    assert not target.exists()
    assert inspection.leftovers(installation.folder) == []
    assert inspection.state_of(installation) == before


def test_the_temporary_folder(installation: ScratchInstallation, files: Files, small_disk: SmallDisk) -> None:
    """Full while standard input is spooled, and full while the plan of what differs is written."""
    installation.manage("restore_data", "--input", files.b, check=True)
    before = inspection.state_of(installation)
    disk = small_disk(256)
    installation.env["TMPDIR"] = str(disk)
    with files.a.open("rb") as stream:
        ended = run(
            installation,
            "restore_data",
            "--input",
            "-",
            stdin=subprocess.Popen(["cat"], stdin=stream, stdout=-1).stdout,
        )
    assert_failed(installation, ended, FULL, "Nothing was changed")
    assert_failed(installation, run(installation, "restore_data", "--input", files.a), FULL, "Nothing was changed")
    preview = run(installation, "restore_data", "--input", files.a, "--preview")
    preview.assert_refused(FULL, "Nothing was changed")
    assert list(disk.iterdir()) == []
    assert inspection.state_of(installation) == before


@pytest.mark.postgres
def test_the_temporary_folder_by_limit(new_installation: NewInstallation, files: Files) -> None:
    installation = new_installation("postgres")
    installation.manage("restore_data", "--input", files.b, check=True)
    before = inspection.state_of(installation)
    ended = run(installation, "restore_data", "--input", files.a, **limited(300_000))
    assert_failed(installation, ended, LIMITED, "Nothing was changed")
    assert inspection.state_of(installation) == before


def test_the_sqlite_database(new_installation: NewInstallation, files: Files, small_disk: SmallDisk) -> None:
    """The register's own disk is full; the temporary folder is elsewhere."""
    made = new_installation("sqlite")
    databases = [path for path in made.folder.glob("muster*.sqlite3*") if path.is_file()]
    disk = small_disk(sum(path.stat().st_size for path in databases) // 1024 + 450)
    for path in databases:
        shutil.copy(path, disk)
    installation = ScratchInstallation("sqlite", disk, f"sqlite:///{disk / 'muster.sqlite3'}")
    installation.env["DATA_DIR"] = str(made.folder)
    before = inspection.state_of(installation)
    ended = run(installation, "restore_data", "--input", files.a)
    assert_failed(installation, ended, "database's disk is full", "Nothing was changed")
    assert inspection.state_of(installation) == before
    assert run(installation, "backup_data", "--output", made.folder / "after.json").code == 0


def test_the_sqlite_database_by_limit(new_installation: NewInstallation, files: Files) -> None:
    installation = new_installation("sqlite")
    before = inspection.state_of(installation)
    fold_wal(installation)
    size = (installation.folder / "muster.sqlite3").stat().st_size + 150_000
    ended = run(installation, "restore_data", "--input", files.a, **limited(size))
    ended.assert_refused("Nothing was changed")
    assert inspection.state_of(installation) == before
    assert run(installation, "restore_data", "--input", files.a).code == 0
    inspection.accounts(installation).assert_settled()


@pytest.mark.postgres
def test_the_postgres_database(new_installation: NewInstallation, files: Files, small_disk: SmallDisk) -> None:
    """A table space on a small disk. The server's own journal is elsewhere, so that it goes on."""
    installation = new_installation("postgres")
    disk = small_disk(200)
    move_records_to(installation, disk)
    before = inspection.state_of(installation)
    try:
        ended = run(installation, "restore_data", "--input", files.a)
        assert_failed(installation, ended, "database's disk is full", "Nothing was changed")
        assert inspection.state_of(installation) == before
    finally:
        move_records_back(installation)


def test_a_folder_that_may_not_be_written(new_installation: NewInstallation) -> None:
    installation = filled(new_installation("sqlite"), 100)
    before = inspection.state_of(installation)
    folder = installation.folder / "locked"
    folder.mkdir(mode=0o555)
    options = commands.bound_by_permissions()
    ended = run(installation, "backup_data", "--output", folder / "full.json", **options)
    assert_failed(installation, ended, str(folder), "permission is denied", "No backup was written")
    installation.env["BACKUP_DIR"] = str(folder / "backups")
    ended = run(installation, "backup_data", **options)
    assert_failed(installation, ended, str(folder), "permission is denied", "No backup was written")
    assert list(folder.iterdir()) == []
    assert inspection.state_of(installation) == before


DELETE = """
from core.models import Backup
from core.backups import jobs as backup_jobs
from core.operations.errors import OperationFailed
from core.operations.run import Actor
try:
    print(backup_jobs.delete(Backup.objects.get(), Actor("root")))
except OperationFailed as failure:
    print(failure)
print(bool(Backup.objects.get().file))
"""


def test_a_backup_in_a_folder_that_may_not_be_written(new_installation: NewInstallation) -> None:
    installation = new_installation("sqlite")
    assert run(installation, "backup_data").code == 0
    (file,) = installation.backups.glob("*.json")
    installation.backups.chmod(0o555)
    kept = run(installation, "shell", "--no-imports", "-c", DELETE, **commands.bound_by_permissions())
    assert kept.out.splitlines() == [
        f"{file}: permission is denied. Nothing was deleted, and the catalogue has it as before.",
        "True",
    ], kept.err
    assert file.exists()
    installation.backups.chmod(0o755)
    assert run(installation, "shell", "--no-imports", "-c", DELETE).out.splitlines() == ["True", "False"]
    assert not file.exists()


def test_a_file_that_may_not_be_read(new_installation: NewInstallation, files: Files) -> None:
    installation = new_installation("sqlite")
    path = installation.folder / "full.json"
    shutil.copy(files.a, path)
    path.chmod(0)
    before = inspection.state_of(installation)
    ended = run(installation, "restore_data", "--input", path, **commands.bound_by_permissions())
    assert_failed(installation, ended, "full.json", "permission is denied", "Nothing was changed")
    assert inspection.state_of(installation) == before


@pytest.mark.parametrize("names", [["muster.sqlite3"], ["muster-jobs.sqlite3"], ["muster.sqlite3.locks", "."]])
def test_an_sqlite_database_that_may_not_be_written(new_installation: NewInstallation, names: list[str]) -> None:
    """The register's file, the jobs', and their folder."""
    installation = filled(new_installation("sqlite"), 100)
    path = installation.folder / "full.json"
    assert run(installation, "backup_data", "--output", path).code == 0
    before = inspection.state_of(installation)
    fold_wal(installation)
    (installation.folder / "tmp").mkdir()
    installation.env["TMPDIR"] = str(installation.folder / "tmp")
    modes = {part: part.stat().st_mode for part in (installation.folder / name for name in names) if part.exists()}
    for part in modes:
        part.chmod(0o555 if part.is_dir() else 0o444)
    try:
        ended = run(installation, "restore_data", "--input", path, **commands.bound_by_permissions())
    finally:
        for part, mode in modes.items():
            part.chmod(mode)
    sentence = ended.assert_refused("Nothing was changed")
    assert "read-only" in sentence or "permission" in sentence
    assert inspection.state_of(installation) == before
    assert run(installation, "restore_data", "--input", path).code == 0
    inspection.accounts(installation).assert_settled()


def test_no_such_file(installation: ScratchInstallation) -> None:
    before = inspection.state_of(installation)
    ended = run(installation, "restore_data", "--input", installation.folder / "no such file.json")
    assert_failed(installation, ended, "no such file.json", "there is no such file or folder", "Nothing was changed")
    ended = run(installation, "backup_data", "--output", installation.folder / "no such folder" / "full.json")
    assert_failed(installation, ended, "no such folder", "there is no such file or folder", "No backup was written")
    assert inspection.state_of(installation) == before
