"""Dependencies point one way: what ``make lint`` checks of it also fails a test run."""

import subprocess
import sys
from pathlib import Path

from tests.running.installation import PROJECT


def test_the_layers_hold() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-logo"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_engine_has_no_web_and_no_terminal() -> None:
    command = [str(Path(sys.executable).parent / "ruff"), "check", "--select", "T20,TID251", "recordsync"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
