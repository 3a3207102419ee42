"""Measures imports of sheets: whole processes of ``import_attendance`` on both engines, and reading the sheet alone.

The rate of rows "once read" is by CPU seconds: those of the process, less those of a process that does nothing and
those of reading the sheet, both measured before and after it. All figures are medians. The summary of each step is
checked.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import openpyxl

from benchmarks.surroundings import surroundings
from tests.running.installation import Installations, ScratchInstallation

STEPS = {"into empty": "added", "again": "skipped"}
"""Each step, with the count that every row of the sheet belongs to after it."""
DAYS = 300
FIRST = dt.date(2025, 1, 1)


class StepCost(NamedTuple):
    """Wall seconds, CPU seconds, peak memory in MB, and rows a CPU second once they are read."""

    wall: float
    cpu: float
    peak: float
    rate: float


def cells(rows: int) -> Iterator[list[str]]:
    """The rows of a sheet of twenty companies, not sorted by key."""
    from core.sheets.columns import COLUMNS

    yield [column.heading for column in COLUMNS]
    for number in range(rows):
        person, day = divmod(number, DAYS)
        minute = f"{number % 60:02}"
        yield [
            f"{person:06}", f"Worker {person}", f"Company {person % 20}", f"{FIRST + dt.timedelta(day):%d-%m-%Y}", "GS",
            f"00:{minute}", "P", f"09:{minute}", "18:00", "", "", "", "", "01:30", "",
        ]  # fmt: skip


def write_csv(path: Path, rows: int) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(cells(rows))


def write_xlsx(path: Path, rows: int) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in cells(rows):
        sheet.append([cell or None for cell in row])
    book.save(path)


def read(path: Path) -> float:
    """The CPU seconds that reading a sheet takes, and nothing else."""
    from core.sheets.spreadsheets import SheetFile

    started = time.process_time()
    with path.open("rb") as file:
        for _row in SheetFile(file).rows():
            pass
    return time.process_time() - started


def read_by_openpyxl(path: Path) -> float:
    """The CPU seconds that openpyxl takes to read the same rows."""
    started = time.process_time()
    for _row in openpyxl.load_workbook(path, read_only=True, data_only=True).worksheets[0].iter_rows(values_only=True):
        pass
    return time.process_time() - started


def imported(installation: ScratchInstallation, path: Path, **expected: int) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak MB of an import, which must have done what is expected."""
    output = installation.folder / "summary.json"
    started = time.perf_counter()
    with output.open("wb") as file:
        process = installation.popen("import_attendance", path, "--json", "--quiet", stdout=file)
        _pid, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    summary = json.loads(output.read_bytes())
    found = {name: summary[name] for name in expected}
    if process.returncode or found != expected:
        raise SystemExit(f"Expected {expected}, but it did {found} (exit status {process.returncode}).")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def floor_of(installation: ScratchInstallation) -> float:
    """The CPU seconds of a process that does nothing."""
    with open(os.devnull, "wb") as nowhere:
        process = installation.popen("version", stdout=nowhere)
        _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def measured(installations: Installations, engine: str, folder: Path, path: Path, rows: int) -> list[StepCost]:
    """The costs of importing a sheet into an empty register, and of importing it once more."""
    installation = installations.new(engine, folder / "installation")
    runs = []
    for becomes in STEPS.values():
        before = floor_of(installation) + read(path)
        wall, cpu, peak = imported(installation, path, **{becomes: rows})
        after = floor_of(installation) + read(path)  # the machine's speed changes
        runs.append(StepCost(wall, cpu, peak, rows / max(cpu - (before + after) / 2, 0.001)))
    installation.remove()
    return runs


def main() -> None:
    """StepCost, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50_000, 100_000, 300_000])
    parser.add_argument("--engines", nargs="+", choices=["sqlite", "postgres"], default=["sqlite", "postgres"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--xlsx", action="store_true", help="also as XLSX, whose sheets take long to make")
    options = parser.parse_args()
    with surroundings(options.engines) as (folder, installations, _server):
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        sys.stdout.write("| sheet | engine | step | wall s | CPU s | rows/s once read | peak MB |\n")
        sys.stdout.write("| --- | --- | --- | ---: | ---: | ---: | ---: |\n")
        for rows in options.sizes:
            for form, write in (("csv", write_csv), *([("xlsx", write_xlsx)] if options.xlsx else [])):
                path = folder / f"sheet.{form}"
                write(path, rows)
                for engine in options.engines:
                    runs = [measured(installations, engine, folder, path, rows) for _ in range(options.repeats)]
                    for step, of_step in zip(STEPS, zip(*runs, strict=True), strict=True):
                        wall, cpu, peak, rate = (median(values) for values in zip(*of_step, strict=True))
                        figures = f"{wall:.2f} | {cpu:.2f} | {rate:,.0f} | {peak:.0f}"
                        sys.stdout.write(f"| {rows:,} {form} | {engine} | {step} | {figures} |\n")
                        sys.stdout.flush()
        if options.xlsx:
            ours, theirs = (median(by(path) for _ in range(options.repeats)) for by in (read, read_by_openpyxl))
            figures = f"{ours:.2f} CPU seconds; openpyxl {theirs:.2f}, {theirs / ours:.1f} times as long"
            sys.stdout.write(f"\nReading the last workbook: {figures}.\n")
        sys.stdout.write(f"\nWhat starts the commands takes {own:.0f} MB itself.\n")
