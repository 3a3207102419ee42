"""The columns of a sheet of attendance: their headings, their fields, and how a row is read."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from django.utils.translation import gettext as _

from core.models import TIME_FIELDS, Status
from core.operations.errors import SheetRefused
from core.register.declared import ATTENDANCE_RECORDS
from core.sheets.cell_text import plain_text
from core.sheets.cells import CODES, BadCell, NextDay, Parse, duration, punch_time, status, text_parser
from core.sheets.dates import Dates
from core.sheets.spoilt_text import normalised
from recordsync.model.schema import Shape

REASON: Final = "REASON"
"""The last column in a file of refused rows, which says what is wrong. An import does not read it."""


@dataclass(frozen=True)
class Column:
    """A column of a sheet. ``heading``: as it is written. ``field``: the field of the record. ``required``: whether the
    sheet must have it. ``example`` and ``meaning``: for the template and the documentation. ``punches``: its names in
    each of the :data:`SCHEMES`."""

    heading: str
    field: str
    example: str
    meaning: str
    aliases: tuple[str, ...] = ()
    required: bool = False
    punches: tuple[str, ...] = ()


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
    Column("IN", "in_time", "09:00", "Time of day; may be blank.", punches=("PUNCH1 IN", "PUNCH1 IN")),
    Column(
        "OUT",
        "out_time",
        "18:00",
        "Time of day; earlier than IN for a night shift.",
        punches=("PUNCH1 OUT", "PUNCH2 OUT"),
    ),
    Column("IN (2)", "in_time_2", "", "Second time in; may be blank.", punches=("PUNCH2 IN", "PUNCH3 IN")),
    Column("OUT (2)", "out_time_2", "", "Second time out; may be blank.", punches=("PUNCH2 OUT", "PUNCH4 OUT")),
    Column("IN (3)", "in_time_3", "", "Third time in; may be blank.", punches=("PUNCH3 IN", "PUNCH5 IN")),
    Column("OUT (3)", "out_time_3", "", "Third time out; may be blank.", punches=("PUNCH3 OUT", "PUNCH6 OUT")),
    Column("OVERTIME", "overtime", "01:30", "Hours and minutes; may be blank."),
    Column("OVERTIME TO MANDAYS", "overtime_to_mandays", "", "Hours and minutes; may be blank."),
)

_TEXTS: Final = {*CODES, "ep_name", "company_name"}
_TYPED: Final = {*_TEXTS, "date"}
"""Fields for which the kind of a workbook's cell matters."""
_BETWEEN: Final = re.compile(r"[\s\-‐-―_.,:;()\[\]#*/\\'’\"]+|(?<!\d)0+(?=\d)")
"""Parts of a heading that make no difference."""
_PUNCH: Final = re.compile(r"PUNCH(?:ES)?(?:\d|IN|OUT|TIME|HH|MM|SS)+|(?:IN|OUT)PUNCH(?:\d|HH|MM|SS)*")
_NUMBERED: Final = re.compile(r"\d*(?:IN|OUT)\d*")


def _plain(heading: str) -> str:
    """A heading in the form in which headings are compared: without case, spaces, hyphens and the like, and without
    what protects it from spreadsheets."""
    return _BETWEEN.sub("", unicodedata.normalize("NFKC", plain_text(heading))).upper()


_BY_HEADING: Final = {_plain(name): column for column in COLUMNS for name in (column.heading, *column.aliases)}
SCHEMES: Final = tuple(
    {_plain(column.punches[position]): column for column in COLUMNS if column.punches} for position in range(2)
)
"""Two ways to number punches: both punches of a pair have its number, or each has its own. Both use the same headings
for different punches, so only all headings of a sheet together show which one it uses."""


_LONG: Final = 300
"""Characters of a cell. No value has more."""
_MOST: Final = 2_000
"""Characters of a cell that is read, with blanks around it and in any form of Unicode."""


@dataclass(frozen=True)
class Heading:
    """The heading of a sheet. ``columns``: the known columns, with their places. ``unknown``: ignored headings."""

    cells: tuple[str, ...]
    columns: tuple[tuple[int, Column], ...]
    unknown: tuple[str, ...]

    @property
    def fields(self) -> list[str]:
        return [column.field for _position, column in self.columns]

    def place(self, field: str) -> int:
        """The place of the column that holds a field. Raises KeyError if no column does."""
        return {column.field: position for position, column in self.columns}[field]

    def is_repeated_by(self, cells: Sequence[str]) -> bool:
        return tuple(cells) == self.cells


