"""What strangers can do to the real web server."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest
from pytest_django.plugin import DjangoDbBlocker

from core.models import UploadLog
from core.sheets.columns import COLUMNS
from muster import SMALL_BODY_BYTES
from tests.running import inspection
from tests.running.installation import PROJECT, Installations, NewInstallation, ScratchInstallation
from tests.running.server import (
    MEGABYTE,
    SECONDS,
    Site,
    answer_on,
    answers_on,
    send_until_refused,
    serving,
    site_of,
    upload_form,
    upload_head,
)

PASSWORD = "a good one"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

COUNTING = """
import os
from django.contrib.auth import hashers
real = hashers.verify_password
def counted(*args, **options):
    with open(os.environ["COMPARED"], "a") as file:
        file.write("one\\n")
    return real(*args, **options)
hashers.verify_password = counted
hashers.PBKDF2PasswordHasher.iterations = 200_000
"""


def _people(installation: ScratchInstallation, *names: str) -> None:
    made = (
        "from core.models import User\n"
        f"for name in {names!r}: User.objects.create_user(name, password={PASSWORD!r}, role='root')"
    )
    installation.manage("shell", "--no-imports", "-c", made, check=True)


def test_passwords_that_are_guessed_at_once_are_compared_as_often_as_one_after_the_other(
    installation: ScratchInstallation, static_files: Path, tmp_path: Path
) -> None:
    """Two processes of four threads, 24 guesses of one name, and others who sign in meanwhile."""
    others = [f"other-{n}" for n in range(6)]
    compared = tmp_path / "compared"
    (tmp_path / "sitecustomize.py").write_text(COUNTING)
    installation.env |= {"PYTHONPATH": str(tmp_path), "COMPARED": str(compared)}
    _people(installation, "root", *others)
    with serving(installation, static_files) as server, ThreadPoolExecutor(30) as people:
        guesses = [people.submit(server.sign_in, "root", f"guess {n}") for n in range(24)]
        right = [people.submit(server.sign_in, name, PASSWORD) for name in others]
        assert Counter(one.result().status for one in right) == {302: 6}
        statuses = Counter(guess.result().status for guess in guesses)
        assert set(statuses) <= {200, 429}
        assert statuses[429] >= 19
        assert compared.read_text().count("one") == 5 + 6
        assert server.sign_in("root", PASSWORD).status == 429
    assert "Traceback" not in (installation.folder / "web.err").read_text()


@pytest.fixture(scope="module")
def site(
    installations: Installations,
    static_files: Path,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Site]:
    """A server that goes on whatever is done to it."""
    with django_db_blocker.unblock():
        installation = installations.new("sqlite", tmp_path_factory.mktemp("strangers") / "installation")
        with site_of(installation, static_files) as running:
            yield running
        told = (installation.folder / "web.err").read_text()
        assert "Internal Server Error" not in told, told
        assert "[ERROR]" not in told, told  # gunicorn's own
        installation.remove()


def test_large_bodies_are_refused_before_they_are_read(site: Site) -> None:
    """200 MB to anybody's pages, and to those that take files from those who may not send any."""
    before = site.received()
    for path, cookies, status in (
        ("/accounts/login/", "", 413),
        ("/accounts/login/", site.admin, 413),
        ("/attendance/", "", 413),
        ("/admin/login/", "", 413),
        ("/no/such/page/", "", 404),
        ("/upload/", "", 403),  # no way elsewhere: browsers show the answer to what they are sending if it is an error
        ("/upload/", site.supervisor, 403),
        ("/upload/", site.admin, 413),  # more than a sheet may have
        ("/restore/", site.admin, 403),
        ("/static/muster.svg", "", 405),
        ("/restore/", "elsewhere", 400),
    ):
        head = upload_head(path, 200 * MEGABYTE, cookies)
        if cookies == "elsewhere":  # the page of an error reads what was sent
            head = head.replace(b"Host: localhost", b"Host: elsewhere.example")
        with site.server.connect() as connection:
            connection.sendall(head)
            sent = send_until_refused(connection, 200 * MEGABYTE)
            answer = answer_on(connection)
        assert (path, answer.status) == (path, status)
        assert sent < 20 * MEGABYTE, path  # what fits into the buffers between here and there
        assert site.received() == before, path


