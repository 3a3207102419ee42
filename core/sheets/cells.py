"""The values that the cells of a sheet may have, by the kind of their column. Dates are in :mod:`core.sheets.dates`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from django.utils.translation import gettext as _

from core.models import Status
from core.register.declared import ATTENDANCE_RECORDS
from core.sheets.cell_text import is_formula, plain_text, read_text
from core.sheets.spoilt_text import FORMULA, has_lost_digits, spoilt
from core.sheets.workbook_values import Moment, Number, Truth, is_error
from recordsync.model.fields import MAX_MINUTES, Text

Parse = Callable[[str], str | None]
"""A function that reads a cell. Raises BadCell."""

CODES: Final = {"ep_no", "shift"}
"""Fields of numbers and codes."""
NEVER_BLANK: Final = {"ep_no", "ep_name", "company_name", "date", "status"}
"""Fields without which a row is no employee's day."""


class BadCell(Exception):
    """A cell that cannot be read. The text is the reason, for the person who filled it in."""


class NextDay(str):
    """A time that is marked as one of the next day."""

    __slots__ = ()


def text_parser(field: str) -> Parse:
    """The parser for the cells of a field that holds text."""
    kind = ATTENDANCE_RECORDS.all_fields[field].type
    assert isinstance(kind, Text)
    most = kind.max_length
    never_blank = field in NEVER_BLANK
    is_code = field in CODES

    def parse(cell: str) -> str:
        if type(cell) in _NO_TEXT:
            _require_text(cell)
        if is_code and is_formula(cell):
            raise BadCell(spoilt(FORMULA))
        text, verbatim = read_text(cell, is_code=is_code)
        if not text and never_blank and not (verbatim and field == "ep_name"):
            raise BadCell(_("is blank"))
        if is_error(text) and not verbatim:
            raise BadCell(_("is the error of a formula that failed"))
        if not verbatim and (reason := spoilt(text, is_code=is_code)):
            raise BadCell(reason)
        if kind.error(text) is not None:
            if len(text) > most:
                raise BadCell(
                    _("has %(count)s characters; %(most)s are allowed") % {"count": f"{len(text):,}", "most": most}
                )
            raise BadCell(_("has characters that cannot be stored (NUL, or half of a surrogate pair)"))
        return text

    return parse


_NO_TEXT: Final = frozenset([Moment, Number, Truth])


def _require_text(cell: str) -> None:
    """Raise BadCell for a cell of a workbook whose text the spreadsheet may have turned into something else."""
    if isinstance(cell, Moment):
        raise BadCell(
            _(
                "is a date or a time of the spreadsheet, which may have made it of something like 6-2. Write what was "
                "meant, as text"
            )
        )
    if isinstance(cell, Truth):
        raise BadCell(
            _("is a truth value of the spreadsheet, which may have made it of a word. Write the word, as text")
        )
    if has_lost_digits(cell):
        raise BadCell(
            _("is a number of more than 15 digits, of which a spreadsheet drops some. Write all of them, as text")
        )


def status(cell: str) -> str:
    """The code of a status. Raises BadCell."""
    text = plain_text(cell).upper()
    if text not in Status.values:
        if not text:
            raise BadCell(_("is blank"))
        # Not with commas: "-0.5" behind one would be guarded as a formula in the download of refused rows.
        raise BadCell(_("is not a status: use one of %(codes)s") % {"codes": " / ".join(Status.values)})
    return text


_TIME: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?(\s*\(N\))?", re.ASCII | re.IGNORECASE)
_NO_PUNCH: Final = re.compile(r"|-|0(?:\.0+)?", re.ASCII)


def punch_time(cell: str) -> str | None:
    """A time in ISO 8601, as a :class:`NextDay` if it is marked so; None for no punch. Raises BadCell."""
    text = plain_text(cell)
    if _NO_PUNCH.fullmatch(text):
        return None
    match = _TIME.fullmatch(text)
    if match is None or int(match[1]) > 23 or int(match[2]) > 59 or int(match[3] or 0) > 59:
        raise BadCell(_("is not a time of day: write 09:00 or 09:00:30, or 06:10 (N) for the next day"))
    time = f"{int(match[1]):02}:{match[2]}:{match[3] or '00'}"
    return NextDay(time) if match[4] else time


_MINUTES: Final = re.compile(r"(\d{1,4}):([0-5]\d)(?::00)?", re.ASCII)


def duration(cell: str) -> str | None:
    """Hours and minutes; None for a blank cell. Raises BadCell."""
    text = plain_text(cell)
    if text in ("", "-"):
        return None
    if text == "0":
        return "00:00"
    match = _MINUTES.fullmatch(text)
    if match is None:
        raise BadCell(
            _("is not a duration: write hours and minutes such as 01:30, up to %(most)s")
            % {"most": f"{MAX_MINUTES // 60}:59"}
        )
    return f"{int(match[1]):02}:{match[2]}"
