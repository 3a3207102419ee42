"""The employees in a person's scope: how many there are, and the last record of each.

An employee is a number at a company: the same number at another company is somebody else. Each is found by one look-up
in the index of employees, however many days they have.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from django.db.models import Q
from django.db.models.expressions import RawSQL

from core.attendance.tally import GONE_AFTER
from core.models import AttendanceRecord, Company, Role, User, days_visible_to
from core.register.database import DEFAULT, Register

_EACH: Final = """
    WITH RECURSIVE each(company_id, ep_no) AS (
        SELECT id, (SELECT min(ep_no) FROM {records} WHERE company_id = {companies}.id) FROM {companies} {of_whom}
        UNION ALL
        SELECT company_id,
            (SELECT min(ep_no) FROM {records} WHERE company_id = each.company_id AND ep_no > each.ep_no)
        FROM each WHERE ep_no IS NOT NULL
    )"""
_THEIRS: Final = "{records}.company_id = each.company_id AND {records}.ep_no = each.ep_no AND date BETWEEN %s AND %s"

# Only texts of this module and quoted names of tables are put together here, and values are parameters: nobody can slip
# SQL of their own in.
_WITH_A_DAY: Final = f"count(CASE WHEN EXISTS (SELECT 1 FROM {{records}} WHERE {_THEIRS}) THEN 1 END)"  # noqa: S608 - see above


def _counting(everybody: str) -> str:
    """The query for the number of employees by company, and of those with a day between two days, which are its last
    parameters. ``everybody``: what counts the former."""
    return f"""{_EACH}
    SELECT company_id, {everybody}, {_WITH_A_DAY} FROM each WHERE ep_no IS NOT NULL GROUP BY company_id"""  # noqa: S608 - see above


_COUNTED: Final = _counting(_WITH_A_DAY)
_COUNTED_ALL: Final = _counting("count(*)")
_LAST: Final = f"""{_EACH}
    SELECT (SELECT id FROM {{records}} WHERE {_THEIRS} ORDER BY date DESC LIMIT 1)
    FROM each WHERE ep_no IS NOT NULL"""  # noqa: S608 - see above
_LAST_BEFORE: Final = f"""{_EACH}
    SELECT (
        SELECT id FROM {{records}}
        WHERE {{records}}.company_id = each.company_id AND {{records}}.ep_no = each.ep_no AND date = latest
    ) FROM (
        SELECT company_id, ep_no, (SELECT max(date) FROM {{records}} WHERE {_THEIRS}) AS latest
        FROM each WHERE ep_no IS NOT NULL
    ) AS each WHERE latest < %s"""  # noqa: S608 - see above


class Employees(NamedTuple):
    """How many employees there are. ``recent``: by company, those with a record in the last 30 days."""

    number: int
    recent: Mapping[int, int]


def first_recent(day: dt.date) -> dt.date:
    """The first of the last 30 days up to a day. Whoever has no record in them is taken to have left."""
    return dt.date.fromordinal(max(day.toordinal() - GONE_AFTER.days + 1, 1))


def employees(user: User, until: dt.date, register: Register = DEFAULT) -> Employees:
    """The employees in the scope of an active ``user``, and those with a record in the 30 days up to a day. Reads the
    database."""
    first, last = days_seen_by(user)
    recent = max(first, first_recent(until)), min(last, until)
    if days_visible_to(user) == (None, None):  # then everybody counts, and nobody's days need to be looked for
        found = _asked(_COUNTED_ALL, user, register, *recent)
    else:
        found = _asked(_COUNTED, user, register, first, last, *recent)
    return Employees(sum(number for _pk, number, _of_late in found), {pk: of_late for pk, _number, of_late in found})


def last_records(user: User, register: Register = DEFAULT, *, without: dt.date | None = None) -> Q:
    """Which records are the last one of each employee in the scope of an active ``user``.

    ``without``: of those only who are not recorded on this day, and are in the 29 days before it. Reads the database.
    """
    first, last = days_seen_by(user)
    if without:
        first, last = max(first, first_recent(without)), min(last, without)
        rows = _asked(_LAST_BEFORE, user, register, first, last, without)
    else:
        rows = _asked(_LAST, user, register, first, last)
    found = [pk for (pk,) in rows if pk is not None]
    # As one value: SQLite takes a limited number of them, and PostgreSQL would read a long statement.
    if register.connection.vendor == "postgresql":
        return Q(pk__in=RawSQL("SELECT unnest(%s::bigint[])", [found]))
    return Q(pk__in=RawSQL("SELECT value FROM json_each(%s)", [json.dumps(found)]))


def days_seen_by(user: User) -> tuple[dt.date, dt.date]:
    """The first and the last day of which this person may see records, where nothing limits them those of the
    calendar."""
    first, last = days_visible_to(user)
    return first or dt.date.min, last or dt.date.max


def _asked(sql: str, user: User, register: Register, *values: dt.date) -> list[Any]:
    """The rows of a query about the employees of the companies that somebody sees."""
    quoted = register.connection.ops.quote_name
    records, companies = (quoted(model._meta.db_table) for model in (AttendanceRecord, Company))
    company = [] if user.role == Role.ROOT else [user.company_id]
    of_whom = "WHERE id = %s" if company else ""
    with register.connection.cursor() as cursor:
        cursor.execute(sql.format(records=records, companies=companies, of_whom=of_whom), [*company, *values])
        rows: list[Any] = cursor.fetchall()
    return rows
