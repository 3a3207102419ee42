"""What the web server's worker reads of a body that is on its way, and how the server is set up."""

from __future__ import annotations

import runpy
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from core import bodies
from muster import server
from tests.installation import PROJECT


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
        while not ended.wait(0.02):
            theirs.send(b"x")

    dripping = threading.Thread(target=drip)
    dripping.start()
    started = time.monotonic()
    try:
        with pytest.raises(TimeoutError):
            unreader.read(1_000_000)
    finally:
        ended.set()
        dripping.join()
    assert 0.2 < time.monotonic() - started < 3


def test_a_body_that_does_not_come_is_given_up(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(TimeoutError):
        ends[0].read(1)


def test_what_the_application_takes_its_time_for_is_not_the_senders_fault(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PATIENCE_SECONDS", 0.3)
    unreader, theirs = ends
    for _ in range(3):
        theirs.sendall(b"x" * 100)
        assert unreader.read(100) == b"x" * 100
        time.sleep(0.2)


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


def test_half_of_the_threads_read_large_bodies_and_proxies_are_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRUSTED_PROXIES", raising=False)
    settings = runpy.run_path(str(PROJECT / "gunicorn.conf.py"))
    assert settings["threads"] == 2 * bodies.AT_ONCE
    assert "forwarded_allow_ips" not in settings
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.5, 10.1.0.0/24")
    assert runpy.run_path(str(PROJECT / "gunicorn.conf.py"))["forwarded_allow_ips"] == "10.0.0.5, 10.1.0.0/24"
