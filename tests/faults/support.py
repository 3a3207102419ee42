"""What the fault tests share: registers big enough to be hit in the middle, what is in them, and how to hit."""

from __future__ import annotations

import ctypes
import datetime as dt
import hashlib
import json
import os
import random
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from django.db import connections

from core.models import AttendanceRecord, BackupLog, Company, Operation, User
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA
from recordsync.backupfile import check_backup
from tests.running.installation import PROJECT, ScratchInstallation
from tests.running.zygote import Process

SEED = int(os.environ.get("MUSTER_TEST_SEED", "0")) or random.randrange(1, 1 << 32)
"""Where random moments start from: printed, and given back by MUSTER_TEST_SEED."""

NewInstallation = Callable[[str], ScratchInstallation]

_STAMP = dt.datetime(2026, 1, 15, 8, tzinfo=dt.UTC)
_COLUMNS = (
    "ep_no",
    "ep_name",
    "company_id",
    "date",
    "shift",
    "status",
    "in_time",
    "out_time",
    "overtime",
    "created_at",
    "updated_at",
)


def fill(alias: str, records: int, companies: int = 8, version: str = "a") -> None:
    """A register of so many records by raw inserts. ``version``: the same keys with other values in every other one."""
    made = [Company(name=f"Company {n}", created_at=_STAMP, updated_at=_STAMP) for n in range(companies)]
    Company.objects.using(alias).bulk_create(made)
    keys = [company.pk for company in made]
    connection = connections[alias]
    table = connection.ops.quote_name(AttendanceRecord._meta.db_table)
    columns = ", ".join(_COLUMNS)
    rows = (_row(n, keys, version if n % 2 else "a") for n in range(records))
    if connection.vendor == "postgresql":
        connection.ensure_connection()
        with connection.connection.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    else:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            marks = ", ".join("%s" for _ in _COLUMNS)
            cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", list(rows))
            cursor.execute("COMMIT")


def _row(n: int, companies: list[int], version: str) -> tuple[Any, ...]:
    employee, day = divmod(n, 30)
    company = companies[employee % len(companies)]
    date = (dt.date(2026, 1, 1) + dt.timedelta(days=day)).isoformat()
    number, name = f"EMP{employee:05}", f"Employee {employee} {version}"
    stamp = _STAMP.strftime("%Y-%m-%d %H:%M:%S")
    return number, name, company, date, "GENERAL", "P", "09:00:00", "17:30:00", n % 600, stamp, stamp


def state(alias: str) -> str:
    """The digest of every row that a backup or a restore must leave alone: ids and timestamps included."""
    digest = hashlib.sha256()
    for model in (Company, AttendanceRecord, User):
        for row in model._base_manager.using(alias).order_by("pk").values_list().iterator():
            digest.update(repr(row).encode())
    return digest.hexdigest()


