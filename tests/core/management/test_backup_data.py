"""``backup_data`` as a stranger uses it, rightly and wrongly."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
import stat
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import zstandard

from core.models import AttendanceRecord, BackupLog
from tests.builders.big_registers import filled
from tests.running import commands, inspection
from tests.running.commands import Ended, run
from tests.running.installation import NewInstallation, ScratchInstallation

KEYS = {
    "ok",
    "operation",
    "file",
    "id",
    "type",
    "companies",
    "records",
    "added",
    "updated",
    "deleted",
    "skipped",
    "kept",
    "undecided",
    "conflicts",
    "seconds",
    "errors",
    "models",
}


def metadata(path: Path) -> dict[str, Any]:
    """The metadata of a file that is whole."""
    inspection.assert_valid(path)
    return json.loads(path.read_bytes())["metadata"]


def records(path: Path) -> list[dict[str, Any]]:
    inspection.assert_valid(path)
    return json.loads(path.read_bytes())["attendance_records"]


def test_the_json_summary(small_sqlite: ScratchInstallation) -> None:
    path = small_sqlite.folder / "a name with spaces – ü.json"
    done = run(small_sqlite, "backup_data", "--output", path, "--json")
    assert done.code == 0, done.err
    (line,) = done.out.splitlines()
    summary = json.loads(line)
    assert set(summary) >= KEYS
    assert "rejected" not in summary
    said = {name: summary[name] for name in ("ok", "operation", "file", "type", "companies", "records", "errors")}
    assert said == {
        "ok": True,
        "operation": "backup_full",
        "file": str(path),
        "type": "full",
        "companies": 9,
        "records": 100,
        "errors": [],
    }
    assert summary["models"] == {
        "companies": {"read": 9},
        "attendance_records": {"read": 100},
        "seals": {"read": 0},
    }
    assert summary["id"] == metadata(path)["id"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    log = inspection.last_log(small_sqlite)
    assert (log.success, log.operation, log.filename, log.records_count) == (True, "backup_full", str(path), 100)
    assert str(log.backup_id) == summary["id"]
    assert log.digest == summary["sha256"]


def test_without_output_it_goes_to_the_storage(small_sqlite: ScratchInstallation) -> None:
    small_sqlite.env["TIME_ZONE"] = "Asia/Kolkata"
    first, second = (json.loads(run(small_sqlite, "backup_data", "--json").out)["file"] for _ in range(2))
    assert first != second
    for name in (first, second):
        path = Path(name)
        assert path.parent == small_sqlite.backups
        inspection.assert_valid(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    taken = dt.datetime.strptime(Path(first).name, "backup_full_%Y%m%d_%H%M%S.json")  # noqa: DTZ007
    here = dt.datetime.now(dt.timezone(dt.timedelta(hours=5, minutes=30))).replace(tzinfo=None)
    assert abs(here - taken) < dt.timedelta(minutes=2)
    assert stat.S_IMODE(small_sqlite.backups.stat().st_mode) == 0o700


def test_what_it_says_without_json(small_sqlite: ScratchInstallation) -> None:
    done = run(small_sqlite, "backup_data", "--output", "full.json")  # it shows progress if the machine is slow
    assert done.out.startswith("Backed up 100 attendance records and 9 companies in ")
    assert str(small_sqlite.folder / "full.json") in done.out
    quiet = run(small_sqlite, "backup_data", "--output", "full.json", "--quiet")
    assert quiet.err == ""


def test_standard_output(small_sqlite: ScratchInstallation) -> None:
    """Nothing on it but the file; the JSON summary is on standard error."""
    process = commands.start(small_sqlite, "backup_data", "--output", "-", "--json", "--quiet")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    path = small_sqlite.folder / "piped.json"
    path.write_bytes(out)
    inspection.assert_valid(path)
    (line,) = err.decode().splitlines()
    assert json.loads(line)["file"] == "-"
    quiet = commands.start(small_sqlite, "backup_data", "--output", "-", "--compress", "zstd")
    out, err = quiet.communicate(timeout=60)
    assert err == b""
    assert zstandard.ZstdDecompressor().stream_reader(out).read().endswith(b"}\n")


GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def test_compression(small_sqlite: ScratchInstallation) -> None:
    """By the name, by the option, and in the storage."""
    asked: dict[tuple[str, ...], bytes] = {
        ("--output", "a.json.gz"): GZIP,
        ("--output", "a.json.zst"): ZSTD,
        ("--output", "B.JSON.GZ"): GZIP,
        ("--output", "c.json", "--compress", "gzip"): GZIP,
        ("--output", "d.json", "--compress", "zstd"): ZSTD,
        ("--compress", "gzip"): GZIP,
    }
    for ended, magic in zip(
        together(small_sqlite, "backup_data", *asked, more=("--json",)), asked.values(), strict=True
    ):
        assert ended.code == 0, ended.err
        path = Path(json.loads(ended.out)["file"])
        assert path.read_bytes().startswith(magic)
        inspection.assert_valid(path)
        if path.parent == small_sqlite.backups:
            assert path.name.endswith(".json.gz")
        if magic == GZIP:
            assert json.loads(gzip.decompress(path.read_bytes()))["metadata"]["version"] == "2.0"


def together(
    installation: ScratchInstallation, command: str, *all_args: Sequence[str], more: Sequence[str] = ()
) -> list[Ended]:
    """Run a command with each of these arguments, several at a time."""
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(lambda args: run(installation, command, *args, *more), all_args))


SET_BACK = """
import datetime
from django.utils import timezone
_now = timezone.now
timezone.now = lambda: _now() - datetime.timedelta(days=1)
"""


def test_a_clock_that_was_set_back(small_sqlite: ScratchInstallation) -> None:
    """What changed is told by what there is, and by no clock."""
    full = small_sqlite.folder / "full.json"
    assert run(small_sqlite, "backup_data", "--output", full).code == 0
    with small_sqlite.opened() as alias:
        row = AttendanceRecord.objects.using(alias)[0]
        AttendanceRecord.objects.using(alias).filter(pk=row.pk).update(shift="NIGHT", updated_at="2020-01-01T00:00:00Z")
    command = ("backup_data", "--type", "incremental", "--output", "inc.json", "--json")
    ended = commands.end(commands.injected(small_sqlite, SET_BACK, *command))
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["records"] == 1


WRONG = {
    "an unknown option": ["--colour"],
    "an unknown type": ["--type", "partial"],
    "an unknown compression": ["--compress", "zip"],
    "since with full": ["--since", "2026-11-01"],
    "a parent with full": ["--parent", "3f9a"],
    "an installation with full": ["--for", "Site A"],
    "a parent and an installation": ["--type", "incremental", "--parent", "3f9a", "--for", "Site A"],
    "a parent and a moment": ["--type", "incremental", "--parent", "3f9a", "--since", "2026-11-01"],
    "an incremental selection without a moment": ["--type", "incremental", "--company", "ABC Corp"],
    "a since that is none": ["--type", "incremental", "--since", "yesterday"],
    "a since that cannot be": ["--type", "incremental", "--since", "2026-02-30"],
    "a since in the future": ["--type", "incremental", "--since", "2999-01-01"],
    "a day that is none": ["--date-from", "1.3.2026"],
    "a first day after the last": ["--date-from", "2026-03-02", "--date-to", "2026-03-01"],
    "two compressions": ["--output", "a.json.gz", "--compress", "zstd"],
    **{
        f"an output that ends in {ending}": ["--output", f"a.json{ending}", *more]
        for ending, more in {
            ".xz": [],
            ".ZIP": [],
            ".bz2": [],
            ".7z": [],
            ".zstd": ["--compress", "zstd"],
            ".tar.gz": [],
            ".tgz": [],
        }.items()
    },
    "a word too many": ["full.json"],
    "another version": ["--format", "3.0"],
    "a selection as 1.0": ["--format", "1.0", "--company", "ABC Corp"],
    "an incremental as 1.0 without a moment": ["--format", "1.0", "--type", "incremental"],
    "an output without a value": ["--output"],
    "an output without a name": ["--output", ""],
    "an output that is a folder": ["--output", "new/"],
}


def test_wrong_usage(new_installation: NewInstallation) -> None:
    assert_wrong(new_installation("sqlite"), "backup_data", WRONG)


def assert_wrong(installation: ScratchInstallation, command: str, wrong: dict[str, list[str]]) -> None:
    """Each exits 2 and does nothing."""
    for kind, ended in zip(wrong, together(installation, command, *wrong.values()), strict=True):
        assert ended.code == 2, (kind, ended.err)
        commands.assert_clear(ended.err)
        assert ended.out == "", kind
    with installation.opened() as alias:
        assert not BackupLog.objects.using(alias).exists()
    assert not list(installation.folder.glob("*.json*"))


def test_help_explains_every_option(new_installation: NewInstallation) -> None:
    installation = new_installation("sqlite")
    for command, options in {
        "backup_data": "--type --output --since --company --date-from --date-to --compress --json --quiet",
        "restore_data": "--input --strategy --preview --json --quiet",
    }.items():
        done = run(installation, command, "--help", "--no-color")
        assert done.code == 0
        assert "exit status: 0 done" in done.out
        assert "examples:" in done.out
        for option in options.split():
            text = done.out[done.out.index(f"\n  {option}") :].split("\n  -")[1]
            words = " ".join(text.split()[1:])
            assert len(words) > 20, (option, words)


def test_incremental(small: ScratchInstallation) -> None:
    refused = run(small, "backup_data", "--type", "incremental", "--output", "inc.json")
    refused.assert_refused("no backup yet", "Take a full backup first", "No backup was written")
    full = small.folder / "full.json"
    assert run(small, "backup_data", "--output", full).code == 0
    with small.opened() as alias:
        rows = AttendanceRecord.objects.using(alias).filter(company__name="ABC Corp")
        changed, gone, later = rows[:3]
        rows.filter(pk=changed.pk).update(shift="NIGHT")
        gone.delete(using=alias)
    inc, again = small.folder / "inc.json", small.folder / "again.json"
    ended = run(small, "backup_data", "--type", "incremental", "--output", inc, "--json")
    assert ended.code == 0, ended.err
    said, parent = json.loads(ended.out), metadata(full)["snapshot"]["id"]
    assert (said["parent"], said["snapshot"]) == (parent, metadata(inc)["snapshot"]["id"])
    assert (said["records"], said["deleted"]) == (1, 1)
    assert (metadata(inc)["parent"], metadata(inc)["since_date"]) == (parent, None)
    assert [record["shift"] for record in records(inc)] == ["NIGHT"]
    with small.opened() as alias:
        AttendanceRecord.objects.using(alias).filter(pk=later.pk).update(shift="LATER")
    for asked in (parent[:12], metadata(full)["id"]):
        ended = run(small, "backup_data", "--type", "incremental", "--parent", asked, "--output", again)
        assert f"They changed after snapshot {parent[:10]}; 1 deletion beside them." in ended.out
        assert sorted(record["shift"] for record in records(again)) == ["LATER", "NIGHT"]
    refused = run(small, "backup_data", "--type", "incremental", "--for", "Nobody")
    refused.assert_refused("No installation Nobody is known here. Known are: none yet.", "No backup was written")


SINCE = {
    "UTC": {
        "2026-03-01": "2026-03-01T00:00:00.000000Z",
        "2026-03-01T10:00:00.5+02:00": "2026-03-01T08:00:00.500000Z",
    },
    "Asia/Kolkata": {
        "2026-03-01": "2026-02-28T18:30:00.000000Z",
        "2026-03-01T10:00": "2026-03-01T04:30:00.000000Z",
        "2026-03-01 10:00:05": "2026-03-01T04:30:05.000000Z",
        "2026-03-01T10:00:00Z": "2026-03-01T10:00:00.000000Z",
    },
}


@pytest.mark.parametrize("zone", SINCE)
def test_since(small_sqlite: ScratchInstallation, zone: str) -> None:
    """A date or a moment, in the project's TIME_ZONE unless it says."""
    small_sqlite.env["TIME_ZONE"] = zone
    asked = [("--since", since, "--output", f"{n}.json") for n, since in enumerate(SINCE[zone])]
    ends = together(small_sqlite, "backup_data", *asked, more=("--type", "incremental"))
    for n, (ended, means) in enumerate(zip(ends, SINCE[zone].values(), strict=True)):
        assert ended.code == 0, ended.err
        said = metadata(small_sqlite.folder / f"{n}.json")
        assert (said["since_date"], said["parent"], said["deletions"]) == (means, None, "unknown")


