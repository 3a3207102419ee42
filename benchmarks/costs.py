"""What a process costs: its time, the time of the PostgreSQL server meanwhile, and its memory."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psycopg

from tests.running.postgres_server import PostgresServer
from tests.running.zygote import Process

STARTS = 3
"""How often a program is started to know what its start costs."""
_SETTLED = 0.2
"""Seconds until the server has counted what a connection took that is closed."""


class Cost(NamedTuple):
    """Wall seconds, CPU seconds of a process and its children, those of the PostgreSQL server, and peak megabytes."""

    wall: float
    cpu: float
    server_cpu: float
    megabytes: float

    @property
    def seconds(self) -> float:
        """All CPU seconds, the server's included."""
        return self.cpu + self.server_cpu


class Meter:
    """Measures processes. With a server, it keeps the work of one process out of the measurement of the next: the
    server's autovacuum is off, and what is in its buffers is written to disk before each process starts."""

    def __init__(self, server: PostgresServer | None) -> None:
        self._server = server
        if server:
            self._execute("ALTER SYSTEM SET autovacuum = off")
            self._execute("SELECT pg_reload_conf()")

    def cost(self, step: str, start: Callable[[], Process]) -> Cost:
        """The cost of the process that ``start`` starts, waited for. Raises SystemExit if it fails."""
        if self._server:
            self._execute("CHECKPOINT")
            time.sleep(_SETTLED)
        server_before = server_cpu(self._server)
        started = time.perf_counter()
        process = start()
        _pid, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        finished(process)
        if self._server:
            time.sleep(_SETTLED)
        server_seconds = server_cpu(self._server) - server_before
        found = Cost(wall, usage.ru_utime + usage.ru_stime, server_seconds, usage.ru_maxrss / 1024)
        sys.stderr.write(f"{step}: {wall:.2f} s, CPU {found.cpu:.2f} + {server_seconds:.2f}\n")
        return found

    def cost_of_start(self, step: str, start: Callable[[], Process]) -> Cost:
        """The median cost of a process that only starts and ends, measured several times."""
        return median_cost([self.cost(step, start) for _ in range(STARTS)])

    def _execute(self, statement: str) -> None:
        assert self._server
        with psycopg.connect(self._server.url(), autocommit=True) as connection:
            connection.execute(statement)


def median_cost(costs: list[Cost]) -> Cost:
    """The medians of what each of the costs says."""
    return Cost(*(median(values) for values in zip(*costs, strict=True)))


def finished(process: Process) -> None:
    """Wait for a process. Raises SystemExit if it fails."""
    if process.wait():
        raise SystemExit(f"Failed with status {process.returncode}: {process.args!r}")


def server_cpu(server: PostgresServer | None) -> float:
    """CPU seconds of the server and its children, including those that have ended; 0 without a server."""
    if server is None:
        return 0.0
    main = (server.folder / "data/postmaster.pid").read_text().split()[0]
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # the process has ended
            # After the program's name, in brackets, which may hold anything: state, parent, ...
            fields = path.read_text().rpartition(")")[2].split()
            if path.parent.name == main:
                ticks += sum(map(int, fields[11:15]))
            elif fields[1] == main:
                ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")
