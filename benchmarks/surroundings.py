"""The surroundings of every benchmark: a folder of its own, Django, and installations on real databases."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import django

from tests.running.installation import PROJECT, Installations
from tests.running.postgres_server import PostgresServer


@contextmanager
def surroundings(engines: Sequence[str]) -> Iterator[tuple[Path, Installations, PostgresServer | None]]:
    """The folder, the maker of installations, and, if ``postgres`` is asked for, a server that syncs to disk."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "muster.settings")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="muster-bench-")))
        os.environ["DATA_DIR"] = str(folder / "var")
        django.setup()
        server = PostgresServer(durable=True) if "postgres" in engines else None
        if server:
            stack.callback(server.stop)
        yield folder, Installations(folder, server.url() if server else ""), server


@cache
def origin() -> str:
    """A sentence that says when, at which commit (if Git knows it) and by which command something was measured.

    It is made once, before results are written: these files would change the state of the work tree.
    """
    command = ["git", "describe", "--always", "--dirty=, changed since", "--exclude=*"]
    try:
        commit = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown"
    return f"{datetime.now(UTC):%Y-%m-%d}, commit {commit}, by `{' '.join(sys.argv)}`."