def test_a_since_out_of_reach(new_installation: NewInstallation) -> None:
    installation = new_installation("sqlite")
    installation.env["TIME_ZONE"] = "Asia/Kolkata"
    assert_wrong(installation, "backup_data", {"first": ["--type", "incremental", "--since", "0001-01-01"]})


def test_selection(small_sqlite: ScratchInstallation) -> None:
    path = small_sqlite.folder / "abc.json"
    chosen = ["--company", "ABC Corp", "--date-from", "2026-03-02", "--date-to", "2026-03-04"]
    assert run(small_sqlite, "backup_data", *chosen, "--output", path).code == 0
    assert [record["date"] for record in records(path)] == ["2026-03-02", "2026-03-03", "2026-03-04"]
    assert metadata(path)["selection"] == {
        "companies": ["ABC Corp"],
        "date_from": "2026-03-02",
        "date_to": "2026-03-04",
    }
    both = ["--company", "ABC Corp", "--company", "Company 0"]
    assert run(small_sqlite, "backup_data", *both, "--output", path).code == 0
    assert {record["company_name"] for record in records(path)} == {"ABC Corp", "Company 0"}
    refused = run(small_sqlite, "backup_data", "--company", "Nobody & Sons", "--output", path)
    refused.assert_refused("no company 'Nobody & Sons'", "No backup was written")
    # A selection is no parent of an incremental.
    run(small_sqlite, "backup_data", "--type", "incremental").assert_refused("no backup yet")


