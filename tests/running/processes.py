"""Other processes that hold a lock or a transaction that a test wants."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections

from tests.running.installation import PROJECT

_START = """
import sys
import django
django.setup()
from django.db import connections
alias = sys.argv[1]
connections[alias].settings_dict["NAME"] = sys.argv[2]
"""
_WAIT = """
    print("ready", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def other_process(alias: str, holding: str) -> Iterator["subprocess.Popen[str]"]:
    """A process on the same test database that is inside ``holding`` (statements that end with a ``with``), until
    the end of the block or a line on its standard input. Killed at the end."""
    database = str(connections[alias].settings_dict["NAME"])
    process = subprocess.Popen(
        [sys.executable, "-c", _START + holding + _WAIT, alias, database],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        cwd=PROJECT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        kill(process)


def kill(process: "subprocess.Popen[str]") -> None:
    """Kill a process as ``kill -9`` does, and wait until it has ended."""
    process.send_signal(signal.SIGKILL)
    process.communicate()
