"""A checked sheet: its counts, what is wrong with some rows, and what is not read of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Final

import orjson
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from openpyxl.utils.cell import get_column_letter

from core.sheets.columns import Heading
from core.sheets.dates import Dates

KEPT: Final = 100
"""How many problems, repeated rows and new companies are kept to be shown. All are counted."""

_NAMED: Final = 10
"""The most rows that a notice names."""
_CELL: Final = 200
_MAX_LINES: Final = 12 << 20
"""The most bytes of :attr:`Sheet.lines`: as many as the file of refused rows can hold."""


def not_read(sheets: Iterable[str]) -> str:
    """A sentence that names the other sheets of a workbook."""
    return _("Other sheets of the workbook, which are not read: %(names)s.") % {"names": ", ".join(sheets)}


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a cell, or with a whole row if ``column`` and ``value`` are blank."""

    row: int
    column: str
    value: str
    reason: str

    def __str__(self) -> str:
        if not self.column:
            return _("Row %(row)s: %(reason)s") % {"row": self.row, "reason": self.reason}
        cell = f"{self.column} “{self.value}”" if self.value else self.column
        return _("Row %(row)s, %(cell)s: %(reason)s") % {"row": self.row, "cell": cell, "reason": self.reason}

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the keys that every error in a summary has."""
        return {"message": str(self), "line": self.row, "field": self.column or None, "value": self.value}


@dataclass
class Sheet:
    """A checked sheet. ``lines``: the number and problems of every refused row, until they are too many to keep."""

    name: str
    lines: IO[bytes]
    heading: Heading
    dates: Dates
    heading_rows: tuple[int, ...] = (1,)
    rows_above: tuple[int, ...] = ()
    """The rows before the heading, which are not read."""
    rows: int = 0
    rejected: int = 0
    repeated: int = 0
    """Rows that repeat another row."""
    problems: list[Problem] = field(default_factory=list)
    """The first :data:`KEPT`, by row."""
    repeats: list[tuple[int, int]] = field(default_factory=list)
    """The first repeated rows, each with the row that it repeats."""
    new_companies: list[str] = field(default_factory=list)
    """The first :data:`KEPT` companies that the register does not have."""
    other_sheets: list[str] = field(default_factory=list)
    """The names of the other sheets of a workbook, which are not read."""
    unread: dict[int, int] = field(default_factory=dict)
    """The places of columns with values and no heading, each with the first such row."""
    short: int = 0
    """Rows with fewer cells than the heading. What they lack is read as blank."""
    first_short: list[int] = field(default_factory=list)
    totals_row: int | None = None
    """The first row of totals, which is refused."""
    below_totals: int = 0
    """Rows after it. They are read like the others."""

    @property
    def width(self) -> int:
        """How many columns have a heading or values."""
        return max(len(self.heading.cells), max(self.unread, default=-1) + 1)

    def wants_reasons(self, row: int) -> bool:
        """Whether the reasons of this refused row are kept. Beyond a limit, refused rows are only counted."""
        return self.lines.tell() < _MAX_LINES or len(self.problems) < KEPT or row < self.problems[-1].row

    def refuse(self, row: int, problems: Iterable[tuple[str, str, str]]) -> None:
        """Refuse a row. ``problems``: the column, value and reason of each; blank columns are for the whole row."""
        told = [Problem(row, column, value[:_CELL], reason) for column, value, reason in problems]
        self.rejected += 1
        if self.lines.tell() < _MAX_LINES:
            reasons = [f"{problem.column} {problem.reason}".lstrip() for problem in told]
            self.lines.write(orjson.dumps([row, reasons], option=orjson.OPT_APPEND_NEWLINE))
        if len(self.problems) < KEPT or row < self.problems[-1].row:
            self.problems = sorted([*self.problems, *told], key=lambda problem: problem.row)[:KEPT]

    def note_short(self, row: int) -> None:
        """Take note of a row with fewer cells than the heading."""
        self.short += 1
        if len(self.first_short) < _NAMED:
            self.first_short.append(row)

    def summary(self) -> dict[str, Any]:
        """For JSON: what is not read, or read in another way, and how dates are read."""
        return {
            **self.dates.summary(),
            "heading_rows": list(self.heading_rows),
            "rows_above_heading": list(self.rows_above),
            "ignored_columns": list(self.heading.unknown),
            "unread_columns": [
                {"column": get_column_letter(position + 1), "first_row": row}
                for position, row in sorted(self.unread.items())
            ],
            "other_sheets": self.other_sheets,
            "short_rows": {"count": self.short, "first": self.first_short},
            "totals_row": self.totals_row,
            "rows_below_totals": self.below_totals,
        }

    def notices(self) -> Iterator[str]:
        """The same, as sentences for people."""
        yield from self.dates.notices()
        if self.rows_above:
            yield _("The heading is in row %(row)s. The rows above it are not read: %(rows)s.") % {
                "row": self.heading_rows[0],
                "rows": ", ".join(map(str, self.rows_above)),
            }
        if len(self.heading_rows) > 1:
            yield _("The heading is read from rows %(rows)s together.") % {
                "rows": ", ".join(map(str, self.heading_rows))
            }
        if self.other_sheets:
            yield not_read(self.other_sheets)
        if self.heading.unknown:
            yield _("Columns that are not read: %(names)s.") % {"names": ", ".join(self.heading.unknown)}
        if self.unread:
            columns = [
                _("%(column)s (from row %(row)s)") % {"column": get_column_letter(position + 1), "row": row}
                for position, row in sorted(self.unread.items())
            ]
            yield _("Columns with values and no heading, which are not read: %(columns)s.") % {
                "columns": ", ".join(columns)
            }
        if self.short:
            text = ngettext(
                "%(count)s row has fewer cells than the heading, and what it lacks is read as blank: row %(rows)s.",
                "%(count)s rows have fewer cells than the heading, and what they lack is read as blank: rows %(rows)s.",
                self.short,
            )
            more = ", …" if self.short > len(self.first_short) else ""
            yield text % {"count": f"{self.short:,}", "rows": ", ".join(map(str, self.first_short)) + more}
        if self.below_totals:
            text = ngettext(
                "Row %(row)s has totals. %(count)s row below it is read like the others: see whether it belongs to "
                "the attendance.",
                "Row %(row)s has totals. %(count)s rows below it are read like the others: see whether they belong to "
                "the attendance.",
                self.below_totals,
            )
            yield text % {"row": self.totals_row, "count": f"{self.below_totals:,}"}
