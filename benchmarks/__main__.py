"""Muster's commands beside Django's own, as whole processes, in turns, in one run.

For each engine and size: a demo register is seeded; then, ``--runs`` times in turn, every command is run on it or on an
empty installation. The table gives the median of wall and CPU seconds, records per second, the largest process's
memory, and how many times as fast as the peer it is: ``dumpdata`` for a backup, ``loaddata`` into an empty database for
everything that reads a file.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import django

from tests.installation import Installations, ScratchInstallation
from tests.postgres_server import PostgresServer

RESULTS = Path(__file__).with_name("RESULTS.md")
MODELS = ("core.Company", "core.AttendanceRecord")


class Measure(NamedTuple):
    """One finished process."""

    wall: float
    cpu: float
    megabytes: float


class Bench:
    """One engine at one size."""

    def __init__(self, installations: Installations, engine: str, records: int, folder: Path) -> None:
        self._installations = installations
        self.engine = engine
        self.records = records
        self._folder = folder
        self._made = 0
        self.measures: dict[str, list[Measure]] = {}

    @contextmanager
    def _installation(self) -> Iterator[ScratchInstallation]:
        self._made += 1
        installation = self._installations.new(self.engine, self._folder / f"{self._made}")
        try:
            yield installation
        finally:
            installation.remove()

    def run(self, runs: int) -> None:
        """Measure everything ``runs`` times, commands and peers in turn."""
        with self._installation() as full:
            full.manage("seed_demo", "--companies", 104, "--records", self.records, "--quiet", check=True)
            backup, fixture = self._folder / "backup.json", self._folder / "fixture.json"
            for _ in range(runs):
                self._measure("full backup", full, "backup_data", "--output", backup, "--quiet")
                self._measure("dumpdata", full, "dumpdata", *MODELS, "--output", fixture)
                self._measure("preview, identical", full, "restore_data", "--input", backup, "--preview", "--quiet")
                self._measure("restore, identical", full, "restore_data", "--input", backup, "--quiet")
                with self._installation() as empty:
                    self._measure("restore into empty", empty, "restore_data", "--input", backup, "--quiet")
                with self._installation() as empty:
                    self._measure("loaddata into empty", empty, "loaddata", fixture)

    def _measure(self, name: str, installation: ScratchInstallation, *arguments: object) -> None:
        started = time.perf_counter()
        process = installation.popen(*arguments, stdout=subprocess.DEVNULL)
        _pid, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{name} on {self.engine} failed with status {process.returncode}.")
        measure = Measure(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
        self.measures.setdefault(name, []).append(measure)
        sys.stderr.write(f"{self.engine} {self.records:,}: {name} {wall:.1f} s\n")

    def table(self) -> str:
        """The medians, in Markdown."""
        median = {
            name: Measure(*map(statistics.median, zip(*all_, strict=True))) for name, all_ in self.measures.items()
        }
        lines = ["| step | wall s | CPU s | records/s | peak MB | against the peer |", "|---|---|---|---|---|---|"]
        for name, one in median.items():
            peer = "dumpdata" if name in ("full backup", "dumpdata") else "loaddata into empty"
            ratio = "" if name == peer else f"{median[peer].wall / one.wall:.1f} × {peer}"
            rate = self.records / one.wall
            lines.append(f"| {name} | {one.wall:.2f} | {one.cpu:.2f} | {rate:,.0f} | {one.megabytes:.0f} | {ratio} |")
        return "\n".join(lines)


def main() -> None:
    """Run, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--records", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--engines", nargs="+", choices=["sqlite", "postgres"], default=["sqlite", "postgres"])
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "muster.settings")
    sections: list[str] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="muster-bench-")))
        os.environ["DATA_DIR"] = str(folder / "var")
        django.setup()
        server = PostgresServer() if "postgres" in options.engines else None
        if server:
            stack.callback(server.stop)
        installations = Installations(folder, server.url() if server else "")
        for engine in options.engines:
            for records in options.records:
                place = folder / f"{engine}-{records}"
                place.mkdir()
                bench = Bench(installations, engine, records, place)
                bench.run(options.runs)
                sections.append(f"## {engine}, {records:,} records\n\n{bench.table()}\n")
    RESULTS.write_text("\n".join([_heading(options.runs), *sections]), encoding="utf-8")
    sys.stdout.write(RESULTS.read_text(encoding="utf-8"))


def _heading(runs: int) -> str:
    processors = os.cpu_count()
    return (
        f"# Results\n\nMedians of {runs} runs, whole processes, commands and peers in turn (`make bench`). "
        f"{datetime.now(UTC):%Y-%m-%d}; {processors} processors ({platform.machine()}), Python "
        f"{platform.python_version()}, Django {django.get_version()}. PostgreSQL runs without fsync, SQLite with "
        "synchronous=FULL.\n"
    )


if __name__ == "__main__":
    main()
