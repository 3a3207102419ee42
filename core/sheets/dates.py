"""The dates of a sheet: one order of day and month for the whole column, and the dates that cannot be trusted.

``05/11/2026`` is a day in November or in May. The other dates of the column can prove which. If they prove another
order than that in which the sheet was read so far, it has to be read again.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from django.utils.translation import gettext as _

from core import moments
from core.sheets.cell_text import guarded_cell, plain_text
from core.sheets.cells import BadCell
from core.sheets.rows import Row
from core.sheets.workbook_values import Moment


class DateOrder(StrEnum):
    """What comes first in a date, the day or the month."""

    DAY = "day"
    MONTH = "month"

    @property
    def other(self) -> DateOrder:
        """The other order."""
        return DateOrder.MONTH if self is DateOrder.DAY else DateOrder.DAY


_OLDEST: Final = 1900
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE: Final = re.compile(r"(?:(\d{4})([-/.])(\d{1,2})\2(\d{1,2})|(\d{1,2})([-/.])(\d{1,2})\6(\d{4}))", re.ASCII)
_LIKE_DATE: Final = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})(?:[T ,]+\d.*)?", re.ASCII | re.DOTALL)
"""A text like a date with the year last, perhaps with two digits or a time.

It may be no date here, but proves an order.
"""


@dataclass
class Example:
    """A date as the sheet has it, and its row as soon as that is known."""

    text: str
    row: int = 0

    def __str__(self) -> str:
        return _("“%(text)s” (row %(row)s)") % {"text": self.text, "row": self.row}


class Dates:
    """What is known about the dates of a sheet, through all readings. :meth:`parse` reads them and learns from them.

    ``chosen``: the order in which a person wants to read them, unless they prove the other.
    """

    def __init__(self, today: dt.date, chosen: DateOrder | None = None) -> None:
        """``today``: the last day that is not in the future."""
        self._today = today
        self._chosen = chosen
        self._only: dict[DateOrder, Example] = {}
        """For each order a date that cannot be read in the other."""
        self._either: Example | None = None
        """A date that is a different day in each order."""
        self._left: Example | None = None
        """A text that is a day in one order only. A spreadsheet that reads the other order has left it as text."""
        self._real: Example | None = None
        """A real date of the spreadsheet that would also be a day if its day and month had changed places."""
        self.begin()

    def begin(self) -> None:
        """Begin to read the sheet from its start, with what is known by now."""
        self._order, self._is_contradictory, self._is_exchanged = self._known()

    @property
    def is_outdated(self) -> bool:
        """Whether the sheet has to be read again, because dates that were read since prove something else."""
        return self._known() != (self._order, self._is_contradictory, self._is_exchanged)

    def _known(self) -> tuple[DateOrder, bool, bool]:
        """The order, whether there are proofs of both, and whether a spreadsheet may have exchanged day and month."""
        orders = {*self._only, *([self._chosen] if self._chosen else [])}
        order = DateOrder.MONTH if orders == {DateOrder.MONTH} else DateOrder.DAY
        return order, len(orders) == len(DateOrder), bool(self._left and self._real)

    # --- Cells

    def parse(self, cell: str) -> str:
        """The day of a cell in ISO 8601. Raises BadCell if it is no day, is not certain, or cannot be right."""
        text = plain_text(cell)
        day = self._day(text, is_real=isinstance(cell, Moment))
        if not _OLDEST <= day.year <= self._today.year + 1:
            raise BadCell(
                _("has a year before %(oldest)s or after %(newest)s")
                % {"oldest": _OLDEST, "newest": self._today.year + 1}
            )
        if day > self._today:
            raise BadCell(_("is in the future (today is %(today)s)") % {"today": moments.day(self._today)})
        return day.isoformat()

    def resent(self, cell: str) -> str:
        """A cell for another sheet, where it reads as the same day; an uncertain date becomes no date there."""
        text = plain_text(cell)
        try:
            return self._day(text, is_real=isinstance(cell, Moment)).isoformat()
        except BadCell:
            match = _DATE.fullmatch(text)
            if match is None:
                return guarded_cell(cell)
            if match[1]:
                return f"{int(match[4])}-{_MONTHS[int(match[3]) - 1]}-{match[1]}" if isinstance(cell, Moment) else text
            return f"{text} ?" if self._is_contradictory else text

    def _day(self, text: str, *, is_real: bool) -> dt.date:
        if not text:
            raise BadCell(_("is blank"))
        match = _DATE.fullmatch(text)
        if match is None:
            if like := _LIKE_DATE.fullmatch(text):
                self._learn(text, like[1], like[3], f"20{like[4][-2:]}")
            raise BadCell(_("is not a date: write 2026-11-20 or 20-11-2026"))
        if match[1]:
            day = _date(match[1], match[3], match[4])
            if is_real and day.day != day.month and day.day <= 12:
                self._real = self._real or Example(text)
                if self._is_exchanged:
                    raise BadCell(
                        _(
                            "is a real date beside the text %(text)s, which the spreadsheet did not take for one: it "
                            "may have taken the day of this one for the month"
                        )
                        % {"text": self._left}
                    )
            return day
        return self._in_order(text, match[5], match[7], match[8])

    def _in_order(self, text: str, first: str, second: str, year: str) -> dt.date:
        """The day of a text with the year last. Raises BadCell."""
        orders = _orders(first, second, year)
        if not orders or int(first) == int(second):
            return _date(year, second, first)  # the same day, or none, in either order
        if len(orders) > 1:
            self._either = self._either or Example(text)
        self._learn(text, first, second, year)
        if self._is_contradictory:
            raise BadCell(
                self._contradiction(
                    _("stands in a column that is day first in %(day)s and month first in %(month)s"),
                    day_chosen=_("stands in a column that is to be read day first, and is month first in %(month)s"),
                    month_chosen=_("stands in a column that is to be read month first, and is day first in %(day)s"),
                )
            )
        return _date(year, *_month_and_day(self._order, first, second))

    def _learn(self, text: str, first: str, second: str, year: str) -> None:
        """Take note of a text that can be read in one order only."""
        orders = _orders(first, second, year)
        if len(orders) == 1:
            self._only.setdefault(orders[0], Example(text))
            if self._left is None and _is_day(orders[0], first, second, year):
                self._left = Example(text)

    # --- The whole column

    def note_rows(self, rows: Iterable[Row], place: int) -> None:
        """Find the rows of the examples among the rows that were just read. ``place``: that of the column of dates."""
        wanted = [one for one in (*self._only.values(), self._either, self._left, self._real) if one and not one.row]
        if wanted:
            for number, cells in reversed([*rows]):
                text = plain_text(cells[place]) if place < len(cells) else ""
                for one in wanted:
                    if one.text == text:
                        one.row = number

    def notices(self) -> Iterator[str]:
        """Sentences that say in which order the dates are read, if a person has to know, and which are refused."""
        if self._is_contradictory:
            text = self._contradiction(
                _("The dates are day first in %(day)s and month first in %(month)s."),
                day_chosen=_("The dates are to be read day first, which %(month)s cannot be."),
                month_chosen=_("The dates are to be read month first, which %(day)s cannot be."),
            )
            yield f"{text} {_('Those that depend on the order are refused.')}"
        elif DateOrder.MONTH in self._only:
            yield _("The dates are read month first, as %(month)s has to be.") % {"month": self._only[DateOrder.MONTH]}
        elif self._either and not self._only:
            if self._chosen is None:
                text = _(
                    "Nothing in the sheet tells whether its dates are day first or month first. They are read day "
                    "first: %(example)s as %(day)s. Month first, it would be %(month)s."
                )
            elif self._chosen is DateOrder.DAY:
                text = _(
                    "The dates are read day first, as you chose: %(example)s as %(day)s. Month first, it would be "
                    "%(month)s."
                )
            else:
                text = _(
                    "The dates are read month first, as you chose: %(example)s as %(month)s. Day first, it would be "
                    "%(day)s."
                )
            yield text % {"example": self._either, **_both_days(self._either.text)}
        if self._is_exchanged:
            yield _(
                "Beside real dates there is the text %(text)s, which the spreadsheet did not take for one. It may have "
                "exchanged day and month of those that it took, such as %(real)s: they are refused."
            ) % {"text": self._left, "real": self._real}

    @property
    def offered(self) -> DateOrder | None:
        """The other order in which a person may want to read the dates; None if there is none."""
        if self._is_contradictory:
            return self._chosen.other if self._chosen and len(self._only) == 1 else None
        return self._order.other if self._either and not self._only else None

    def summary(self) -> dict[str, Any]:
        """For JSON: the order in which the dates are read, and what decided it."""
        if self._is_contradictory:
            return {"date_order": None, "date_order_by": "contradiction"}
        if not (self._only or self._either):
            return {"date_order": None, "date_order_by": None}
        by = "proof" if self._only else "choice" if self._chosen else "default"
        return {"date_order": str(self._order), "date_order_by": by}

    def _contradiction(self, both: str, *, day_chosen: str, month_chosen: str) -> str:
        """The sentence that fits, with its examples: either both orders are proven, or the one that was not chosen."""
        examples = {"day": self._only.get(DateOrder.DAY), "month": self._only.get(DateOrder.MONTH)}
        if all(examples.values()):
            return both % examples
        return (day_chosen if self._chosen is DateOrder.DAY else month_chosen) % examples


def _orders(first: str, second: str, year: str) -> list[DateOrder]:
    """The orders in which two numbers can be a day and a month."""
    one, two = int(first), int(second)
    if 0 in (one, two, int(year)):
        return []
    fitting = {DateOrder.DAY: one <= 31 and two <= 12, DateOrder.MONTH: one <= 12 and two <= 31}
    return [order for order, is_fitting in fitting.items() if is_fitting]


def _date(year: str, month: str, day: str) -> dt.date:
    try:
        return dt.date(int(year), int(month), int(day))
    except ValueError:
        raise BadCell(_("is not a day of the calendar")) from None


def _month_and_day(order: DateOrder, first: str, second: str) -> tuple[str, str]:
    return (second, first) if order is DateOrder.DAY else (first, second)


def _is_day(order: DateOrder, first: str, second: str, year: str) -> bool:
    try:
        _date(year, *_month_and_day(order, first, second))
    except BadCell:
        return False
    return True


def _both_days(text: str) -> dict[str, str]:
    """A date in each order, as people write it."""
    match = _DATE.fullmatch(text)
    assert match is not None
    first, second, year = match[5], match[7], match[8]
    days = {"day": _date(year, second, first), "month": _date(year, first, second)}
    return {name: moments.day_in_words(day) for name, day in days.items()}
