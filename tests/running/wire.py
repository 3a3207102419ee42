"""A proxy between a client and its PostgreSQL server that loses the answer to a COMMIT."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
from django.conf import settings
from django.db import connections

from muster import environment
from recordsync.system.transactions import COMMITS
from tests.postgres_plugin import PG_URL

_SOCKET = ".s.PGSQL.5432"
_MARK = COMMITS.encode()
_SECONDS = 30


class Line:
    """One connection. The server's messages pass until the line is ``muted``."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.muted = False
        self.answered = threading.Event()
        """Set when the server has sent something that did not pass."""

    def cut(self) -> None:
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


Act = Callable[[Line, bytes], None]
"""A function that gets a line and the bytes of a COMMIT that has not passed yet."""


class Wire:
    """A socket that leads to the server's socket, through this proxy."""

    def __init__(self, folder: Path, server: Path) -> None:
        self.open = True
        self.acted = False
        self.missed = threading.Event()
        """Set when somebody has asked for a connection and got none."""
        self._armed: Act | None = None
        self._passing = 0
        self._server = server / _SOCKET
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / _SOCKET))
        self._listener.listen(50)
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, act: Act, after: int = 0) -> None:
        """At the next COMMIT of a transaction that can be asked about
        (:func:`recordsync.system.transactions.committed`), or ``after`` so many of them, act and cut the line."""
        self._armed, self._passing = act, after

    # --- What it can do

    def lose_commit(self, line: Line, data: bytes) -> None:
        """Lose the COMMIT: it never arrives."""

    def lose_answer(self, line: Line, data: bytes) -> None:
        """Lose the answer: the transaction is committed, and the client does not hear of it."""
        line.muted = True
        line.server.sendall(data)
        assert line.answered.wait(_SECONDS)

    def lose_sight(self, line: Line, data: bytes) -> None:
        """Cut the line after the COMMIT arrives, before the server is done with it."""
        line.muted = True
        line.server.sendall(data)

    def lose_all(self, line: Line, data: bytes) -> None:
        """Lose the COMMIT and the server: nothing answers until ``open`` is set again."""
        self.open = False

    def lose_server(self, line: Line, data: bytes) -> None:
        """Lose the answer and the server: it is committed, and nothing answers until ``open`` is set again."""
        self.open = False
        self.lose_answer(line, data)

    # --- How

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if not self.open:
                    client.close()
                    self.missed.set()
                    continue
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._server))
                line = Line(client, server)
                threading.Thread(target=self._asked, args=[line], daemon=True).start()
                threading.Thread(target=self._answered, args=[line], daemon=True).start()

    def _asked(self, line: Line) -> None:
        marked = False
        with contextlib.suppress(OSError):
            while data := line.client.recv(1 << 16):
                marked = marked or _MARK in data
                if marked and b"COMMIT\0" in data:
                    marked = False
                    act = self._armed if not self._passing else None
                    self._passing = max(0, self._passing - 1)
                    if act is not None:
                        self._armed = None
                        act(line, data)
                        self.acted = True
                        break
                line.server.sendall(data)
        line.cut()

    def _answered(self, line: Line) -> None:
        with contextlib.suppress(OSError):
            while data := line.server.recv(1 << 16):
                if line.muted:
                    line.answered.set()
                else:
                    line.client.sendall(data)
        line.cut()

    def close(self) -> None:
        self._listener.close()


@contextlib.contextmanager
def wired(url: str) -> Iterator[tuple[Wire, str]]:
    """A wire to the server at ``url``, and the URL that leads through it."""
    server = Path(str(psycopg.conninfo.conninfo_to_dict(url)["host"]))
    with tempfile.TemporaryDirectory(prefix="muster-wire-", dir="/tmp") as folder:  # a socket's path must be short
        wire = Wire(Path(folder), server)
        try:
            yield wire, url.replace(str(server), folder)
        finally:
            wire.close()


@contextlib.contextmanager
def wired_register() -> Iterator[tuple[Wire, str]]:
    """A wire to the server of the test run, and an alias of the register ``pg`` that leads through it.

    Its history is reached without the wire.
    """
    name = connections["pg"].settings_dict["NAME"]
    alias = "wired"
    with wired(os.environ[PG_URL]) as (wire, url):
        config = environment.database(PG_URL, url) | {"CONN_MAX_AGE": 0, "NAME": name}
        connections.settings[alias] = connections.configure_settings({"default": config})["default"]
        settings.RECORDSYNC_HISTORY[alias] = "pg_history"
        try:
            yield wire, alias
        finally:
            del settings.RECORDSYNC_HISTORY[alias]
            connections[alias].close()
            del connections[alias], connections.settings[alias]
