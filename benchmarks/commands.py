"""Measures Muster's commands beside Django's own and the database's, as whole processes, in turns, in one run.

For each engine and size a demo register is seeded. Then, in each round, every step runs once, on this register or on an
empty installation. Everything syncs to disk as it does by default. The summary of each step is checked: a step that did
not do its work is no measurement. ``RESULTS.md`` is written again after every engine and size.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
import psycopg
from django.db.models import F
from django.utils import timezone

from benchmarks.results import (
    CHANGED,
    COPY,
    DUMP,
    DUMPDATA,
    EMPTY,
    FLOOR,
    FULL,
    IDENTICAL,
    INCREMENTAL,
    LOADDATA,
    PREVIEW,
    Measure,
    Medians,
    goals_table,
    medians,
    steps_table,
)
from benchmarks.surroundings import origin, surroundings
from tests.running.installation import Installations, ScratchInstallation
from tests.running.postgres_server import PostgresServer
from tests.running.zygote import Process

RESULTS = Path(__file__).with_name("RESULTS.md")
MISSES = Path(__file__).with_name("misses.md")
TABLES = ("core_company", "core_attendancerecord")
MODELS = ("core.Company", "core.AttendanceRecord")
INCREMENT = 1000
READING = (
    "Whole processes, everything in turns in one run; medians. Everything syncs to disk as by default: SQLite in WAL "
    "with `synchronous=FULL`, PostgreSQL with `fsync` on and the default settings. CPU seconds are those of the "
    "process and its children; the server's are counted apart. Peak memory is of the command's process, not of the "
    "server."
)


class Bench:
    """One engine at one size."""

    def __init__(
        self, installations: Installations, engine: str, records: int, folder: Path, server: PostgresServer | None
    ) -> None:
        self._installations = installations
        self._engine = engine
        self._records = records
        self._folder = folder
        self._server = server
        self._made = 0
        self._summary = folder / "summary.json"
        self.runs: dict[str, list[Measure]] = defaultdict(list)

    def run(self, repeats: int, loaddata_repeats: int) -> None:
        """Run every step ``repeats`` times in turn, and ``loaddata`` only in the first ``loaddata_repeats`` rounds."""
        with self._installation() as full:
            self._finished(full.popen("seed_demo", "--records", self._records, "--quiet", stdout=subprocess.DEVNULL))
            if self._server:
                # As autovacuum does within a minute.
                with psycopg.connect(full.database_url, autocommit=True) as connection:
                    connection.execute("VACUUM ANALYZE")
            for number in range(repeats):
                self._round(full, with_loaddata=number < loaddata_repeats)

    def _round(self, full: ScratchInstallation, with_loaddata: bool) -> None:
        backup, fixture = self._folder / "backup.json", self._folder / "fixture.json"
        restore = ("restore_data", "--input", backup)
        self._measure(FLOOR, full, "version")
        self._muster(FULL, full, "backup_data", "--output", backup, records=self._records)
        self._measure(DUMPDATA, full, "dumpdata", *MODELS, "--output", fixture)
        self._dump(full)
        self._muster(PREVIEW, full, *restore, "--preview", skipped=self._records)
        self._muster(IDENTICAL, full, *restore, skipped=self._records)
        with self._installation() as empty:
            self._muster(EMPTY, empty, *restore, added=self._records)
        if with_loaddata:
            with self._installation() as empty:
                self._measure(LOADDATA, empty, "loaddata", fixture)
        if self._server:
            with self._installation() as empty:
                self._copy(full, empty)
        changed = self._change(full, 100)
        self._muster(CHANGED, full, *restore, updated=changed, skipped=self._records - changed)
        # By default an incremental backup goes back some minutes further, to before the 1% were written back.
        since = timezone.now().isoformat()
        changed = self._change(full, self._records // INCREMENT)
        command = ("backup_data", "--type", "incremental", "--since", since)
        self._muster(INCREMENTAL, full, *command, "--output", self._folder / "incremental.json", records=changed)

    def _dump(self, installation: ScratchInstallation) -> None:
        """Measure the database's own dump of the same tables."""
        output = self._folder / "dump.sql"
        if self._server:
            tables = [f"--table={table}" for table in TABLES]
            program = [str(self._server.programs / "pg_dump"), *tables, f"--file={output}", installation.database_url]
            self._timed(DUMP["postgres"], lambda: subprocess.Popen(program))
        elif shutil.which("sqlite3"):
            command = ["sqlite3", str(installation.folder / "muster.sqlite3"), f".dump {' '.join(TABLES)}"]
            with output.open("wb") as file:
                self._timed(DUMP["sqlite"], lambda: subprocess.Popen(command, stdout=file))

    def _copy(self, full: ScratchInstallation, empty: ScratchInstallation) -> None:
        """Measure a copy of the rows of ``full`` into the tables of ``empty``, with indexes and constraints."""
        out = [f"\\copy {table} TO '{self._folder / table}'" for table in TABLES]
        into = [f"\\copy {table} FROM '{self._folder / table}'" for table in TABLES]
        self._finished(self._psql(full, out))
        self._timed(COPY, lambda: self._psql(empty, into))

    def _psql(self, installation: ScratchInstallation, statements: Sequence[str]) -> Process:
        assert self._server
        commands = [part for statement in statements for part in ("-c", statement)]
        program = str(self._server.programs / "psql")
        return subprocess.Popen([program, "-X", "-q", "-v", "ON_ERROR_STOP=1", *commands, installation.database_url])

    def _change(self, installation: ScratchInstallation, every: int) -> int:
        """Change one record in ``every``, spread as edits by people are. Returns how many."""
        from core.models import AttendanceRecord

        with installation.opened() as alias:
            some = AttendanceRecord.objects.using(alias).annotate(part=F("pk") % every).filter(part=0)
            return some.update(shift=f"changed {self._made}", updated_at=timezone.now())

    @contextmanager
    def _installation(self) -> Iterator[ScratchInstallation]:
        self._made += 1
        installation = self._installations.new(self._engine, self._folder / f"{self._made}")
        try:
            yield installation
        finally:
            installation.remove()

    def _muster(self, step: str, installation: ScratchInstallation, *command: object, **expected: int) -> None:
        """Measure a command of Muster, whose summary must say that it did what is expected."""
        self._measure(step, installation, *command, "--quiet", "--json")
        summary: dict[str, Any] = json.loads(self._summary.read_bytes())
        done = {name: summary[name] for name in expected}
        if done != expected:
            raise SystemExit(f"{step} on {self._engine}: expected {expected}, but it did {done}.")

    def _measure(self, step: str, installation: ScratchInstallation, *command: object) -> None:
        with self._summary.open("wb") as output:
            self._timed(step, lambda: installation.popen(*command, stdout=output))

    def _timed(self, step: str, start: Callable[[], Process]) -> None:
        server_before = server_cpu(self._server)
        started = time.perf_counter()
        process = start()
        _pid, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        self._finished(process)
        if self._server:
            time.sleep(0.2)  # until the server has counted what the process's connection took
        cpu, server = usage.ru_utime + usage.ru_stime, server_cpu(self._server) - server_before
        self.runs[step].append(Measure(wall, cpu, server, usage.ru_maxrss / 1024))
        sys.stderr.write(f"{self._engine} {self._records:,}: {step}: {wall:.2f} s, CPU {cpu:.2f} + {server:.2f}\n")

    @staticmethod
    def _finished(process: Process) -> None:
        if process.wait():
            raise SystemExit(f"Failed with status {process.returncode}: {process.args!r}")


