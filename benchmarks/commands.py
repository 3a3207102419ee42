"""Measures Muster's commands beside Django's own and the database's, as whole processes, in rounds.

Within a round each step runs once, on the same register or on an empty copy of the installation. Everything syncs to
disk as it does by default.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import psycopg

from benchmarks.checkouts import UNTIL, Checkout
from benchmarks.costs import Cost, finished
from benchmarks.sheets import cells, cost_of_reading, next_day, write_csv
from benchmarks.steps import EDITS, UNMARKED, BenchStep
from tests.running.installation import ScratchInstallation
from tests.running.zygote import Process

TABLES: Final = ("core_company", "core_attendancerecord")
MODELS: Final = ("core.Company", "core.AttendanceRecord")
DAYS_OF_COMPANY: Final = 20
"""The days of each employee of the one large company: it has 50,000 employees at a million records."""
EXCHANGED: Final = 1000
"""How many records of the last month are changed on either side of an exchange."""
_CHANGE: Final = "UPDATE core_attendancerecord SET shift = 'changed', updated_at = '2026-11-01T00:00:00Z' WHERE "
ANYWHERE: Final = _CHANGE + "id % 100 = 0"
"""Changes every hundredth record, spread as edits by people are."""
RECENT: Final = f"{_CHANGE}id % 8 = 0 AND date > '{dt.date.fromisoformat(UNTIL) - dt.timedelta(30)}'"
"""Changes as many in the last 30 days of 365."""


def backup_steps(checkout: Checkout, records: int) -> Iterator[tuple[BenchStep, Cost]]:
    """The costs of a full backup and of the command's start."""
    yield BenchStep.START_BACKUP, checkout.cost_of_start(BenchStep.START_BACKUP, "backup_data")
    command = ("backup_data", "--output", checkout.backup)
    yield BenchStep.FULL, checkout.cost(BenchStep.FULL, checkout.full, *command, records=records)


def history_steps(checkout: Checkout, records: int) -> Iterator[tuple[BenchStep, Cost]]:
    """The costs of a first backup, which makes all blocks, of the next, which has them, and of their verification. The
    backup that is kept is the next."""
    checkout.forget_history()
    command = ("backup_data", "--output", checkout.backup)
    yield BenchStep.FIRST, checkout.cost(BenchStep.FIRST, checkout.full, *command, records=records)
    yield from backup_steps(checkout, records)
    zst = ("backup_data", "--output", checkout.backup.with_suffix(".json.zst"))
    yield BenchStep.FULL_ZST, checkout.cost(BenchStep.FULL_ZST, checkout.full, *zst, records=records)
    yield BenchStep.START_HISTORY, checkout.cost_of_start(BenchStep.START_HISTORY, "history")
    verify = ("history", "verify", "--register")
    yield BenchStep.VERIFY, checkout.cost(BenchStep.VERIFY, checkout.full, *verify, error_count=0)


def changed_steps(checkout: Checkout, records: int) -> Iterator[tuple[BenchStep, Cost]]:
    """The costs of full backups after one day was imported, and then after changes by SQL, and of that import."""
    sheet = checkout.folder / "day.csv"
    rows = next_day(checkout.full)
    write_csv(sheet, rows)
    with checkout.scratch(full=True) as changing:
        backup = ("backup_data", "--output", changing.folder / "changed.json")
        yield BenchStep.START_IMPORT, checkout.cost_of_start(BenchStep.START_IMPORT, "import_attendance")
        added = len(rows) - 1
        imported = ("import_attendance", sheet)
        yield BenchStep.IMPORT_DAY, checkout.cost(BenchStep.IMPORT_DAY, changing, *imported, added=added)
        records += added
        yield BenchStep.AFTER_DAY, checkout.cost(BenchStep.AFTER_DAY, changing, *backup, records=records)
        for step, change in ((BenchStep.AFTER_RECENT, RECENT), (BenchStep.AFTER_ANYWHERE, ANYWHERE)):
            _change(changing, change)
            yield step, checkout.cost(step, changing, *backup, records=records)


def restore_steps(checkout: Checkout, records: int) -> Iterator[tuple[BenchStep, Cost]]:
    """The costs of previews and restores of the backup, and of the command's start. The register ends as it was."""
    full, restore = checkout.full, ("restore_data", "--input", checkout.backup)
    yield BenchStep.START_RESTORE, checkout.cost_of_start(BenchStep.START_RESTORE, "restore_data")
    yield BenchStep.PREVIEW, checkout.cost(BenchStep.PREVIEW, full, *restore, "--preview", skipped=records)
    yield BenchStep.IDENTICAL, checkout.cost(BenchStep.IDENTICAL, full, *restore, skipped=records)
    for step, change in ((BenchStep.CHANGED_RECENT, RECENT), (BenchStep.CHANGED, ANYWHERE)):
        changed = _change(full, change)
        yield step, checkout.cost(step, full, *restore, updated=changed, skipped=records - changed)
    with checkout.scratch() as empty:
        yield BenchStep.EMPTY, checkout.cost(BenchStep.EMPTY, empty, *restore, added=records)


