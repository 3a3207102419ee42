"""Measures Muster's commands beside Django's own and the database's, as whole processes, in rounds.

Within a round each step runs once, on the same register or on an empty copy of the installation. Everything syncs to
disk as it does by default.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import psycopg

from benchmarks.checkouts import Checkout
from benchmarks.costs import Cost, finished
from benchmarks.sheets import cells, cost_of_reading, write_csv
from benchmarks.steps import BenchStep
from tests.running.installation import ScratchInstallation
from tests.running.zygote import Process

TABLES: Final = ("core_company", "core_attendancerecord")
MODELS: Final = ("core.Company", "core.AttendanceRecord")
DAYS_OF_COMPANY: Final = 20
"""The days of each employee of the one large company: it has 50,000 employees at a million records."""
CHANGE: Final = (
    "UPDATE core_attendancerecord SET shift = 'changed', updated_at = '2026-11-01T00:00:00Z' WHERE id % 100 = 0"
)


def backup_steps(checkout: Checkout, records: int) -> Iterator[tuple[BenchStep, Cost]]:
    """The costs of a full backup and of the command's start."""
    yield BenchStep.START_BACKUP, checkout.cost_of_start(BenchStep.START_BACKUP, "backup_data")
    command = ("backup_data", "--output", checkout.backup)
    yield BenchStep.FULL, checkout.cost(BenchStep.FULL, checkout.full, *command, records=records)


def restore_steps(checkout: Checkout, records: int) -> Iterator[tuple[BenchStep, Cost]]:
    """The costs of previews and restores of the backup, and of the command's start. The register ends as it was."""
    full, restore = checkout.full, ("restore_data", "--input", checkout.backup)
    yield BenchStep.START_RESTORE, checkout.cost_of_start(BenchStep.START_RESTORE, "restore_data")
    yield BenchStep.PREVIEW, checkout.cost(BenchStep.PREVIEW, full, *restore, "--preview", skipped=records)
    yield BenchStep.IDENTICAL, checkout.cost(BenchStep.IDENTICAL, full, *restore, skipped=records)
    changed = _change(full)
    expected = {"updated": changed, "skipped": records - changed}
    yield BenchStep.CHANGED, checkout.cost(BenchStep.CHANGED, full, *restore, **expected)
    with checkout.scratch() as empty:
        yield BenchStep.EMPTY, checkout.cost(BenchStep.EMPTY, empty, *restore, added=records)


def backup_round(checkout: Checkout, records: int) -> dict[BenchStep, Cost]:
    """The costs of a full backup, of ``dumpdata`` and of the database's own dump of the same tables."""
    checkout.vacuum()
    costs: dict[BenchStep, Cost] = dict(backup_steps(checkout, records))
    costs[BenchStep.START_DUMPDATA] = checkout.cost_of_start(BenchStep.START_DUMPDATA, "dumpdata")
    costs[BenchStep.DUMPDATA] = checkout.cost(BenchStep.DUMPDATA, checkout.full, *_dumpdata(checkout))
    output = checkout.folder / "dump.sql"
    if checkout.server:
        tables = [f"--table={table}" for table in TABLES]
        program = str(checkout.server.programs / "pg_dump")
        costs[BenchStep.START_PG_DUMP] = _cost_of_start(checkout, BenchStep.START_PG_DUMP, program)
        command = [program, *tables, f"--file={output}", checkout.full.database_url]
        costs[BenchStep.PG_DUMP] = checkout.meter.cost(BenchStep.PG_DUMP, lambda: subprocess.Popen(command))
    elif shutil.which("sqlite3"):
        costs[BenchStep.START_SQLITE3] = _cost_of_start(checkout, BenchStep.START_SQLITE3, "sqlite3")
        command = ["sqlite3", str(checkout.full.folder / "muster.sqlite3"), f".dump {' '.join(TABLES)}"]
        with output.open("wb") as file:
            costs[BenchStep.SQLITE_DUMP] = checkout.meter.cost(
                BenchStep.SQLITE_DUMP, lambda: subprocess.Popen(command, stdout=file)
            )
    return costs


