"""Writes a printed roll as a workbook (XLSX): the same cells in the same colours, fit for the same paper."""

from __future__ import annotations

from typing import IO, Final

import openpyxl
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from core import moments
from core.attendance.prints import SIGNATURES, PrintedRoll
from core.attendance.tally import CODES
from core.models import Status
from core.sheets.cell_text import written_text
from core.sheets.workbook_values import written_xlsx

PAPERS: Final = {"a4": 9, "a3": 8}
"""The sizes of paper, by the numbers that workbooks have for them (18.3.1.63, ``pageSetup``)."""
_COLOURS: Final = {
    Status.PRESENT: "D6EFE0",
    Status.PARTIAL_DAY: "CFEEF0",
    Status.HALF_DAY: "FFF0C2",
    Status.LEAVE: "DBE7FF",
    Status.FULL_DAY_LEAVE: "C3D3F7",
    Status.ABSENT: "F9D3D3",
    Status.WEEK_OFF: "E4E7EB",
    Status.PUBLIC_HOLIDAY: "EAD9F7",
}
_FILLS: Final = {CODES[status]: PatternFill("solid", fgColor=colour) for status, colour in _COLOURS.items()}
_LINE: Final = Side("thin", color="999999")
_FRAME: Final = Border(_LINE, _LINE, _LINE, _LINE)
_SMALL: Final = Font(size=8)
_MIDDLE: Final = Alignment("center", "center", wrap_text=True)


def write_workbook(roll: PrintedRoll, paper: str, out: IO[bytes]) -> None:
    """Write a roll to a binary file as a workbook for this paper. Text is text and no formula; numbers are numbers."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    sheet.title = roll.month.first.isoformat()[:7]
    sheet.append([_text(str(roll.profile.title))])
    sheet["A1"].font = Font(bold=True, size=14)
    if roll.profile.rule:
        sheet.append([_text(roll.profile.rule)])
    for name, value in roll.head:
        sheet.append([_text(f"{name}: {value}".strip())])
    sheet.append([_text(roll.proof and f"Proof code: {roll.proof}")])
    sheet.append([_text(f"Closed: {roll.closing}")])
    sheet.append([_text(str(heading.text)) for heading in roll.headings])
    top = sheet.max_row
    for row in (*roll.rows, roll.sums):
        sheet.append([_text(cell) if isinstance(cell, str) else cell for cell in row])
    for cells in sheet.iter_rows(min_row=top, max_row=sheet.max_row):
        for heading, cell in zip(roll.headings, cells, strict=True):
            cell.border, cell.font = _FRAME, _SMALL
            if heading.day or cell.row == top:
                cell.alignment = _MIDDLE
            if heading.day and cell.value in _FILLS:
                cell.fill = _FILLS[cell.value]
    for cell in (*sheet[top], *sheet[sheet.max_row]):
        cell.font = Font(bold=True, size=8)
    for number, heading in enumerate(roll.headings, start=1):
        longest = max((len(str(row[number - 1])) for row in roll.rows), default=0)
        wide = 5.5 if heading.day else max(7, min(28, longest + 1))
        sheet.column_dimensions[get_column_letter(number)].width = 14 if heading.is_blank else wide
    sheet.append([])
    sheet.append([])
    for name in SIGNATURES:
        sheet.append([_text(f"{name}: ______________________")])
    first_day = next((at for at, heading in enumerate(roll.headings, start=1) if heading.day), 1)
    sheet.freeze_panes = sheet.cell(top + 1, first_day)
    sheet.print_title_rows = f"1:{top}"
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = PAPERS[paper]
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.page_margins.left = sheet.page_margins.right = 0.3
    sheet.oddFooter.left.text = f"{moments.month(roll.month.first)} {roll.proof}".strip()
    sheet.oddFooter.right.text = "&P / &N"
    book.save(out)


def _text(text: str) -> str | None:
    """A cell of text, which no program takes for a formula."""
    return written_xlsx(written_text(text)) or None
