"""A company's month as a sheet of paper or a workbook has it, by one of several profiles.

A profile is data: a table of columns, each with where its content comes from. A column of which the register holds
nothing is there by its name, and stays blank. The forms are those of India's central rules: Form XVI of the Contract
Labour (Regulation and Abolition) Central Rules, 1971, and Form D of the Ease of Compliance to Maintain Registers under
various Labour Laws Rules, 2017.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import moments
from core.attendance.month import EVERYBODY, RollFilter, RollMonth, RollRow, roll_month
from core.attendance.seals import MonthSeals, digest_in, month_seals
from core.attendance.tally import CODES, CountsAs
from core.models import AttendanceRecord, User, days_visible_to
from core.operations.wording import proof_code
from core.register.database import DEFAULT, Register

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class CellSource(models.TextChoices):
    """Where the content of a column or of a line of the head comes from."""

    SERIAL = "serial", _("Serial number")
    NUMBER = "number", _("Number")
    NAME = "name", _("Name")
    SHIFTS = "shifts", _("Shifts")
    CODES = "codes", _("Days, by their codes")
    TIMES = "times", _("Days, by the first time in and the last time out")
    PRESENT = CountsAs.PRESENT.value, CountsAs.PRESENT.label
    HALF = CountsAs.HALF.value, CountsAs.HALF.label
    LEAVE = CountsAs.LEAVE.value, CountsAs.LEAVE.label
    ABSENT = CountsAs.ABSENT.value, CountsAs.ABSENT.label
    OFF = CountsAs.OFF.value, CountsAs.OFF.label
    HOLIDAY = CountsAs.HOLIDAY.value, CountsAs.HOLIDAY.label
    UNMARKED = CountsAs.UNMARKED.value, CountsAs.UNMARKED.label
    WORKED = "worked", _("Days worked")
    OVERTIME = "overtime", _("Overtime")
    MANDAYS = "mandays", _("Mandays")
    COMPANY = "company", _("Company")
    MONTH = "month", _("Month")
    PERIOD = "period", _("First and last day")


IN_COLUMNS: Final = [
    source for source in CellSource if source not in (CellSource.COMPANY, CellSource.MONTH, CellSource.PERIOD)
]
"""What a column can have."""
OF_DAYS: Final = (CellSource.CODES, CellSource.TIMES)
"""What has a column for each day."""


class PrintColumn(NamedTuple):
    """A column, or a line of the head. ``source``: None if the register holds nothing of it: it stays blank."""

    heading: StrOrPromise
    source: CellSource | None = None


@dataclass(frozen=True)
class Profile:
    """What a sheet has. ``since``: the first day on which the rule was in force; None: it is no rule's."""

    key: str
    title: StrOrPromise
    rule: str
    since: dt.date | None
    head: Sequence[PrintColumn]
    columns: Sequence[PrintColumn]


def _plain(source: CellSource) -> PrintColumn:
    return PrintColumn(source.label, source)