def column_named(cell: str) -> Column | None:
    """The column that a heading names; None if it names none.

    A punch gets its column in the first of the :data:`SCHEMES` that knows it, although it may be another in the other.
    """
    name = _plain(cell)
    return next((names[name] for names in (_BY_HEADING, *SCHEMES) if name in names), None)


def is_time(cell: str) -> bool:
    """Whether a heading names a time, or may name one."""
    column, name = column_named(cell), _plain(cell)
    if column is not None:
        return column.field in TIME_FIELDS
    return bool(_NUMBERED.fullmatch(name) or (_PUNCH.fullmatch(name) and ("IN" in name or "OUT" in name)))


def read_heading(cells: Sequence[str]) -> Heading:
    """The heading in a row of cells, in any order and case.

    Raises SheetRefused if a column is missing or there twice, or if it is not certain which punch a heading names.
    """
    names = [" ".join(normalised(cell).split()) for cell in cells]
    columns = _BY_HEADING | _punches(names)
    by_heading: dict[str, tuple[int, Column]] = {}
    unknown: list[str] = []
    for position, name in enumerate(names):
        column = columns.get(_plain(name))
        if column is None:
            if name and name.upper() != REASON:
                unknown.append(name[:100])
        elif column.heading in by_heading:
            first = names[by_heading[column.heading][0]]
            if first.upper() == name.upper():
                text = _("The heading has the column %(column)s more than once.")
            else:
                text = _("The heading has the column %(column)s more than once: as “%(first)s” and as “%(again)s”.")
            raise SheetRefused(text % {"column": column.heading, "first": first, "again": name})
        else:
            by_heading[column.heading] = (position, column)
    missing = [column.heading for column in COLUMNS if column.required and column.heading not in by_heading]
    if len(missing) == sum(column.required for column in COLUMNS):
        raise SheetRefused(
            _(
                "No row at the beginning has the headings of a sheet of attendance (%(headings)s). If this is a table "
                "of attendance, write them above it."
            )
            % {"headings": ", ".join(missing)}
        )
    if missing:
        raise SheetRefused(_("The heading lacks %(headings)s.") % {"headings": ", ".join(missing)})
    return Heading(tuple(cells), tuple(by_heading.values()), tuple(unknown))


def _punches(names: Sequence[str]) -> dict[str, Column]:
    """The columns of those headings of a sheet that name punches.

    Raises SheetRefused if together they fit no scheme, or several with different meanings.
    """
    punches = {plain: name for name in names if _PUNCH.fullmatch(plain := _plain(name))}
    numbered = {plain: name for name in names if _NUMBERED.fullmatch(plain := _plain(name))}
    if not punches:
        strange = [name for plain, name in numbered.items() if plain not in _BY_HEADING]
        if strange:
            raise _not_clear(strange)
        return {}
    if not numbered:
        fitting = [{plain: scheme[plain] for plain in punches} for scheme in SCHEMES if punches.keys() <= scheme.keys()]
        whole = [columns for columns in fitting if _is_whole({column.field for column in columns.values()})]
        if whole:
            return whole[0]  # there is one: in a pair the numbers are equal, or they are not
        if len(fitting) == len(SCHEMES) and all(columns == fitting[0] for columns in fitting):
            return fitting[0]
    raise _not_clear([*numbered.values(), *punches.values()])


def _is_whole(fields: set[str]) -> bool:
    """Whether every time in has a time out, and the other way round."""
    return all((in_ in fields) == (out in fields) for in_, out in zip(TIME_FIELDS[::2], TIME_FIELDS[1::2], strict=True))


def _not_clear(names: Sequence[str]) -> SheetRefused:
    return SheetRefused(
        _(
            "It is not certain which punches %(headings)s are. Name them in pairs (PUNCH1 IN, PUNCH1 OUT, PUNCH2 IN, "
            "PUNCH2 OUT, PUNCH3 IN, PUNCH3 OUT), or each by its own number (PUNCH1 IN, PUNCH2 OUT, PUNCH3 IN, "
            "PUNCH4 OUT, PUNCH5 IN, PUNCH6 OUT), or IN, OUT, IN (2), OUT (2), IN (3), OUT (3)."
        )
        % {"headings": ", ".join(name[:100] for name in names)}
    )


