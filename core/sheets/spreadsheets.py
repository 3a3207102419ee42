"""Reading sheets that people send (CSV and XLSX), and the text of a cell, in both directions.

A sheet is untrusted: what it may cost is bounded, and whatever is wrong with it as a
whole is one sentence (:class:`SheetRefused`). Every cell comes as text; what it means is for others to say.
"""

from __future__ import annotations

import io
import re
from collections.abc import Generator
from pathlib import PurePath
from typing import BinaryIO, Final

from django.conf import settings
from django.utils.translation import gettext as _

from core.operations.errors import SheetRefused
from core.sheets.csv_files import DELIMITERS, CsvFile, may_be_rows
from core.sheets.file_kinds import HEAD, foreign
from core.sheets.spoilt_text import FORMULA, UNSEEN, has_lost_digits, normalised, spoilt, without_decimals
from core.sheets.workbook_parts import damaged
from core.sheets.workbook_values import Number, is_error
from core.sheets.workbooks import MAX_COLUMNS, Row, Workbook, too_wide

_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")


def too_large() -> SheetRefused:
    """A file over the limit."""
    limit = settings.MUSTER_MAX_SHEET_UPLOAD_BYTES / (1 << 20)
    return SheetRefused(_("The file is larger than %(limit)s MiB. Send it in parts.") % {"limit": f"{limit:,.0f}"})


class SheetFile:
    """A file that is read as a sheet. Raises SheetRefused where it is none.

    The content says what it is; whoever named the stream ``.xlsx`` has to hear that it is no workbook.
    """

    def __init__(self, stream: BinaryIO) -> None:
        """``stream``: seekable."""
        self._source = Workbook(stream) if is_workbook(stream) else CsvFile(stream)

    @property
    def is_text(self) -> bool:
        """Whether a row has just the cells that it was written with. In a workbook those at its end may be missing."""
        return isinstance(self._source, CsvFile)

    @property
    def other_sheets(self) -> list[str]:
        """The names of the sheets that are not read."""
        return self._source.others if isinstance(self._source, Workbook) else []

    def rows(self) -> Generator[Row, None, None]:
        """The rows that are not blank, from the first. Memory: a row; of a workbook also the texts that its cells
        share. Raises SheetRefused."""
        some = False
        for number, cells in self._source.rows():
            if len(cells) > MAX_COLUMNS:
                raise too_wide(number, len(cells))
            if any(cells) and any(cell.strip() for cell in cells):
                some = True
                yield number, cells
        if not some:
            raise SheetRefused(_("The sheet has no rows."))

    def require_end(self, width: int) -> None:
        """Raises SheetRefused if the file ends in the middle of a row, which has ``width`` cells when it is whole. To
        be asked when all rows are read."""
        last = self._source.without_end if isinstance(self._source, CsvFile) else None
        if last is not None and last[1] < width:
            raise SheetRefused(
                _(
                    "The file ends in the middle of a row: that of line %(line)s has %(count)s of %(width)s cells and "
                    "no line end. The rest is missing: get the file again. If nothing is missing, end its last line."
                )
                % {"line": f"{last[0]:,}", "count": last[1], "width": width}
            )


def is_workbook(stream: BinaryIO) -> bool:
    """Whether a seekable file is a workbook, by its first bytes, or CSV. Raises SheetRefused where it is neither."""
    if stream.seek(0, io.SEEK_END) > settings.MUSTER_MAX_SHEET_UPLOAD_BYTES:
        raise too_large()
    stream.seek(0)
    head = stream.read(HEAD)
    if not head:
        raise SheetRefused(_("The file is empty."))
    if head.startswith(_ZIP):
        return True
    if told := foreign(head):
        raise SheetRefused(told)
    if PurePath(str(getattr(stream, "name", ""))).suffix.lower() == ".xlsx":
        raise damaged()
    return False


# --- Text that survives a spreadsheet

