"""The log file that several processes share."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from muster.logs import SharedRotatingFileHandler
from tests.running.installation import PROJECT

WRITE = """
import logging, sys
from muster.logs import SharedRotatingFileHandler
log = logging.getLogger("x")
log.propagate = False
log.addHandler(SharedRotatingFileHandler(sys.argv[1], maxBytes=20_000, backupCount=50))
for number in range(2000):
    log.error("%s %04d", sys.argv[2], number)
"""


def test_processes_that_rotate_lose_nothing(tmp_path: Path) -> None:
    """Each line of each process is somewhere, once, and the files keep to their size."""
    path = tmp_path / "muster.log"
    writers = [subprocess.Popen([sys.executable, "-c", WRITE, path, name], cwd=PROJECT) for name in "abcd"]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    files = [file for file in tmp_path.glob("muster.log*") if file.suffix != ".lock"]
    assert len(files) > 2
    assert all(file.stat().st_size <= 21_000 for file in files)
    lines = [line for file in files for line in file.read_text().splitlines()]
    assert sorted(lines) == sorted(f"{name} {number:04}" for name in "abcd" for number in range(2000))


def test_a_log_that_cannot_be_written_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handler = SharedRotatingFileHandler(str(tmp_path / "missing" / "muster.log"), maxBytes=1000, backupCount=1)
    handler.handle(logging.LogRecord("core", logging.ERROR, "", 0, "it happened", None, None))
    handler.close()
    assert capsys.readouterr().err == ""


def test_a_log_that_was_full_when_it_was_to_be_closed_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another process has rotated it meanwhile."""
    path = tmp_path / "muster.log"
    handler = SharedRotatingFileHandler(str(path), maxBytes=1000, backupCount=1)
    handler.stream = open("/dev/full", "w", encoding="utf-8")  # noqa: SIM115 - the handler closes it
    handler.stream.write("of which the disk had no room")
    for text in ("while it is full", "afterwards"):
        handler.handle(logging.LogRecord("core", logging.ERROR, "", 0, text, None, None))
    handler.close()
    assert path.read_text() == "afterwards\n"
    assert capsys.readouterr().err == ""
