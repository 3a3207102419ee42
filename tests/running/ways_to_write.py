"""Ways to write to a register, past every service: through the ORM, in bulk, and by SQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.db import connections, transaction

from core.models import AttendanceRecord, Company
from tests.builders.days import blank_day
from tests.builders.registers import LONG_AGO

DATES = ("2026-10-31", "2026-11-01", "2026-11-07", "2026-11-08", "2026-11-30")
RECORD, COMPANY = AttendanceRecord._meta.db_table, Company._meta.db_table


def sql(alias: str, statement: str, *parameters: Any) -> None:
    """Run a statement."""
    with connections[alias].cursor() as cursor:
        cursor.execute(statement, parameters)


def save(alias: str, pick: int, text: str) -> None:
    row = _picked(alias, pick)
    if row is not None:
        row.shift = text
        row.save(using=alias)


def delete(alias: str, pick: int, text: str) -> None:
    row = _picked(alias, pick)
    if row is not None:
        row.delete(using=alias)


def update(alias: str, pick: int, text: str) -> None:
    AttendanceRecord.objects.using(alias).filter(date=DATES[pick % len(DATES)]).update(shift=text)


def bulk_create(alias: str, pick: int, text: str) -> None:
    company, _ = Company.objects.using(alias).get_or_create(name=f"C{pick % 3}")
    days = [blank_day(company.name, f"new {text}", date, shift=text) for date in DATES[pick % len(DATES) :]]
    known = AttendanceRecord.objects.using(alias).filter(company=company, ep_no=f"new {text}")
    known.delete()
    put_days(alias, company, days)


def put_days(alias: str, company: Company, days: Sequence[Any]) -> None:
    AttendanceRecord.objects.using(alias).bulk_create(
        AttendanceRecord(
            company=company,
            ep_no=content["ep_no"],
            date=dt.date.fromisoformat(content["date"]),
            status="P",
            shift=content["shift"],
            created_at=LONG_AGO,
            updated_at=LONG_AGO,
        )
        for content in days
    )


def raw_update(alias: str, pick: int, text: str) -> None:
    sql(alias, f"UPDATE {RECORD} SET shift = %s WHERE ep_no LIKE %s", text, f"%{pick % 10}%")


def edited_key(alias: str, pick: int, text: str) -> None:
    row = _picked(alias, pick)
    day = DATES[len(text) % len(DATES)]
    if row is not None and not AttendanceRecord.objects.using(alias).filter(
        company=row.company_id, ep_no=row.ep_no, date=day
    ):
        sql(alias, f"UPDATE {RECORD} SET date = %s WHERE id = %s", day, row.pk)


def rename(alias: str, pick: int, text: str) -> None:
    company, companies = _picked_company(alias, pick), Company.objects.using(alias)
    if company is not None and not companies.filter(name=(name := f"{company.name[:100]}{text}’")).exists():
        companies.filter(pk=company.pk).update(name=name)


def swap_names(alias: str, pick: int, text: str) -> None:
    """Two companies exchange their names, in one transaction."""
    pair = list(Company.objects.using(alias).order_by("pk")[:2])
    if len(pair) == 2:
        (first, second), names = pair, [company.name for company in pair]
        with transaction.atomic(using=alias):
            for company, name in ((first, "in between"), (second, names[0]), (first, names[1])):
                Company.objects.using(alias).filter(pk=company.pk).update(name=name)


def delete_company(alias: str, pick: int, text: str) -> None:
    company = _picked_company(alias, pick)
    if company is not None:
        AttendanceRecord.objects.using(alias).filter(company=company).delete()
        company.delete(using=alias)


def rolled_back(alias: str, pick: int, text: str) -> None:
    with transaction.atomic(using=alias):
        save(alias, pick, text)
        sid = transaction.savepoint(using=alias)
        update(alias, pick, f"never {text}")
        delete_company(alias, pick, text)
        transaction.savepoint_rollback(sid, using=alias)


def delete_all(alias: str, pick: int, text: str) -> None:
    if connections[alias].vendor == "postgresql" and pick % 2:
        sql(alias, f"TRUNCATE {RECORD}")
    else:
        AttendanceRecord.objects.using(alias).all()._raw_delete(alias)


def replace(alias: str, pick: int, text: str) -> None:
    """A row takes the place of another one, whose day only its number says that it is gone from."""
    row = _picked(alias, pick)
    if row is None or connections[alias].vendor != "sqlite":
        return
    columns = [str(column.column) for column in AttendanceRecord._meta.concrete_fields]
    given = [f"'{DATES[len(text) % len(DATES)]}'" if name == "date" else name for name in columns]
    sql(
        alias,
        f"INSERT OR REPLACE INTO {RECORD} ({', '.join(columns)}) SELECT {', '.join(given)} FROM {RECORD} WHERE id = %s",
        row.pk,
    )


def _picked(alias: str, pick: int) -> AttendanceRecord | None:
    found = list(AttendanceRecord.objects.using(alias).order_by("pk"))
    return found[pick % len(found)] if found else None


def _picked_company(alias: str, pick: int) -> Company | None:
    found = list(Company.objects.using(alias).order_by("pk"))
    return found[pick % len(found)] if found else None


WAYS = (
    save, delete, update, bulk_create, raw_update, edited_key, rename, swap_names, delete_company, rolled_back,
    delete_all, replace,
)  # fmt: skip
"""Ways to write. ``way(alias, pick, text)`` picks something by a number, and writes a text."""
