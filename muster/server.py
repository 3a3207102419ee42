"""The worker of the web server: gunicorn's threaded worker, where a request gets a thread only when it has arrived.

gunicorn's own threaded worker gives a connection a thread before it has sent anything, reads from it without a time
limit, and waits for it to close in the loop that accepts others. A few dozen connections that send a byte now and then
would keep everybody out. Here that loop receives heads and small bodies, for many connections at once and for a limited
time, and closes connections without waiting. A request with a large body gets a thread when its head has arrived: the
application checks who sends it before it reads any of the body (:mod:`core.web.bodies`), and the body must not come too
slowly.
"""

from __future__ import annotations

import re
import selectors
import socket
import time
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from gunicorn.errors import AppImportError
from gunicorn.http import get_parser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

from muster import SMALL_BODY_BYTES

ARRIVAL_SECONDS: Final = 10.0
"""The time for the head of a request. A small body has the time in addition that it takes at :data:`SLOWEST_BYTES`."""

SLOWEST_BYTES: Final = 16 * 1024
"""Bytes of a body that must arrive in a second. A large body has :data:`PATIENCE_SECONDS` in addition, once."""
PATIENCE_SECONDS: Final = 30.0

SEND_SECONDS: Final = 30.0
"""The time for a client to take a piece of the answer."""

PARTING_SECONDS: Final = 2.0
"""The time for a client to close the connection after the answer. What it still sends is thrown away."""

_LARGEST_HEAD: Final = 64 * 1024
_LARGEST_REST: Final = 8 * 1024 * 1024
"""Bytes that are thrown away at most. To close while bytes come in could take the answer from the client."""

