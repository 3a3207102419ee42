"""The cells of a roll, as HTML.

The month of five hundred people has fifteen thousand of them, so they are put together from a few texts, and not by a
template.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _

from core.attendance.month import BLANK, MonthDay, PersonDay, RollMonth, RollRow
from core.attendance.prints import PrintedRoll
from core.attendance.tally import CODES, NO_RECORD, CountsAs, Tally
from core.models import Status
from core.templatetags.muster import minutes
from core.web.converters import NumberConverter

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

SUMS: Final[Sequence[tuple[str, StrOrPromise]]] = (
    *zip(("P", "½", "L", "A", "WO", "PH", NO_RECORD), CountsAs.labels, strict=True),
    ("OT", _("Overtime")),
    ("MD", _("Mandays")),
)
"""What the days of a person add up to: a short name, and the name."""
_NUMBER: Final = NumberConverter()


class Code(NamedTuple):
    """How a roll shows a day, and what that says. ``style``: the class of its cell, as ``roll.css`` has it."""

    style: str
    code: str
    name: StrOrPromise


_CODES: Final = {
    status: Code("H" if status == Status.HALF_DAY else code, code, Status(status).label)
    for status, code in CODES.items()
} | {NO_RECORD: Code("U", NO_RECORD, CountsAs.UNMARKED.label)}
LEGEND: Final = tuple(_CODES.values())
"""All that a roll shows."""


def address(number: str) -> str:
    """An employee number as a part of an address."""
    return quote(_NUMBER.to_url(number))


def code_of(status: str) -> Code:
    """How a roll shows a status, or :data:`core.attendance.tally.NO_RECORD`. A status that nobody knows, which SQL has
    written past the checks of the table, is shown as it is."""
    return _CODES.get(status) or Code("", status, status)


def body(rows: Sequence[RollRow], days: Sequence[MonthDay], company: int) -> SafeString:
    """The rows of a roll: each begins with a link to the employee, has a link for each day that is known or missing,
    and ends with what the days add up to. The links go by the address of the month. ``company``: its primary key."""
    codes = {status: code_of(status) for status in {status for row in rows for status in row.days}}
    begun = {
        status: [
            f'<td><a class="{code.style}{" later" if day.is_future else ""}" href="{day.date.day}/' for day in days
        ]
        for status, code in codes.items()
    }
    ended = {status: f'/">{escape(code.code)}</a></td>' for status, code in codes.items()}
    person = f"../../../people/{company}/", f"/?year={days[0].date.year}"
    return mark_safe("".join(_rows(rows, begun, ended, person)))  # noqa: S308 - every text of a record is escaped or quoted


def _rows(
    rows: Iterable[RollRow], begun: dict[str, list[str]], ended: dict[str, str], person: tuple[str, str]
) -> Iterator[str]:
    who = '<tr data-number="{0}"><th scope="row" title="{0} {1}"><a href="{2}"><b>{0}</b> <bdi>{1}</bdi></a></th>'
    for row in rows:
        link = address(row.number)
        yield format_html(who, row.number, row.name, link.join(person))
        cells = [
            "<td></td>" if status == BLANK else f"{begun[status][day]}{link}{ended[status]}"
            for day, status in enumerate(row.days)
        ]
        for day in row.looks_wrong:
            cells[day] = cells[day].replace("<td>", '<td class="wrong">', 1)
        yield from cells
        yield from ('<td class="z">0</td>' if text == "0" else f"<td>{text}</td>" for text in sums_of(row.tally))
        yield "</tr>\n"


def sums_of(tally: Tally) -> list[str]:
    """What some days add up to, in the order of :data:`SUMS`."""
    mandays = f"{tally.mandays:.2f}".rstrip("0").rstrip(".")
    return [*(str(tally.days[kind]) for kind in CountsAs), minutes(tally.overtime) if tally.overtime else "0", mandays]


class Foot(NamedTuple):
    """What one of :data:`SUMS` is of each day (blank in the future), and of all. ``before`` and ``after``: the other
    sums that stand beside the latter. ``is_long``: its figures are longer than a day is wide."""

    name: StrOrPromise
    days: Sequence[str]
    total: str
    before: range
    after: range
    is_long: bool


def feet(month: RollMonth) -> list[Foot]:
    """The last rows of a roll, one for each of :data:`SUMS`."""
    by_day = [None if day.is_future else sums_of(tally) for day, tally in zip(month.days, month.by_day, strict=True)]
    total = sums_of(month.total)
    return [
        Foot(
            name,
            ["" if sums is None else sums[at] for sums in by_day],
            total[at],
            range(at),
            range(at + 1, len(SUMS)),
            at >= len(CountsAs),
        )
        for at, (_code, name) in enumerate(SUMS)
    ]


def code_of_day(shown: PersonDay) -> Code | None:
    """How a roll shows one person's day; None if it shows nothing."""
    if shown.record is None:
        return code_of(NO_RECORD) if shown.is_unmarked else None
    return code_of(shown.record.status)


def printed_body(roll: PrintedRoll) -> SafeString:
    """The rows of a printed roll."""
    later = {day.date for day in roll.month.days if day.is_future}
    kinds = [
        ("day later" if heading.day in later else "day") if heading.day else "number" if heading.is_number else "text"
        for heading in roll.headings
    ]
    styles = {code.code: code.style for code in LEGEND} | {"": ""}

    def style(kind: str, cell: str | float) -> str:
        return f"{kind} {styles.get(str(cell), 'times')}" if kind.startswith("day") else kind

    rows = (
        "".join(f'<td class="{style(kind, cell)}">{_printed(cell)}</td>' for kind, cell in zip(kinds, row, strict=True))
        for row in roll.rows
    )
    return mark_safe("".join(f"<tr>{row}</tr>\n" for row in rows))  # noqa: S308 - every text is escaped


def printed_sums(roll: PrintedRoll) -> list[str]:
    """The cells of the last row of a printed roll."""
    return [_printed(cell) for cell in roll.sums]


def _printed(cell: str | float) -> str:
    """A cell, safe in HTML; a line break in it is one."""
    return escape(cell).replace("\n", "<br>") if isinstance(cell, str) else f"{cell:.2f}".rstrip("0").rstrip(".")
