"""The tests of the other project (tests/parcels), in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.untraced
def test_another_project_can_use_the_engine() -> None:
    """It has tables, keys and types of its own."""
    folder = Path(__file__).parent / "parcels"
    # The server and the folder are this run's.
    process = os.environ.get("PYTEST_XDIST_WORKER", "main")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov"]
    command += ["--ds=tests.parcels.settings", f"--confcutdir={folder}", str(folder)]
    environment = os.environ | {"PYTEST_XDIST_WORKER": process}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    run = subprocess.run(command, env=environment, cwd=folder.parents[1], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