PLAIN: Final = Profile(
    "plain",
    _("Muster roll"),
    "",
    None,
    [_plain(CellSource.COMPANY), _plain(CellSource.MONTH)],
    [
        _plain(CellSource.NUMBER),
        _plain(CellSource.NAME),
        _plain(CellSource.CODES),
        *(_plain(CellSource(kind.value)) for kind in CountsAs),
        _plain(CellSource.OVERTIME),
        _plain(CellSource.MANDAYS),
    ],
)
FORM_XVI: Final = Profile(
    "form-xvi",
    "Form XVI: Muster Roll",
    "Contract Labour (Regulation and Abolition) Central Rules, 1971, rule 78(1)(a)(i)",
    dt.date(1971, 2, 10),
    [
        PrintColumn("Name and address of contractor", CellSource.COMPANY),
        PrintColumn("Name and address of establishment in/under which contract is carried on"),
        PrintColumn("Nature and location of work"),
        PrintColumn("Name and address of principal employer"),
        PrintColumn("For the month of", CellSource.MONTH),
    ],
    [
        PrintColumn("Sl. No.", CellSource.SERIAL),
        PrintColumn("Number", CellSource.NUMBER),
        PrintColumn("Name of workman", CellSource.NAME),
        PrintColumn("Sex"),
        PrintColumn("Father’s/Husband’s name"),
        PrintColumn("Dates", CellSource.CODES),
        PrintColumn("Remarks"),
    ],
)
FORM_D: Final = Profile(
    "form-d",
    "Form D: Attendance Register",
    "Ease of Compliance to Maintain Registers under various Labour Laws Rules, 2017",
    dt.date(2017, 2, 21),
    [
        PrintColumn("Name of establishment", CellSource.COMPANY),
        PrintColumn("Name of owner"),
        PrintColumn("LIN"),
        PrintColumn("For the period from/to", CellSource.PERIOD),
    ],
    [
        PrintColumn("Sl. number in employee register", CellSource.NUMBER),
        PrintColumn("Name", CellSource.NAME),
        PrintColumn("Relay or set work", CellSource.SHIFTS),
        PrintColumn("Place of work"),
        PrintColumn("Date: in, out", CellSource.TIMES),
        PrintColumn("Summary: no. of days", CellSource.WORKED),
        PrintColumn("Remarks, no. of hours"),
        PrintColumn("Signature of register keeper"),
    ],
)
PROFILES: Final = (PLAIN, FORM_XVI, FORM_D)
CUSTOM: Final = "custom"
"""The key of a profile that somebody puts together."""
SIGNATURES: Final = (_("Prepared by"), _("Checked by"), _("For the company"))


def profiles_of(month: dt.date) -> list[Profile]:
    """The profiles for a month, by its first day: a form is there from the month in which its rule began."""
    last = moments.last_of_month(month)
    return [profile for profile in PROFILES if profile.since is None or profile.since <= last]


def custom(title: str, sources: Collection[str], blank: Sequence[str]) -> Profile:
    """A profile that somebody puts together: the columns that the register holds, in the order of :class:`CellSource`,
    and the names of blank ones."""
    columns = [_plain(source) for source in IN_COLUMNS if source in sources]
    return Profile(
        CUSTOM, title or PLAIN.title, "", None, PLAIN.head, [*columns, *(PrintColumn(name) for name in blank)]
    )


class PrintHeading(NamedTuple):
    """The heading of a column of a sheet. ``day``: if it is of a day, which one. ``is_blank``: the register holds
    nothing of it."""

    text: StrOrPromise
    day: dt.date | None
    is_blank: bool
    is_number: bool


@dataclass(frozen=True)
class PrintedRoll:
    """A month as a sheet has it. ``rows``: of each employee the cells; a whole or half number is an int or a float.
    ``sums``: a last row with what the columns add up to. ``proof``: ten characters by which people can tell whether
    they hold the same month; blank if ``no_proof`` says why there is none. ``closing``: who closed the month when, and
    whether it is what it was then, or that it is not closed."""

    month: RollMonth
    profile: Profile
    head: Sequence[tuple[StrOrPromise, str]]
    headings: Sequence[PrintHeading]
    rows: Sequence[Sequence[str | float]]
    sums: Sequence[str | float]
    proof: str
    no_proof: str
    closing: str


def printed(
    user: User,
    company: int,
    first: dt.date,
    profile: Profile,
    chosen: RollFilter = EVERYBODY,
    register: Register = DEFAULT,
) -> PrintedRoll | None:
    """A company's month by a profile, as the register is at one moment; None if the person may not see the company.

    It has all employees that pass the filters. Reads every record of the month.
    """
    with register.read() as store:
        month = roll_month(user, company, first, chosen, register)
        if month is None:
            return None
        times: Mapping[tuple[str, dt.date], str] = {}
        if any(column.source == CellSource.TIMES for column in profile.columns):
            times = dict(_times(user, month, register))
        digest_as = digest_in(store, month.company, first)
        closing = _closing(month_seals(month.company, first, register, digest_as))
        proof, no_proof = "", ""
        if any(days_visible_to(user)):
            no_proof = str(_("This account does not see all days."))
        else:
            digest, no_proof = digest_as(month.company.name)
            proof = digest and proof_code(digest)
    rows = [
        [cell for column in profile.columns for cell in _cells(column.source, serial, row, month, times)]
        for serial, row in enumerate(month.rows, start=1)
    ]
    head = [(line.heading, _of_month(line.source, month)) for line in profile.head]
    headings = list(_headings(profile, month))
    sums = [cell for column in profile.columns for cell in _sum(column.source, month)]
    return PrintedRoll(month, profile, head, headings, rows, sums, proof, no_proof, closing)


