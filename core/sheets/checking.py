"""The check of a sheet: it reads the rows, sorts the good ones on disk, and refuses the others with the reasons."""

from __future__ import annotations

import re
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from itertools import chain, groupby
from typing import IO, Any, BinaryIO, Final

from django.utils import timezone
from django.utils.translation import gettext as _

from core.models import Phase
from core.operations.errors import SheetRefused
from core.register.database import Register
from core.register.declared import SCHEMA
from core.sheets.columns import RowReader
from core.sheets.dates import DateOrder, Dates
from core.sheets.heading import find_heading
from core.sheets.known_keys import KnownKeys
from core.sheets.rows import Row
from core.sheets.sheet import KEPT, Sheet, not_read
from core.sheets.spoilt_text import normalised
from core.sheets.spreadsheets import SheetFile
from recordsync.model.records import Record
from recordsync.plan.listing import Listing
from recordsync.streams.sort import sorted_on_disk
from recordsync.system.progress import EVERY, Progress

_CHARACTERS_AT_ONCE: Final = 1 << 20
"""Characters of the rows that are checked together."""


def checked(
    stream: BinaryIO,
    name: str,
    register: Register,
    company: str | None,
    date_order: DateOrder | None,
    stack: ExitStack,
    progress: Progress,
) -> tuple[Sheet, Listing]:
    """The sheet, and its good rows sorted on disk. Temporary files go to the stack. Raises SheetRefused.

    ``company``: the only company that its rows may name, or None for any. Reads the register for the keys that it has.
    """
    dates = Dates(timezone.localdate(), date_order)
    while True:
        with ExitStack() as files, suppress(_ReadAgain):
            result = _checked_once(stream, name, register, company, dates, files, progress)
            stack.push(files.pop_all())
            return result
        dates.begin()


def _checked_once(
    stream: BinaryIO,
    name: str,
    register: Register,
    company: str | None,
    dates: Dates,
    stack: ExitStack,
    progress: Progress,
) -> tuple[Sheet, Listing]:
    """The same, with the order of dates that is known so far. Raises _ReadAgain if the dates prove another order."""
    file = SheetFile(stream)
    all_rows = stack.enter_context(closing(file.rows()))
    try:
        start = find_heading(all_rows)
    except SheetRefused as unclear:
        if not file.other_sheets:
            raise
        raise SheetRefused(f"{unclear.reason} {not_read(file.other_sheets)}") from unclear
    heading = start.heading
    spill, lines, refused = (stack.enter_context(_temporary()) for _ in range(3))
    sheet = Sheet(
        name,
        refused,
        heading,
        dates,
        heading_rows=start.rows,
        rows_above=tuple(number for number, _cells in start.above),
        other_sheets=file.other_sheets,
    )
    _require_no_day_above(start.above, sheet)
    reader = RowReader(heading, dates)
    names = KnownKeys(register, company, reader, heading)
    rows = _fitted(chain(start.below, all_rows), sheet, file)
    read = _read(rows, reader, names, sheet, progress)
    ordered = sorted_on_disk(read, spill, reader.shape.key)
    records = names.noted(_once_each(ordered, reader, sheet), sheet)
    listing = Listing(SCHEMA, reader.shape, records, lines)
    progress(Phase.CHECK, sheet.rows, sheet.rows)
    return sheet, listing


