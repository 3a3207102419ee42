"""Killed (``kill -9``) at random moments: the old state or the new one, whole files, and the truth afterwards."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from core.models import AttendanceRecord, Company, Operation
from tests.builders.big_registers import filled
from tests.builders.sheets import as_csv, row, table
from tests.conftest import sqlite_suffices
from tests.faults.conftest import RECORDS, ROUNDS, Files
from tests.running import commands, inspection
from tests.running.commands import Moments, injected, run, signalled
from tests.running.installation import NewInstallation, ScratchInstallation


def test_a_killed_restore_has_happened_or_not(installation: ScratchInstallation, files: Files) -> None:
    moments = Moments(f"killed restore on {installation.engine}")
    first = run(installation, "restore_data", "--input", files.a, "--quiet")
    assert first.code == 0, first.err
    seconds = run(installation, "restore_data", "--input", files.b, "--quiet").seconds
    now = files.b
    for _ in range(ROUNDS):
        before = inspection.state_of(installation)
        target = files.other(now)
        moment = moments.within(seconds, seconds * 0.2)
        command = ("restore_data", "--input", target, "--base", "none", "--quiet")
        killed = signalled(installation, command, moment, signal.SIGKILL)
        print(f"after {moment:.3f} of {seconds:.3f} s: {killed.code}")
        if inspection.state_of(installation) == before:
            assert killed.code != 0, "it said that it was done"
            # The next command works, and does what the killed one did not.
            again = run(installation, *command)
            assert again.code == 0, again.err
        else:
            again = run(installation, "backup_data", "--quiet")  # so that the killed one is accounted for
            assert again.code == 0, again.err
        now = target
        assert inspection.content_of(installation) == files.content[now]
        inspection.accounts(installation).assert_settled()
        assert inspection.leftovers(installation.folder, installation.backups) == []
        assert not list((installation.folder / "muster.sqlite3.locks").glob("operation-*"))


def test_a_killed_first_restore_has_happened_or_not(installation: ScratchInstallation, files: Files) -> None:
    """Into an empty register: all that is written are additions."""
    moments = Moments(f"killed first restore on {installation.engine}")
    empty = inspection.state_of(installation)
    for _ in range(max(1, ROUNDS // 5)):
        killed = signalled(
            installation, ("restore_data", "--input", files.a, "--quiet"), moments.within(0.5, 0.15), signal.SIGKILL
        )
        if inspection.state_of(installation) != empty:
            break
        assert killed.code != 0
    again = run(installation, "restore_data", "--input", files.a, "--quiet")
    assert again.code == 0, again.err
    assert inspection.content_of(installation) == files.content[files.a]
    inspection.accounts(installation).assert_settled()


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    """A sheet of new rows of two new companies, so many that indexes are made afterwards."""
    names = ("Company 0", "Nova")
    rows = [row(ep_no=f"E{number:05}", company_name=names[number % 2]) for number in range(RECORDS)]
    path = tmp_path / "sheet.csv"
    path.write_bytes(as_csv(table(*rows)).getvalue())
    return path


def _structure(installation: ScratchInstallation) -> dict[str, Any]:
    """The indexes and constraints of the register's largest table."""
    with installation.opened() as alias, connections[alias].cursor() as cursor:
        table = AttendanceRecord._meta.db_table
        return dict(connections[alias].introspection.get_constraints(cursor, table))


