"""The figures of the dashboard, in a person's scope. Each of them is counted from the records themselves."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from django.db.models import Count, Q

from core.backups import catalogue
from core.models import AttendanceQuerySet, AttendanceRecord, Backup, Company, Role, Status, UploadLog, User
from core.operations import recovery
from core.register.database import DEFAULT, Register

DAYS: Final = 30
IMPORTS: Final = 5
_PRESENT: Final = (Status.PRESENT, Status.PARTIAL_DAY, Status.HALF_DAY)
_COUNTS: Final = {
    "recorded": Count("*"),
    "present": Count("status", filter=Q(status__in=_PRESENT)),
    "absent": Count("status", filter=Q(status=Status.ABSENT)),
}
"""The counts of a :class:`Day`. They are not grouped by status: without it, the index has the rows in order."""


@dataclass(frozen=True)
class Day:
    """How many records there are of a day, and how many of them say present or absent."""

    date: dt.date
    recorded: int = 0
    present: int = 0
    absent: int = 0

    @property
    def other(self) -> int:
        """How many say neither: holidays, days off, leave."""
        return self.recorded - self.present - self.absent


@dataclass(frozen=True)
class CompanyDay:
    """A company on the latest day."""

    name: str
    pk: int
    day: Day


class Totals(NamedTuple):
    """``recent``: the employees with a record in the last 30 days."""

    records: int
    employees: int
    recent: int


@dataclass(frozen=True)
class Dashboard:
    companies: int
    employees: int
    records: int
    latest: Day | None
    not_recorded: int
    """Employees with a record in the last 30 days and none on the latest day."""
    trend: list[Day]
    by_company: list[CompanyDay]
    last_backup: Backup | None
    imports: list[UploadLog]
    """The newest sheets whose pages this person may open."""


def dashboard(user: User, register: Register = DEFAULT) -> Dashboard:
    """All figures that ``user`` may see. Reads the database."""
    records = register.rows(AttendanceRecord).visible_to(user)
    companies = register.rows(Company).visible_to(user)
    newest = records.order_by("-date").values_list("date", flat=True).first()
    is_root = user.role == Role.ROOT
    last_backup = catalogue.last_taken(register) if is_root else None
    recovery.settle_accounts()
    imports = list(UploadLog.objects.visible_to(user)[:IMPORTS])
    names = dict(companies.order_by("name").values_list("pk", "name"))
    if newest is None:
        return Dashboard(len(names), 0, 0, None, 0, [], [], last_backup, imports)
    first = newest - dt.timedelta(DAYS - 1)
    window = records.filter(date__range=(first, newest)).order_by()
    days = {date: Day(date, *counts) for date, *counts in window.values_list("date").annotate(**_COUNTS)}
    trend = [days.get(date, Day(date)) for date in (first + dt.timedelta(n) for n in range(DAYS))]
    today = records.filter(date=newest).order_by()
    per_company = {pk: Day(newest, *counts) for pk, *counts in today.values_list("company_id").annotate(**_COUNTS)}
    if is_root:
        totals = _whole_register(first, register)
    else:
        totals = Totals(records.order_by().count(), _employees(records.order_by()), _employees(window))
    return Dashboard(
        companies=len(names),
        employees=totals.employees,
        records=totals.records,
        latest=trend[-1],
        not_recorded=max(0, totals.recent - trend[-1].recorded),
        trend=trend,
        by_company=[CompanyDay(name, pk, per_company.get(pk, Day(newest))) for pk, name in names.items()],
        last_backup=last_backup,
        imports=imports,
    )


def _employees(records: AttendanceQuerySet) -> int:
    """How many employees these records are of. The same number at another company is somebody else."""
    return records.values("company_id", "ep_no").distinct().count()


def _whole_register(since: dt.date, register: Register) -> Totals:
    """The totals of the whole register. They are not counted again where PostgreSQL proves that nothing was written
    since the last time."""
    state = _state(register)
    return _counted(since, register) if state is None else _remembered(since, register, state)


def _state(register: Register) -> tuple[str, ...] | None:
    """What is committed on this PostgreSQL server: two requests that get the same state see the same rows.

    Every write begins a transaction, which changes the snapshot. None on another engine, and inside a transaction that
    has written something itself, because no snapshot shows that.
    """
    if register.connection.vendor != "postgresql":
        return None
    sql = """
        SELECT current_database(), pg_postmaster_start_time()::text, pg_current_snapshot()::text
        WHERE pg_current_xact_id_if_assigned() IS NULL"""
    with register.connection.cursor() as cursor:
        cursor.execute(sql)
        state: tuple[str, ...] | None = cursor.fetchone()
    return state


@lru_cache(maxsize=1)
def _remembered(since: dt.date, register: Register, _state: tuple[str, ...]) -> Totals:
    # If somebody writes meanwhile, these totals are newer than the state, and no request gets that state again.
    return _counted(since, register)


def _counted(since: dt.date, register: Register) -> Totals:
    """The records and employees of the whole register, and the employees with a record since a day.

    Employees by two look-ups in their index for each, however many days each has.
    """
    table = register.connection.ops.quote_name(AttendanceRecord._meta.db_table)
    companies = register.connection.ops.quote_name(Company._meta.db_table)
    sql = f"""
        WITH RECURSIVE each(company_id, ep_no) AS (
            SELECT id, (SELECT min(ep_no) FROM {table} WHERE company_id = {companies}.id) FROM {companies}
            UNION ALL
            SELECT company_id,
                (SELECT min(ep_no) FROM {table} WHERE company_id = each.company_id AND ep_no > each.ep_no)
            FROM each WHERE ep_no IS NOT NULL
        )
        SELECT count(*), count(CASE WHEN EXISTS (
            SELECT 1 FROM {table} AS record
            WHERE record.company_id = each.company_id AND record.ep_no = each.ep_no AND record.date >= %s
        ) THEN 1 END)
        FROM each WHERE ep_no IS NOT NULL"""  # noqa: S608 - the tables' names are the models'
    with register.connection.cursor() as cursor:
        cursor.execute(sql, [since])
        employees, recent = cursor.fetchone()
    return Totals(register.rows(AttendanceRecord).count(), employees, recent)
