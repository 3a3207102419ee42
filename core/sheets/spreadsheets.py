"""Reads the sheets that people send (CSV and XLSX).

A sheet is untrusted: its cost is bounded, and whatever is wrong with it as a whole is one sentence
(:class:`SheetRefused`). Every cell comes as text; other modules say what it means.
"""

from __future__ import annotations

import io
from collections.abc import Generator
from pathlib import PurePath
from typing import BinaryIO, Final

from django.conf import settings
from django.utils.translation import gettext as _

from core.operations.errors import SheetRefused
from core.sheets.csv_files import CsvFile
from core.sheets.file_kinds import HEAD, foreign
from core.sheets.rows import MAX_COLUMNS, Row, too_wide
from core.sheets.workbook_parts import damaged
from core.sheets.workbooks import Workbook

_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")


def too_large() -> SheetRefused:
    """The refusal of a file over the limit."""
    limit = settings.MUSTER_MAX_SHEET_UPLOAD_BYTES / (1 << 20)
    return SheetRefused(_("The file is larger than %(limit)s MiB. Send it in parts.") % {"limit": f"{limit:,.0f}"})


class SheetFile:
    """A file that is read as a sheet. Raises SheetRefused if it is none.

    Its content decides what it is. If its name ends in ``.xlsx`` and it is no workbook, the refusal says so.
    """

    def __init__(self, stream: BinaryIO) -> None:
        """``stream``: seekable."""
        self._source = Workbook(stream) if is_workbook(stream) else CsvFile(stream)

    @property
    def is_text(self) -> bool:
        """Whether a row has exactly the cells that were written. In a workbook, cells at its end may be missing."""
        return isinstance(self._source, CsvFile)

    @property
    def other_sheets(self) -> list[str]:
        """The names of the sheets that are not read."""
        return self._source.others if isinstance(self._source, Workbook) else []

    def rows(self) -> Generator[Row, None, None]:
        """The rows that are not blank, from the first. Raises SheetRefused.

        It keeps one row in memory, and the texts that the cells of a workbook share.
        """
        has_rows = False
        for number, cells in self._source.rows():
            if len(cells) > MAX_COLUMNS:
                raise too_wide(number, len(cells))
            if any(cells) and any(cell.strip() for cell in cells):
                has_rows = True
                yield number, cells
        if not has_rows:
            raise SheetRefused(_("The sheet has no rows."))

    def require_end(self, width: int) -> None:
        """Raise SheetRefused if the file ends in the middle of a row. Call it when all rows are read.

        ``width``: how many cells a whole row has.
        """
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
    """Whether a seekable file is a workbook, by its first bytes, and not CSV. Raises SheetRefused if it is neither."""
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
