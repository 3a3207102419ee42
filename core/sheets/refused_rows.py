"""Writes the refused rows of a sheet to a file, which a person corrects and sends again."""

from __future__ import annotations

import codecs
import csv
import io
import tempfile
from collections.abc import Iterator
from contextlib import closing
from operator import itemgetter
from typing import IO, Any, BinaryIO, Final, cast

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from core.sheets.cell_text import guarded_cell, written_text
from core.sheets.cells import CODES
from core.sheets.columns import REASON
from core.sheets.sheet import Sheet
from core.sheets.spreadsheets import SheetFile
from recordsync.streams.sort import sorted_on_disk, stored

MAX_BYTES: Final = 10 << 20
"""The most bytes of the file. Its last row counts the rows that do not fit."""
_MAX_CELL: Final = 500
"""The most characters of a cell. No valid value is longer."""


def write_refused(source: BinaryIO, sheet: Sheet, out: IO[bytes]) -> None:
    """Write the refused rows of a sheet as CSV: their cells as they were, and the reasons.

    ``source``: the file of the sheet, seekable. A text that a spreadsheet would run is written so that it does not run
    and reads the same. Raises SheetRefused if the file is a different one.
    """
    out.write(codecs.BOM_UTF8)
    text = io.TextIOWrapper(cast(Any, out), "utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    heading = [*sheet.heading.cells, *[""] * (sheet.width - len(sheet.heading.cells))]
    kept = [position for position, cell in enumerate(heading) if cell.strip().upper() != REASON]
    columns = {position: column.field for position, column in sheet.heading.columns}

    def resent(position: int, cell: str) -> str:
        """A cell of a row, as it is written in its column."""
        field = columns.get(position)
        if field == "date" and len(cell) <= _MAX_CELL:
            return sheet.dates.resent(cell)
        return _resent(cell, is_code=field in CODES)

    writer.writerow([*(_resent(heading[position]) for position in kept), REASON])
    written = 0
    for number, cells, reasons in _refused(source, sheet):
        if out.tell() >= MAX_BYTES:
            break
        shown = [resent(position, cells[position]) if position < len(cells) else "" for position in kept]
        told = _("Row %(row)s: %(reason)s") % {"row": number, "reason": "; ".join(reasons)}
        # Cells beyond the heading stay beyond it, so that the row is refused again until they are corrected.
        writer.writerow([*shown, written_text(told), *map(_resent, cells[sheet.width :])])
        written += 1
    if left := sheet.rejected - written:
        told = ngettext(
            "%(count)s more row was refused and is not in this file",
            "%(count)s more rows were refused and are not in this file",
            left,
        )
        writer.writerow([*[""] * len(kept), told % {"count": f"{left:,}"}])
    text.detach()


def _refused(source: BinaryIO, sheet: Sheet) -> Iterator[tuple[int, list[str], list[str]]]:
    """The number, the cells and the reasons of each refused row, in order."""
    with tempfile.TemporaryFile() as spill, closing(SheetFile(source).rows()) as rows:
        lines = stored(sheet.lines, 0, sheet.lines.seek(0, io.SEEK_END))
        pending = sorted_on_disk(lines, spill, itemgetter(0))
        row, reasons = next(pending, (None, []))
        for number, cells in rows:
            if row is None:
                return
            if number == row:
                yield number, cells, reasons
                row, reasons = next(pending, (None, []))


def _resent(cell: str, *, is_code: bool = False) -> str:
    """A cell that reads as this one does; a cell that is too long to be valid is cut."""
    if len(cell) > _MAX_CELL:
        count = _("%(count)s characters") % {"count": f"{len(cell):,}"}
        cell = f"{cell[:_MAX_CELL]}… [{count}]"
    return guarded_cell(cell, is_code=is_code)