_PIECE: Final = 64 * 1024
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n", re.IGNORECASE)
_EXPECTS: Final = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE)
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_REFUSAL: Final = "HTTP/1.1 {}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Unreader(SocketUnreader):
    """Reads a body that is still arriving, for a thread: never slowly, and never after the application is done."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._ended = True

    def begin(self, *, expects: bool) -> None:
        """Begin a request. ``expects``: whether its client waits for a 100 Continue."""
        self._expects = expects
        self._ended = False
        self._waited, self._received = 0.0, 0

    def end(self) -> None:
        """End the request, which was answered: the rest of its body is not waited for."""
        self._ended = True

    def chunk(self, size_hint: int | None = None) -> bytes:
        """The next bytes. Raises TimeoutError if they take too long, ConnectionError if the client has closed."""
        left = PATIENCE_SECONDS + self._received / SLOWEST_BYTES - self._waited
        if self._ended or left <= 0:
            raise TimeoutError("the body of the request does not arrive in time")
        if self._expects:
            self._expects = False
            self.sock.sendall(_CONTINUE)
        usual = self.sock.gettimeout()
        self.sock.settimeout(left)
        began = time.monotonic()
        try:
            data: bytes = super().chunk(size_hint)
        finally:
            self._waited += time.monotonic() - began
            self.sock.settimeout(usual)
        if not data:
            raise ConnectionError("the connection was closed before the body of the request had arrived")
        self._received += len(data)
        return data


class Arrival:
    """A request that is arriving."""

    def __init__(self, conn: TConn, received: bytes) -> None:
        self.conn = conn
        self.received = bytearray(received)
        self.deadline = time.monotonic() + ARRIVAL_SECONDS
        self._searched = 0
        self._wanted = 0

    def is_whole(self) -> bool:
        """Whether a thread can have the request: its head has arrived, and its body if that is small.

        What is read of the head here decides nothing else. gunicorn's parser reads it again and refuses what is wrong.
        If the two understand a head differently, the worst that happens is that a thread reads it.
        """
        if not self._wanted:
            first = 2 if self.received[:2] == b"\r\n" else 0  # gunicorn passes over one empty line before a request
            end = self.received.find(b"\r\n\r\n", max(first, self._searched - 3))
            if end < 0:
                self._searched = len(self.received)
                return False
            head = bytes(self.received[: end + 2])
            length = _LENGTH.search(head)
            body = int(length[1]) if length else 0
            if body > SMALL_BODY_BYTES:
                body = 0
            self._wanted = end + 4 + body
            self.deadline += body / SLOWEST_BYTES
            if len(self.received) < self._wanted and _EXPECTS.search(head):
                with suppress(OSError):
                    self.conn.sock.send(_CONTINUE)
        return len(self.received) >= self._wanted

    @property
    def is_too_long(self) -> bool:
        """Whether the head of the request is too long."""
        return not self._wanted and len(self.received) > _LARGEST_HEAD


def _received(sock: socket.socket) -> bytes | None:
    """The bytes that a non-blocking socket has received; None if there are none yet, blank if it has ended."""
    try:
        return sock.recv(_PIECE)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return b""


class Worker(ThreadWorker):
    """gunicorn's threaded worker, with another way from a connection to a thread and back.

    Everything here runs in its main thread, but for :meth:`handle_request` and what that calls.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._arrivals: dict[TConn, Arrival] = {}
        self._partings: dict[TConn, float] = {}

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        super().check_config(cfg, log)
        if cfg.is_ssl:
            raise RuntimeError("A server in front ends HTTPS (docs/operators.md): do not set certfile and keyfile.")

    def load_wsgi(self) -> None:
        """Load the application. An error in the settings becomes one sentence, as in the commands."""
        try:
            super().load_wsgi()
        except ImproperlyConfigured as error:
            raise AppImportError(f"Error: {error}") from error

    # --- From a connection to a thread

    def enqueue_req(self, conn: TConn) -> None:
        """Receive the next request of a connection, which is new, or was kept and has something to read."""
        conn.sock.setblocking(False)
        if conn.parser is None:
            conn.parser = get_parser(self.cfg, conn.sock, conn.client)
            conn.parser.unreader = Unreader(conn.sock)
        arrival = Arrival(conn, conn.parser.unreader.take_buffered())
        if arrival.is_whole():
            self._hand_over(arrival)
        else:
            self._arrivals[conn] = arrival
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._receive, arrival))

    def _receive(self, arrival: Arrival, sock: socket.socket) -> None:
        data = _received(sock)
        if data is None:
            return
        arrival.received += data
        if not data:
            self._forget(arrival)
            self._close(arrival.conn)
        elif arrival.is_whole():
            self._forget(arrival)
            self._hand_over(arrival)
        elif arrival.is_too_long:
            self._refuse(arrival, "431 Request Header Fields Too Large")

    def _hand_over(self, arrival: Arrival) -> None:
        arrival.conn.parser.unreader.unread(bytes(arrival.received))
        arrival.conn.data_ready = True  # so that the thread does not wait for it
        super().enqueue_req(arrival.conn)

    def _forget(self, arrival: Arrival) -> None:
        del self._arrivals[arrival.conn]
        self.poller.unregister(arrival.conn.sock)

    def _refuse(self, arrival: Arrival, status: str) -> None:
        self._forget(arrival)
        with suppress(OSError):
            arrival.conn.sock.send(_REFUSAL.format(status).encode())
        self._part(arrival.conn)

    # --- In a thread

    def handle_request(self, req: Any, conn: TConn) -> bool:
        conn.sock.settimeout(SEND_SECONDS)
        conn.parser.unreader.begin(expects=req._expected_100_continue)
        req._expected_100_continue = False  # it gets its 100 Continue when the application wants to read
        try:
            return bool(super().handle_request(req, conn))
        except TimeoutError as error:
            self.log.info("Gave up on %s: %s", conn.client, error)
            return False

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:
        """Whether the connection may serve another request: not while a body arrives that nobody reads."""
        conn.parser.unreader.end()
        return bool(keepalive and conn.parser.finish_body())

    # --- From a thread to the end

    def finish_request(self, conn: TConn, fs: Future[Any]) -> None:
        if not fs.cancelled() and not fs.exception() and fs.result():
            super().finish_request(conn, fs)
        else:
            self._part(conn)

    def _part(self, conn: TConn) -> None:
        """Close a connection so that its last answer arrives: send nothing more, and let the client close it."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._throw_away, conn, [_LARGEST_REST]))
        except OSError:  # the client has closed it already
            self._close(conn)
        else:
            self._partings[conn] = time.monotonic() + PARTING_SECONDS

    def _throw_away(self, conn: TConn, left: list[int], sock: socket.socket) -> None:
        data = _received(sock)
        if data is None:
            return
        left[0] -= len(data)
        if not data or left[0] < 0:
            self._end_parting(conn)

    def _end_parting(self, conn: TConn) -> None:
        del self._partings[conn]
        self.poller.unregister(conn.sock)
        self._close(conn)

    def _close(self, conn: TConn) -> None:
        self.nr_conns -= 1
        conn.close()

    def murder_pending(self) -> None:
        """End the connections whose time is over; when the worker stops, also those that have sent nothing."""
        now = time.monotonic()
        for arrival in list(self._arrivals.values()):
            if not arrival.received and (arrival.deadline <= now or not self.alive):
                self._forget(arrival)
                self._close(arrival.conn)
            elif arrival.deadline <= now:
                self._refuse(arrival, "408 Request Timeout")
        for conn, deadline in list(self._partings.items()):
            if deadline <= now or not self.alive:
                self._end_parting(conn)
