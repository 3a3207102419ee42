"""Writes attendance as a sheet that people can open, and that imports again without a change: streamed CSV, or XLSX."""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import IO, Any, Final

import openpyxl
from django.utils.translation import gettext as _

from core.models import MINUTE_FIELDS, TIME_FIELDS, AttendanceQuerySet, Phase, Status
from core.operations.errors import OperationFailed
from core.sheets.cell_text import written_text
from core.sheets.columns import COLUMNS
from core.sheets.workbook_values import written_xlsx
from recordsync.model.fields import Minutes
from recordsync.system.progress import Progress

MAX_XLSX_ROWS: Final = 100_000
"""The most rows of a workbook, which takes long to write and to open. CSV has no limit."""

_CHUNK: Final = 500
_OLDEST: Final = dt.date(1900, 3, 1)
"""Before this day, spreadsheets count days in two ways."""

_SOURCES: Final = ["company__name" if column.field == "company_name" else column.field for column in COLUMNS]
_FIELDS: Final = [column.field for column in COLUMNS]
_MINUTES: Final = Minutes(nullable=True)
_written: Final = lru_cache(10_000)(written_text)
"""It remembers texts, because the same ones come again and again."""


class TooManyRows(OperationFailed):
    """There are more rows than a workbook may have."""


def csv_chunks(records: AttendanceQuerySet) -> Iterator[bytes]:
    """The records as CSV (UTF-8 with BOM, which Excel needs), in their order, a few hundred rows at a time."""
    lines = _Lines()
    writer = csv.writer(lines)
    writer.writerow([column.heading for column in COLUMNS])
    yield codecs.BOM_UTF8
    rows = _rows(records)
    while batch := list(islice(rows, _CHUNK)):
        writer.writerows([[_text(name, value) for name, value in zip(_FIELDS, row, strict=True)] for row in batch])
        yield lines.taken()
    yield lines.taken()


def require_few(records: AttendanceQuerySet) -> int:
    """The number of records. Raises TooManyRows. Reads the database."""
    count = records.count()
    if count > MAX_XLSX_ROWS:
        raise TooManyRows(
            _("%(count)s rows are too many for a workbook (at most %(most)s). Choose CSV, or filter the list.")
            % {"count": f"{count:,}", "most": f"{MAX_XLSX_ROWS:,}"}
        )
    return count


def write_xlsx(records: AttendanceQuerySet, out: IO[bytes], progress: Progress) -> int:
    """The number of records that it writes to ``out``, a binary file, as a workbook. Raises TooManyRows.

    Dates and times are real ones; everything else is text. Reads the database.
    """
    count = require_few(records)
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Attendance")
    sheet.freeze_panes = "A2"
    sheet.append([column.heading for column in COLUMNS])
    written = 0
    try:
        for row in _rows(records):
            if not written % _CHUNK:
                progress(Phase.WRITE, written, count)
            sheet.append([_value(name, value) for name, value in zip(_FIELDS, row, strict=True)])
            written += 1
    except BaseException:
        with open(os.devnull, "wb") as nowhere:
            book.save(nowhere)  # otherwise its temporary file stays
        raise
    book.save(out)
    return written


def template() -> bytes:
    """A sheet with the headings and one example row, as CSV."""
    lines = _Lines()
    csv.writer(lines).writerows([[c.heading for c in COLUMNS], [c.example for c in COLUMNS]])
    return codecs.BOM_UTF8 + lines.taken()


class _Lines:
    """A file for the csv module that keeps the lines until they are taken."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def write(self, line: str) -> None:
        self._lines.append(line)

    def taken(self) -> bytes:
        data = "".join(self._lines).encode()
        self._lines.clear()
        return data


def _rows(records: AttendanceQuerySet) -> Iterator[tuple[Any, ...]]:
    return iter(_iterated(records.values_list(*_SOURCES)))


def _iterated(rows: Any) -> Iterable[tuple[Any, ...]]:
    return rows.iterator(chunk_size=2000)


def _text(name: str, value: Any) -> str:
    """A cell of CSV."""
    if value is None:
        return ""
    if name == "ep_name" and not value:
        return "'"  # text without characters; a blank cell would be refused
    if name in MINUTE_FIELDS:
        return str(_MINUTES.to_text(value))
    if name in TIME_FIELDS:
        return value.isoformat("seconds" if value.second else "minutes")
    if name == "date":
        return value.isoformat()
    return value if name == "status" and value in Status.values else _written(value)


def _value(name: str, value: Any) -> Any:
    """A cell of a workbook."""
    if name == "date" and value >= _OLDEST:
        return value
    if name in TIME_FIELDS:
        return value
    return written_xlsx(_text(name, value)) or None
