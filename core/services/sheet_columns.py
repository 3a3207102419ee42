"""The columns of a sheet of attendance: their headings, the fields they hold, and what a cell may say."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from django.utils.translation import gettext as _

from core.models import Status
from core.register import ATTENDANCE_RECORDS
from core.services.errors import SheetRefused
from core.services.spreadsheets import read_text
from core.services.workbooks import is_error
from recordsync.fields import MAX_MINUTES
from recordsync.schema import Shape

REASON: Final = "REASON"
"""The last column of rejected rows: what was wrong. Not read."""

Parse = Callable[[str], str | None]


class BadCell(Exception):
    """A cell that cannot be read. The text is the reason, for whoever filled it in."""


@dataclass(frozen=True)
class Column:
    """``heading``: as it is written; ``field``: of the record; ``required``: the sheet must have it; ``example`` and
    ``meaning``: for the template and the documentation."""

    heading: str
    field: str
    example: str
    meaning: str
    aliases: tuple[str, ...] = ()
    required: bool = False


COLUMNS: Final = (
    Column(
        "EP NO", "ep_no", "000123", "Employee number, 1 to 50 characters. Text: leading zeros count.", required=True
    ),
    Column("EP NAME", "ep_name", "Meena Kumari", "Employee name, up to 255 characters.", required=True),
    Column(
        "COMPANY NAME", "company_name", "ABC Corp", "Company, 1 to 255 characters.", ("CONTRACTOR NAME",), required=True
    ),
    Column("DATE", "date", "2026-11-20", "The day, not in the future.", ("PUNCHDATE",), required=True),
    Column("SHIFT", "shift", "GS", "Shift, up to 50 characters; may be blank.", required=True),
    Column("OVERSTAY", "overstay", "00:30", "Hours and minutes; may be blank.", required=True),
    Column("STATUS", "status", "P", "One of " + ", ".join(Status.values) + ".", required=True),
    Column("IN", "in_time", "09:00", "Time of day; may be blank.", ("PUNCH1 IN",)),
    Column("OUT", "out_time", "18:00", "Time of day; earlier than IN for a night shift.", ("PUNCH1 OUT",)),
    Column("IN (2)", "in_time_2", "", "Second time in; may be blank.", ("PUNCH2 IN",)),
    Column("OUT (2)", "out_time_2", "", "Second time out; may be blank.", ("PUNCH2 OUT",)),
    Column("IN (3)", "in_time_3", "", "Third time in; may be blank.", ("PUNCH3 IN",)),
    Column("OUT (3)", "out_time_3", "", "Third time out; may be blank.", ("PUNCH3 OUT",)),
    Column("OVERTIME", "overtime", "01:30", "Hours and minutes; may be blank."),
    Column("OVERTIME TO MANDAYS", "overtime_to_mandays", "", "Hours and minutes; may be blank."),
)

_BY_HEADING: Final = {name: column for column in COLUMNS for name in (column.heading, *column.aliases)}
_TEXTS: Final = {"ep_no", "ep_name", "company_name", "shift"}
_NEVER_BLANK: Final = {"ep_no", "ep_name", "company_name", "date", "status"}


_LONG: Final = 300
"""Characters of a cell: more than any value has."""


@dataclass(frozen=True)
class Heading:
    """A sheet's first row, understood. ``columns``: per known column its place. ``unknown``: what is ignored."""

    cells: tuple[str, ...]
    columns: tuple[tuple[int, Column], ...]
    unknown: tuple[str, ...]

    @property
    def fields(self) -> list[str]:
        return [column.field for _at, column in self.columns]

    def is_repeated_by(self, cells: Sequence[str]) -> bool:
        return tuple(cells) == self.cells


def read_heading(cells: Sequence[str]) -> Heading:
    """Find the columns: any order, any case. Raises SheetRefused where one is missing or stands twice."""
    found: dict[str, tuple[int, Column]] = {}
    unknown: list[str] = []
    for at, cell in enumerate(cells):
        name = " ".join(cell.split()).upper()
        column = _BY_HEADING.get(name)
        if column is None:
            if name and name != REASON:
                unknown.append(" ".join(cell.split())[:100])
        elif column.heading in found:
            first = " ".join(cells[found[column.heading][0]].split())
            if first.upper() == name:
                text = _("The heading has the column %(column)s more than once.")
            else:
                text = _("The heading has the column %(column)s more than once: as “%(first)s” and as “%(again)s”.")
            raise SheetRefused(text % {"column": column.heading, "first": first, "again": cell.strip()})
        else:
            found[column.heading] = (at, column)
    missing = [column.heading for column in COLUMNS if column.required and column.heading not in found]
    if len(missing) == sum(column.required for column in COLUMNS):
        raise SheetRefused(
            _(
                "The first row has none of the headings of a sheet of attendance (%(headings)s). If this is a table of "
                "attendance, write them above it."
            )
            % {"headings": ", ".join(missing)}
        )
    if missing:
        raise SheetRefused(_("The heading lacks %(headings)s.") % {"headings": ", ".join(missing)})
    return Heading(tuple(cells), tuple(found.values()), tuple(unknown))