def content(alias: str) -> str:
    """The digest of the records as content: no ids, no timestamps; the same on every engine."""
    rows = AttendanceRecord.objects.using(alias).values_list("company__name", *ATTENDANCE_FIELDS)
    lines = sorted(json.dumps(row, default=str) for row in rows.iterator())
    lines += sorted(Company.objects.using(alias).values_list("name", flat=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


ATTENDANCE_FIELDS = tuple(f.source for name, f in ATTENDANCE_RECORDS.all_fields.items() if name != "company_name")


def state_of(installation: ScratchInstallation) -> str:
    with installation.opened() as alias:
        return state(alias)


def content_of(installation: ScratchInstallation) -> str:
    with installation.opened() as alias:
        return content(alias)


def filled(installation: ScratchInstallation, records: int, version: str = "a") -> ScratchInstallation:
    with installation.opened() as alias:
        fill(alias, records, version=version)
    return installation


@contextmanager
def jobs_of(installation: ScratchInstallation) -> Iterator[str]:
    """A database alias that leads to the installation's jobs database."""
    url = installation.database_url
    if installation.engine == "sqlite":
        url = url.replace("muster.sqlite3", "muster-jobs.sqlite3")
    with ScratchInstallation(installation.engine, installation.folder, url).opened() as alias:
        yield alias


@dataclass(frozen=True)
class Accounts:
    """What an installation says about its operations: outcomes, and the audit rows."""

    outcomes: dict[str, str]
    success: dict[str, bool]
    messages: dict[str, str]

    def assert_settled(self) -> None:
        """Nothing is shown as running, and every operation has its audit row, which agrees with it."""
        assert Operation.State.RUNNING not in self.outcomes.values()
        assert {pk: outcome == Operation.State.SUCCEEDED for pk, outcome in self.outcomes.items()} == self.success
        assert all(self.messages[pk] for pk, success in self.success.items() if not success)


def accounts(installation: ScratchInstallation) -> Accounts:
    with installation.opened() as alias, jobs_of(installation) as jobs:
        logs = list(BackupLog.objects.using(alias))
        return Accounts(
            {str(operation.pk): operation.state for operation in Operation.objects.using(jobs)},
            {str(log.operation_id): log.success for log in logs},
            {str(log.operation_id): log.error_message for log in logs},
        )


def last_log(installation: ScratchInstallation) -> BackupLog:
    """The newest audit row."""
    with installation.opened() as alias:
        return BackupLog.objects.using(alias).order_by("-pk")[0]


def assert_whole(folder: Path) -> int:
    """Every backup file under a final name is valid; how many there are."""
    found = list(folder.glob("*.json*"))
    for path in found:
        assert_valid(path)
    return len(found)


def assert_valid(path: Path) -> dict[str, int]:
    """A backup file is valid; how many entries it holds, per model."""
    with path.open("rb") as stream:
        return check_backup(stream, SCHEMA).counts


def file_content(path: Path) -> str:
    """What :func:`content` would say of the register that this full file holds."""
    lines: list[str] = []
    with path.open("rb") as stream:
        file = check_backup(stream, SCHEMA)
        shape = ATTENDANCE_RECORDS.shape()
        for record in file.records(ATTENDANCE_RECORDS):
            values = shape.content(record)
            row: list[Any] = [values["company_name"]]
            for name, f in ATTENDANCE_RECORDS.all_fields.items():
                if name != "company_name":
                    row.append(f.type.to_python(values[name]))
            lines.append(json.dumps(row, default=str))
        lines.sort()
        lines += [record.key[0] for record in file.records(COMPANIES)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def leftovers(*folders: Path) -> list[Path]:
    """Temporary files of ours that are still there."""
    return [path for folder in folders for path in folder.glob("*") if path.name.startswith((".muster-", "tmp"))]


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float = 0.0
    peak: int = 0
    """Its largest resident memory in bytes."""

    @property
    def sentence(self) -> str:
        """The one line on standard error that is not progress."""
        lines = [line for line in self.err.splitlines() if not line.startswith(PROGRESS)]
        assert len(lines) == 1, self.err
        return lines[0]

    def assert_refused(self, *words: str) -> str:
        """Exit status 1 and one clear sentence that has these words; the sentence."""
        assert self.code == 1, (self.code, self.err)
        assert_clear(self.err)
        for word in words:
            assert word in self.sentence, self.err
        return self.sentence


PROGRESS = (
    "Receiving",
    "Waiting for another operation",
    "Checking the file",
    "Comparing",
    "Writing",
    "Finishing",
)


def assert_clear(err: str) -> None:
    """Nothing in it that only a programmer understands."""
    for word in ("Traceback", "Exception", "psycopg", "sqlite3.", "Unexpected error", "Errno", "object at 0x"):
        assert word not in err, err


def start(installation: ScratchInstallation, *args: Any, **options: Any) -> Process:
    """Start a command with its output in pipes."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return installation.popen(*args, **options)


def end(process: Process, timeout: float = 60) -> Ended:
    """Wait for a started command."""
    out, err = process.communicate(timeout=timeout)
    return Ended(process.returncode, out.decode(), err.decode())


def run(installation: ScratchInstallation, *args: Any, **options: Any) -> Ended:
    """Run a command to its end, and measure it."""
    started = time.monotonic()
    process = start(installation, *args, **options)
    ended = end(process)
    ended.seconds = time.monotonic() - started
    return ended


def signalled(
    installation: ScratchInstallation, args: tuple[Any, ...], seconds: float, number: signal.Signals, **options: Any
) -> Ended:
    """Run a command, send it a signal after so many seconds (if it is still there), and wait for its end."""
    process = start(installation, *args, **options)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    return end(process)


@contextmanager
def worker(installation: ScratchInstallation) -> Iterator[Process]:
    """A worker that waits for something to do."""
    process = start(installation, "db_worker", "--no-reload", "--no-startup-delay", "--interval", "0.2")
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        ended = end(process)
    assert ended.code == 0, ended.err


def take_backup(installation: ScratchInstallation) -> None:
    """Have a backup taken by the installation's worker, and see it done."""
    script = (
        "from core.backups import jobs as backup_jobs;from core.operations import run as operations;"
        "backup_jobs.submit_backup(operations.Actor('Meena'), backup_jobs.BackupRequest())"
    )
    installation.manage("shell", "--no-imports", "-c", script, check=True)
    deadline = time.monotonic() + 60
    with jobs_of(installation) as jobs:
        while (operation := Operation.objects.using(jobs).order_by("-started_at")[0]).state in ("waiting", "running"):
            assert time.monotonic() < deadline, operation
            time.sleep(0.05)
    assert operation.state == "succeeded", operation.message


def injected(installation: ScratchInstallation, fault: str, *args: Any, **options: Any) -> Process:
    """Start a command in whose process ``fault``, Python source, runs once Django is set up."""
    program = (
        "import os, sys\n"
        f"sys.path.insert(0, {str(PROJECT)!r})\n"
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'muster.settings')\n"
        "import django\ndjango.setup()\n"
        f"{fault}\n"
        "sys.argv[0] = 'manage.py'\n"
        "from django.core.management import execute_from_command_line\n"
        "execute_from_command_line(sys.argv)\n"
    )
    script = installation.folder.with_name(f"{installation.folder.name}-{uuid.uuid4().hex}.py")
    script.write_text(program, encoding="utf-8")
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return installation.python(script, *args, **options)


def at_phase(phase: str, action: str) -> str:
    """Source for :func:`injected`: do ``action`` (one line) when the operation first reports the phase."""
    return (
        "import time, signal\n"
        "from core.operations import run as operations\n"
        "_report, _seen = operations.Run.__call__, []\n"
        "def _call(self, phase, done, total, /):\n"
        "    _report(self, phase, done, total)\n"
        f"    if phase == {phase!r} and not _seen:\n"
        "        _seen.append(phase)\n"
        f"        {action}\n"
        "operations.Run.__call__ = _call\n"
    )


UNTIL_TOLD = "[time.sleep(0.02) for _ in range(2000) if not os.path.exists('go-on')]"
"""An action for :func:`at_phase`: wait for :func:`tell_to_go_on`."""


def tell_to_go_on(installation: ScratchInstallation) -> None:
    (installation.folder / "go-on").touch()


def wait_for_phase(installation: ScratchInstallation, phase: str, seconds: float = 60) -> None:
    """Wait until the running operation reports the phase."""
    deadline = time.monotonic() + seconds
    with jobs_of(installation) as jobs:
        running = Operation.objects.using(jobs).filter(state=Operation.State.RUNNING, phase=phase)
        while not running.exists():
            assert time.monotonic() < deadline, f"no operation came to {phase}"
            time.sleep(0.02)


class Moments:
    """Random moments, from the printed seed, that fall within a command's measured duration."""

    def __init__(self, name: str) -> None:
        print(f"{name}: MUSTER_TEST_SEED={SEED}")
        self._random = random.Random(f"{SEED}-{name}")

    def within(self, seconds: float, start: float = 0.0) -> float:
        return self._random.uniform(start, seconds * 1.02)

    def choice(self, values: list[Any]) -> Any:
        return self._random.choice(values)


def fold_wal(installation: ScratchInstallation) -> None:
    """Move what is in SQLite's journal into the database file."""
    with installation.opened() as alias, connections[alias].cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def move_records_to(installation: ScratchInstallation, folder: Path) -> None:
    """Put the table of attendance records and its indexes into a PostgreSQL table space in this folder."""
    owner = Path(str(psycopg.conninfo.conninfo_to_dict(installation.database_url)["host"])).stat()
    os.chown(folder, owner.st_uid, owner.st_gid)
    folder.chmod(0o700)
    table = AttendanceRecord._meta.db_table
    with psycopg.connect(installation.database_url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
        connection.execute(f"ALTER TABLE {table} SET TABLESPACE small")


def move_records_back(installation: ScratchInstallation) -> None:
    with psycopg.connect(installation.database_url, autocommit=True) as connection:
        connection.execute(f"ALTER TABLE {AttendanceRecord._meta.db_table} SET TABLESPACE pg_default")
        connection.execute("DROP TABLESPACE small")


def bound_by_permissions() -> dict[str, Any]:
    """For start and run: permissions and owners of files bind the process, even if the user is root."""
    capabilities = (1, 2, 3)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER of linux/capability.h
    drop = 24  # PR_CAPBSET_DROP of linux/prctl.h

    def give_up() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in capabilities:
            if libc.prctl(drop, capability, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "prctl")

    return {"preexec_fn": give_up} if os.geteuid() == 0 else {}