def server_cpu(server: PostgresServer | None) -> float:
    """CPU seconds of the server and its children, including those that have ended; 0 on a system without /proc."""
    if server is None:
        return 0.0
    main = (server.folder / "data/postmaster.pid").read_text().split()[0]
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the program's name, in brackets, which may hold anything: state, parent, ...
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if path.parent.name == main:
            ticks += sum(map(int, fields[11:15]))
        elif fields[1] == main:
            ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run the measurements and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--engines", nargs="+", choices=["sqlite", "postgres"], default=["sqlite", "postgres"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--loaddata-repeats",
        type=int,
        default=1,
        metavar="N",
        help="how often the slowest peer runs at sizes above 100,000 (default: 1); 0: its seconds there are "
        "computed from the size below, and the results say so",
    )
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    measured: dict[tuple[str, int], Medians] = {}
    notes: list[str] = []
    with surroundings(options.engines) as (folder, installations, server):
        for records in sorted(options.sizes):
            for engine in options.engines:
                with tempfile.TemporaryDirectory(dir=folder) as place:
                    bench = Bench(installations, engine, records, Path(place), server if engine != "sqlite" else None)
                    repeats = options.repeats if records <= 100_000 else min(options.loaddata_repeats, options.repeats)
                    bench.run(options.repeats, repeats)
                found = measured[engine, records] = medians(bench.runs)
                notes += _notes(engine, records, options.repeats, repeats)
                if LOADDATA not in found:
                    found[LOADDATA] = _computed(measured, engine, records)
                options.output.write_text(_document(measured, notes, server), encoding="utf-8")
    sys.stdout.write(options.output.read_text(encoding="utf-8"))