def backup_round(checkout: Checkout, records: int) -> dict[BenchStep, Cost]:
    """The costs of full backups, of ``dumpdata`` and of the database's own dump of the same tables."""
    costs: dict[BenchStep, Cost] = dict(history_steps(checkout, records))
    costs |= changed_steps(checkout, records)
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


def exchange_round(checkout: Checkout) -> dict[BenchStep, Cost]:
    """The costs of an exchange of two copies of the register, in each of which 1,000 other records of the last month
    were changed: an incremental backup of one, and its preview, its merge and the undo of that in the other."""
    starts = (
        (BenchStep.START_BACKUP, "backup_data"),
        (BenchStep.START_RESTORE, "restore_data"),
        (BenchStep.START_UNDO, "undo"),
    )
    costs = {step: checkout.cost_of_start(step, command) for step, command in starts}
    file = checkout.folder / "exchange.json"
    with checkout.scratch(full=True) as one, checkout.scratch(full=True) as other:
        for copy, position in ((one, 0), (other, 1)):
            if _change(copy, _some_recent(position)) != EXCHANGED:
                raise SystemExit(f"The last month does not have {2 * EXCHANGED:,} records.")
        backup = ("backup_data", "--type", "incremental", "--output", file)
        costs[BenchStep.INCREMENTAL] = checkout.cost(BenchStep.INCREMENTAL, one, *backup, records=EXCHANGED)
        restore = ("restore_data", "--input", file)
        did = {"updated": EXCHANGED, "only_here": EXCHANGED, "conflicts": 0}
        for step, command in (
            (BenchStep.MERGE_PREVIEW, (*restore, "--preview")),
            (BenchStep.MERGE, restore),
            (BenchStep.UNDO, ("undo", "--yes")),
        ):
            expected = {"updated": EXCHANGED} if step is BenchStep.UNDO else did
            costs[step] = checkout.cost(step, other, *command, **expected)
    return costs


def _some_recent(position: int) -> str:
    """The change of so many records of the last month, spread over it; others for another position."""
    recent = f"date > '{dt.date.fromisoformat(UNTIL) - dt.timedelta(30)}' AND id % 2 = {position}"
    of = f"SELECT id FROM core_attendancerecord WHERE {recent} ORDER BY id * 7919 % 10007, id LIMIT {EXCHANGED}"
    return f"{_CHANGE}id IN ({of})"


def company_round(checkout: Checkout, records: int) -> dict[BenchStep, Cost]:
    """The costs of commands on a register of one company with many employees, which is imported from a sheet."""
    sheet = checkout.folder / "company.csv"
    write_csv(sheet, cells(records, days=DAYS_OF_COMPANY, companies=1))
    return _imported(checkout, records, sheet)


def _imported(checkout: Checkout, records: int, sheet: Path) -> dict[BenchStep, Cost]:
    """The costs of importing a sheet into an empty register, and of the commands on what it then has."""
    costs: dict[BenchStep, Cost] = {}
    costs[BenchStep.READ_CSV] = cost_of_reading(checkout, BenchStep.READ_CSV, sheet)
    costs[BenchStep.START_IMPORT] = checkout.cost_of_start(BenchStep.START_IMPORT, "import_attendance")
    command = ("import_attendance", sheet)
    costs[BenchStep.IMPORT_CSV] = checkout.cost(BenchStep.IMPORT_CSV, checkout.full, *command, added=records)
    checkout.back_up()
    return costs | dict(history_steps(checkout, records)) | dict(restore_steps(checkout, records))


def companies_round(checkout: Checkout, records: int) -> dict[BenchStep, Cost]:
    """The costs of commands on a register of as many companies as records, and of a snapshot after one edit."""
    sheet = checkout.folder / "companies.csv"
    write_csv(sheet, cells(records, days=1, companies=records))
    costs = _imported(checkout, records, sheet)
    module = "benchmarks.snapshot"
    costs[BenchStep.START_SNAPSHOT] = checkout.cost_of_module(BenchStep.START_SNAPSHOT, checkout.full, module, "start")
    _change(checkout.full, f"{_CHANGE}id = (SELECT min(id) FROM core_attendancerecord)")
    costs[BenchStep.SNAPSHOT] = checkout.cost_of_module(BenchStep.SNAPSHOT, checkout.full, module, "take")
    return costs


def marks_round(checkout: Checkout, records: int, *, marked_first: bool) -> dict[BenchStep, Cost]:
    """The costs of writes with marks and without, each within a process on an empty register of its own."""
    costs: dict[BenchStep, Cost] = {}
    for is_marked in (marked_first, not marked_first):
        with checkout.scratch() as empty:
            words = ["benchmarks.writes", str(records), str(EDITS), "marked" if is_marked else "unmarked"]
            done = subprocess.run(
                [sys.executable, "-m", *words],
                env=checkout.environment(empty),
                cwd=empty.folder,
                stdout=subprocess.PIPE,
                check=True,
            )
        for name, cost in json.loads(done.stdout).items():
            step = BenchStep(name)
            costs[step if is_marked else UNMARKED[step]] = Cost(*cost)
    return costs


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


def _change(installation: ScratchInstallation, change: str) -> int:
    """Change records by a statement of SQL. Returns how many."""
    from django.db import connections

    with installation.opened() as alias, connections[alias].cursor() as cursor:
        cursor.execute(change)
        return int(cursor.rowcount)