class RowReader:
    """Reads the rows of a sheet as values of records: trimmed, canonical and checked."""

    def __init__(self, heading: Heading, dates: Dates) -> None:
        """``dates``: reads the dates of the sheet, and learns from them how to read them."""
        self.shape: Shape = ATTENDANCE_RECORDS.shape(heading.fields)
        self._heading = heading
        self._width = len(heading.cells)
        self._plan = [(heading.place(name), _parser(name, dates)) for name in self.shape.names]
        # Values repeat, so what was read once is remembered. A date of a workbook is not the same as its text.
        self._quick = [
            (position, lru_cache(20_000, typed=name in _TYPED)(_unmarked(parse)))
            for name, (position, parse) in zip(self.shape.names, self._plan, strict=True)
        ]
        self._times = [(name, self.shape.names.index(name)) for name in TIME_FIELDS if name in self.shape.names]

    def values(self, cells: Sequence[str]) -> tuple[str | None, ...] | None:
        """The values of a record in the order of ``shape``; None if :meth:`problems` finds any."""
        if len(cells) != self._width:
            cells = [*cells, *[""] * (self._width - len(cells))]
            if any(cell.strip() for cell in cells[self._width :]):
                return None
        if max(map(len, cells)) <= _LONG:  # longer ones are not kept
            try:
                return tuple([parse(cells[position]) for position, parse in self._quick])
            except BadCell:
                if not any("(" in cells[self._plan[place][0]] for _field, place in self._times):
                    return None
        values, bad = self._read(cells)
        if bad or self._contradiction(values):
            return None
        return tuple([value and str(value) for value in values])

    def problems(self, cells: Sequence[str]) -> list[tuple[str, str, str]]:
        """Everything that is wrong with a row: the heading, the cell, and the reason."""
        if self._heading.is_repeated_by(cells):
            return [("", "", _("the heading stands here again"))]
        problems: list[tuple[str, str, str]] = []
        if any(cell.strip() for cell in cells[self._width :]):
            problems.append(
                ("", "", _("the row has more cells than the heading: is a comma missing its quotation marks?"))
            )
        cells = [*cells, *[""] * (self._width - len(cells))]
        values, bad = self._read(cells)
        if contradiction := self._contradiction(values):
            place, reason = contradiction
            bad.append((self._plan[place][0], reason))
        problems += [
            (" ".join(self._heading.cells[position].split()), cells[position], reason)
            for position, reason in sorted(bad)
        ]
        return problems

    def _read(self, cells: Sequence[str]) -> tuple[list[str | None], list[tuple[int, str]]]:
        """The values of a row, None for those that cannot be read, and the places of these with the reasons."""
        values: list[str | None] = []
        bad: list[tuple[int, str]] = []
        for position, parse in self._plan:
            try:
                if len(cells[position]) > _MOST:
                    raise BadCell(_("has %(count)s characters") % {"count": f"{len(cells[position]):,}"})
                values.append(parse(cells[position]))
            except BadCell as reason:
                values.append(None)
                bad.append((position, str(reason)))
        return values, bad

    def _contradiction(self, values: Sequence[str | None]) -> tuple[int, str] | None:
        """The place in ``values`` of the first time that contradicts its mark, and the reason; None if there is none.

        Times are kept without a day. A time that is earlier than the one before it is of the next day.
        """
        if NextDay not in map(type, values):
            return None
        before = ""
        day = 0
        for number, (field, place) in enumerate(self._times):
            time = values[place]
            if time is None:
                continue
            is_marked = isinstance(time, NextDay)
            if is_marked and field != TIME_FIELDS[number]:
                return place, _("is of the next day (N), and the sheet does not have the punches before it")
            if not before:
                if is_marked and not number:
                    return place, _("is of the next day (N), and no punch can be before it")
                day = int(is_marked)
            elif time < before:
                day += 1
            if is_marked and not day:
                return place, _("is of the next day (N), and not earlier than the punch before it: over 24 hours")
            if day > 1:
                return place, _("is earlier than the punch before it, which is of the next day already")
            if day and not is_marked:
                return place, _("is earlier than a punch before it, and not marked as of the next day (N)")
            before = time
        return None


def _unmarked(parse: Parse) -> Parse:
    """A parser that refuses times of the next day, which are read together with the other times of the row."""

    def unmarked(cell: str) -> str | None:
        value = parse(cell)
        if isinstance(value, NextDay):
            raise BadCell
        return value

    return unmarked


def _parser(field: str, dates: Dates) -> Parse:
    if field in _TEXTS:
        return text_parser(field)
    if field in TIME_FIELDS:
        return punch_time
    return {"date": dates.parse, "status": status}.get(field, duration)
