"""Ctrl-C, SIGTERM and a closed terminal: one sentence and nothing changed, or done and said so."""

from __future__ import annotations

import fcntl
import mmap
import signal
import termios
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from tests.builders.big_registers import filled
from tests.conftest import DEEP, sqlite_suffices
from tests.faults.conftest import RECORDS, Files
from tests.running import commands, inspection
from tests.running.commands import SECONDS, Ended, Moments, at_phase, end, injected, run, signalled, start
from tests.running.installation import NewInstallation, ScratchInstallation

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
TIMES = 30 if DEEP else 3


def assert_nothing_done(ended: Ended) -> None:
    assert ended.code == 1, (ended.code, ended.err)
    commands.assert_clear(ended.err)
    assert "Interrupted" in ended.sentence


def test_a_restore_at_random_moments(installation: ScratchInstallation, files: Files, tmp_path: Path) -> None:
    installation.env["TMPDIR"] = str(tmp_path / "tmp")
    (tmp_path / "tmp").mkdir()
    moments = Moments(f"interrupted restore on {installation.engine}")
    assert run(installation, "restore_data", "--input", files.a).code == 0
    seconds = run(installation, "restore_data", "--input", files.b).seconds
    now = files.b
    for number in SIGNALS * (TIMES // 3):
        before = inspection.state_of(installation)
        target = files.other(now)
        moment = moments.within(seconds, seconds * 0.2)
        ended = signalled(installation, ("restore_data", "--input", target, "--base", "none"), moment, number)
        print(f"{number.name} after {moment:.3f} of {seconds:.3f} s: {ended.code}")
        if ended.code == 0:
            assert "Done" in ended.out
            now = target
            assert inspection.content_of(installation) == files.content[target]
        else:
            assert_nothing_done(ended)
            assert inspection.state_of(installation) == before
        assert inspection.leftovers(installation.folder, tmp_path / "tmp") == []
    assert run(installation, "backup_data").code == 0
    inspection.accounts(installation).assert_settled()


@sqlite_suffices
def test_a_backup_at_random_moments(installation: ScratchInstallation) -> None:
    filled(installation, RECORDS)
    moments = Moments(f"interrupted backup on {installation.engine}")
    target = installation.folder / "full.json"
    seconds = run(installation, "backup_data", "--output", target).seconds
    for number in SIGNALS * (TIMES // 3):
        target.unlink(missing_ok=True)
        moment = moments.within(seconds, seconds * 0.2)
        ended = signalled(installation, ("backup_data", "--output", target), moment, number)
        print(f"{number.name} after {moment:.3f} of {seconds:.3f} s: {ended.code}")
        if ended.code == 0:
            inspection.assert_valid(target)
        else:
            assert_nothing_done(ended)
            assert not target.exists()
        assert inspection.leftovers(installation.folder) == []
    assert run(installation, "backup_data").code == 0
    inspection.accounts(installation).assert_settled()


@pytest.mark.parametrize("phase", ["check", "compare", "apply"])
@pytest.mark.parametrize("number", SIGNALS if DEEP else SIGNALS[:1])
def test_a_restore_in_each_phase(
    installation: ScratchInstallation, files: Files, phase: str, number: signal.Signals
) -> None:
    before = inspection.state_of(installation)
    fault = at_phase(phase, f"os.kill(os.getpid(), {int(number)})")
    assert_nothing_done(end(injected(installation, fault, "restore_data", "--input", files.a)))
    assert inspection.state_of(installation) == before
    log = inspection.last_log(installation)
    assert not log.success
    assert "interrupted" in log.error_message
    inspection.accounts(installation).assert_settled()


def test_while_it_is_being_committed_it_is_done(installation: ScratchInstallation, files: Files) -> None:
    """From the moment of commit on nothing stops it, and it says the truth."""
    fault = at_phase("commit", "[os.kill(os.getpid(), n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]")
    ended = end(injected(installation, fault, "restore_data", "--input", files.a, "--json"))
    assert ended.code == 0, ended.err
    assert '"ok": true' in ended.out
    assert inspection.content_of(installation) == files.content[files.a]
    ended = end(injected(installation, fault, "backup_data", "--output", installation.folder / "full.json", "--quiet"))
    assert (ended.code, ended.err) == (0, "")
    assert inspection.file_content(installation.folder / "full.json") == files.content[files.a]
    inspection.accounts(installation).assert_settled()


@pytest.mark.parametrize("number", SIGNALS)
def test_after_the_last_word_nothing_changes_it(
    new_installation: NewInstallation, files: Files, number: signal.Signals
) -> None:
    """A signal that comes while Python ends turns neither success into failure nor failure into a kill."""
    installation = new_installation("sqlite")
    fault = f"import atexit\natexit.register(lambda: os.kill(os.getpid(), {int(number)}))\n"
    ended = end(injected(installation, fault, "restore_data", "--input", files.a, "--quiet"))
    assert (ended.code, ended.err) == (0, "")
    refused = end(injected(installation, fault, "restore_data", "--input", installation.folder / "no such file"))
    refused.assert_refused("no such file")


def test_while_it_starts(new_installation: NewInstallation) -> None:
    """Before the command has begun there is nothing to say but that; and no traceback."""
    installation = new_installation("sqlite")
    before = inspection.state_of(installation)
    for number in SIGNALS:
        for moment in (0.08, 0.2, 0.3):
            ended = signalled(installation, ("backup_data",), moment, number)
            if ended.err.startswith("Fatal Python error: init_"):
                continue  # before there was any code of ours: on a busy machine Python takes that long
            commands.assert_clear(ended.err)
            if ended.code != -number:  # before Python itself was up
                assert ended.code in (0, 1)
    assert inspection.state_of(installation) == before


@sqlite_suffices
def test_a_second_signal_does_not_disturb_the_cleaning_up(installation: ScratchInstallation) -> None:
    filled(installation, 2_000)
    fault = at_phase("write", "os.kill(os.getpid(), signal.SIGINT)") + (
        "_save = operations.Run.save_log\n"
        "def _again(self, **options):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return _save(self, **options)\n"
        "operations.Run.save_log = _again\n"
    )
    assert_nothing_done(end(injected(installation, fault, "backup_data")))
    inspection.accounts(installation).assert_settled()
    assert inspection.leftovers(installation.backups) == []


def test_what_the_parent_ignores_stays_ignored(new_installation: NewInstallation) -> None:
    """``nohup``: the terminal is closed, and the backup goes on."""
    installation = filled(new_installation("sqlite"), 2_000)
    fault = at_phase("write", "os.kill(os.getpid(), signal.SIGHUP)")
    process = injected(
        installation,
        fault,
        "backup_data",
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    ended = end(process)
    assert ended.code == 0, ended.err


def _wait_until_in(pipe: IO[bytes], is_enough: Callable[[int], bool]) -> None:
    """Wait for the count of bytes in a pipe whose other end somebody else has."""
    deadline = time.monotonic() + SECONDS
    found = array("i", [0])
    while fcntl.ioctl(pipe, termios.FIONREAD, found) or not is_enough(found[0]):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


def test_waiting_for_a_pipe(new_installation: NewInstallation) -> None:
    """Standard input that never comes, and a pipe that nobody reads."""
    installation = filled(new_installation("sqlite"), 2_000)
    process = start(installation, "restore_data", "--input", "-", stdin=-1)
    assert process.stdin
    process.stdin.write(b"{")
    process.stdin.flush()
    _wait_until_in(process.stdin, lambda count: count == 0)  # it was read, and more is waited for
    process.send_signal(signal.SIGINT)
    assert_nothing_done(end(process))
    process = start(installation, "backup_data", "--output", "-", "--quiet")
    assert process.stdout
    full = fcntl.fcntl(process.stdout, fcntl.F_GETPIPE_SZ)
    _wait_until_in(process.stdout, lambda count: count > full - 2 * mmap.PAGESIZE)  # pages may be full in part
    process.send_signal(signal.SIGTERM)
    assert_nothing_done(end(process))
    inspection.accounts(installation).assert_settled()


def test_a_signal_that_comes_in_a_finalizer_is_not_lost(new_installation: NewInstallation) -> None:
    """Python prints and forgets what is raised there; the command stops at its next step."""
    installation = filled(new_installation("sqlite"), 2_500)
    fault = at_phase("write", "type('T', (), {'__del__': lambda self: os.kill(os.getpid(), signal.SIGINT)})()")
    assert_nothing_done(end(injected(installation, fault, "backup_data", "--output", "full.json")))
    assert not (installation.folder / "full.json").exists()
