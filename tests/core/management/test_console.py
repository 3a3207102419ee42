"""What a person sees while a command runs: a bar on a terminal, a line a second elsewhere, nothing with --quiet."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import time
from typing import Any

from tests.builders.big_registers import filled
from tests.conftest import DEEP
from tests.running import commands, inspection
from tests.running.commands import at_phase, injected, run
from tests.running.installation import PROJECT, NewInstallation, ScratchInstallation

SLOW = (
    "import time\nfrom core.operations import run as operations\n_report = operations.Run.__call__\n"
    "def _call(self, phase, done, total, /):\n"
    "    time.sleep(0.15)\n"
    "    _report(self, phase, done, total)\n"
    "operations.Run.__call__ = _call\n"
)


def on_a_terminal(
    installation: ScratchInstallation, fault: str, *args: Any, also_output: bool = False
) -> tuple[int, str]:
    """The exit status of a command whose standard error (and output) is a terminal, and what it wrote there."""
    mine, its = pty.openpty()
    process = injected(installation, fault, *args, stderr=its, **({"stdout": its} if also_output else {}))
    os.close(its)
    seen = b""
    with contextlib.suppress(OSError):  # the terminal ends with its last writer
        while data := os.read(mine, 4096):
            seen += data
    os.close(mine)
    process.communicate(timeout=60)
    return process.returncode, seen.decode()


def test_a_bar_on_a_terminal(new_installation: NewInstallation) -> None:
    installation = filled(new_installation("sqlite"), 6_000)
    installation.env |= {"TERM": "xterm", "COLUMNS": "100"}
    code, seen = on_a_terminal(installation, SLOW, "backup_data", "--output", "full.json")
    assert code == 0, seen
    assert "Writing the file" in seen
    assert "/6008" in seen.replace(" ", "")
    assert "━" in seen
    code, seen = on_a_terminal(installation, SLOW, "backup_data", "--output", "full.json", "--quiet")
    assert (code, seen) == (0, "")
    code, seen = on_a_terminal(installation, "", "restore_data", "--input", "no such file")
    assert code == 1
    assert "there is no such file or folder" in re.sub(r"\s+", " ", seen)


def test_what_a_command_says_stands_on_lines_of_its_own(new_installation: NewInstallation) -> None:
    """Not at the end of the bar."""
    installation = filled(new_installation("sqlite"), 100)
    installation.env |= {"TERM": "xterm", "COLUMNS": "100"}
    for args, said in (
        (["backup_data", "--output", "full.json"], "Backed up"),
        (["fingerprint", "--list"], "Fingerprint"),
        (["restore_data", "--input", "full.json"], "Companies:"),
        (["restore_data", "--input", "full.json", "--preview"], "Companies:"),
        (["restore_data", "--input", "none.json", "--json"], '{"ok"'),
    ):
        _code, seen = on_a_terminal(installation, "", *args, also_output=True)
        before, found, after = seen.partition(said)
        assert found, seen
        line = before.rpartition("\n")[2].rpartition("\r")[2]
        assert re.sub(r"\x1b\[[?0-9]*[A-Za-z]", "", line) == "", seen
        assert "━" not in after, "the bar ended before"


def test_an_interrupted_bar_leaves_a_readable_sentence(new_installation: NewInstallation) -> None:
    installation = filled(new_installation("sqlite"), 2_000)
    installation.env |= {"TERM": "xterm", "COLUMNS": "100"}
    fault = at_phase("write", "os.kill(os.getpid(), signal.SIGINT)")
    code, seen = on_a_terminal(installation, fault, "backup_data", "--output", "full.json")
    assert code == 1
    assert "Interrupted. No backup was written." in seen
    assert "Traceback" not in seen


def test_at_most_a_line_a_second_elsewhere(new_installation: NewInstallation) -> None:
    installation = filled(new_installation("sqlite"), 12_000)
    started = time.monotonic()
    process = injected(installation, SLOW, "backup_data", "--output", "full.json", "--json")
    ended = commands.end(process)
    seconds = time.monotonic() - started
    lines = ended.err.splitlines()
    assert 1 <= len(lines) <= seconds
    for line in lines:
        assert re.fullmatch(r"(Taking a snapshot|Writing the file)( [\d,]+ of 12,008)?|Finishing.*", line), line
    assert json.loads(ended.out)["records"] == 12_000


def test_json_of_a_failure(small_sqlite: ScratchInstallation) -> None:
    """One object on standard output, the sentence on standard error."""
    ended = run(small_sqlite, "restore_data", "--input", "no such file", "--json", "--quiet")
    assert ended.code == 1
    (line,) = ended.out.splitlines()
    summary = json.loads(line)
    assert (summary["ok"], summary["operation"], summary["file"]) == (False, "restore", "no such file")
    assert summary["errors"][0]["message"] in ended.sentence
    ended = run(small_sqlite, "backup_data", "--output", "no/such/folder", "--json", "--quiet")
    assert json.loads(ended.out)["operation"] == "backup_full"
    ended = run(small_sqlite, "backup_data", "--type", "incremental", "--output", "-", "--json", "--quiet")
    assert ended.code == 1
    assert ended.out == ""
    first, second = ended.err.splitlines()
    assert json.loads(first)["ok"] is False
    assert second.startswith("Error: There is no backup yet")


def test_no_colour_in_pipes(small_sqlite: ScratchInstallation) -> None:
    for args in (["backup_data", "--output", "a.json"], ["restore_data", "--input", "no such file"]):
        ended = run(small_sqlite, *args)
        assert "\x1b" not in ended.out + ended.err


def closed(stream: str, installation: ScratchInstallation, *args: str) -> commands.Ended:
    """Run a command whose standard output (``>&-``) or error (``2>&-``) whoever started it has closed."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {stream}', "sh", sys.executable, str(PROJECT / "manage.py"), *args],
        env=installation.env,
        cwd=installation.folder,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return commands.Ended(done.returncode, "", done.stderr)