def restore_round(checkout: Checkout, records: int, with_loaddata: bool) -> dict[BenchStep, Cost]:
    """The costs of previews and restores, of ``loaddata`` if asked for, and of ``\\copy``."""
    checkout.vacuum()
    costs: dict[BenchStep, Cost] = dict(restore_steps(checkout, records))
    if checkout.server:
        command = ("restore_data", "--input", checkout.backup, "--exclusive")
        with checkout.scratch() as empty:
            costs[BenchStep.EMPTY_ALONE] = checkout.cost(BenchStep.EMPTY_ALONE, empty, *command, added=records)
        program = str(checkout.server.programs / "psql")
        costs[BenchStep.START_PSQL] = _cost_of_start(checkout, BenchStep.START_PSQL, program)
        for table in TABLES:
            if not (checkout.folder / table).exists():
                finished(_psql(checkout, checkout.full, [f"\\copy {table} TO '{checkout.folder / table}'"]))
        for step in (BenchStep.COPY, BenchStep.COPY_INDEXED):
            costs[step] = _cost_of_copy(checkout, step, records)
    if with_loaddata:
        if not _fixture(checkout).exists():
            checkout.run(checkout.full, *_dumpdata(checkout))
        costs[BenchStep.START_LOADDATA] = checkout.cost_of_start(BenchStep.START_LOADDATA, "loaddata")
        with checkout.scratch() as empty:
            costs[BenchStep.LOADDATA] = checkout.cost(BenchStep.LOADDATA, empty, "loaddata", _fixture(checkout))
            _require(empty, records)
    return costs


def company_round(checkout: Checkout, records: int) -> dict[BenchStep, Cost]:
    """The costs of commands on a register of one company with many employees, which is imported from a sheet."""
    sheet = checkout.folder / "company.csv"
    write_csv(sheet, cells(records, days=DAYS_OF_COMPANY, companies=1))
    costs: dict[BenchStep, Cost] = {}
    costs[BenchStep.READ_CSV] = cost_of_reading(checkout, BenchStep.READ_CSV, sheet)
    costs[BenchStep.START_IMPORT] = checkout.cost_of_start(BenchStep.START_IMPORT, "import_attendance")
    command = ("import_attendance", sheet)
    costs[BenchStep.IMPORT_CSV] = checkout.cost(BenchStep.IMPORT_CSV, checkout.full, *command, added=records)
    checkout.back_up()
    return costs | dict(backup_steps(checkout, records)) | dict(restore_steps(checkout, records))


def _dumpdata(checkout: Checkout) -> tuple[object, ...]:
    return ("dumpdata", *MODELS, "--output", _fixture(checkout))


def _fixture(checkout: Checkout) -> Path:
    return checkout.folder / "fixture.json"


def _cost_of_start(checkout: Checkout, step: BenchStep, program: str) -> Cost:
    """The cost of a program that says its version and ends."""
    command = [program, "--version"]
    return checkout.meter.cost_of_start(step, lambda: subprocess.Popen(command, stdout=subprocess.DEVNULL))


def _cost_of_copy(checkout: Checkout, step: BenchStep, records: int) -> Cost:
    """The cost of copying the rows into empty tables, in one transaction. CHECKs stay, as in every restore."""
    with checkout.scratch() as empty:
        drop, make = indexes = _indexes(empty)
        into = [f"\\copy {table} FROM '{checkout.folder / table}'" for table in TABLES]
        if step is BenchStep.COPY:
            into = [*drop, *into, *make]
        found = checkout.meter.cost(step, lambda: _psql(checkout, empty, into))
        _require(empty, records)
        if _indexes(empty) != indexes:
            raise SystemExit(f"{step}: the table does not have the indexes that it had.")
        return found


def _require(installation: ScratchInstallation, records: int) -> None:
    """Raise SystemExit unless a peer, whose summary nobody reads, brought so many records in."""
    from core.models import AttendanceRecord

    with installation.opened() as alias:
        found = AttendanceRecord.objects.using(alias).count()
    if found != records:
        raise SystemExit(f"A peer loaded {found:,} records instead of {records:,}.")


def _indexes(installation: ScratchInstallation) -> tuple[list[str], list[str]]:
    """What drops all indexes and foreign keys of the records' table, and what makes them again, as pg_dump does."""
    table = TABLES[-1]
    with psycopg.connect(installation.database_url) as connection:
        constraints = connection.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = %s::regclass AND contype IN ('f', 'p', 'u') ORDER BY conname",
            [table],
        ).fetchall()
        indexes = connection.execute(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = %s::regclass"
            " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid) ORDER BY 1",
            [table],
        ).fetchall()
    drop = [f'ALTER TABLE {table} DROP CONSTRAINT "{name}"' for name, _definition in constraints]
    drop += [f"DROP INDEX {name}" for name, _definition in indexes]
    make = [f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}' for name, definition in constraints]
    return drop, make + [definition for _name, definition in indexes]


def _psql(checkout: Checkout, installation: ScratchInstallation, statements: Sequence[str]) -> Process:
    assert checkout.server
    program = str(checkout.server.programs / "psql")
    commands = [part for statement in statements for part in ("-c", statement)]
    options = ("-X", "-q", "-1", "-v", "ON_ERROR_STOP=1")
    return subprocess.Popen([program, *options, *commands, installation.database_url])


def _change(installation: ScratchInstallation) -> int:
    """Change every hundredth record, spread as edits by people are. Returns how many."""
    from django.db import connections

    with installation.opened() as alias, connections[alias].cursor() as cursor:
        cursor.execute(CHANGE)
        return int(cursor.rowcount)
