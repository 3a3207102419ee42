"""The sheets whose imports are measured, and the cost of only reading them."""

from __future__ import annotations

import csv
import datetime as dt
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import openpyxl

from benchmarks.checkouts import Checkout
from benchmarks.costs import Cost
from benchmarks.steps import BenchStep
from tests.running.installation import ScratchInstallation

READ = """
import gc, sys, time, django
django.setup()
from core.sheets.spreadsheets import SheetFile
gc.freeze()
gc.set_threshold(50_000)  # as manage.py
started = time.process_time()
with open(sys.argv[1], "rb") as file:
    for row in SheetFile(file).rows():
        pass
print(time.process_time() - started)
"""
FIRST = dt.date(2025, 1, 1)


def cells(rows: int, days: int = 300, companies: int = 20) -> Iterator[list[str]]:
    """The rows of a sheet, not sorted by key. ``days``: of each employee."""
    from core.sheets.columns import COLUMNS

    yield [column.heading for column in COLUMNS]
    for number in range(rows):
        person, day = divmod(number, days)
        who = (f"{person:06}", f"Worker {person}", f"Company {person % companies}")
        yield _row(*who, FIRST + dt.timedelta(day), number % 60)


def next_day(installation: ScratchInstallation) -> list[list[str]]:
    """The rows of a sheet of the day after the register's last: of everybody who was there on the last and has a name.
    An import refuses rows without one."""
    from core.models import AttendanceRecord
    from core.sheets.columns import COLUMNS

    with installation.opened() as alias:
        records = AttendanceRecord.objects.using(alias)
        last: dt.date = records.latest("date").date
        present = list(records.filter(date=last).exclude(ep_name="").values_list("ep_no", "ep_name", "company__name"))
    day = last + dt.timedelta(1)
    rows = [_row(*who, day, number % 60) for number, who in enumerate(present)]
    return [[column.heading for column in COLUMNS], *rows]


def _row(ep_no: str, name: str, company: str, day: dt.date, minute: int) -> list[str]:
    return [
        ep_no, name, company, f"{day:%d-%m-%Y}", "GS", f"00:{minute:02}", "P", f"09:{minute:02}", "18:00",
        "", "", "", "", "01:30", "",
    ]  # fmt: skip


def write_csv(path: Path, rows: Iterable[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def write_xlsx(path: Path, rows: Iterator[list[str]]) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in rows:
        sheet.append([cell or None for cell in row])
    book.save(path)


def cost_of_reading(checkout: Checkout, step: BenchStep, sheet: Path) -> Cost:
    """The cost of reading a sheet by the checkout's own code, and nothing else. Its memory is not measured."""
    command = [sys.executable, "-c", READ, str(sheet)]
    started = time.perf_counter()
    done = subprocess.run(command, env=checkout.environment(), cwd=checkout.folder, stdout=subprocess.PIPE, check=True)
    found = Cost(time.perf_counter() - started, float(done.stdout), 0.0, 0.0)
    sys.stderr.write(f"{checkout.engine}: {step}: CPU {found.cpu:.2f}\n")
    return found