UNTOLD = {
    "backup_data --output new.json": "The backup is done, but its summary could not be written.",
    "backup_data --output -": "No backup was written.",
    "restore_data --input full.json --preview": "The preview could not be written out to its end. Nothing was changed.",
    "restore_data --input full.json --preview --json": "The preview could not be written out to its end.",
    "restore_data --input full.json": "The restore is done, but its summary could not be written.",
    "restore_data --input nothing --json": "nothing: there is no such file or folder. Nothing was changed.",
    "import_attendance sheet.csv --preview": "The preview could not be written out to its end. Nothing was changed.",
    "import_attendance sheet.csv": "The import is done, but its summary could not be written.",
    "fingerprint": "The fingerprint could not be written out to its end.",
    "history --size": "The history could not be written out to its end.",
    "print_file_schema": "The schema could not be written out to its end.",
    "migrate": "The migration stopped, because its messages could not be written. Run it again for the rest.",
    "seed_demo --if-empty --json": "The command is done, but its summary could not be written.",
    "renew_installation": "This installation has a new id, but the command could not print it.",
}


def test_nobody_who_cannot_be_told_is_told_of_success(small_sqlite: ScratchInstallation) -> None:
    """Standard output is closed, or its disk is full: one sentence, with what was done and what was not."""
    assert run(small_sqlite, "backup_data", "--output", "full.json").code == 0
    heading, row = "EP NO,EP NAME,COMPANY NAME,DATE,SHIFT,OVERSTAY,STATUS", "EMP001,Zoë,ABC Corp,2026-03-01,,,X"
    (small_sqlite.folder / "sheet.csv").write_text(f"{heading}\n{row}\n")  # a row that is refused is no news then
    for number, (command, sentence) in enumerate(UNTOLD.items()):
        if DEEP or number % 4 == 0:
            told = closed(">&-", small_sqlite, *command.split()).assert_refused(sentence)
            assert "closed" in told or "nothing" in command, command
        with open("/dev/full", "wb") as full:
            told = run(small_sqlite, *command.split(), stdout=full).assert_refused(sentence)
        assert "disk is full" in told or "nothing" in command, command
    inspection.assert_valid(small_sqlite.folder / "new.json")


def test_what_nobody_can_watch_is_done_all_the_same(small_sqlite: ScratchInstallation) -> None:
    """Standard error is closed, or its disk is full: progress is no part of the work."""
    assert closed("2>&-", small_sqlite, "backup_data", "--output", "closed.json").code == 0
    inspection.assert_valid(small_sqlite.folder / "closed.json")
    fault = f"{SLOW}from core.management import console\nconsole._SECONDS_BETWEEN_LINES = 0\n"
    with open("/dev/full", "wb") as full:
        process = injected(small_sqlite, fault, "backup_data", "--output", "full.json", stderr=full)
        process.communicate(timeout=60)
    assert process.returncode == 0
    inspection.assert_valid(small_sqlite.folder / "full.json")