def _read(
    rows: Iterable[Row], reader: RowReader, names: KnownKeys, sheet: Sheet, progress: Progress
) -> Iterator[tuple[str | int | None, ...]]:
    """The values of every good row and, last, its number. Raises _ReadAgain."""
    place_of_dates = sheet.heading.place("date")
    for batch in _batches(rows):
        good: list[tuple[int, list[str], tuple[str | None, ...]]] = []
        for number, cells in batch:
            if sheet.totals_row is not None:
                sheet.below_totals += 1
            values = reader.values(cells)
            if values is None:
                sheet.refuse(number, _problems(number, cells, reader, sheet) if sheet.wants_reasons(number) else ())
            else:
                good.append((number, cells, values))
        sheet.rows += len(batch)
        sheet.dates.note_rows(batch, place_of_dates)
        if sheet.dates.is_outdated:
            raise _ReadAgain
        for number, values in names.known(good, sheet):
            yield *values, number
        progress(Phase.CHECK, sheet.rows, None)


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows in batches: as many as progress is reported for at once, or fewer if they are long."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(map(len, row[1]))
        if len(batch) == EVERY or size > _CHARACTERS_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _fitted(rows: Iterable[Row], sheet: Sheet, file: SheetFile) -> Iterator[Row]:
    """The rows below the heading. The sheet takes note of missing cells and of cells without a heading.

    A cell beyond the heading has no heading in a workbook; in CSV it is a sign that cells have moved.
    """
    heading = sheet.heading.cells
    width = len(heading)
    unnamed = [position for position, cell in enumerate(heading) if not normalised(cell)]
    for number, cells in rows:
        if file.is_text and len(cells) < width:
            sheet.note_short(number)
        elif not file.is_text and len(cells) > width:
            for position in range(width, len(cells)):
                if cells[position].strip():
                    sheet.unread.setdefault(position, number)
            del cells[width:]
        for position in unnamed:
            if position < len(cells) and cells[position].strip():
                sheet.unread[position] = number
                unnamed = [other for other in unnamed if other != position]
        yield number, cells
    file.require_end(width)


class _ReadAgain(Exception):
    """The sheet has to be read again from its start, because its dates prove another order of day and month."""


def _require_no_day_above(above: Iterable[Row], sheet: Sheet) -> None:
    """Raise SheetRefused if a row above the heading is one of attendance."""
    readers = [RowReader(sheet.heading, Dates(timezone.localdate(), order)) for order in DateOrder]
    for number, cells in above:
        if any(reader.values(cells) is not None for reader in readers):
            raise SheetRefused(
                _("The heading is in row %(heading)s, below attendance (row %(row)s). Put it above all rows.")
                % {"heading": sheet.heading_rows[0], "row": number}
            )


_TOTALS: Final = re.compile(
    r"\s*(?:(?:grand|sub|net|page|over ?all|final|company|daily|monthly)[\s-]*)?totals?\b", re.IGNORECASE
)


def _problems(number: int, cells: list[str], reader: RowReader, sheet: Sheet) -> list[tuple[str, str, str]]:
    """The problems of a row. The sheet takes note of the first row of totals."""
    ep_no = sheet.heading.place("ep_no")
    says_total = [cell for cell in cells if _TOTALS.match(cell[:50])]
    if says_total and (ep_no >= len(cells) or not cells[ep_no].strip() or cells[ep_no] in says_total):
        if sheet.totals_row is None:
            sheet.totals_row = number
        return [("", "", _("has totals, not an employee's day"))]
    return reader.problems(cells)


def _once_each(ordered: Iterable[Any], reader: RowReader, sheet: Sheet) -> Iterator[Record]:
    """The records, each key once. Of equal rows the later ones count as repeated; rows that differ are all refused."""
    for _key, same_key in groupby(ordered, key=reader.shape.key):
        values, number, others, differing = _compared(same_key)
        if differing is None:
            sheet.repeated += len(others)
            sheet.repeats += [(other, number) for other in others[: KEPT - len(sheet.repeats)]]
            yield reader.shape.record(tuple(values))
            continue
        for row in chain((number,), others):
            rival = differing if row == number else number
            reason = _("the same employee, company and date as row %(row)s, but not the same content: keep one of them")
            sheet.refuse(row, [("", "", reason % {"row": rival})])


def _compared(same_key: Iterator[Any]) -> tuple[list[str | None], int, array[int], int | None]:
    """The values and the number of the first row with a key, the numbers of the others, and that of the first which
    differs."""
    *values, number = next(same_key)
    others = array("q")  # of which there may be as many as the sheet has rows
    differing: int | None = None
    for *other_values, other in same_key:
        others.append(other)
        if differing is None and other_values != values:
            differing = other
    return values, number, others, differing


def _temporary() -> IO[bytes]:
    """A temporary file, which is deleted when it is closed."""
    return tempfile.TemporaryFile()
