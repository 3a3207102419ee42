"""Reads CSV a row at a time. The cost of a row is bounded while it is read, and a file that was cut off is recognised.

A spreadsheet program forgives much in CSV, and a person sees the result. Nobody sees the result here, so what looks
like a missing quotation mark is refused, with the line in which the row begins.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Generator, Iterator, Sequence
from itertools import chain, islice
from typing import IO, BinaryIO, Final, cast

from django.utils.translation import gettext as _

from core.operations.errors import SheetRefused
from core.sheets.rows import Row

DELIMITERS: Final = ",;\t|"
"""The characters that may separate the cells of a row."""
MAX_ROW: Final = 1 << 18
"""Characters of a row, however many lines it has."""

_MAX_ROWS: Final = 10_000_000
"""Rows of a file, with blank ones. 100 MiB cannot hold as many rows that are not blank."""
_HEAD: Final = 1 << 16
_LINES_OF_HEAD: Final = 20
_FEWEST: Final = 6
"""Delimiters in a heading, one less than the columns that a sheet must have."""
_SEP: Final = re.compile(r"\"?sep=([^\w\s\"']|\t)\"?[\r\n]*", re.IGNORECASE)
"""The first line that tells Excel the delimiter."""
_END_OF_TEXT: Final = "\x1a"
"""The character that programs of the time of DOS put at the end of a text."""
_CUT: Final = ("unexpected end of data", "truncated data")
"""The words of Python's decoders for missing bytes."""
_BOMS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like the next
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class CsvFile:
    """A file of CSV or something close to it. Raises SheetRefused if it is no text."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        stream.seek(0)
        self._encoding = _encoding(stream.read(_HEAD))
        self._line = self._start = 0
        """The line that was read last, and the line in which the present row begins."""
        self._size = 0
        """Characters of the present row so far."""
        self._has_end = True
        self.without_end: tuple[int, int] | None = None
        """When all rows are read: the first line and the number of cells of a last row without a line end."""

    def rows(self) -> Generator[Row, None, None]:
        """All rows, with blank ones. Raises SheetRefused."""
        self._stream.seek(0)
        text = io.TextIOWrapper(cast(IO[bytes], self._stream), self._encoding, newline="")
        self._line, self.without_end = 0, None
        try:
            yield from self._rows(_physical(text))
        except UnicodeError as error:
            raise _not_decoded(error, self._line + 1) from None
        except csv.Error as error:
            raise self._not_csv(error) from None
        finally:
            if not self._stream.closed:
                text.detach()  # the stream belongs to the caller and stays open

    def _rows(self, lines: Iterator[str]) -> Iterator[Row]:
        head = list(islice(lines, _LINES_OF_HEAD))
        told = _SEP.fullmatch(head[0]) if head else None
        if told is not None:
            del head[0]
            self._line = 1
        delimiter, width = _delimiter(head)
        if told is not None:
            delimiter = told[1]
        reader = csv.reader(self._counted(chain(head, lines)), delimiter=delimiter, strict=True)
        self._begin()
        for number, cells in enumerate(reader, start=1):
            if self._line > self._start and (
                len(cells) > width or any(may_be_rows(cell, delimiter) and cell[0] != "'" for cell in cells)
            ):  # a cell that Muster wrote with an apostrophe may have lines
                raise SheetRefused(
                    _(
                        "The row that begins in line %(line)s goes on over %(count)s lines, with the cells of other "
                        "rows in it: a quotation mark is missing there. If a text is meant to have lines and "
                        "delimiters, save the sheet as XLSX."
                    )
                    % {"line": f"{self._start:,}", "count": f"{self._line - self._start + 1:,}"}
                )
            if number > _MAX_ROWS:
                raise SheetRefused(_("The file has more than %(most)s rows.") % {"most": f"{_MAX_ROWS:,}"})
            if not self._has_end:
                self.without_end = self._start, len(cells)
            yield number, cells
            self._begin()

    def _begin(self) -> None:
        self._start = self._line + 1
        self._size = 0

    def _counted(self, lines: Iterator[str]) -> Iterator[str]:
        """The lines, which it counts. While a quotation mark is open, the reader takes more than one for a row."""
        for line in lines:
            if line == _END_OF_TEXT:
                continue
            self._line += 1
            self._size += len(line)
            if "\0" in line:
                raise SheetRefused(
                    _(
                        "Line %(line)s has characters that no text has (NUL): the file is damaged, as when a computer "
                        "was switched off while it was written. Get it again."
                    )
                    % {"line": f"{self._line:,}"}
                )
            if self._size > MAX_ROW:
                raise self._too_long()
            self._has_end = line[-1] in "\r\n" or not line.strip()
            yield line

    def _too_long(self) -> SheetRefused:
        if self._line > self._start:
            return self._open_quote()
        return SheetRefused(
            _("Line %(line)s is longer than %(count)s characters: this is not a table of attendance.")
            % {"line": f"{self._line:,}", "count": f"{MAX_ROW:,}"}
        )

    def _open_quote(self) -> SheetRefused:
        return SheetRefused(
            _(
                "The row that begins in line %(line)s has a quotation mark that is opened and not closed, so that all "
                "that follows would be one cell. Either the mark is missing there, or the file ends too early."
            )
            % {"line": f"{self._start:,}"}
        )

    def _not_csv(self, error: csv.Error) -> SheetRefused:
        if "after" not in str(error):  # the file ended, or a cell grew too long
            return self._open_quote()
        return SheetRefused(
            _(
                "The row that begins in line %(line)s is not CSV (%(error)s): look for a quotation mark that is "
                "missing, or one too many."
            )
            % {"line": f"{self._start:,}", "error": error}
        )


def _physical(text: io.TextIOWrapper) -> Iterator[str]:
    """The lines, long ones in pieces."""
    while line := text.readline(MAX_ROW + 1):
        yield line


def may_be_rows(cell: str, delimiters: str) -> bool:
    """Whether a cell has line breaks and delimiters, as if a missing quotation mark had joined several rows."""
    return ("\n" in cell or "\r" in cell) and any(mark in cell for mark in delimiters)


def _delimiter(head: Sequence[str]) -> tuple[str, int]:
    """The delimiter and the number of cells in a row, from the first line that has enough delimiters for a heading, or
    else from the first that is not blank."""
    lines = [re.sub(r'"[^"]*"', "", line) for line in head if line.strip()] or [""]
    counts = [{mark: line.count(mark) for mark in DELIMITERS} for line in lines]
    decisive = next((count for count in counts if max(count.values()) >= _FEWEST), counts[0])
    mark = max(DELIMITERS, key=decisive.__getitem__)
    return mark, decisive[mark] + 1


def _encoding(head: bytes) -> str:
    """UTF-8, unless the file says otherwise or every other byte is zero. Raises SheetRefused for what is no text."""
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return encoding
    if b"\0" not in head:
        return "utf-8-sig"
    first, second = head[0::2].count(0), head[1::2].count(0)
    enough = len(head) // 4  # all Latin letters, digits and delimiters have one
    if not first and second >= enough:
        return "utf-16-le"
    if not second and first >= enough:
        return "utf-16-be"
    if b"\0" in head.partition(b"\n")[0]:
        raise SheetRefused(_("This is not a spreadsheet: send CSV or XLSX."))
    return "utf-8-sig"  # a damaged text: reading it finds the line


def _not_decoded(error: UnicodeError, row: int) -> SheetRefused:
    """The refusal of a file that ends in the middle of a character, or is in another encoding."""
    if isinstance(error, UnicodeDecodeError) and error.end == len(error.object) and error.reason in _CUT:
        return SheetRefused(
            _("The file ends in the middle of a character: a part of it is missing. Get it again, or save it anew.")
        )
    return SheetRefused(
        _(
            "The file is not in UTF-8 (near row %(row)s), so that names could come out wrong. In Excel, save it as "
            "“CSV UTF-8”."
        )
        % {"row": row}
    )
