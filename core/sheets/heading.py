"""Finding the heading of a sheet among its first rows: below titles, or in rows of which one has groups of columns.

It is read where there is one way to read it. What could be read in two ways is refused with the words that are not
clear: a column that is taken for another is worse than a sheet that has to be sent again.
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
from core.sheets.spreadsheets import SheetFile, is_workbook
from core.sheets.workbooks import Row

ROWS_LOOKED_AT: Final = 30
"""Rows that are not blank, the heading among them."""
LOOK: Final = 1 << 18
"""Bytes of CSV that are looked at."""
_ROWS: Final = 4
"""Of a heading, at most."""
_LONG: Final = 100
"""Characters of a heading: more than any has."""


@dataclass(frozen=True)
class FoundHeading:
    """A heading and the rows that were looked at. ``rows``: the numbers of its own, more than one if it has groups;
    ``above``: those before it, which are not read; ``below``: those after it."""

    heading: Heading
    rows: tuple[int, ...]
    above: tuple[Row, ...]
    below: tuple[Row, ...]


def look(stream: BinaryIO) -> None:
    """Raises SheetRefused for what is certainly no sheet of attendance. Reads the head of a seekable stream: of CSV the
    first rows, of a workbook what parts it has."""
    if is_workbook(stream):
        workbooks.look(stream)
        return
    with closing(SheetFile(_Head(stream)).rows()) as rows, suppress(_SeenEnough):
        find_heading(rows)


class _SeenEnough(Exception):
    """There is more of a file than is looked at."""


class _Head(io.BytesIO):
    """The first bytes of a stream, behind which there is no end."""

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
    """Where the heading is. Takes from ``rows``, those of a sheet that are not blank, as many as are looked at.

    Raises SheetRefused where there is none, or it is not clear.
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
    """A heading of which one row is known: the places of its first and last row, and its cells together."""
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
    """Whether the row below a heading belongs to it: no employee's day can be in it, and it has the heading of a
    column, or something below what is none."""
    needed = [
        index for index, cell in enumerate(cells) if (column := column_named(cell)) and column.field in NEVER_BLANK
    ]
    if not needed or any(cell.strip() for cell in (below[index] for index in needed if index < len(below))):
        return False
    pairs = zip_longest(cells, below, fillvalue="")
    return any(cell.strip() and (column_named(cell) or not column_named(above)) for above, cell in pairs)


def _with_columns_below(groups: Sequence[str], below: Sequence[str]) -> list[str]:
    """Headings with those that stand below some of them. A group goes on to the right, while there is something below
    and nothing above."""
    together: list[str] = []
    group = ""
    for above, cell in zip_longest(groups, below, fillvalue=""):
        group = above if above.strip() else group
        if not cell.strip():
            group = ""
            together.append(above)
        elif column_named(above) and not column_named(cell):
            together.append(above)  # how it is to be written, such as hh:mm
        else:
            together.append(_in_group(group, cell))
    return together


def _with_groups_above(groups: Sequence[str], cells: Sequence[str]) -> list[str]:
    """Headings, the times among them with the groups above them. What stands above other columns is a title."""
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
    """A heading in a group. Raises SheetRefused where it is a time, and the group does not say which."""
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