def test_outputs_that_are_not_plain_files(small_sqlite: ScratchInstallation) -> None:
    folder = small_sqlite.folder
    existing = folder / "existing.json"
    existing.write_text("old")
    assert run(small_sqlite, "backup_data", "--output", existing).code == 0
    inspection.assert_valid(existing)
    (folder / "link.json").symlink_to(existing)
    old = existing.stat().st_ino
    assert run(small_sqlite, "backup_data", "--output", folder / "link.json").code == 0
    assert (folder / "link.json").is_symlink()
    assert existing.stat().st_ino != old
    inspection.assert_valid(existing)
    (folder / "dangling.json").symlink_to(folder / "new.json")
    assert run(small_sqlite, "backup_data", "--output", folder / "dangling.json").code == 0
    inspection.assert_valid(folder / "new.json")
    (folder / "folder").mkdir()
    refused = run(small_sqlite, "backup_data", "--output", folder / "folder")
    refused.assert_refused(str(folder / "folder"), "it is a folder", "No backup was written")
    run(small_sqlite, "backup_data", "--output", "/dev/full").assert_refused("disk is full", "No backup was written")
    run(small_sqlite, "backup_data", "--output", existing / "x.json").assert_refused("not a folder", "No backup")
    run(small_sqlite, "backup_data", "--output", "x" * 300).assert_refused("name is too long", "No backup was written")
    assert inspection.leftovers(folder) == []


