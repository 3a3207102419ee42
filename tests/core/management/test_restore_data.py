"""``restore_data`` as a stranger uses it, rightly and wrongly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from core.models import AttendanceRecord, BackupLog, Company
from tests.builders.days import day
from tests.builders.files import file
from tests.builders.registers import register
from tests.core.management.test_backup_data import KEYS, assert_wrong
from tests.running import commands, inspection
from tests.running.commands import Ended, run
from tests.running.installation import PROJECT, NewInstallation, ScratchInstallation


def change(installation: ScratchInstallation) -> None:
    """Two records edited, one deleted, one added, since the file was written."""
    with installation.opened() as alias:
        rows = AttendanceRecord.objects.using(alias)
        mine = list(rows.filter(company__name="ABC Corp").order_by("date"))
        rows.filter(pk=mine[0].pk).update(shift="NIGHT", status="L")
        rows.filter(pk=mine[1].pk).update(ep_name="Somebody <b>else</b>")
        rows.filter(pk=mine[2].pk).delete()
        rows.create(company=mine[0].company, ep_no="EMP002", date="2026-03-01", status="P")


def full(installation: ScratchInstallation, name: str = "full.json") -> Path:
    path = installation.folder / name
    done = run(installation, "backup_data", "--output", path, "--quiet")
    assert done.code == 0, done.err
    return path


def summary(ended: Ended) -> dict[str, Any]:
    """The one JSON object on standard output."""
    (line,) = ended.out.splitlines()
    return json.loads(line)


def logs(installation: ScratchInstallation) -> int:
    with installation.opened() as alias:
        return BackupLog.objects.using(alias).count()


def test_a_preview_locks_nothing_exclusively(small_sqlite: ScratchInstallation) -> None:
    path = full(small_sqlite)
    done = run(small_sqlite, "restore_data", "--input", path, "--preview", "--exclusive")
    assert done.code == 2
    assert "--exclusive does not go with --preview" in done.err
    assert run(small_sqlite, "restore_data", "--input", path, "--exclusive").code == 0


def test_restoring_what_is_there(small_sqlite: ScratchInstallation) -> None:
    path = full(small_sqlite)
    before = inspection.state_of(small_sqlite)
    done = run(small_sqlite, "restore_data", "--input", path, "--json", "--quiet")
    assert done.code == 0, done.err
    assert done.err == ""
    said = summary(done)
    assert set(said) >= KEYS
    assert "rejected" not in said
    assert (said["operation"], said["records"], said["skipped"], said["companies"]) == ("restore", 100, 100, 9)
    assert said["models"]["companies"]["skipped"] == 9
    assert inspection.state_of(small_sqlite) == before


def test_warnings_of_a_1_0_file(small_sqlite: ScratchInstallation) -> None:
    """On standard error, or in the summary; a long list is cut, and says so."""
    path = small_sqlite.folder / "old.json"
    assert run(small_sqlite, "backup_data", "--format", "1.0", "--output", path, "--quiet").code == 0
    once = run(small_sqlite, "restore_data", "--input", path, "--preview", "--quiet")
    assert (once.code, once.err) == (0, "")
    document = json.loads(path.read_bytes())
    records = document["attendance_records"]
    path.write_text(json.dumps({**document, "attendance_records": [*records, records[0]]}).replace("100", "101", 1))
    for more in (["--preview"], []):
        told = run(small_sqlite, "restore_data", "--input", path, "--quiet", *more)
        assert told.code == 0
        (line,) = told.err.splitlines()
        assert line.startswith("Warning: Attendance records, ABC Corp · EMP001 · 2026-03-01, records 1 and 101: ")
        done = run(small_sqlite, "restore_data", "--input", path, "--json", "--quiet", *more)
        assert done.err == ""
        assert [f"Warning: {warning}" for warning in summary(done)["warnings"]] == [line]
        assert (summary(done)["records"], summary(done)["skipped"]) == (101, 101)
    document["metadata"]["total_attendance_records"] = 200
    path.write_text(json.dumps({**document, "attendance_records": records * 2}))
    assert len(summary(run(small_sqlite, "restore_data", "--input", path, "--json"))["warnings"]) == 100
    document["metadata"]["total_attendance_records"] = 300
    path.write_text(json.dumps({**document, "attendance_records": records * 3}))
    warnings = summary(run(small_sqlite, "restore_data", "--input", path, "--json"))["warnings"]
    assert (len(warnings), warnings[-1]) == (101, "100 more records are in the file twice; the second is skipped")


def test_preview_counts_and_writes_nothing(small: ScratchInstallation) -> None:
    path = full(small)
    same = run(small, "restore_data", "--input", path, "--preview", "--quiet")
    assert (same.code, same.err) == (0, "")
    assert "Attendance records: 100 read; 0 to add, 0 to update, 0 to delete, 100 skipped" in same.out
    assert "Nothing to do." in same.out
    change(small)
    before, rows = inspection.state_of(small), logs(small)
    told = run(small, "restore_data", "--input", path, "--preview")
    assert told.code == 0
    assert "1 to add, 2 to update, 0 to delete, 97 skipped, 0 kept as here, 2 conflicts" in told.out
    assert "This was a preview: nothing was changed." in told.out
    assert 'ep_name here "Somebody <b>else</b>", backup "Zoë Müller-李"' in told.out
    said = summary(run(small, "restore_data", "--input", path, "--preview", "--json", "--quiet"))
    assert set(said) >= KEYS
    assert (said["operation"], said["added"], said["updated"], said["conflicts"]) == ("preview", 1, 2, 2)
    assert inspection.state_of(small) == before
    assert logs(small) == rows


def test_a_preview_says_that_the_restore_will_stop(small_sqlite: ScratchInstallation) -> None:
    path = full(small_sqlite)
    change(small_sqlite)
    exact = ("restore_data", "--input", path, "--mode", "exact")
    would = "This would add 1, change 2 and delete 1 attendance records."
    assert run(small_sqlite, *exact, "--preview").out.splitlines()[-2:] == [
        "This was a preview: nothing was changed.",
        f"Without --preview it stops first. {would} If that is what you want, say --yes.",
    ]
    run(small_sqlite, *exact).assert_refused(f"{would} Nothing was changed. If that is what you want, say --yes.")
    assert run(small_sqlite, *exact, "--yes").code == 0
    assert run(small_sqlite, *exact).code == 0, "nothing differs any more"


def test_a_company_that_only_records_name_is_told(small_sqlite: ScratchInstallation) -> None:
    path = small_sqlite.folder / "unlisted.json"
    path.write_bytes(file(register(day("New Ltd")), list_companies=False).encode())
    told = run(small_sqlite, "restore_data", "--input", path)
    assert "  1 of these was added because records name it." in told.out


def test_backup_wins(small: ScratchInstallation) -> None:
    path = full(small)
    content = inspection.file_content(path)
    change(small)
    said = summary(run(small, "restore_data", "--input", path, "--json"))
    counts = {name: said[name] for name in ("records", "added", "updated", "deleted", "skipped", "kept", "conflicts")}
    assert counts == {
        "records": 100,
        "added": 1,
        "updated": 2,
        "deleted": 0,
        "skipped": 97,
        "kept": 0,
        "conflicts": 2,
    }
    with small.opened() as alias:
        AttendanceRecord.objects.using(alias).get(ep_no="EMP002").delete()  # absence never deletes
    assert inspection.content_of(small) == content
    log = inspection.last_log(small)
    assert (log.success, log.operation, log.filename) == (True, "restore", str(path))
    assert (log.records_added, log.records_updated, log.records_skipped, log.records_kept) == (1, 2, 97, 0)
    assert log.companies_count == 9


def test_database_wins(small_sqlite: ScratchInstallation) -> None:
    path = full(small_sqlite)
    change(small_sqlite)
    said = summary(run(small_sqlite, "restore_data", "--input", path, "--strategy", "database_wins", "--json"))
    assert (said["added"], said["updated"], said["kept"], said["conflicts"]) == (1, 0, 2, 2)
    with small_sqlite.opened() as alias:
        assert AttendanceRecord.objects.using(alias).filter(shift="NIGHT", status="L").exists()


def test_manual_lists_the_conflicts_and_writes_nothing(small_sqlite: ScratchInstallation) -> None:
    path = full(small_sqlite)
    change(small_sqlite)
    before = inspection.state_of(small_sqlite)
    told = run(small_sqlite, "restore_data", "--input", path, "--strategy", "manual")
    assert told.code == 1
    commands.assert_clear(told.err)
    first, *rest = told.err.splitlines()
    assert first.startswith("Error: 2 conflicts are left for somebody to decide. Nothing was changed.")
    assert rest[0] == "  Attendance records:"
    assert rest[1].startswith(
        '    ABC Corp · EMP001 · 2026-03-01: conflict in shift, day: shift here "NIGHT", backup ""; '
    )
    assert len(rest) == 3
    said = summary(run(small_sqlite, "restore_data", "--input", path, "--strategy", "manual", "--json"))
    assert said["ok"] is False
    assert (said["conflicts"], said["undecided"]) == (2, 2)
    assert said["errors"][0]["key"] == ["ABC Corp", "EMP001", "2026-03-01"]
    assert "shift" in said["errors"][0]["field"]
    assert inspection.state_of(small_sqlite) == before
    assert not inspection.last_log(small_sqlite).success
    preview = run(small_sqlite, "restore_data", "--input", path, "--strategy", "manual", "--preview")
    assert preview.code == 0
    assert "0 kept as here, 2 to decide, 2 conflicts" in preview.out
    assert preview.out.splitlines()[3:5] == rest[:2], "as it is told where it is refused"
    said = summary(run(small_sqlite, "restore_data", "--input", path, "--strategy", "manual", "--preview", "--json"))
    assert (said["kept"], said["undecided"], said["conflicts"], said["records"]) == (0, 2, 2, 100)
    assert inspection.state_of(small_sqlite) == before


def test_manual_restores_where_there_is_nothing_to_decide(small_sqlite: ScratchInstallation) -> None:
    path = full(small_sqlite)
    with small_sqlite.opened() as alias:
        AttendanceRecord.objects.using(alias).filter(company__name="ABC Corp").delete()
    said = summary(run(small_sqlite, "restore_data", "--input", path, "--strategy", "manual", "--json"))
    assert (said["ok"], said["added"]) == (True, 10)


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_pipes_and_compression(
    small_sqlite: ScratchInstallation, new_installation: NewInstallation, suffix: str
) -> None:
    """``backup_data --output - | restore_data --input -`` moves a register."""
    other = new_installation("sqlite")
    compress = {"": [], ".gz": ["--compress", "gzip"], ".zst": ["--compress", "zstd"]}[suffix]
    writer = commands.start(small_sqlite, "backup_data", "--output", "-", *compress)
    reader = run(other, "restore_data", "--input", "-", "--json", stdin=writer.stdout)
    assert commands.end(writer).code == 0
    assert reader.code == 0, reader.err
    assert summary(reader)["file"] == "-"
    assert inspection.content_of(other) == inspection.content_of(small_sqlite)
    path = full(small_sqlite, f"full.json{suffix}")
    assert summary(run(other, "restore_data", "--input", path, "--json"))["skipped"] == 100
    with path.open("rb") as stream:
        assert summary(run(other, "restore_data", "--input", "-", "--json", stdin=stream))["skipped"] == 100


def test_a_name_says_nothing_about_compression(small_sqlite: ScratchInstallation) -> None:
    """What is read is recognised by its content."""
    path = full(small_sqlite, "full.json.gz")
    path.rename(small_sqlite.folder / "full name.json")
    assert run(small_sqlite, "restore_data", "--input", small_sqlite.folder / "full name.json").code == 0


def test_a_named_pipe(small_sqlite: ScratchInstallation) -> None:
    path, pipe = full(small_sqlite), small_sqlite.folder / "pipe"
    os.mkfifo(pipe)
    content = path.read_bytes()
    writer = threading.Thread(target=lambda: pipe.write_bytes(content))
    writer.start()
    ended = run(small_sqlite, "restore_data", "--input", pipe)
    writer.join(30)
    assert ended.code == 0, ended.err


def test_inputs_that_are_no_files(small_sqlite: ScratchInstallation) -> None:
    before = inspection.state_of(small_sqlite)
    for source, words in {
        "no such file.json": ("no such file.json", "there is no such file or folder"),
        str(small_sqlite.folder): ("it is a folder",),
        "muster.sqlite3/x": ("not a folder",),
    }.items():
        for preview in ([], ["--preview"]):
            ended = run(small_sqlite, "restore_data", "--input", source, *preview)
            ended.assert_refused(*words, "Nothing was changed")
    for empty in ("/dev/null", "-"):
        ended = run(small_sqlite, "restore_data", "--input", empty)
        assert ended.code == 1
        assert "not a valid backup" in ended.err
        assert "empty" in ended.err
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, PROJECT / "manage.py", "restore_data", "--input", "-"],
        env=small_sqlite.env,
        cwd=small_sqlite.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    commands.assert_clear(done.stderr)
    assert "Nothing was changed" in done.stderr
    assert inspection.state_of(small_sqlite) == before


WRONG = {
    "an input without a name": ["--input", ""],
    "no input": [],
    "an unknown strategy": ["--input", "x.json", "--strategy", "newest_wins"],
    "an unknown option": ["--input", "x.json", "--force"],
    "a word too many": ["--input", "x.json", "y.json"],
}


def test_wrong_usage(new_installation: NewInstallation) -> None:
    assert_wrong(new_installation("sqlite"), "restore_data", WRONG)


def test_an_unknown_strategy_is_answered_with_those_there_are(new_installation: NewInstallation) -> None:
    ended = run(new_installation("sqlite"), "restore_data", *WRONG["an unknown strategy"])
    assert "(choose from 'backup_wins', 'database_wins', 'manual')" in ended.err


def test_a_reader_of_the_preview_that_stops(small_sqlite: ScratchInstallation) -> None:
    """``… --preview | head -1``"""
    path = full(small_sqlite)
    with small_sqlite.opened() as alias:
        Company.objects.using(alias)
        AttendanceRecord.objects.using(alias).update(shift="NIGHT")
    process = commands.start(small_sqlite, "restore_data", "--input", path, "--preview")
    assert process.stdout
    process.stdout.close()
    process.stdout = None
    ended = commands.end(process)
    assert ended.code == 1
    commands.assert_clear(ended.err)


def test_a_summary_that_cannot_be_written(small_sqlite: ScratchInstallation) -> None:
    """The restore is done, and that is what is said, with the reason why nothing else is."""
    path = full(small_sqlite)
    content = inspection.content_of(small_sqlite)
    with small_sqlite.opened() as alias:
        AttendanceRecord.objects.using(alias).all().delete()
    with open("/dev/full", "wb") as nowhere:
        ended = run(small_sqlite, "restore_data", "--input", path, stdout=nowhere)
    assert "done" in ended.assert_refused("disk is full")
    assert inspection.content_of(small_sqlite) == content
    assert inspection.last_log(small_sqlite).success
