"""Registers of many records, made quickly, and big enough to interrupt a command in the middle of its work."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import connections

from core.models import AttendanceRecord, Company
from tests.running.installation import ScratchInstallation

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


def fill(alias: str, records: int, companies: int = 8, version: str = "a", days: int = 30) -> None:
    """Fill a register with so many records by raw SQL. Another ``version`` has other values in every second record.

    ``days``: how many each employee has.
    """
    made = [Company(name=f"Company {n}", created_at=_STAMP, updated_at=_STAMP) for n in range(companies)]
    Company.objects.using(alias).bulk_create(made)
    keys = [company.pk for company in made]
    connection = connections[alias]
    table = connection.ops.quote_name(AttendanceRecord._meta.db_table)
    columns = ", ".join(_COLUMNS)
    rows = (_row(n, keys, version if n % 2 else "a", days) for n in range(records))
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


def _row(n: int, companies: list[int], version: str, days: int) -> tuple[Any, ...]:
    employee, day = divmod(n, days)
    company = companies[employee % len(companies)]
    date = (dt.date(2026, 1, 1) + dt.timedelta(days=day)).isoformat()
    number, name = f"EMP{employee:05}", f"Employee {employee} {version}"
    stamp = _STAMP.strftime("%Y-%m-%d %H:%M:%S")
    return number, name, company, date, "GENERAL", "P", "09:00:00", "17:30:00", n % 600, stamp, stamp


def filled(installation: ScratchInstallation, records: int, version: str = "a") -> ScratchInstallation:
    with installation.opened() as alias:
        fill(alias, records, version=version)
    return installation
