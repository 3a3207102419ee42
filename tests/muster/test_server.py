"""What the web server's worker reads of a body that is on its way, and how the server is set up."""

from __future__ import annotations

import os
import runpy
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from gunicorn.workers.gthread import TConn

from core.web import bodies
from muster import SMALL_BODY_BYTES, server
from tests.running.installation import PROJECT
from tests.running.server import free_port


@pytest.fixture
def ends() -> Iterator[tuple[server.Unreader, socket.socket]]:
    """What a thread reads from, and who sends."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        unreader = server.Unreader(ours)
        unreader.begin(expects=False)
        yield unreader, theirs


Ends = tuple[server.Unreader, socket.socket]


def test_a_body_that_flows_is_read(ends: Ends) -> None:
    unreader, theirs = ends
    theirs.sendall(b"x" * 20_000)
    assert unreader.read(20_000, read_ahead=20_000) == b"x" * 20_000
    assert unreader.sock.gettimeout() is None  # as it was


def test_a_body_that_drips_is_given_up(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a byte comes."""
    monkeypatch.setattr(server, "PATIENCE_SECONDS", 0.3)
    unreader, theirs = ends
    ended = threading.Event()

    def drip() -> None:
        for _ in range(1500):
            if ended.wait(0.02):
                break
            theirs.send(b"x")
        theirs.close()

    dripping = threading.Thread(target=drip)
    dripping.start()
    started = time.monotonic()
    try:
        with pytest.raises(TimeoutError):
            unreader.read(1_000_000)
    finally:
        ended.set()
        dripping.join()
    assert time.monotonic() - started > 0.2


def test_a_body_that_does_not_come_is_given_up(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(TimeoutError):
        ends[0].read(1)


def test_what_the_application_takes_its_time_for_is_not_the_senders_fault(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(server, "time", SimpleNamespace(monotonic=lambda: now[0]))
    unreader, theirs = ends
    for _ in range(3):
        theirs.sendall(b"x" * 100)
        assert unreader.read(100) == b"x" * 100
        now[0] += 2 * server.PATIENCE_SECONDS


def test_what_flows_has_time_for_more(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(server, "SLOWEST_BYTES", 1000)
    unreader, theirs = ends
    theirs.sendall(b"x" * 5000)
    assert len(unreader.read(5000, read_ahead=5000)) == 5000
    threading.Timer(0.4, theirs.sendall, [b"y"]).start()
    assert unreader.read(1) == b"y"


def test_a_body_that_breaks_off_is_no_body(ends: Ends) -> None:
    unreader, theirs = ends
    theirs.sendall(b"x" * 10)
    theirs.close()
    with pytest.raises(ConnectionError):
        unreader.read(11)


def test_nothing_is_waited_for_once_it_was_answered(ends: Ends) -> None:
    unreader, theirs = ends
    theirs.sendall(b"x")
    unreader.end()
    with pytest.raises(TimeoutError):
        unreader.read(1)


def test_a_sender_that_waits_to_be_asked_is_asked_when_it_is_read(ends: Ends) -> None:
    unreader, theirs = ends
    unreader.begin(expects=True)
    theirs.settimeout(0.05)
    with pytest.raises(TimeoutError):
        theirs.recv(100)
    theirs.sendall(b"xy")
    assert unreader.read(1) == b"x"
    assert theirs.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert unreader.read(1) == b"y"
    with pytest.raises(TimeoutError):
        theirs.recv(100)


def test_a_small_body_may_come_as_slowly_as_a_large_one(ends: Ends) -> None:
    """Ten seconds for all of them refused 250 KB at 20 KB/s, and took 300 KB."""
    conn = SimpleNamespace(sock=ends[0].sock)
    body = SMALL_BODY_BYTES
    arrival = server.Arrival(cast(TConn, conn), b"POST /upload/ HTTP/1.1\r\nContent-Length: %d\r\n" % body)
    began = arrival.deadline
    arrival.received += b"\r\n"
    for _ in range(3):
        assert not arrival.is_whole()
        assert arrival.deadline - began == body / server.SLOWEST_BYTES
    arrival.received += b"x" * body
    assert arrival.is_whole()


def test_connections_leave_files_and_memory_for_the_rest() -> None:
    """1,024 open files are what most systems give a process; a connection keeps a head and a small body."""
    settings = runpy.run_path(str(PROJECT / "gunicorn.conf.py"))
    assert settings["worker_connections"] < 1024 - 200
    assert settings["worker_connections"] * (SMALL_BODY_BYTES + 128 * 1024) < 200 * 1024**2


def test_half_of_the_threads_read_large_bodies_and_proxies_are_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRUSTED_PROXIES", raising=False)
    settings = runpy.run_path(str(PROJECT / "gunicorn.conf.py"))
    assert settings["threads"] == 2 * bodies.AT_ONCE
    assert "forwarded_allow_ips" not in settings
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.5, 10.1.0.0/24")
    assert runpy.run_path(str(PROJECT / "gunicorn.conf.py"))["forwarded_allow_ips"] == "10.0.0.5/32,10.1.0.0/24"


@pytest.mark.parametrize(
    "wrong", [{"PORT": "abc"}, {"PORT": "65536"}, {"TRUSTED_PROXIES": "proxy.example"}, {"HTTPS": "maybe"}]
)
def test_a_setting_that_cannot_be_is_told_in_its_sentence(wrong: dict[str, str], tmp_path: Path) -> None:
    """And nothing is started."""
    (name,) = wrong
    settings = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "PORT": str(free_port())} | wrong
    command = [str(Path(sys.executable).with_name("gunicorn")), "--log-level", "critical", "muster.wsgi"]
    done = subprocess.run(command, cwd=PROJECT, env=settings, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert done.stdout == ""
    # Each of the two workers may say it before the first has ended the server, and one into the other's line.
    told = done.stderr.partition("\n")[0]
    assert told.startswith(f"Error: {name} ")
