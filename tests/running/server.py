"""The real web server, started as the Procfile says, for an installation of its own."""

from __future__ import annotations

import contextlib
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
from typing import Any, cast
from urllib.parse import urlencode

from tests.running.installation import PROJECT, ScratchInstallation

SECONDS = 60
"""A request that takes longer waits for somebody: nothing takes so long, however busy the machine is."""
MEGABYTE = 1 << 20


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
    """The address that requests come from: any in 127.0.0.0/8."""

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None, timeout: float = SECONDS
    ) -> Answer:
        """The answer to a request, which gets a connection of its own."""
        source = (self.source, 0) if self.source else None
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout, source_address=source)
        try:
            connection.request(method, path, body or None, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def form(
        self,
        path: str,
        data: dict[str, str],
        headers: dict[str, str] | None = None,
        cookies: str = "",
        timeout: float = SECONDS,
    ) -> Answer:
        """The answer to a form, sent as a browser does, with the CSRF token of a page."""
        sent = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": f"csrftoken={'c' * 32}; {cookies}",
            "X-CSRFToken": "c" * 32,
        }
        return self.ask("POST", path, urlencode(data).encode(), sent | (headers or {}), timeout)

    def connect(self) -> socket.socket:
        """A connection, for requests that no browser would send."""
        source = (self.source, 0) if self.source else None
        return socket.create_connection(("127.0.0.1", self.port), SECONDS, source)

    def sign_in(self, name: str, password: str, headers: dict[str, str] | None = None, cookies: str = "") -> Answer:
        return self.form("/accounts/login/", {"username": name, "password": password}, headers, cookies)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def procfile(name: str) -> str:
    """The command of a process in the Procfile."""
    lines = (PROJECT / "Procfile").read_text("utf-8").splitlines()
    return dict(line.split(": ", 1) for line in lines)[name]


def sessions_of(installation: ScratchInstallation, people: dict[str, str]) -> list[str]:
    """Cookies of new accounts, by name and role, as if they had signed in."""
    made = (
        "from django.contrib.auth import BACKEND_SESSION_KEY as B, HASH_SESSION_KEY as H, SESSION_KEY as S\n"
        "from django.contrib.sessions.backends.db import SessionStore\n"
        "from core.models import Company, User\n"
        "company, _made = Company.objects.get_or_create(name='Northern Mill')\n"
        f"for name, role in {people!r}.items():\n"
        "    user = User.objects.create(username=name, role=role, company=company)\n"
        "    session = SessionStore()\n"
        "    session[S], session[B] = str(user.pk), 'django.contrib.auth.backends.ModelBackend'\n"
        "    session[H] = user.get_session_auth_hash()\n"
        "    session.create()\n"
        "    print(session.session_key)"
    )
    done = installation.manage("shell", "--no-imports", "-c", made, check=True)
    return [f"sessionid={key}" for key in done.stdout.split()]


class _Kept:
    """A connection that carries several answers: http.client would close it, or read on, after the first."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rb")

    def makefile(self, mode: str) -> _Kept:
        return self

    def close(self) -> None:
        """Do nothing: another answer follows."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def answers_on(connection: socket.socket, count: int) -> list[Answer]:
    """The next answers of a connection."""
    kept, answers = _Kept(connection), []
    for _ in range(count):
        answer = http.client.HTTPResponse(cast(socket.socket, kept))
        answer.begin()
        answers.append(Answer(answer.status, answer.headers, answer.read()))
    return answers


def answer_on(connection: socket.socket) -> Answer:
    """The next answer of a connection."""
    return answers_on(connection, 1)[0]


@contextmanager
def serving(installation: ScratchInstallation, static: Path, **env: str) -> Iterator[Server]:
    """The web process of the Procfile, once it answers. ``static``: the folder that collectstatic wrote."""
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
    """The server, once it answers. Raises AssertionError if its process ends or takes too long."""
    deadline = time.monotonic() + SECONDS
    while True:
        assert server.process.poll() is None, "the web server has ended"
        try:
            server.get("/accounts/login/")
        except OSError:
            assert time.monotonic() < deadline, "the web server does not answer"
            time.sleep(0.05)
        else:
            return server


@dataclass(frozen=True)
class Site:
    """An installation, its server, and the cookies of people who are signed in."""

    installation: ScratchInstallation
    server: Server
    supervisor: str
    admin: str

    def received(self) -> list[str]:
        """The temporary files and the uploaded files on disk."""
        folders = [self.installation.folder / name for name in ("incoming", "tmp", "uploads", "restores")]
        return [path.name for folder in folders if folder.is_dir() for path in folder.iterdir()]


@contextmanager
def site_of(installation: ScratchInstallation, static_files: Path) -> Iterator[Site]:
    """The site of an installation, with its temporary files in its folder."""
    temporary = installation.folder / "tmp"
    temporary.mkdir()
    installation.env["TMPDIR"] = str(temporary)
    supervisor, admin = sessions_of(installation, {"meena": "user1", "admin": "admin"})
    with serving(installation, static_files) as server:
        yield Site(installation, server, supervisor, admin)


def upload_head(path: str, length: int, cookies: str = "", *more: str) -> bytes:
    """The head of a request that sends a form with a file."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        f"Content-Length: {length}",
        "Content-Type: multipart/form-data; boundary=mark",
        f"Cookie: csrftoken={'c' * 32}; {cookies}",
        f"X-CSRFToken: {'c' * 32}",
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def upload_form(file: bytes) -> bytes:
    disposition = 'Content-Disposition: form-data; name="file"; filename="november.csv"'
    return f"--mark\r\n{disposition}\r\n\r\n".encode() + file + b"\r\n--mark--\r\n"


def send_until_refused(connection: socket.socket, size: int) -> int:
    """The number of bytes that the server took from a client that sends everything before it reads an answer."""
    sent = 0
    with contextlib.suppress(OSError):
        while sent < size:
            sent += connection.send(b"x" * MEGABYTE)
    return sent
