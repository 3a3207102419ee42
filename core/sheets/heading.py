"""Finds the heading of a sheet among its first rows: below titles, or in several rows, one with groups of columns.

A heading that can be read in two ways is refused, and the message names the words that are not clear. A column that is
taken for another is worse than a sheet that has to be sent again.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import BinaryIO, Final

from django.utils.translation import gettext as _

from core.operations.errors import SheetRefused
from core.sheets import workbooks
from core.sheets.cells import NEVER_BLANK
from core.sheets.columns import Heading, column_named, is_time, read_heading
from core.sheets.rows import Row
from core.sheets.spreadsheets import SheetFile, is_workbook

ROWS_LOOKED_AT: Final = 30
"""Rows that are not blank among which the heading must be."""
LOOK: Final = 1 << 18
"""Bytes of CSV that are read to find the heading."""
_ROWS: Final = 4
"""The most rows of a heading."""
_LONG: Final = 100
"""Characters of a heading. No heading has more."""


@dataclass(frozen=True)
class FoundHeading:
    """A heading, and the rows that were read to find it. ``rows``: its own numbers, more than one if it has groups.
    ``above``: the rows before it, which are not imported. ``below``: the rows after it."""

    heading: Heading
    rows: tuple[int, ...]
    above: tuple[Row, ...]
    below: tuple[Row, ...]


def look(stream: BinaryIO) -> None:
    """Raise SheetRefused for a file that is certainly no sheet of attendance.

    Reads the beginning of a seekable stream: the first rows of CSV, or the list of parts of a workbook.
    """
    if is_workbook(stream):
        workbooks.look(stream)
        return
    with closing(SheetFile(_Head(stream)).rows()) as rows, suppress(_SeenEnough):
        find_heading(rows)


class _SeenEnough(Exception):
    """The file has more than the part that is read."""


class _Head(io.BytesIO):
    """The first bytes of a stream. Reading on raises _SeenEnough, unless the stream has no more."""

    def __init__(self, stream: BinaryIO) -> None:
        stream.seek(0)
        super().__init__(stream.read(LOOK))
        self._is_all = not stream.read(1)

    def read1(self, size: int | None = -1, /) -> bytes:
        data = super().read1(size)
        if not data and not self._is_all:
            raise _SeenEnough
        return data


def find_heading(rows: Iterator[Row]) -> FoundHeading:
    """The heading of a sheet. It takes :data:`ROWS_LOOKED_AT` of ``rows``, which are not blank.

    Raises SheetRefused if there is no heading, or if it is not clear.
    """
    head = list(islice(rows, ROWS_LOOKED_AT))
    texts = [(number, [cell[:_LONG] for cell in cells]) for number, cells in head]
    most, reason = -1, SheetRefused("")
    for index, (_number, cells) in enumerate(texts):
        known = sum(column_named(cell) is not None for cell in cells)
        if known <= most:
            continue
        try:
            first, last, whole = _whole(texts, index)
            heading = read_heading(whole)
        except SheetRefused as refused:
            most, reason = known, refused
            continue
        numbers = tuple(number for number, _cells in head[first : last + 1])
        return FoundHeading(heading, numbers, tuple(head[:first]), tuple(head[last + 1 :]))
    raise reason


def _whole(head: Sequence[Row], index: int) -> tuple[int, int, list[str]]:
    """The places of the first and last row of a heading, one row of which is known, and its cells, put together."""
    number, cells = head[index]
    last = index
    for below in range(index + 1, min(index + _ROWS, len(head))):
        if head[below][0] != head[last][0] + 1 or not _goes_on(cells, head[below][1]):
            break
        last = below
        cells = _with_columns_below(cells, head[last][1])
    if last > index or not index or head[index - 1][0] != number - 1:
        return index, last, cells
    together = _with_groups_above(head[index - 1][1], cells)
    return (index - 1 if together != cells else index), index, together


def _goes_on(cells: Sequence[str], below: Sequence[str]) -> bool:
    """Whether the row below a heading belongs to it: it cannot be an employee's day, and it has the heading of a
    column, or something below a cell that is none."""
    needed = [
        index for index, cell in enumerate(cells) if (column := column_named(cell)) and column.field in NEVER_BLANK
    ]
    if not needed or any(cell.strip() for cell in (below[index] for index in needed if index < len(below))):
        return False
    pairs = zip_longest(cells, below, fillvalue="")
    return any(cell.strip() and (column_named(cell) or not column_named(above)) for above, cell in pairs)


def _with_columns_below(groups: Sequence[str], below: Sequence[str]) -> list[str]:
    """The headings together with those below some of them.

    A group goes on to the right while there is something below it and nothing above.
    """
    together: list[str] = []
    group = ""
    for above, cell in zip_longest(groups, below, fillvalue=""):
        group = above if above.strip() else group
        if not cell.strip():
            group = ""
            together.append(above)
        elif column_named(above) and not column_named(cell):
            together.append(above)  # how to write it, such as hh:mm
        else:
            together.append(_in_group(group, cell))
    return together


def _with_groups_above(groups: Sequence[str], cells: Sequence[str]) -> list[str]:
    """The headings. The times among them get the names of the groups above them; other cells above are titles."""
    together: list[str] = []
    group = ""
    for above, cell in zip_longest(groups[: len(cells)], cells, fillvalue=""):
        if not is_time(cell):
            group = ""
        elif above.strip():
            group = above
        together.append(_in_group(group, cell) if group else cell)
    return together


def _in_group(group: str, cell: str) -> str:
    """A heading together with its group. Raises SheetRefused if it is a time and the group does not say which."""
    together = f"{group} {cell}".strip()
    if column_named(together) is None:
        if group.strip() and is_time(cell):
            raise SheetRefused(
                _(
                    "The heading has two rows, and it is not clear what “%(column)s” below “%(group)s” is. Write the "
                    "heading in one row, such as PUNCH1 IN and PUNCH1 OUT."
                )
                % {"column": cell.strip()[:100], "group": group.strip()[:100]}
            )
        if column_named(cell):
            return cell
    return together