def test_a_small_body_is_taken_from_anybody(site: Site) -> None:
    with site.server.connect() as connection:
        connection.sendall(upload_head("/accounts/login/", SMALL_BODY_BYTES + 1))
        answer = answer_on(connection)
        assert answer.status == 413
        assert f"{SMALL_BODY_BYTES:,} bytes" in answer.body.decode()
    with site.server.connect() as connection:
        connection.sendall(upload_head("/accounts/login/", SMALL_BODY_BYTES) + b"x" * SMALL_BODY_BYTES)
        assert answer_on(connection).status == 400  # it was read, and is no form
    chunked = upload_head("/upload/", 0, site.admin).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    with site.server.connect() as connection:
        connection.sendall(chunked + b"5\r\nhello\r\n")
        assert answer_on(connection).status == 411


def _drip(connections: list[socket.socket], ended: threading.Event) -> None:
    """A byte on each connection now and then."""
    while not ended.wait(0.5):
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.send(b"x")


SLOW: dict[str, bytes] = {
    "nothing": b"",
    "half a head": b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nX: ",
    "a small body": upload_head("/accounts/login/", 1000),
    "a small body that waits to be asked for": upload_head("/accounts/login/", 1000, "", "Expect: 100-continue"),
    "a large body": upload_head("/accounts/login/", 200 * MEGABYTE),
    "a large body for a page that takes files": upload_head("/upload/", MEGABYTE),
    "chunks": upload_head("/accounts/login/", 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    + b"ffff\r\n",
    "a second head on a connection that is kept": b"GET /accounts/login/ HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HT",
    "an answer that nobody takes": b"GET /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
}


def test_slow_connections_keep_nobody_waiting(site: Site) -> None:
    """Many of each kind at once, that send a byte now and then and are never closed, on eight threads.

    A request that had to wait for them would not be answered in time: 200 of them, with ten seconds each.
    """
    with ExitStack() as stack:
        opened: dict[str, list[socket.socket]] = {}
        for kind, begun in SLOW.items():
            opened[kind] = [stack.enter_context(site.server.connect()) for _ in range(40 if "body" in kind else 15)]
            for connection in opened[kind]:
                connection.sendall(begun)
        ended = threading.Event()
        every = [connection for connections in opened.values() for connection in connections]
        dripping = threading.Thread(target=_drip, args=(every, ended))
        dripping.start()
        try:
            for _ in range(10):
                assert site.server.get("/accounts/login/").status == 200
                time.sleep(0.3)
            deadline = time.monotonic() + 2 * SECONDS  # they are given ten seconds
            for kind in ("half a head", "a small body", "a small body that waits to be asked for"):
                for connection in opened[kind]:
                    connection.settimeout(max(0.1, deadline - time.monotonic()))
                    said = connection.recv(4096).removeprefix(CONTINUE) or connection.recv(4096)
                    assert said.startswith(b"HTTP/1.1 408 "), (kind, said)
        finally:
            ended.set()
            dripping.join()


def test_slow_uploads_of_people_who_are_signed_in_take_half_the_threads(site: Site) -> None:
    """The others are asked to come again, and all other pages are served."""
    before = site.received()
    with ExitStack() as stack:
        uploads = [stack.enter_context(site.server.connect()) for _ in range(20)]
        answered = selectors.DefaultSelector()
        for connection in uploads:
            connection.sendall(upload_head("/upload/", 2 * MEGABYTE, site.admin) + upload_form(b"")[:100])
            answered.register(connection, selectors.EVENT_READ)
        while len(answered.get_map()) > 4:  # two at once in each of two processes
            ready = answered.select(SECONDS)
            assert ready, f"{len(answered.get_map())} are kept"
            for key, _events in ready:
                answer = answer_on(cast(socket.socket, key.fileobj))
                assert (answer.status, answer.headers["Retry-After"]) == (503, "60")
                answered.unregister(key.fileobj)
        for _ in range(4):
            assert site.server.get("/accounts/login/").status == 200
    deadline = time.monotonic() + 2 * SECONDS
    while site.received() != before:  # those that were received have gone away in the middle
        assert time.monotonic() < deadline
        time.sleep(0.1)
    upload = upload_form(b"x" * MEGABYTE)
    status = 503
    while status == 503:  # their places are free a moment after their files are gone
        assert time.monotonic() < deadline
        with site.server.connect() as connection:
            connection.sendall(upload_head("/upload/", len(upload), site.admin) + upload)
            status = answer_on(connection).status
    assert status == 302


@pytest.mark.parametrize("size", [SMALL_BODY_BYTES // 2, 3 * MEGABYTE])
def test_an_upload_that_breaks_off_is_not_taken_for_a_whole_one(site: Site, size: int) -> None:
    """Rows that did not arrive would be days that nobody is paid for."""
    with inspection.jobs_of(site.installation) as jobs:
        before = site.received(), UploadLog.objects.using(jobs).count()
        upload = upload_form(",".join(column.heading for column in COLUMNS).encode() + b"\r\n" + b"," * size)
        with site.server.connect() as connection:
            connection.sendall(upload_head("/upload/", len(upload), site.admin) + upload[: len(upload) * 2 // 3])
            connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                assert answer_on(connection).status == 408
        assert (site.received(), UploadLog.objects.using(jobs).count()) == before


def test_requests_are_answered_in_whatever_pieces_they_come(site: Site) -> None:
    """As they would be by gunicorn's own worker."""
    page = b"GET /accounts/login/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with site.server.connect() as connection:
        connection.sendall(b"\r\n" + page * 5)  # one after the other without waiting
        assert [answer.status for answer in answers_on(connection, 5)] == [200] * 5
        for at in range(len(page)):
            connection.sendall(page[at : at + 1])
        assert answer_on(connection).status == 200
        form = b"username=x&password=y"
        urlencoded = b"application/x-www-form-urlencoded"
        small = upload_head("/accounts/login/", len(form)).replace(b"multipart/form-data; boundary=mark", urlencoded)
        connection.sendall(small + form + page)
        assert [answer.status for answer in answers_on(connection, 2)] == [200, 200]
    upload = upload_form(b"x" * MEGABYTE)
    with site.server.connect() as connection:  # asked for when who sends it is known
        connection.sendall(upload_head("/upload/", len(upload), site.admin, "Expect: 100-continue"))
        assert connection.recv(len(CONTINUE)) == CONTINUE
        connection.sendall(upload + page)
        assert [answer.status for answer in answers_on(connection, 2)] == [302, 200]
    for head, status in (
        (upload_head("/upload/", len(upload), "", "Expect: 100-continue"), b"403"),
        (upload_head("/accounts/login/", len(upload), site.admin, "Expect: 100-continue"), b"413"),
        (b"GET /" + b"x" * 100_000, b"431"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n1", b"400"),
    ):
        with site.server.connect() as connection:
            connection.sendall(head)
            assert connection.recv(100).split()[1] == status


def test_what_a_killed_process_was_receiving_is_swept(new_installation: NewInstallation, static_files: Path) -> None:
    """The temporary file is in the data folder, the worker removes it when it is a day old, and not before."""
    with site_of(new_installation("sqlite"), static_files) as site:
        with site.server.connect() as connection:
            connection.sendall(
                upload_head("/upload/", 20 * MEGABYTE, site.admin) + upload_form(b"")[:80] + b"x" * 8 * MEGABYTE
            )
            deadline = time.monotonic() + SECONDS
            while not (left := list((site.installation.folder / "incoming").iterdir())):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            os.killpg(site.server.process.pid, signal.SIGKILL)
        assert left[0].exists()
        site.installation.manage("db_worker", "--batch", "--no-reload", check=True)
        assert left[0].exists()
        old = time.time() - 25 * 3600
        os.utime(left[0], (old, old))
        site.installation.manage("db_worker", "--batch", "--no-reload", check=True)
        assert site.received() == []


def test_a_server_that_stops_does_not_wait_for_connections_that_say_nothing(
    new_installation: NewInstallation, static_files: Path, tmp_path: Path
) -> None:
    """Whatever it would wait for takes longer than the test allows."""
    installation = new_installation("sqlite")
    long = 2 * SECONDS
    (tmp_path / "sitecustomize.py").write_text(f"from muster import server; server.ARRIVAL_SECONDS = {long}.0")
    installation.env["PYTHONPATH"] = f"{tmp_path}:{PROJECT}"
    installation.env["GUNICORN_CMD_ARGS"] = f"--graceful-timeout {long} --keep-alive {long}"
    with serving(installation, static_files) as server, ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(server.connect())
        kept = stack.enter_context(server.connect())
        kept.sendall(b"GET /accounts/login/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer_on(kept).status == 200
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(SECONDS)