def _notes(engine: str, records: int, repeats: int, loaddata_repeats: int) -> list[str]:
    if loaddata_repeats == repeats:
        return []
    if loaddata_repeats:
        return [f"{engine}, {records:,}: `loaddata` ran {loaddata_repeats} ×, everything else {repeats} ×."]
    return [f"{engine}, {records:,}: `loaddata` was not run; its seconds are those at the size below, in proportion."]


def _computed(measured: dict[tuple[str, int], Medians], engine: str, records: int) -> Measure:
    """What ``loaddata`` would take, in proportion to the next smaller size. Raises SystemExit if none was measured."""
    below = max((size for of, size in measured if of == engine and size < records), default=None)
    if below is None:
        raise SystemExit("--loaddata-repeats 0 needs a size up to 100,000 to compute from.")
    known, floor = measured[engine, below][LOADDATA], measured[engine, below][FLOOR]
    times = records / below
    wall, cpu = (floor[n] + (known[n] - floor[n]) * times for n in (0, 1))
    return Measure(wall, cpu, known.server_cpu * times, float("nan"))


def _document(measured: dict[tuple[str, int], Medians], notes: list[str], server: PostgresServer | None) -> str:
    versions = [f"Python {platform.python_version()}", f"Django {django.get_version()}"]
    versions.append(f"SQLite {sqlite3.sqlite_version}")
    if server:
        with psycopg.connect(server.url()) as connection:
            versions.append(f"PostgreSQL {connection.execute('SHOW server_version').fetchone()[0]}")  # type: ignore[index]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    parts = [
        "# Results",
        f"{origin()} {os.cpu_count()} processors ({_processor()}), {memory:.0f} GiB; {', '.join(versions)}.",
        f"{READING} What starts the commands takes {own:.0f} MB itself, and Linux shows no process that it starts "
        "below that.",
        *([" ".join(notes)] if notes else []),
        "## Targets",
        "By the seconds that passed; in brackets by CPU seconds, the server's included.",
        goals_table(measured),
    ]
    if MISSES.exists():
        parts.append(MISSES.read_text(encoding="utf-8").strip())
    for (engine, records), found in measured.items():
        parts += [f"## {engine}, {records:,} records", steps_table(records, found)]
    return "\n\n".join(parts) + "\n"


def _processor() -> str:
    """The name of the processor, if the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
