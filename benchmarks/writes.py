"""``python -m benchmarks.writes RECORDS EDITS marked|unmarked`` writes into an empty register, with the triggers of
marks or without, and prints what each way of writing costs as JSON."""

from __future__ import annotations

import datetime as dt
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import django

from benchmarks.costs import Cost
from benchmarks.steps import BenchStep

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
FIRST = dt.date(2026, 1, 1)
DAYS = 390
COMPANIES = 104
BATCH = 2_000
"""Records of a batch, as services pass them to the stores. A quarter of the register is changed or deleted in smaller
ones."""
PART = 4
CONTENT = {
    "ep_name": "Employee Name", "shift": "GENERAL", "status": "P", "in_time": "09:00:00", "out_time": "17:30:00",
    "in_time_2": None, "out_time_2": None, "in_time_3": None, "out_time_3": None, "overstay": None,
    "overtime": "01:30", "overtime_to_mandays": None,
}  # fmt: skip


def main() -> None:
    """Write, and print the costs."""
    django.setup()
    count, edits, marked = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "marked"
    costs = measured(count, edits, is_marked=marked)
    sys.stdout.write(json.dumps(costs))


def measured(count: int, edits: int, *, is_marked: bool) -> dict[str, Cost]:
    """The costs by the names of steps. The register is empty before, and is not after."""
    from django.db import connection, transaction

    from core.models import AttendanceRecord, Company
    from core.register.declared import ATTENDANCE_RECORDS, SCHEMA
    from core.register.declared import COMPANIES as COMPANIES_MODEL
    from recordsync.history import marks
    from recordsync.models import Dirty
    from recordsync.stores import open_store
    from recordsync.streams import Change

    if not is_marked:
        marks.remove("default", SCHEMA)
    shape = ATTENDANCE_RECORDS.shape()
    each = -(-count // (COMPANIES * DAYS))
    records = [
        shape.from_mapping(
            {
                **CONTENT,
                "company_name": f"C{company:03}",
                "date": str(FIRST + dt.timedelta(day)),
                "ep_no": f"E{who:05}",
            },
            "2026-11-20T18:40:00.000000Z",
        )
        for company in range(COMPANIES)
        for day in range(DAYS)
        for who in range(each)
    ][:count]
    names = [COMPANIES_MODEL.shape().from_mapping({"name": f"C{company:03}"}, None) for company in range(COMPANIES)]

    def empty() -> None:
        for model in (AttendanceRecord, Company, Dirty):
            with connection.cursor() as cursor:
                clear = "TRUNCATE {} CASCADE" if connection.vendor == "postgresql" else "DELETE FROM {}"
                cursor.execute(clear.format(model._meta.db_table))
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("CHECKPOINT")

    def add(filling: int) -> None:
        with transaction.atomic():
            store = open_store(SCHEMA)
            store.add(COMPANIES_MODEL, names, NOW)
            with store.filling(filling):
                for begin in range(0, count, BATCH):
                    store.add(ATTENDANCE_RECORDS, records[begin : begin + BATCH], NOW)

    def write(offset: int, *, is_deleting: bool) -> None:
        with transaction.atomic():
            store = open_store(SCHEMA)
            part = records[offset::PART]
            for begin in range(0, len(part), BATCH // PART):
                changes = []
                for record in part[begin : begin + BATCH // PART]:
                    changed = shape.from_mapping({**shape.content(record), "shift": "changed"}, record.created_at)
                    changes.append(Change(record.key, record, None if is_deleting else changed))
                store.write(ATTENDANCE_RECORDS, changes, NOW)

    def edit() -> None:
        for row in rows:
            row.shift = "edited"
            row.save()

    found = {}
    found[BenchStep.ADD] = _cost(lambda: add(0))
    found[BenchStep.CHANGE] = _cost(lambda: write(0, is_deleting=False))
    found[BenchStep.DELETE] = _cost(lambda: write(1, is_deleting=True))
    rows = list(AttendanceRecord.objects.order_by("pk")[:edits])
    found[BenchStep.EDIT] = _cost(edit)
    empty()
    found[BenchStep.FILL] = _cost(lambda: add(count))
    return {step.value: cost for step, cost in found.items()}


def _cost(write: Callable[[], None]) -> Cost:
    """The time that the calls take, with that of this connection's process of the server. No memory is measured."""
    started, own, server = time.perf_counter(), _own_cpu(), _server_cpu()
    write()
    return Cost(time.perf_counter() - started, _own_cpu() - own, _server_cpu() - server, 0.0)


def _own_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _server_cpu() -> float:
    """CPU seconds of the process of PostgreSQL that serves this connection."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return 0.0
    connection.ensure_connection()
    stat = Path(f"/proc/{connection.connection.info.backend_pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / 100


if __name__ == "__main__":
    main()
