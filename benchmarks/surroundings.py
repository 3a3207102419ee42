"""The surroundings of every benchmark: a folder of its own, Django, and installations on real databases."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import django
import psycopg

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


def commit() -> str:
    """The commit that is measured, as far as Git knows it, and whether code or pinned packages changed since.

    Results and notes do not count: a measurement writes them.
    """
    code = ("*.py", "requirements*.txt")
    try:
        name = _git("rev-parse", "--short", "HEAD")
        return f"{name}, changed since" if _git("status", "--porcelain", "--", *code) else name
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=PROJECT, capture_output=True, text=True, check=True).stdout.strip()


@cache
def measured_at() -> str:
    """The date and the commit of this run."""
    return f"{datetime.now(UTC):%Y-%m-%d}, commit {commit()}"


def origin() -> str:
    """A sentence that says when, at which commit and by which command something was measured."""
    return f"{measured_at()}, by `{' '.join(sys.argv)}`."


def platform_of(server: PostgresServer | None) -> str:
    """The machine, and the versions of what is measured on it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = [f"Python {platform.python_version()}", f"Django {django.get_version()}"]
    versions.append(f"SQLite {sqlite3.sqlite_version}")
    if server:
        with psycopg.connect(server.url()) as connection:
            version = psycopg.pq.version_pretty(connection.info.server_version)
        versions.append(f"PostgreSQL {version}")
    return f"{os.cpu_count()} processors ({_processor()}), {memory:.0f} GiB; {', '.join(versions)}"


def _processor() -> str:
    """The name of the processor, if the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
