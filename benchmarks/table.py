"""Measures the table of targets in rounds, and writes the results from what is kept of them.

Each finished round is kept in a folder of its commit. The same command goes on where it was stopped, and writes the
results from all rounds that are there, after each of them. Once every target was measured on both engines at every
size, they are ``benchmarks/RESULTS.md``, ``RESULTS-pages.md`` and the table in README; before, they are written beside
the raw figures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import pages, targets
from benchmarks.checkouts import Checkout, checked_out
from benchmarks.commands import backup_round, companies_round, company_round, exchange_round, marks_round, restore_round
from benchmarks.figures import FOLDER, BenchGroup, RawFigures
from benchmarks.sheets import cells, write_csv, write_xlsx
from benchmarks.steps import BenchStep
from benchmarks.surroundings import commit, measured_at, platform_of, surroundings
from benchmarks.versions import versions_round
from tests.running.installation import PROJECT
from tests.running.postgres_server import PostgresServer

RESULTS = Path(__file__).with_name("RESULTS.md")
PAGES = Path(__file__).with_name("RESULTS-pages.md")
README = PROJECT / "README.md"
SMALL = targets.SIZES[0]
"""Sizes above have fewer rounds, and not every group is measured at them."""
ONCE = (BenchGroup.COMPANY, BenchGroup.COMPANIES, BenchGroup.PAGES)
"""These have one round: memory hardly varies, and pages are requested many times in it."""


class Bench:
    """The rounds that are asked for, and what is kept of them."""

    def __init__(self, options: argparse.Namespace, folder: Path, server: PostgresServer | None) -> None:
        self._options = options
        self._folder = folder
        self._server = server
        self._figures = RawFigures(options.figures, measured_at(), platform_of(server))

    def run(self, engine: str, records: int) -> None:
        """Measure the rounds that are missing on one engine at one size."""
        for measure in (self._register, self._company, self._companies, self._marks, self._versions):
            started = time.perf_counter()
            measure(engine, records)
            seconds = time.perf_counter() - started
            sys.stderr.write(f"{engine}, {records:,} records, {measure.__name__.strip('_')}: {seconds:.0f} s\n")

    def write(self) -> Path:
        """The file of results, written from all rounds that are kept."""
        rounds = self._figures.rounds()
        is_whole = targets.is_whole(rounds)
        folder = RESULTS.parent if is_whole else self._figures.folder
        path = folder / RESULTS.name
        path.write_text(targets.results(rounds), encoding="utf-8")
        if any(one.pages for one in rounds):
            (folder / PAGES.name).write_text(targets.pages(rounds), encoding="utf-8")
        if is_whole:
            text = README.read_text(encoding="utf-8")
            README.write_text(text.replace(targets.shown_in(text), targets.how_fast(rounds)), encoding="utf-8")
        return path

    def _register(self, engine: str, records: int) -> None:
        """The commands and pages of a demo register."""
        asked = (BenchGroup.BACKUP, BenchGroup.RESTORE, BenchGroup.EXCHANGE, BenchGroup.PAGES)
        missing = {group: self._missing(group, engine, records) for group in asked}
        if not any(missing.values()):
            return
        with self._checkout(engine, PROJECT) as checkout:
            checkout.seed(records)
            for number in sorted({number for numbers in missing.values() for number in numbers}):
                if number in missing[BenchGroup.BACKUP]:
                    costs = backup_round(checkout, records)
                    self._figures.keep(BenchGroup.BACKUP, engine, records, number, costs=costs)
                if number in missing[BenchGroup.RESTORE]:
                    with_loaddata = number <= self._rounds_of_loaddata(records)
                    costs = restore_round(checkout, records, with_loaddata)
                    self._figures.keep(BenchGroup.RESTORE, engine, records, number, costs=costs)
                if number in missing[BenchGroup.EXCHANGE]:
                    costs = exchange_round(checkout)
                    self._figures.keep(BenchGroup.EXCHANGE, engine, records, number, costs=costs)
                if number in missing[BenchGroup.PAGES]:
                    checkout.vacuum()
                    timings = pages.measured(checkout.full, self._options.seconds)
                    self._figures.keep(BenchGroup.PAGES, engine, records, number, pages=timings)
                self.write()

    def _company(self, engine: str, records: int) -> None:
        """The memory that a register of one large company takes."""
        for number in self._missing(BenchGroup.COMPANY, engine, records):
            with self._checkout(engine, PROJECT) as checkout:
                costs = company_round(checkout, records)
            self._figures.keep(BenchGroup.COMPANY, engine, records, number, costs=costs)
            self.write()

    def _companies(self, engine: str, records: int) -> None:
        """The memory that a register of as many companies as records takes, and a snapshot of it."""
        for number in self._missing(BenchGroup.COMPANIES, engine, records):
            with self._checkout(engine, PROJECT) as checkout:
                costs = companies_round(checkout, records)
            self._figures.keep(BenchGroup.COMPANIES, engine, records, number, costs=costs)
            self.write()

    def _marks(self, engine: str, records: int) -> None:
        """Writes with marks and without."""
        missing = self._missing(BenchGroup.MARKS, engine, records)
        if not missing:
            return
        with self._checkout(engine, PROJECT) as checkout:
            for number in missing:
                costs = marks_round(checkout, records, marked_first=number % 2 == 1)
                self._figures.keep(BenchGroup.MARKS, engine, records, number, costs=costs)
                self.write()

    def _versions(self, engine: str, records: int) -> None:
        """The older version beside this one."""
        missing = self._missing(BenchGroup.VERSIONS, engine, records)
        if not missing:
            return
        sheets = {BenchStep.READ_CSV: self._folder / "sheet.csv", BenchStep.READ_XLSX: self._folder / "sheet.xlsx"}
        write_csv(sheets[BenchStep.READ_CSV], cells(records))
        write_xlsx(sheets[BenchStep.READ_XLSX], cells(records))
        with (
            checked_out(self._options.old, self._folder / "older") as code,
            self._checkout(engine, code) as old,
            self._checkout(engine, PROJECT) as new,
        ):
            for version in (old, new):
                version.seed(records)
            for number in missing:
                of_old, of_new = versions_round(old, new, records, sheets, old_first=number % 2 == 1)
                older_commit = self._options.old
                self._figures.keep(
                    BenchGroup.VERSIONS, engine, records, number, costs=of_new, older=of_old, older_commit=older_commit
                )
                self.write()

    def _missing(self, group: BenchGroup, engine: str, records: int) -> list[int]:
        """The numbers of the rounds of a group that are asked for and not kept."""
        if group not in self._options.steps or (group in targets.SMALL_ONLY and records > SMALL):
            return []
        rounds = self._options.rounds or (5 if records <= SMALL else 3)
        return self._figures.missing(group, engine, records, 1 if group in ONCE else rounds)

    def _rounds_of_loaddata(self, records: int) -> int:
        asked: int | None = self._options.loaddata_rounds
        return asked if asked is not None else (3 if records <= SMALL else 1)

    @contextmanager
    def _checkout(self, engine: str, code: Path) -> Iterator[Checkout]:
        """A checkout on an engine, whose installations are removed at the end of the block."""
        checkout = Checkout(code, engine, Path(tempfile.mkdtemp(dir=self._folder)) / "checkout", self._server)
        try:
            yield checkout
        finally:
            checkout.remove()


def main() -> None:
    """Run the measurements and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=BenchGroup, nargs="+", choices=list(BenchGroup), default=list(BenchGroup))
    parser.add_argument("--sizes", type=int, nargs="+", default=list(targets.SIZES), help="records of the register")
    parser.add_argument("--engines", nargs="+", choices=list(targets.ENGINES), default=list(targets.ENGINES))
    parser.add_argument("--rounds", type=int, help=f"default: 5 up to {SMALL:,} records, 3 above")
    parser.add_argument(
        "--loaddata-rounds",
        type=int,
        help=f"in how many of them the slowest peer runs (default: 3 up to {SMALL:,} records, 1 above)",
    )
    parser.add_argument("--seconds", type=float, default=3, help="for each kind of page (default: 3)")
    parser.add_argument("--old", required=True, metavar="COMMIT", help="the older version of the step `versions`")
    parser.add_argument(
        "--figures", type=Path, metavar="FOLDER", help="of raw figures (default: of the commit, new if code changed)"
    )
    options = parser.parse_args()
    if options.figures is None:
        name, _, changed = commit().partition(",")
        options.figures = FOLDER / (f"{name}-changed-{time.time():.0f}" if changed else name)
    with surroundings(options.engines) as (folder, _installations, server):
        bench = Bench(options, folder, server)
        for records in sorted(options.sizes):
            for engine in options.engines:
                bench.run(engine, records)
        path = bench.write()
    sys.stdout.write(path.read_text(encoding="utf-8"))
    sys.stderr.write(f"Results: {path}. Raw figures: {options.figures}.\n")
