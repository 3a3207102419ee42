"""Sheets to import, as files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import openpyxl

from core.sheets.columns import COLUMNS

HEADINGS = [column.heading for column in COLUMNS]
REQUIRED = [column.heading for column in COLUMNS if column.required]


def row(**cells: str) -> dict[str, str]:
    """A day's row by field; ``fields`` as the columns name them."""
    day = {
        "ep_no": "E1", "ep_name": "Meena", "company_name": "ABC Corp", "date": "2026-11-20", "shift": "GS",
        "overstay": "", "status": "P", "in_time": "09:00", "out_time": "18:00", "overtime": "01:30",
    }  # fmt: skip
    return {**day, **cells}


def table(*rows: dict[str, str], headings: Sequence[str] = HEADINGS) -> list[list[str]]:
    """A table of the rows under these headings."""
    fields = {column.heading: column.field for column in COLUMNS}
    return [list(headings), *([cells.get(fields[heading], "") for heading in headings] for cells in rows)]


def as_csv(cells: Sequence[Sequence[Any]], encoding: str = "utf-8", delimiter: str = ",") -> io.BytesIO:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(cells)
    return io.BytesIO(text.getvalue().encode(encoding))


def as_xlsx(cells: Sequence[Sequence[Any]]) -> io.BytesIO:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for line in cells:
        sheet.append(list(line))
    stream = io.BytesIO()
    book.save(stream)
    return stream
