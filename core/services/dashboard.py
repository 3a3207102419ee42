"""The figures of the dashboard, in a person's scope. Every one is counted from the records themselves."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from typing import Final

from django.db import connections
from django.db.models import Count

from core.models import AttendanceQuerySet, AttendanceRecord, Backup, Company, Role, Status, UploadLog, User
from core.services import uploads

DAYS: Final = 30
IMPORTS: Final = 5
_PRESENT: Final = frozenset({Status.PRESENT, Status.PARTIAL_DAY, Status.HALF_DAY})


@dataclass(frozen=True)
class Day:
    """How many were there, were absent, and have a record that says neither (holidays, days off, leave)."""

    date: dt.date
    present: int = 0
    absent: int = 0
    other: int = 0

    @property
    def recorded(self) -> int:
        return self.present + self.absent + self.other


@dataclass(frozen=True)
class CompanyDay:
    """A company on the latest day."""

    name: str
    pk: int
    day: Day


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
    """The newest sheets, for who may open their pages."""


def dashboard(user: User, using: str = "default") -> Dashboard:
    """All figures, as ``user`` may see them. Reads the database."""
    records = AttendanceRecord.objects.using(using).visible_to(user)
    companies = Company.objects.using(using).visible_to(user)
    newest = records.order_by("-date").values_list("date", flat=True).first()
    is_root = user.role == Role.ROOT
    backups = Backup.objects.using(using).exclude(purpose=Backup.Purpose.RECEIVED)
    last_backup = backups.order_by("-taken_at").first() if is_root else None
    imports = [uploads.settled(upload) for upload in UploadLog.objects.visible_to(user)[:IMPORTS]]
    names = dict(companies.order_by("name").values_list("pk", "name"))
    if newest is None:
        return Dashboard(len(names), 0, 0, None, 0, [], [], last_backup, imports)
    first = newest - dt.timedelta(DAYS - 1)
    window = records.filter(date__range=(first, newest)).order_by()
    days: dict[dt.date, Counter[str]] = {first + dt.timedelta(n): Counter() for n in range(DAYS)}
    for date, status, count in window.values_list("date", "status").annotate(n=Count("pk")):
        days[date][status] += count
    per_company: dict[int, Counter[str]] = {pk: Counter() for pk in names}
    today = records.filter(date=newest).order_by()
    for pk, status, count in today.values_list("company_id", "status").annotate(n=Count("pk")):
        if pk in per_company:  # else it came since
            per_company[pk][status] += count
    trend = [_day(date, counts) for date, counts in days.items()]
    everybody, recent = _everybody(first, using) if is_root else (_employees(records.order_by()), _employees(window))
    return Dashboard(
        companies=len(names),
        employees=everybody,
        records=records.order_by().count(),
        latest=trend[-1],
        not_recorded=max(0, recent - trend[-1].recorded),
        trend=trend,
        by_company=[CompanyDay(names[pk], pk, _day(newest, counts)) for pk, counts in per_company.items()],
        last_backup=last_backup,
        imports=imports,
    )


def _day(date: dt.date, counts: Counter[str]) -> Day:
    present = sum(count for status, count in counts.items() if status in _PRESENT)
    absent = counts[Status.ABSENT]
    return Day(date, present, absent, counts.total() - present - absent)


def _employees(records: AttendanceQuerySet) -> int:
    """Numbers are given by a company: the same number at another company is somebody else."""
    return records.values("company_id", "ep_no").distinct().count()


def _everybody(since: dt.date, using: str) -> tuple[int, int]:
    """The employees of the whole register, and those of them with a record since a day.

    By two look-ups in the natural key's index for each employee, however many days each has.
    """
    table = connections[using].ops.quote_name(AttendanceRecord._meta.db_table)
    companies = connections[using].ops.quote_name(Company._meta.db_table)
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
    with connections[using].cursor() as cursor:
        cursor.execute(sql, [since])
        everybody, recent = cursor.fetchone()
    return int(everybody), int(recent)