def test_a_named_pipe(small_sqlite: ScratchInstallation) -> None:
    pipe, path = small_sqlite.folder / "pipe", small_sqlite.folder / "read.json"
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: path.write_bytes(pipe.read_bytes()))
    reader.start()
    ended = run(small_sqlite, "backup_data", "--output", pipe)
    reader.join(30)
    assert ended.code == 0, ended.err
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    inspection.assert_valid(path)


def test_a_reader_that_stops(new_installation: NewInstallation) -> None:
    installation = filled(new_installation("sqlite"), 3_000)
    process = commands.start(installation, "backup_data", "--output", "-")
    assert process.stdout
    process.stdout.read(10)
    process.stdout.close()
    process.stdout = None
    commands.end(process).assert_refused("reading the output has stopped", "No backup was written")


def test_databases_that_cannot_be_used(new_installation: NewInstallation) -> None:
    installation = new_installation("sqlite")
    for url, words in {
        "sqlite:///no/such/folder/muster.sqlite3": ("cannot be opened", "DATABASE_URL"),
        f"sqlite:///{installation.folder}/fresh.sqlite3": ("migrate",),
        f"sqlite:///{installation.folder}/junk.sqlite3": ("not an SQLite database", "DATABASE_URL"),
        "oracle://nobody@nowhere/x": ("DATABASE_URL", "SQLite and PostgreSQL"),
        "nonsense": ("DATABASE_URL",),
        f"postgresql://nobody@/x?host={installation.folder}": ("connection to the database",),
    }.items():
        for junk in ("junk.sqlite3", "junk-jobs.sqlite3"):
            (installation.folder / junk).write_text("no such thing " * 500)
        installation.env["DATABASE_URL"] = url
        for command in (("backup_data",), ("restore_data", "--input", installation.folder / "junk.sqlite3")):
            ended = run(installation, *command)
            ended.assert_refused(*words)


@pytest.mark.postgres
def test_a_postgres_database_that_is_not_migrated(new_installation: NewInstallation) -> None:
    installation = new_installation("postgres")
    name = installation.database_url.rpartition("?")[0].rpartition("/")[2]
    installation.env["DATABASE_URL"] = installation.database_url.replace(name, "postgres")
    for command in (("backup_data",), ("restore_data", "--input", installation.folder / "any.json")):
        run(installation, *command).assert_refused("manage.py migrate")


def test_what_is_not_utf_8(small_sqlite: ScratchInstallation) -> None:
    """A file may be named so; no company is. Neither ends in an error that nobody foresaw."""
    strange = os.fsdecode(b"caf\xe9.json")
    done = run(small_sqlite, "backup_data", "--output", strange, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["file"] == str(small_sqlite.folder / "caf\\xe9.json")
    inspection.assert_valid(small_sqlite.folder / strange)
    assert run(small_sqlite, "restore_data", "--input", strange, "--preview").code == 0
    refused = run(small_sqlite, "backup_data", "--company", os.fsdecode(b"caf\xe9"), "--output", strange, "--json")
    refused.assert_refused(r"There is no company 'caf\xe9' in the register. No backup was written.")
    assert json.loads(refused.out)["file"] == "caf\\xe9.json"
    for command in (("restore_data", "--input"), ("import_attendance",)):
        missing = run(small_sqlite, *command, os.fsdecode(b"gone-\xe9.json"))
        missing.assert_refused(r"gone-\xe9.json: there is no such file", "Nothing was changed.")
        assert inspection.last_log(small_sqlite).filename == r"gone-\xe9.json"