def _closing(seals: MonthSeals) -> str:
    """Who closed a month when, as paper says it."""
    closing = seals.shown
    if closing is None:
        return str(_("Not closed"))
    text = (
        _("By %(who)s on %(when)s")
        if seals.changed is None
        else _("By %(who)s on %(when)s, with the proof code %(proof)s. Changed after it was closed")
    )
    when = moments.moment(closing.seal.closed_at)
    return text % {"who": closing.seal.closed_by, "when": when, "proof": closing.proof}


def _times(user: User, month: RollMonth, register: Register) -> Iterator[tuple[tuple[str, dt.date], str]]:
    """The first time in and the last time out of each record of the month that has one, by number and day."""
    records = register.rows(AttendanceRecord).visible_to(user).filter(company_id=month.company.pk)
    rows = records.filter(date__range=(month.days[0].date, month.days[-1].date)).order_by()
    columns = ("in_time", "in_time_2", "in_time_3", "out_time", "out_time_2", "out_time_3")
    for number, day, *times in rows.values_list("ep_no", "date", *columns):
        begin = next(filter(None, times[:3]), None)
        end = next(filter(None, reversed(times[3:])), None)
        if begin or end:
            shown_times = (time.isoformat("minutes") if time else "?" for time in (begin, end))
            yield (number, day), "\n".join(shown_times)


def _cells(
    source: CellSource | None, serial: int, row: RollRow, month: RollMonth, times: Mapping[tuple[str, dt.date], str]
) -> Iterator[str | float]:
    """The cells of an employee in a column of a profile, which for days are as many as the month has."""
    match source:
        case None:
            yield ""
        case CellSource.SERIAL:
            yield serial
        case CellSource.NUMBER:
            yield row.number
        case CellSource.NAME:
            yield row.name
        case CellSource.SHIFTS:
            yield ", ".join(sorted(filter(None, row.shifts)))
        case CellSource.CODES:
            yield from (CODES.get(status, status) for status in row.days)
        case CellSource.TIMES:
            for day, status in zip(month.days, row.days, strict=True):
                yield times.get((row.number, day.date)) or CODES.get(status, status)
        case _:
            yield _of_tally(source, row)


def _of_tally(source: CellSource, row: RollRow | RollMonth) -> str | float:
    """What the days add up to: of an employee, or of all."""
    tally = row.tally if isinstance(row, RollRow) else row.total
    match source:
        case CellSource.OVERTIME:
            return f"{tally.overtime // 60}:{tally.overtime % 60:02d}"
        case CellSource.MANDAYS:
            return round(tally.mandays, 2)
        case CellSource.WORKED:
            return tally.worked
        case _:
            return tally.days[CountsAs(source.value)]


def _sum(source: CellSource | None, month: RollMonth) -> Iterator[str | float]:
    """The last row's cells in a column of a profile: below a day, how many worked, a half day as a half."""
    match source:
        case CellSource.CODES | CellSource.TIMES:
            for day, tally in zip(month.days, month.by_day, strict=True):
                yield "" if day.is_future else tally.worked
        case None | CellSource.SERIAL | CellSource.NUMBER | CellSource.NAME | CellSource.SHIFTS:
            yield ""
        case _:
            yield _of_tally(source, month)


def _headings(profile: Profile, month: RollMonth) -> Iterator[PrintHeading]:
    for column in profile.columns:
        if column.source in OF_DAYS:
            for day in month.days:
                yield PrintHeading(str(day.date.day), day.date, False, False)
        else:
            of_text = (None, CellSource.NUMBER, CellSource.NAME, CellSource.SHIFTS)
            yield PrintHeading(column.heading, None, column.source is None, column.source not in of_text)


def _of_month(source: CellSource | None, month: RollMonth) -> str:
    """A line of the head."""
    match source:
        case CellSource.COMPANY:
            return month.company.name
        case CellSource.MONTH:
            return moments.month(month.first)
        case CellSource.PERIOD:
            return f"{moments.day(month.days[0].date)} – {moments.day(month.days[-1].date)}"
        case _:
            return ""
