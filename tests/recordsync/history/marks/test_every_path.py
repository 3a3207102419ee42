"""Whatever writes the register, each place that has another content afterwards is marked, and no place that nobody
wrote to. Both are told by plain Python, which compares what was there before with what is there after."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress

from django.db import connections, transaction
from hypothesis import given
from hypothesis import strategies as st

from core.models import AttendanceRecord, Company
from recordsync.history import marks
from recordsync.history.places import ALL, Place
from tests.builders.days import ABC, XYZ, day
from tests.builders.registers import LONG_AGO, a_company, put, register
from tests.recordsync.history.marks import places
from tests.recordsync.history.marks.places import COMPANIES, Spot, execute, spot

RECORDS, TABLE = "attendance_records", "core_attendancerecord"
DATES = ("2026-11-01", "2026-11-07", "2026-11-08", "2026-11-14", "2026-11-21", "2026-11-22", "2026-12-01")
STAMP = "2026-11-20 18:40:00+00:00"
ADDED = f"INSERT INTO {TABLE} (company_id, date, ep_no, ep_name, shift, status, created_at, updated_at) VALUES "


class Writes:
    """Ways to write one register.

    ``written`` has the places of all rows that were written, and companies whole. ``replaced`` has those of rows that
    REPLACE may have deleted without a trigger.
    """

    def __init__(self, alias: str, data: st.DataObject) -> None:
        self.alias = alias
        self.is_sqlite = connections[alias].vendor == "sqlite"
        self.written: set[Spot] = set()
        self.replaced: set[Spot] = set()
        self._draw = data.draw
        self._number = 0

    # --- what to write to

    def record(self) -> AttendanceRecord | None:
        rows = list(AttendanceRecord.objects.using(self.alias).order_by("pk"))
        return self._draw(st.sampled_from(rows)) if rows else None

    def company(self) -> Company | None:
        rows = list(Company.objects.using(self.alias).order_by("pk"))
        return self._draw(st.sampled_from(rows)) if rows else None

    def new(self) -> str:
        """A text that nothing has yet."""
        self._number += 1
        return f"new {self._number}"

    def date(self) -> str:
        return self._draw(st.sampled_from(DATES))

    def wrote(self, *rows: AttendanceRecord) -> None:
        """Places of rows as they are now: to be called before they are written, and after."""
        self.written |= {spot(row.company_id, str(row.date)) for row in rows}

    def wrote_company(self, *companies: Company) -> None:
        """Companies got another name or key, or are gone."""
        self.written |= {COMPANIES, *((RECORDS, Place(str(one.pk), ALL)) for one in companies)}

    # --- ways to write

    def save(self) -> None:
        if row := self.record():
            self.wrote(row)
            row.ep_no, row.date = self.new(), dt.date.fromisoformat(self.date())
            row.save()
            self.wrote(row)

    def delete(self) -> None:
        if row := self.record():
            self.wrote(row)
            row.delete()

    def bulk_create(self) -> None:
        if company := self.company():
            rows = [AttendanceRecord(company=company, date=self.date(), ep_no=self.new(), status="P") for _ in range(2)]
            self.wrote(*AttendanceRecord.objects.using(self.alias).bulk_create(rows))

    def bulk_update(self) -> None:
        if (row := self.record()) and (company := self.company()):
            self.wrote(row)
            row.company, row.ep_no = company, self.new()
            AttendanceRecord.objects.using(self.alias).bulk_update([row], ["company", "ep_no"])
            self.wrote(row)

    def update(self) -> None:
        if company := self.company():
            rows = AttendanceRecord.objects.using(self.alias).filter(company=company, date__lte="2026-11-14")
            self.wrote(*rows)
            rows.update(shift=self.new())

    def update_nothing(self) -> None:
        AttendanceRecord.objects.using(self.alias).filter(ep_no="nobody").update(shift=self.new())
        execute(self.alias, f"DELETE FROM {TABLE} WHERE ep_no = 'nobody'")

    def change_key(self) -> None:
        if row := self.record():
            self.wrote(row)
            free = f"(SELECT max(id) FROM {TABLE}) + 1000"
            sql = f"UPDATE {TABLE} SET date = %s, ep_no = %s, id = {free} WHERE id = %s"
            row.date = dt.date.fromisoformat(self.date())
            execute(self.alias, sql, str(row.date), self.new(), row.pk)
            self.wrote(row)

    def upsert(self) -> None:
        if row := self.record():
            self.wrote(row)
            sql = f"{ADDED} (%s, %s, %s, '', %s, 'P', %s, %s) ON CONFLICT (company_id, date, ep_no) DO UPDATE "
            values = (row.company_id, str(row.date), row.ep_no, self.new(), STAMP, STAMP)
            execute(self.alias, f"{sql} SET shift = excluded.shift", *values)

    def replace(self) -> None:
        """A row with the primary key of one and the natural key of another takes the place of both."""
        if self.is_sqlite and (row := self.record()) and (other := self.record()):
            self.wrote(row, other)
            self.replaced |= {spot(one.company_id, str(one.date)) for one in (row, other)}
            sql = f"INSERT OR REPLACE {ADDED.removeprefix('INSERT').replace('(company_id', '(id, company_id')}"
            values = (row.pk, other.company_id, str(other.date), other.ep_no, self.new(), STAMP, STAMP)
            execute(self.alias, f"{sql} (%s, %s, %s, %s, '', %s, 'P', %s, %s)", *values)

    def replace_by_update(self) -> None:
        if self.is_sqlite and (row := self.record()) and (other := self.record()):
            self.wrote(row, other)
            self.replaced |= {spot(one.company_id, str(one.date)) for one in (row, other)}
            sql = f"UPDATE OR REPLACE {TABLE} SET company_id = %s, date = %s, ep_no = %s WHERE id = %s"
            execute(self.alias, sql, other.company_id, str(other.date), other.ep_no, row.pk)

    def replace_company(self) -> None:
        if self.is_sqlite and (company := self.company()):
            self.wrote_company(company)
            sql = "INSERT OR REPLACE INTO core_company (id, name, created_at, updated_at) VALUES (%s, %s, %s, %s)"
            execute(self.alias, sql, company.pk, self.new(), STAMP, STAMP)

    def copy(self) -> None:
        if not self.is_sqlite and (company := self.company()):
            dates = [self.date(), self.date()]
            columns = ADDED[ADDED.index("(") : ADDED.index(")") + 1]
            with connections[self.alias].cursor() as cursor, cursor.copy(f"COPY {TABLE} {columns} FROM STDIN") as copy:
                for date in dates:
                    copy.write_row((company.pk, date, self.new(), "", "", "P", STAMP, STAMP))
            self.written |= {spot(company.pk, date) for date in dates}

    def empty(self) -> None:
        self.wrote(*AttendanceRecord.objects.using(self.alias))
        if self.is_sqlite:
            execute(self.alias, f"DELETE FROM {TABLE}")
        else:
            self._truncate(TABLE)

    def empty_companies(self) -> None:
        self.wrote_company(*Company.objects.using(self.alias))
        if self.is_sqlite:
            execute(self.alias, f"DELETE FROM {TABLE}")
            execute(self.alias, "DELETE FROM core_company")
        else:
            self._truncate("core_company CASCADE")

    def _truncate(self, what: str) -> None:
        # Not while foreign keys wait to be checked.
        for statement in ("SET CONSTRAINTS ALL IMMEDIATE", f"TRUNCATE {what}", "SET CONSTRAINTS ALL DEFERRED"):
            execute(self.alias, statement)

    def add_company(self) -> None:
        self.written.add(COMPANIES)
        a_company(self.alias, self.new())

    def touch_company(self) -> None:
        """Its records stay what they are."""
        if company := self.company():
            self.written.add(COMPANIES)
            company.updated_at = LONG_AGO
            company.save()

    def rename(self) -> None:
        if company := self.company():
            self.wrote_company(company)
            company.name = self.new()
            company.save()

    def change_company_key(self) -> None:
        if company := self.company():
            self.wrote_company(company)
            free = Company.objects.using(self.alias).latest("pk").pk + 1000
            execute(self.alias, f"UPDATE {TABLE} SET company_id = %s WHERE company_id = %s", free, company.pk)
            execute(self.alias, "UPDATE core_company SET id = %s WHERE id = %s", free, company.pk)
            company.pk = free
            self.wrote_company(company)

    def delete_company(self) -> None:
        if company := self.company():
            self.wrote_company(company)
            AttendanceRecord.objects.using(self.alias).filter(company=company).delete()
            company.delete()

    def roll_back(self) -> None:
        before = set(self.written)
        with suppress(InterruptedError), transaction.atomic(using=self.alias):
            self.one()
            raise InterruptedError
        self.written = before

    def one(self) -> None:
        """Any of these."""
        names = [name for name, kind in vars(Writes).items() if callable(kind) and name not in NO_WAYS]
        getattr(self, self._draw(st.sampled_from(names)))()


NO_WAYS = {"__init__", "record", "company", "new", "date", "wrote", "wrote_company", "one", "_truncate"}
LARGE = register(
    *(day(company, number, date) for company in (ABC, XYZ) for number in ("E1", "E2") for date in DATES),
    companies=("Empty Ltd",),
)


@given(data=st.data())
def test_what_differs_is_marked_and_what_nobody_wrote_to_is_not(register_db: str, data: st.DataObject) -> None:
    places.empty(register_db)
    put(register_db, LARGE)
    before = places.take(register_db)
    writes = Writes(register_db, data)
    for _ in range(data.draw(st.integers(1, 4))):
        with transaction.atomic(using=register_db):  # foreign keys are checked at its end
            for _ in range(data.draw(st.integers(1, 3))):
                writes.one()
    after = places.contents(register_db)
    marked = places.covered(before.keys() | after.keys(), marks.read(register_db))
    counted = places.mismatches(register_db)
    assert counted == places.miscounted(before, after)
    differing = places.differing(before, after)
    assert differing <= marked | counted
    assert differing - marked <= writes.replaced
    assert marked <= places.covered(before.keys() | after.keys(), writes.written)
