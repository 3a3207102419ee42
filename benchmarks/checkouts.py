"""A checkout of the program on one engine, with the installations whose commands are measured."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from benchmarks.costs import Cost, Meter, finished
from tests.running.installation import PROJECT, ScratchInstallation
from tests.running.postgres_server import PostgresServer

UNTIL = (dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)).isoformat()
"""The last day of every demo register of a run: some pages show the last month."""


class Checkout:
    """A checkout on one engine. It migrates an installation, ``empty``, which ``full`` and all others are copied from.

    ``backup`` is a full backup of the register of ``full``.
    """

    def __init__(self, code: Path, engine: str, folder: Path, server: PostgresServer | None) -> None:
        self._code = code
        self.engine = engine
        self.folder = folder
        self.server = server if engine == "postgres" else None
        self.meter = Meter(self.server)
        folder.mkdir()
        self._empty = self._migrated()
        self.full = self._copy(self._empty)
        self.backup = folder / "backup.json"

    def seed(self, records: int) -> None:
        """Fill ``full`` with a demo register, and keep a backup of it."""
        self.run(self.full, "seed_demo", "--companies", 104, "--records", records, "--until", UNTIL, "--quiet")
        self.back_up()

    def back_up(self) -> None:
        self.run(self.full, "backup_data", "--output", self.backup, "--quiet")
        self.vacuum()

    def vacuum(self) -> None:
        """On PostgreSQL, do with ``full`` what autovacuum does in time."""
        if self.server:
            with psycopg.connect(self.full.database_url, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")

    def run(self, installation: ScratchInstallation, *command: object) -> None:
        """Run a command of ``manage.py`` without measuring it. Raises SystemExit if it fails."""
        finished(installation.python(self._code / "manage.py", *command, stdout=subprocess.DEVNULL))

    def cost(self, step: str, installation: ScratchInstallation, *command: object, **expected: int) -> Cost:
        """The cost of a command of ``manage.py``. ``expected``: what its summary must say; a step that did not do its
        work is no measurement. Raises SystemExit."""
        output = installation.folder / "summary.json"
        words = [*command, "--quiet", "--json"] if expected else [*command]
        with output.open("wb") as file:
            found = self.meter.cost(
                self._named(step), lambda: installation.python(self._code / "manage.py", *words, stdout=file)
            )
        if expected:
            summary = json.loads(output.read_bytes())
            did = {name: summary[name] for name in expected}
            if did != expected:
                raise SystemExit(f"{command}: expected {expected}, but it did {did}.")
        return found

    def cost_of_start(self, step: str, command: str) -> Cost:
        """The cost of starting a command of ``manage.py``: it says how it is used, and ends."""
        with open(os.devnull, "wb") as nowhere:
            words = (self._code / "manage.py", command, "--help")
            return self.meter.cost_of_start(self._named(step), lambda: self._empty.python(*words, stdout=nowhere))

    def cost_of_module(self, step: str, installation: ScratchInstallation, *words: object) -> Cost:
        """The cost of a module of the checkout that is run as a script."""
        command = [sys.executable, "-m", *map(str, words)]
        env, folder = self.environment(installation), installation.folder
        return self.meter.cost(self._named(step), lambda: subprocess.Popen(command, env=env, cwd=folder))

    def forget_history(self) -> None:
        """Remove the head, all snapshots and all blocks of ``full``, as if it had never been backed up."""
        from django.db.models import Model

        from recordsync.history.databases import history_of
        from recordsync.models import Block, Head, HeadMove, Leaf, Node, Snapshot

        with self.full.opened() as alias:
            tables: list[tuple[str, type[Model]]] = [(alias, table) for table in (HeadMove, Head, Leaf, Snapshot)]
            tables += [(history_of(alias), table) for table in (Block, Node)]
            for using, table in tables:
                table._default_manager.using(using).all().delete()
        self.vacuum()

    @contextmanager
    def scratch(self, full: bool = False) -> Iterator[ScratchInstallation]:
        """A copy of the empty or the full installation, which is removed at the end of the block."""
        installation = self._copy(self.full if full else self._empty)
        try:
            yield installation
        finally:
            installation.remove()

    def environment(self, installation: ScratchInstallation | None = None) -> dict[str, str]:
        """The environment of a Python process that imports the checkout's modules, in an installation of it."""
        return (installation or self._empty).env | {
            "PYTHONPATH": str(self._code),
            "DJANGO_SETTINGS_MODULE": "muster.settings",
        }

    def remove(self) -> None:
        """Remove the installations."""
        for installation in (self.full, self._empty):
            installation.remove()
        shutil.rmtree(self.folder)

    def _named(self, step: str) -> str:
        return f"{self.engine}, {self._code.name}: {step}"

    def _migrated(self) -> ScratchInstallation:
        folder = self.folder / "empty"
        folder.mkdir()
        installation = self._on_server(folder) if self.server else self._on_file(folder)
        self.run(installation, "migrate", "--verbosity", "0")
        return installation

    def _copy(self, of: ScratchInstallation) -> ScratchInstallation:
        folder = self.folder / uuid.uuid4().hex
        shutil.copytree(of.folder, folder)
        if self.server is None:
            return self._on_file(folder)
        return self._on_server(folder, template=psycopg.conninfo.conninfo_to_dict(of.database_url)["dbname"])

    def _on_file(self, folder: Path) -> ScratchInstallation:
        return ScratchInstallation(self.engine, folder, f"sqlite:///{folder / 'muster.sqlite3'}")

    def _on_server(self, folder: Path, template: object = "template1") -> ScratchInstallation:
        assert self.server
        name = f"bench_{uuid.uuid4().hex}"
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(str(template)))
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            connection.execute(create)
        return ScratchInstallation(self.engine, folder, self.server.url(name), self.server.url())


@contextmanager
def checked_out(commit: str, folder: Path) -> Iterator[Path]:
    """A work tree of the commit, which is removed at the end of the block. Raises SystemExit if Git has none."""
    command = ["git", "worktree", "add", "--detach", "--quiet", str(folder), commit]
    if subprocess.run(command, cwd=PROJECT, check=False).returncode:
        raise SystemExit(f"Git cannot check out {commit!r}, the older version. Name another: make bench OLD=COMMIT")
    try:
        yield folder
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", folder], cwd=PROJECT, check=True)
