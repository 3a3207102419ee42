"""Dependencies point one way: what ``make lint`` checks of it also fails a test run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running.installation import PROJECT


def test_the_layers_hold() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-logo"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_engine_has_no_web_and_no_terminal() -> None:
    command = [str(Path(sys.executable).parent / "ruff"), "check", "--select", "T20,TID251", "recordsync"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_tests_are_made_of_shares_no_code_with_the_engine() -> None:
    """What the engine does wrong must not hide itself. Its own tests need its records."""
    folders = [PROJECT / "tests" / name for name in ("builders", "strategies")]
    plain = [path for folder in folders for path in folder.glob("*.py") if path.name != "records.py"]
    assert plain
    for path in (*plain, PROJECT / "tests" / "properties" / "merge_table.py"):
        assert not re.search(
            r"^ *(from|import) (recordsync|tests\.builders\.records)\b", path.read_text(), re.MULTILINE
        ), path


TESTED_ELSEWHERE = {
    "core/migrations",  # every test's database is made by them
    "core/services",  # names only, for what lies in other rooms
    "core/templatetags",  # by the pages' tests
    "recordsync/migrations",
}


@pytest.mark.parametrize("package", ["core", "recordsync"])
def test_the_tests_have_the_rooms_of_the_package(package: str) -> None:
    """Whoever looks for the tests of a room finds them under its name."""

    def rooms(folder: Path) -> set[str]:
        return {path.parent.name for path in folder.glob("*/*.py")}

    tested = rooms(PROJECT / "tests" / package)
    elsewhere = {room.partition("/")[2] for room in TESTED_ELSEWHERE if room.startswith(f"{package}/")}
    assert tested | elsewhere == rooms(PROJECT / package)
    for room in tested:
        assert list((PROJECT / "tests" / package / room).glob("test_*.py")), room