class RowReader:
    """Reads rows of one sheet into the values of a record: trimmed, canonical, checked."""

    def __init__(self, heading: Heading, today: dt.date) -> None:
        """``today``: the last day that is not in the future."""
        self.shape: Shape = ATTENDANCE_RECORDS.shape(heading.fields)
        self._heading = heading
        self._width = len(heading.cells)
        places = {column.field: (at, column) for at, column in heading.columns}
        self._plan = [(*places[name], _parser(name, today)) for name in self.shape.names]
        # Values repeat, those of a person too: what was read once is remembered.
        self._quick = [(at, lru_cache(20_000)(parse)) for at, _column, parse in self._plan]

    def values(self, cells: Sequence[str]) -> tuple[str | None, ...] | None:
        """A record's values in the order of ``shape``; None where :meth:`problems` has some."""
        if len(cells) != self._width:
            cells = [*cells, *[""] * (self._width - len(cells))]
            if any(cell.strip() for cell in cells[self._width :]):
                return None
        try:
            if max(map(len, cells)) > _LONG:  # such cells are not kept
                return tuple([parse(cells[at]) for at, _column, parse in self._plan])
            return tuple([parse(cells[at]) for at, parse in self._quick])
        except BadCell:
            return None

    def problems(self, cells: Sequence[str]) -> list[tuple[str, str, str]]:
        """Everything that is wrong with a row: heading, what stands there, and why it cannot be."""
        if self._heading.is_repeated_by(cells):
            return [("", "", _("the heading stands here again"))]
        found: list[tuple[str, str, str]] = []
        if any(cell.strip() for cell in cells[self._width :]):
            found.append(
                ("", "", _("the row has more cells than the heading: is a comma missing its quotation marks?"))
            )
        cells = [*cells, *[""] * (self._width - len(cells))]
        for at, column, parse in sorted(self._plan, key=lambda item: item[0]):
            try:
                parse(cells[at])
            except BadCell as bad:
                found.append((column.heading, cells[at], str(bad)))
        return found


def _parser(field: str, today: dt.date) -> Parse:
    if field in _TEXTS:
        return _text_parser(field)
    if field == "date":
        return _date_parser(today)
    return _status if field == "status" else _PARSERS.get(field, _time)


def _text_parser(field: str) -> Parse:
    kind = ATTENDANCE_RECORDS.all_fields[field].type
    most = kind.max_length  # type: ignore[attr-defined]
    never_blank = field in _NEVER_BLANK

    def parse(cell: str) -> str:
        text, verbatim = read_text(cell)
        if not text and never_blank and not (verbatim and field == "ep_name"):
            raise BadCell(_("is blank"))
        if is_error(text) and not verbatim:
            raise BadCell(_("is the error of a formula that failed"))
        if kind.error(text) is not None:
            if len(text) > most:
                raise BadCell(
                    _("has %(count)s characters; %(most)s are allowed") % {"count": f"{len(text):,}", "most": most}
                )
            raise BadCell(_("has characters that cannot be stored (NUL, or half of a surrogate pair)"))
        return text

    return parse


_DATE: Final = re.compile(r"(?:(\d{4})([-/.])(\d{1,2})\2(\d{1,2})|(\d{1,2})([-/.])(\d{1,2})\6(\d{4}))", re.ASCII)


def _date_parser(today: dt.date) -> Parse:
    def parse(cell: str) -> str:
        text = cell.strip()
        if not text:
            raise BadCell(_("is blank"))
        found = _DATE.fullmatch(text)
        if found is None:
            raise BadCell(_("is not a date: write 2026-11-20 or 20-11-2026"))
        parts = (found[1], found[3], found[4]) if found[1] else (found[8], found[7], found[5])
        try:
            date = dt.date(*map(int, parts))
        except ValueError:
            raise BadCell(_("is not a day of the calendar (write year-month-day or day-month-year)")) from None
        if date > today:
            raise BadCell(_("is in the future (today is %(today)s)") % {"today": today.isoformat()})
        return date.isoformat()

    return parse


def _status(cell: str) -> str:
    text = cell.strip().upper()
    if text not in Status.values:
        if not text:
            raise BadCell(_("is blank"))
        raise BadCell(_("is not a status: use one of %(codes)s") % {"codes": ", ".join(Status.values)})
    return text


_TIME: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)


def _time(cell: str) -> str | None:
    text = cell.strip()
    if not text:
        return None
    found = _TIME.fullmatch(text)
    if found is None or int(found[1]) > 23 or int(found[2]) > 59 or int(found[3] or 0) > 59:
        raise BadCell(_("is not a time of day: write 09:00 or 09:00:30"))
    return f"{int(found[1]):02}:{found[2]}:{found[3] or '00'}"


_MINUTES: Final = re.compile(r"(\d{1,4}):([0-5]\d)(?::00)?", re.ASCII)


def duration(cell: str) -> str | None:
    text = cell.strip()
    if text in ("", "-"):
        return None
    if text == "0":
        return "00:00"
    found = _MINUTES.fullmatch(text)
    if found is None:
        raise BadCell(
            _("is not a duration: write hours and minutes such as 01:30, up to %(most)s")
            % {"most": f"{MAX_MINUTES // 60}:59"}
        )
    return f"{int(found[1]):02}:{found[2]}"


_PARSERS: Final[dict[str, Parse]] = dict.fromkeys(("overstay", "overtime", "overtime_to_mandays"), duration)