_SIGNS: Final = "=+-@＝＋－＠"
"""What spreadsheets take for the start of a formula (OWASP, CSV Injection), the full-width forms included."""
_FORMULA: Final = frozenset(f"{_SIGNS}\t\r\n")
_ENDS: Final = f"{DELIMITERS}\r\n"
"""What ends a cell in some program: which delimiter CSV has is told by nobody, and guessed by the reader's settings."""
_STARTS: Final = rf"(?=(?:[^\S\t\r\n]|['\"{UNSEEN}])*[{re.escape(_SIGNS)}])"
_OPEN: Final = re.compile(f"([{_ENDS}]){_STARTS}")
"""A place where another delimiter would start a formula."""
_CLOSED: Final = re.compile(f"([{_ENDS}])'{_STARTS}")
"""The same with an apostrophe."""
_HARMLESS: Final = re.compile(r"-|[+-][0-9]+(?:[.,][0-9]+)?")
"""Cells that say something here (no overstay, a half day), and that no spreadsheet calculates."""
_ANY_NUMBER: Final = re.compile(r"[+(-]?[0-9][0-9eE.,:/+() -]*")
"""Numbers, days and times, in any notation."""


def _is_risky(text: str) -> bool:
    """Whether a spreadsheet would run it or a part of it, or it could be taken for several rows of CSV."""
    return text[:1] in _FORMULA or _OPEN.search(text) is not None or may_be_rows(text, DELIMITERS)


def _is_delicate(text: str) -> bool:
    """The same, or it looks like an error, or :func:`read_text` would tidy or doubt it."""
    return _is_risky(text) or is_error(text) or bool(spoilt(text)) or text != normalised(text)


def _quoted(text: str) -> str:
    return "'" + _OPEN.sub(r"\1'", text)


def written_text(text: str) -> str:
    """Text for a cell: an apostrophe goes before what is delicate, wherever a cell might begin, and before what begins
    with one, so that it can be taken back."""
    return _quoted(text) if text[:1] == "'" or _is_delicate(text) else text


def read_text(cell: str, *, is_code: bool = False) -> tuple[str, bool]:
    """The text that a cell stands for, and whether it is verbatim: what :func:`written_text` wrote is taken back, other
    text is :func:`normalised`. A lone apostrophe is text without characters.

    ``is_code``: whether it is a number or a code, which never begins with an apostrophe. A name may, but not before a
    number: there somebody has told a spreadsheet to take it for text.
    """
    return _read(unwrapped(cell), is_code)


def _read(cell: str, is_code: bool) -> tuple[str, bool]:
    if cell[:1] == "'":
        text = _CLOSED.sub(r"\1", cell[1:])
        if text[:1] in ("", "'") or _ANY_NUMBER.fullmatch(text) or _is_delicate(text):
            return text, True
    text = normalised(cell)
    if text[:1] == "'" and (is_code or _ANY_NUMBER.fullmatch(text[1:])):
        text = normalised(text[1:])
    return without_decimals(text) if is_code else text, False


def guarded_cell(cell: str, *, is_code: bool = False) -> str:
    """A cell of somebody's sheet, written so that it runs nothing, and reads as it did."""
    if isinstance(cell, Number) and has_lost_digits(cell):
        return f"{float(cell):.14E}"  # as a text it would be believed
    if is_code and is_formula(cell):
        return FORMULA
    bare = unwrapped(cell)
    text, verbatim = _read(bare, is_code)
    if not verbatim and spoilt(text, is_code=is_code):
        return text
    if bare is not cell and not verbatim and _ANY_NUMBER.fullmatch(text):
        return _quoted(text)
    if _HARMLESS.fullmatch(normalised(bare)) or not (_is_risky(bare) or (_is_risky(text) and not verbatim)):
        return bare
    return _quoted(text) if _ANY_NUMBER.fullmatch(text) else written_text(text)


def is_formula(cell: str) -> bool:
    """Whether a cell is the text of a formula, which CSV may have in place of what it gives; not one that only quotes a
    text (:func:`unwrapped`)."""
    return normalised(cell)[:1] in ("=", "＝") and unwrapped(cell) is cell


def plain_text(cell: str) -> str:
    """The text of a cell that is no text itself, such as a day: without what keeps spreadsheets from changing it."""
    return normalised(unwrapped(cell).strip().removeprefix("'"))


def unwrapped(cell: str) -> str:
    """The text that a formula only quotes, which keeps spreadsheets from changing it (``="000123"``); another cell as
    it is."""
    text = cell.strip()
    if len(text) > 2 and text.startswith('="') and text.endswith('"'):
        quoted = text[2:-1].replace('""', "")
        if '"' not in quoted:
            return text[2:-1].replace('""', '"')
    return cell
