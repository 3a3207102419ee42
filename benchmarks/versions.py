"""Compares this checkout with an older commit, by the CPU seconds of the same commands, including those of the server.

Each version migrates and seeds its own installations, with the same demo register. In each round both versions run
every step once; the older version is first in one round and last in the next. The result is the median of the ratios
within the rounds, which other work on the machine disturbs less than seconds. The summary of each step is checked.
Writes ``RESULTS-versions.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psycopg
from psycopg import sql

from benchmarks.commands import server_cpu
from benchmarks.imports import write_csv
from benchmarks.surroundings import origin, surroundings
from tests.running.installation import PROJECT, ScratchInstallation
from tests.running.postgres_server import PostgresServer

RESULTS = Path(__file__).with_name("RESULTS-versions.md")
CHANGE = "UPDATE core_attendancerecord SET shift = 'changed', updated_at = '2026-01-01T00:00:00Z' WHERE id % 100 = 0"


class Ratio(NamedTuple):
    """The median CPU seconds of the older and of this version, and the ratios of this to the older, by round."""

    old: float
    new: float
    ratios: list[float]


class Version:
    """A checkout on one engine, with the installations that it has made."""

    def __init__(self, checkout: Path, engine: str, folder: Path, server: PostgresServer | None) -> None:
        self._checkout = checkout
        self._engine = engine
        self._folder = folder
        self._server = server
        folder.mkdir()
        self._empty = self._migrated()
        self.full = self.copy(self._empty)
        self.backup = folder / "backup.json"

    def seed(self, records: int) -> None:
        """Fill the register, and keep a backup of it."""
        self.cpu(self.full, "seed_demo", "--records", records, "--quiet")
        self.cpu(self.full, "backup_data", "--output", self.backup, "--quiet")

    @contextmanager
    def scratch(self, full: bool = False) -> Iterator[ScratchInstallation]:
        """A copy of the empty or the full installation, which is removed at the end of the block."""
        installation = self.copy(self.full if full else self._empty)
        try:
            yield installation
        finally:
            installation.remove()

    def copy(self, of: ScratchInstallation) -> ScratchInstallation:
        folder = self._folder / uuid.uuid4().hex
        shutil.copytree(of.folder, folder)
        if self._server is None:
            return ScratchInstallation(self._engine, folder, _sqlite(folder))
        return self._on_server(folder, template=psycopg.conninfo.conninfo_to_dict(of.database_url)["dbname"])

    def cpu(self, installation: ScratchInstallation, *command: object, **expected: int) -> float:
        """The CPU seconds of a command and of the server meanwhile. ``expected``: what its summary must say."""
        output = installation.folder / "summary.json"
        server_before = server_cpu(self._server)
        words = [*command, "--json"] if expected else [*command]
        with output.open("wb") as file:
            process = installation.python(self._checkout / "manage.py", *words, stdout=file)
            _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"Failed with status {process.returncode}: {process.args!r}")
        if expected:
            summary = json.loads(output.read_bytes())
            did = {name: summary[name] for name in expected}
            if did != expected:
                raise SystemExit(f"{command}: expected {expected}, but it did {did}.")
        if self._server:
            time.sleep(0.2)  # until the server has counted what the process's connection took
        return usage.ru_utime + usage.ru_stime + server_cpu(self._server) - server_before

    def _migrated(self) -> ScratchInstallation:
        folder = self._folder / "empty"
        folder.mkdir()
        if self._server is None:
            installation = ScratchInstallation(self._engine, folder, _sqlite(folder))
        else:
            installation = self._on_server(folder)
        self.cpu(installation, "migrate", "--verbosity", "0")
        return installation

    def _on_server(self, folder: Path, template: object = "template1") -> ScratchInstallation:
        assert self._server
        name = f"bench_{uuid.uuid4().hex}"
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(str(template)))
        with psycopg.connect(self._server.url(), autocommit=True) as connection:
            connection.execute(create)
        return ScratchInstallation(self._engine, folder, self._server.url(name), self._server.url())


def _sqlite(folder: Path) -> str:
    return f"sqlite:///{folder / 'muster.sqlite3'}"


def steps(version: Version, records: int, sheet: Path) -> Iterator[tuple[str, float]]:
    """The name and CPU seconds of each step, by one version."""
    full, restore = version.full, ("restore_data", "--input", version.backup, "--quiet")
    into = ("import_attendance", sheet, "--quiet")
    yield "process start", version.cpu(full, "version")
    yield "full backup", version.cpu(full, "backup_data", "--output", os.devnull, "--quiet", records=records)
    yield "preview, identical", version.cpu(full, *restore, "--preview", skipped=records)
    yield "restore, identical", version.cpu(full, *restore, skipped=records)
    with version.scratch() as empty:
        yield "restore into empty", version.cpu(empty, *restore, added=records)
    with version.scratch(full=True) as changed:
        count = _change(changed)
        yield "restore, 1% changed", version.cpu(changed, *restore, updated=count, skipped=records - count)
    with version.scratch() as empty:
        yield "import of new rows", version.cpu(empty, *into, added=records)
        yield "import again", version.cpu(empty, *into, skipped=records)


def _change(installation: ScratchInstallation) -> int:
    """Change every hundredth record; returns how many."""
    from django.db import connections

    with installation.opened() as alias, connections[alias].cursor() as cursor:
        cursor.execute(CHANGE)
        return int(cursor.rowcount)


def compared(old: Version, new: Version, records: int, rounds: int, sheet: Path) -> dict[str, Ratio]:
    """The ratio of every step of two versions of the program, which run in turns."""
    seconds: dict[str, tuple[list[float], list[float]]] = {}
    for number in range(rounds):
        runs = {version: steps(version, records, sheet) for version in (old, new)}
        order = (old, new) if number % 2 == 0 else (new, old)
        for first, last in zip(*(runs[version] for version in order), strict=True):
            of_old, of_new = (first, last) if order[0] is old else (last, first)
            both = seconds.setdefault(of_old[0], ([], []))
            both[0].append(of_old[1])
            both[1].append(of_new[1])
            sys.stderr.write(f"{of_old[0]}: {of_old[1]:.2f} s, now {of_new[1]:.2f} s\n")
    return {
        step: Ratio(median(old_), median(new_), [b / a for a, b in zip(old_, new_, strict=True)])
        for step, (old_, new_) in seconds.items()
    }


@contextmanager
def checked_out(commit: str, folder: Path) -> Iterator[Path]:
    """A work tree of the commit, which is removed at the end of the block."""
    subprocess.run(["git", "worktree", "add", "--detach", "--quiet", folder, commit], cwd=PROJECT, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", folder], cwd=PROJECT, check=True)


def main() -> None:
    """Run the measurements and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit", help="the older version, as Git names it")
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engines", nargs="+", choices=["sqlite", "postgres"], default=["sqlite", "postgres"])
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    parts = [
        "# An older version beside this one",
        f"{origin()} CPU seconds of whole processes at {options.records:,} records, the server's included, medians of "
        f"{options.rounds} rounds; ratios within a round, their median and the least and greatest.",
    ]
    with (
        surroundings(options.engines) as (folder, _installations, server),
        checked_out(options.commit, folder / "old") as old,
    ):
        sheet = folder / "sheet.csv"
        write_csv(sheet, options.records)
        for engine in options.engines:
            on = server if engine == "postgres" else None
            before = Version(old, engine, folder / f"{engine}-old", on)
            now = Version(PROJECT, engine, folder / f"{engine}-new", on)
            for version in (before, now):
                version.seed(options.records)
            parts += [f"## {engine}", _table(compared(before, now, options.records, options.rounds, sheet))]
            options.output.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    sys.stdout.write(options.output.read_text(encoding="utf-8"))


def _table(measured: dict[str, Ratio]) -> str:
    lines = ["| step | older, CPU s | this, CPU s | ratio |", "|---|---:|---:|---:|"]
    for step, one in measured.items():
        ratios = f"{median(one.ratios):.2f} ({min(one.ratios):.2f} to {max(one.ratios):.2f})"
        lines.append(f"| {step} | {one.old:.2f} | {one.new:.2f} | {ratios} |")
    return "\n".join(lines)
