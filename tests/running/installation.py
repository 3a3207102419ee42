"""Whole installations in which tests run commands as a person does, each with its own processes and databases."""

import fcntl
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import connections
from psycopg import sql

from muster import environment
from tests.running.zygote import Process, Zygote

PROJECT = Path(__file__).resolve().parents[2]
SECONDS = 120
TEMPLATE = "scratch_template"
"""The PostgreSQL database that others are copied from."""


class ScratchInstallation:
    """An installation in a folder of its own: register, jobs and history databases, backups and log.

    ``env`` is the environment its commands run in, and only that: nothing of the test run's own settings. A test may
    change it.
    """

    def __init__(
        self, engine: str, folder: Path, database_url: str, server_url: str = "", zygote: Zygote | None = None
    ) -> None:
        self.engine = engine
        self.folder = folder
        self.database_url = database_url
        self._server_url = server_url
        self._zygote = zygote
        self.env = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ} | {
            "LANG": "C.UTF-8",
            "DATA_DIR": str(folder),
            "DATABASE_URL": database_url,
            "INSTALLATION_NAME": "Scratch",
            "SECRET_KEY": "of no value: for tests only",
        }

    @property
    def backups(self) -> Path:
        """The folder of the ``backups`` storage."""
        return self.folder / "backups"

    def manage(self, *args: Any, input: str | None = None, check: bool = False) -> "subprocess.CompletedProcess[str]":  # noqa: A002
        """Run ``manage.py`` to its end. ``check``: raise CalledProcessError unless it exits 0."""
        stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
        with self.popen(*args, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                out, err = process.communicate(None if input is None else input.encode(), timeout=SECONDS)
            except BaseException:
                process.kill()
                raise
        done = subprocess.CompletedProcess(process.args, process.returncode, out.decode(), err.decode())
        if check and done.returncode:
            sys.stderr.write(done.stdout + done.stderr)
            done.check_returncode()
        return done

    def popen(self, *args: Any, **options: Any) -> Process:
        """Start ``manage.py`` in a process group of its own, to be signalled or killed, or for binary output."""
        return self.python(PROJECT / "manage.py", *args, **{"set_up": True} | options)

    def python(self, *args: Any, forked: bool = True, set_up: bool = False, **options: Any) -> Process:
        """Start a Python script in this installation, in a process group of its own.

        ``forked``: quickly, where that can be (see :mod:`tests.running.zygote`). ``set_up``: with Django set up, if it
        is forked and Django can be. ``options``: as for ``subprocess.Popen``.
        """
        words = [str(arg) for arg in args]
        is_plain = options.keys() <= {"stdin", "stdout", "stderr"}
        for_python = any(name.startswith(("PYTHON", "LC_")) for name in self.env)
        if self._zygote is not None and forked and is_plain and not for_python:
            if set_up:
                with suppress(OSError, RuntimeError):
                    return self._zygote.set_up(self.env, self.folder).popen(words, None, self.folder, **options)
            return self._zygote.popen(words, self.env, self.folder, **options)
        command = [sys.executable, *words]
        return subprocess.Popen(command, env=self.env, cwd=self.folder, start_new_session=True, **options)

    @contextmanager
    def opened(self) -> Iterator[str]:
        """A database alias that leads to this installation's register, for looking at it from the test.

        :func:`recordsync.history.databases.history_of` gives the alias of its history.
        """
        alias = f"scratch-{uuid.uuid4().hex}"
        register = environment.database("DATABASE_URL", self.database_url)
        history = environment.database_beside("HISTORY_DATABASE_URL", register, "history")
        made = connections.configure_settings({"default": register, "history": history})
        aliases = {alias: made["default"], f"{alias}-history": made["history"]}
        connections.settings |= aliases
        settings.RECORDSYNC_HISTORY[alias] = f"{alias}-history"
        try:
            yield alias
        finally:
            del settings.RECORDSYNC_HISTORY[alias]
            for name in aliases:
                connections[name].close()
                del connections[name], connections.settings[name]

    def become(self, other: "ScratchInstallation") -> None:
        """Put the register and its history back to a copy, or to what those of another installation are now. Nobody
        may be connected to either."""
        if self.engine == "postgres":
            self._drop()
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
            _on_server(self._server_url, statement.format(self._database, other._database))
            return
        for name in ("muster.sqlite3", "muster-history.sqlite3"):
            shutil.copyfile(other.folder / name, self.folder / name)

    def remove(self) -> None:
        if self.engine == "postgres":
            self._drop()
        shutil.rmtree(self.folder)

    @property
    def _database(self) -> sql.Identifier:
        return sql.Identifier(str(psycopg.conninfo.conninfo_to_dict(self.database_url)["dbname"]))

    def _drop(self) -> None:
        _on_server(self._server_url, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(self._database))


NewInstallation = Callable[[str], ScratchInstallation]
"""The type of the fixture ``new_installation``."""


class Installations:
    """Makes migrated installations quickly: it migrates one for each engine, the template, and copies that.

    ``folder``: of the templates; all processes of a test run share it. ``zygote``: starts the installations' commands,
    unless they are to be measured or started as a person does.
    """

    def __init__(self, folder: Path, server_url: str, zygote: Zygote | None = None) -> None:
        self._folder = folder
        self._server_url = server_url
        self._zygote = zygote

    def new(self, engine: str, folder: Path) -> ScratchInstallation:
        """A new installation on ``sqlite`` or ``postgres`` in the folder, which it creates. That of a folder that was
        removed and is made again has the same environment."""
        if engine == "sqlite":
            self.migrate(engine)
            shutil.copytree(self._folder / engine, folder)
            return ScratchInstallation(engine, folder, self._sqlite_url(folder), zygote=self._zygote)
        folder.mkdir()
        name = f"scratch_{uuid.uuid5(uuid.NAMESPACE_URL, folder.as_uri()).hex}"
        self.new_database(name)
        return ScratchInstallation(engine, folder, self._pg_url(name), self._server_url, self._zygote)

    def new_database(self, name: str) -> None:
        """Create a migrated database on the PostgreSQL server."""
        self.migrate("postgres")
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        _on_server(self._server_url, statement.format(sql.Identifier(name), sql.Identifier(TEMPLATE)))

    def new_files(self, register: Path, jobs: Path, history: Path) -> None:
        """Create a migrated register with its jobs and history databases as SQLite files."""
        self.migrate("sqlite")
        for name, file in (("muster", register), ("muster-jobs", jobs), ("muster-history", history)):
            shutil.copyfile(self._folder / "sqlite" / f"{name}.sqlite3", file)

    def migrate(self, *engines: str) -> None:
        """Make the templates of these engines at the same time, unless this process or another has made them.

        Raises CalledProcessError.
        """
        self._folder.mkdir(exist_ok=True)
        with open(self._folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            missing = [engine for engine in engines if not self._made(engine).exists()]
            started = [(engine, self._template(engine).popen("migrate", "--verbosity", "0")) for engine in missing]
            for engine, process in started:
                if process.wait(SECONDS):
                    raise subprocess.CalledProcessError(process.returncode, process.args)
                self._made(engine).touch()

    def _made(self, engine: str) -> Path:
        return self._folder / f"{engine}-made"

    def _template(self, engine: str) -> ScratchInstallation:
        folder = self._folder / engine
        folder.mkdir()
        if engine == "sqlite":
            return ScratchInstallation(engine, folder, self._sqlite_url(folder))
        _on_server(self._server_url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
        return ScratchInstallation(engine, folder, self._pg_url(TEMPLATE))

    @staticmethod
    def _sqlite_url(folder: Path) -> str:
        return f"sqlite:///{folder / 'muster.sqlite3'}"

    def _pg_url(self, name: str) -> str:
        return self._server_url.replace("@/postgres?", f"@/{name}?")


def _on_server(server_url: str, statement: sql.Composed) -> None:
    """Run a statement that cannot be part of a transaction."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(statement)
