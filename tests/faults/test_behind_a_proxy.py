"""The documented configuration of nginx, in front of the real web server."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.running.installation import PROJECT, Installations
from tests.running.server import (
    MEGABYTE,
    SECONDS,
    Server,
    Site,
    answer_on,
    free_port,
    send_until_refused,
    site_of,
    upload_form,
    upload_head,
    wait_for,
)

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")

pytestmark = pytest.mark.skipif(NGINX is None, reason="no nginx on this machine (apt-get install nginx-light)")

PASSWORD = "a good one"
AS_A_BROWSER = {"Host": "muster.example", "Referer": "https://muster.example/"}


@dataclass(frozen=True)
class Proxied:
    """A site, and nginx before it."""

    site: Site
    nginx: Server
    redirecting: Server
    stored: Path
    """Where nginx keeps what it was sent."""

    def kept(self) -> list[str]:
        return [path.name for path in self.stored.rglob("*") if path.is_file()] + self.site.received()


def _configuration(backend: int, port: int, redirecting: int) -> str:
    """That of the page, for this machine: without certificates, and as if HTTPS had been spoken."""
    page = (PROJECT / "docs" / "operators.md").read_text("utf-8")
    found = re.search(r"<!-- run: file nginx\.conf -->\n```nginx\n(.*?)```", page, re.DOTALL)
    assert found
    text = re.sub(r"(?m)^ *ssl_certificate.*\n", "", found[1])
    for old, new in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port};"),
        ("listen 80;", f"listen 127.0.0.1:{redirecting};"),
        ("http://127.0.0.1:8000", f"http://127.0.0.1:{backend}"),
        ("X-Forwarded-Proto $scheme;", "X-Forwarded-Proto https;"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    return text


@contextmanager
def _nginx(folder: Path, backend: int) -> Iterator[tuple[Server, Server]]:
    folder.mkdir()
    ports = free_port(), free_port()
    (folder / "muster.conf").write_text(_configuration(backend, *ports))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"user root;\ndaemon off;\nworker_processes 1;\npid {folder}/pid;\nerror_log {folder}/error.log info;\n"
        f"events {{ worker_connections 1024; }}\n"
        f"http {{\naccess_log off;\n{paths}\ninclude {folder}/muster.conf;\n}}\n"
    )
    assert NGINX
    process = subprocess.Popen([NGINX, "-p", folder, "-c", folder / "nginx.conf"])
    try:
        yield wait_for(Server(ports[0], process)), Server(ports[1], process)
    finally:
        process.terminate()
        process.wait(SECONDS)


@pytest.fixture(scope="module")
def proxied(
    installations: Installations,
    static_files: Path,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp("proxied")
    with django_db_blocker.unblock():
        installation = installations.new("sqlite", folder / "installation")
        installation.env |= {"ALLOWED_HOSTS": "muster.example,127.0.0.1", "TRUSTED_PROXIES": "127.0.0.1"}
        made = f"from core.models import User; User.objects.create_user('root', password={PASSWORD!r}, role='root')"
        installation.manage("shell", "--no-imports", "-c", made, check=True)
        with site_of(installation, static_files) as site, _nginx(folder / "nginx", site.server.port) as servers:
            yield Proxied(site, *servers, folder / "nginx" / "client_body")
        installation.remove()


def test_what_strangers_send_stays_outside(proxied: Proxied) -> None:
    """A large body is refused by nginx, or by Muster where it takes files; neither of them has kept any of it."""
    before = proxied.kept()
    for path, cookies, status in (
        ("/accounts/login/", "", 413),
        ("/attendance/", proxied.site.admin, 413),
        ("/upload/", "", 403),
        ("/restore/", "", 403),
        ("/upload/", proxied.site.supervisor, 403),
        ("/restore/", proxied.site.admin, 403),
    ):
        with proxied.nginx.connect() as connection:
            head = upload_head(path, 90 * MEGABYTE, cookies, "Referer: https://muster.example/")
            connection.sendall(head.replace(b"Host: localhost", b"Host: muster.example"))
            send_until_refused(connection, 90 * MEGABYTE)  # nginx throws away what it has refused
            assert (path, answer_on(connection).status) == (path, status)
        assert proxied.kept() == before, path


def test_a_sheet_of_somebody_who_may_send_it_comes_through(proxied: Proxied) -> None:
    upload = upload_form(b"x" * 3 * MEGABYTE)
    with proxied.nginx.connect() as connection:
        head = upload_head("/upload/", len(upload), proxied.site.admin, "Referer: https://muster.example/")
        connection.sendall(head.replace(b"Host: localhost", b"Host: muster.example") + upload)
        answer = answer_on(connection)
    assert answer.status == 302
    assert re.fullmatch(r"/upload/[0-9a-f-]{36}/", answer.headers["Location"])


def test_slow_connections_keep_nobody_waiting(proxied: Proxied) -> None:
    """A request that had to wait for them would not be answered before they end: they never do."""
    head = upload_head("/accounts/login/", 1000).replace(b"Host: localhost", b"Host: muster.example")
    with ExitStack() as stack:
        slow: list[socket.socket] = [stack.enter_context(proxied.nginx.connect()) for _ in range(50)]
        for number, connection in enumerate(slow):
            connection.sendall(head + b"x" if number % 2 else head[:50])
        for _ in range(5):
            assert proxied.nginx.ask("GET", "/accounts/login/", headers=AS_A_BROWSER).status == 200
            time.sleep(0.2)


def test_each_address_counts_by_itself_whatever_it_says_of_itself(proxied: Proxied) -> None:
    one, another, third = (replace(proxied.nginx, source=f"127.0.0.{n}") for n in (2, 3, 4))

    def tried(server: Server, password: str, said: str) -> int:
        return server.sign_in("root", password, AS_A_BROWSER | {"X-Forwarded-For": said}).status

    assert [tried(one, "no", f"203.0.113.{n}") for n in range(6)] == [200, 200, 200, 200, 429, 429]
    assert tried(one, PASSWORD, "127.0.0.3") == 429
    assert tried(another, PASSWORD, "127.0.0.2") == 302
    answers = [third.form("/accounts/login/", {"username": "", "password": ""}, AS_A_BROWSER) for _ in range(40)]
    told = Counter((answer.status, b"nginx" in answer.body) for answer in answers)
    assert set(told) == {(200, False), (429, True)}
    assert 30 <= told[200, False] <= 36
    assert third.ask("GET", "/accounts/login/", headers=AS_A_BROWSER).status == 200  # looking is no guess


def test_http_leads_to_https(proxied: Proxied) -> None:
    answer = proxied.redirecting.ask("GET", "/attendance/?q=x", headers=AS_A_BROWSER)
    assert (answer.status, answer.headers["Location"]) == (301, "https://muster.example/attendance/?q=x")
