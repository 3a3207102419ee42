"""The real web server, started as the Procfile says, on an installation of its own."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from tests.installation import PROJECT, ScratchInstallation

SECONDS = 30


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


@dataclass
class Server:
    """A running web server on this machine."""

    port: int
    process: subprocess.Popen[bytes]
    source: str = ""
    """The address that its visitors come from, where it matters: any of 127.0.0.0/8."""

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None, timeout: float = SECONDS
    ) -> Answer:
        """One request over a connection of its own."""
        source = (self.source, 0) if self.source else None
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout, source_address=source)
        try:
            connection.request(method, path, body or None, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **options: float) -> Answer:
        return self.ask("GET", path, **options)  # type: ignore[arg-type] # timeout is the only one

    def form(self, path: str, data: dict[str, str], headers: dict[str, str] | None = None, cookies: str = "") -> Answer:
        """As a browser sends a form, with the token that a page gave it."""
        sent = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": f"csrftoken={'c' * 32}; {cookies}",
            "X-CSRFToken": "c" * 32,
        }
        return self.ask("POST", path, urlencode(data).encode(), sent | (headers or {}))

    def sign_in(self, name: str, password: str, headers: dict[str, str] | None = None, cookies: str = "") -> Answer:
        return self.form("/accounts/login/", {"username": name, "password": password}, headers, cookies)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def procfile(name: str) -> str:
    """The command of one of its processes."""
    lines = (PROJECT / "Procfile").read_text("utf-8").splitlines()
    return dict(line.split(": ", 1) for line in lines)[name]


@contextmanager
def serving(installation: ScratchInstallation, static: Path, **env: str) -> Iterator[Server]:
    """The web process of the Procfile, which has answered a first request. ``static``: what collectstatic made."""
    here = installation.folder / "static"
    if not here.exists():
        here.symlink_to(static)
    port = free_port()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (installation.folder / "web.err").open("ab") as errors:
        process = subprocess.Popen(
            ["/bin/sh", "-c", procfile("web")],
            cwd=PROJECT,
            env=installation.env | {"PORT": str(port), "PATH": path} | env,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
    try:
        yield wait_for(Server(port, process))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def wait_for(server: Server) -> Server:
    """Until it answers. Raises AssertionError where its process ends, or takes too long."""
    deadline = time.monotonic() + SECONDS
    while True:
        assert server.process.poll() is None, "the web server has ended"
        try:
            server.get("/accounts/login/", timeout=5)
        except OSError:
            assert time.monotonic() < deadline, "the web server does not answer"
            time.sleep(0.05)
        else:
            return server