def test_a_killed_import_has_happened_or_not(installation: ScratchInstallation, sheet: Path) -> None:
    moments = Moments(f"killed import on {installation.engine}")
    empty, structure = inspection.state_of(installation), _structure(installation)
    for _ in range(max(1, ROUNDS // 5)):
        killed = signalled(installation, ("import_attendance", sheet), moments.within(1.0, 0.2), signal.SIGKILL)
        if inspection.state_of(installation) != empty:
            break
        assert killed.code != 0
    again = run(installation, "import_attendance", sheet)
    assert again.code == 0, again.err
    assert _structure(installation) == structure
    with installation.opened() as alias:
        assert AttendanceRecord.objects.using(alias).count() == RECORDS
        assert Company.objects.using(alias).count() == 2
    inspection.accounts(installation).assert_settled()


_AFTER_ROWS = (
    "import signal\nfrom recordsync.stores.sql import SqlStore\n_add = SqlStore.add\n"
    "def _and_die(self, model, records, now):\n    _add(self, model, records, now)\n"
    "    if model.name == 'attendance_records': os.kill(os.getpid(), signal.SIGKILL)\n"
    "SqlStore.add = _and_die\n"
)


@pytest.mark.parametrize("command", ["restore_data", "restore_data --exclusive", "import_attendance"])
def test_killed_after_rows_were_written(
    installation: ScratchInstallation, files: Files, sheet: Path, command: str
) -> None:
    """While the rest is still to be read, and while indexes are away."""
    words = [*command.split(), *(["--input", files.a] if command.startswith("restore_data") else [sheet])]
    before, structure = inspection.state_of(installation), _structure(installation)
    assert commands.end(injected(installation, _AFTER_ROWS, *words)).code == -signal.SIGKILL
    assert (inspection.state_of(installation), _structure(installation)) == (before, structure)
    again = run(installation, *words)
    assert again.code == 0, again.err
    assert _structure(installation) == structure
    with installation.opened() as alias:
        assert AttendanceRecord.objects.using(alias).count() == RECORDS
    inspection.accounts(installation).assert_settled()


@sqlite_suffices
def test_a_killed_backup_leaves_whole_files(installation: ScratchInstallation, tmp_path: Path) -> None:
    filled(installation, RECORDS)
    before, content = inspection.state_of(installation), inspection.content_of(installation)
    moments = Moments(f"killed backup on {installation.engine}")
    folder = tmp_path / "out"
    folder.mkdir()
    seconds = run(installation, "backup_data", "--quiet").seconds
    for n in range(ROUNDS):
        where = ["--output", folder / "full.json"] if n % 2 else []
        kept = (folder / "full.json").read_bytes() if (folder / "full.json").exists() else None
        moment = moments.within(seconds, seconds * 0.3)
        killed = signalled(installation, ("backup_data", "--quiet", *where), moment, signal.SIGKILL)
        print(f"after {moment:.3f} of {seconds:.3f} s: {killed.code}")
        inspection.assert_whole(folder)
        inspection.assert_whole(installation.backups)
        if killed.code == 0 and where:
            assert (folder / "full.json").read_bytes() != kept
        again = run(installation, "backup_data", "--quiet", *where)
        assert again.code == 0, again.err
        # Its own hidden file is gone, and that of the one before as well.
        assert inspection.leftovers(folder if where else installation.backups, installation.folder) == []
        inspection.accounts(installation).assert_settled()
    assert inspection.state_of(installation) == before
    inspection.assert_whole(installation.backups)
    for path in [*folder.glob("*.json"), *installation.backups.glob("*.json")]:
        assert inspection.file_content(path) == content


@sqlite_suffices
def test_killed_in_the_middle_of_a_file(installation: ScratchInstallation) -> None:
    """What was there before stays whole; what is not whole has no name, and is gone after the next backup."""
    filled(installation, 2_500)
    target = installation.folder / "out" / "full.json"
    target.parent.mkdir()
    assert run(installation, "backup_data", "--output", target).code == 0
    kept = target.read_bytes()
    fault = commands.at_phase("write", "os.kill(os.getpid(), signal.SIGKILL)")
    for where in (["--output", target], []):
        folder = target.parent if where else installation.backups
        assert commands.end(injected(installation, fault, "backup_data", *where)).code == -signal.SIGKILL
        assert len(inspection.leftovers(folder)) == 1
        assert inspection.assert_whole(folder) == (1 if where else 0)
        assert target.read_bytes() == kept
        assert run(installation, "backup_data", *(["--output", folder / "other.json"] if where else [])).code == 0
        assert inspection.leftovers(folder) == []
    inspection.accounts(installation).assert_settled()


@pytest.mark.parametrize(
    ("engine", "phase"),
    [("sqlite", "check"), ("sqlite", "apply"), pytest.param("postgres", "compare", marks=pytest.mark.postgres)],
)
def test_killed_in_each_phase_of_a_restore(
    new_installation: NewInstallation, files: Files, engine: str, phase: str
) -> None:
    installation = new_installation(engine)
    before = inspection.state_of(installation)
    fault = commands.at_phase(phase, "os.kill(os.getpid(), signal.SIGKILL)")
    assert commands.end(injected(installation, fault, "restore_data", "--input", files.a)).code == -signal.SIGKILL
    assert inspection.state_of(installation) == before
    again = run(installation, "restore_data", "--input", files.a)
    assert again.code == 0, again.err
    assert inspection.content_of(installation) == files.content[files.a]
    accounts = inspection.accounts(installation)
    accounts.assert_settled()
    assert sorted(accounts.outcomes.values()) == [Operation.State.FAILED, Operation.State.SUCCEEDED]
    (message,) = filter(None, accounts.messages.values())
    assert "killed" in message
    assert "Nothing was changed" in message


@sqlite_suffices
def test_killed_between_commit_and_the_last_word(installation: ScratchInstallation, files: Files) -> None:
    """The restore is done, and a later command says so although the process did not."""
    fault = (
        "import signal\nfrom core.operations import run as operations\n"
        "operations.Run.finish = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert commands.end(injected(installation, fault, "restore_data", "--input", files.a)).code == -signal.SIGKILL
    assert inspection.content_of(installation) == files.content[files.a]
    assert run(installation, "backup_data").code == 0
    accounts = inspection.accounts(installation)
    accounts.assert_settled()
    assert list(accounts.success.values()) == [True, True]


def test_killed_between_the_file_and_the_catalogue(new_installation: NewInstallation) -> None:
    """The file is whole under its name; it is not in the catalogue, and the operation counts as failed."""
    installation = filled(new_installation("sqlite"), 100)
    fault = (
        "import signal\nfrom core.backups import catalogue\n"
        "catalogue.add = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert commands.end(injected(installation, fault, "backup_data")).code == -signal.SIGKILL
    assert inspection.assert_whole(installation.backups) == 1
    assert run(installation, "backup_data").code == 0
    accounts = inspection.accounts(installation)
    accounts.assert_settled()
    assert sorted(accounts.success.values()) == [False, True]
