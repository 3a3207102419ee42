"""Reads workbooks (XLSX) a row at a time.

The format is ECMA-376; numbers in brackets are sections of its Part 1. Why no library reads it whole:
docs/decisions/0044.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from string import digits
from typing import BinaryIO, Final
from xml.parsers import expat

from django.conf import settings
from django.utils.translation import gettext as _
from openpyxl.utils.cell import column_index_from_string

from core.operations.errors import SheetRefused
from core.sheets.rows import MAX_COLUMNS, Row, too_wide
from core.sheets.workbook_numbers import MAC_EPOCH, WINDOWS_EPOCH, iso_text, kind_of_format, number_text
from core.sheets.workbook_parts import Package, SharedTextReader, TextReader, damaged, too_much, whole_number
from core.sheets.workbook_values import Truth, is_error, read_xlsx

_MAX_ROW: Final = 1_048_576
_MAX_CELLS_OF_A_ROW: Final = 16_384
_MAX_CELLS: Final = 50_000_000
"""The most cells of a sheet, with blank ones between them: 47 columns of as many rows as there can be."""
_MAX_ROW_TEXT: Final = 1 << 20
"""The most characters of a row."""
_MAX_FORMATS: Final = 100_000
"""The most styles of cells, and characters of the codes of all formats. Excel allows 65,490 styles."""
_MAX_CODE: Final = 1_000
"""The most characters of the code of a format. Excel allows 255."""
_OTHERS_NAMED: Final = 100
_OTHER_NAME: Final = 100
"""The most characters of a sheet's name. Excel allows 31."""
_TRUE: Final = ("1", "true")


class Workbook:
    """A workbook to read. ``stream``: seekable. Raises SheetRefused."""

    def __init__(self, stream: BinaryIO) -> None:
        with _damage_told():
            self._book = _Book(Package(stream))
        self.others = self._book.others
        """The names of the first sheets that :meth:`rows` does not read, with hidden ones."""

    def rows(self) -> Generator[Row, None, None]:
        """The rows of the first visible sheet that have cells with something in them.

        Dates and times come as in ISO 8601, to the second; other numbers as they are kept, not as they are shown; of a
        formula its result. Memory: some rows, and the texts that cells share (:data:`MAX_SHARED_TEXTS`).
        Raises SheetRefused.
        """
        with _damage_told():
            self._book.load()
            yield from _Rows(self._book).read(self._book.package.blocks(self._book.sheet))


def look(stream: BinaryIO) -> None:
    """Raise SheetRefused for a ZIP file that is certainly no workbook. Reads its directory, and 1 KiB of a part."""
    with _damage_told():
        Package(stream).require_workbook()


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    # zipfile raises NotImplementedError for a compression that it does not know.
    except (zipfile.BadZipFile, NotImplementedError, zlib.error, expat.ExpatError, EOFError) as error:
        raise damaged() from error
    except (LookupError, ValueError) as error:  # a reference leads nowhere, or a text is no number
        raise damaged() from error


class _Book:
    """The parts that are read before the first visible sheet: which sheet it is, and what its cells refer to."""

    def __init__(self, package: Package) -> None:
        self.package = package
        package.require_workbook()
        main = dict(package.related().values())["officeDocument"]
        if main.endswith(".bin"):
            raise SheetRefused(_("This is a binary workbook (.xlsb). Save it as .xlsx or as CSV UTF-8."))
        self._related = package.related(main)
        self.epoch = WINDOWS_EPOCH
        self.is_calculated = True
        """Whether the results of its formulas are right.

        A program that writes some without calculating says so (18.2.2).
        """
        self.sheet = ""
        self.others: list[str] = []
        for name, attributes in package.elements(main, "workbookPr", "sheet", "calcPr"):
            if name == "workbookPr":
                self.epoch = MAC_EPOCH if attributes.get("date1904") in _TRUE else WINDOWS_EPOCH
            elif name == "calcPr":
                self.is_calculated = attributes.get("fullCalcOnLoad") not in _TRUE
            else:
                kind, part = self._related[_id(attributes)]
                is_visible = attributes.get("state", "visible") == "visible"
                if kind == "worksheet" and is_visible and not self.sheet:
                    self.sheet = part
                elif kind == "worksheet" and len(self.others) < _OTHERS_NAMED:
                    self.others.append(attributes.get("name", "")[:_OTHER_NAME])
        if not self.sheet:
            raise SheetRefused(_("There is no visible sheet in the file, which has to be a workbook (XLSX)."))
        self.formats: dict[str, str] = {}
        """The format of each style, by the number that cells name."""
        self.texts: list[str] = []

    def load(self) -> None:
        """Read the formats and texts that cells refer to."""
        parts = dict(self._related.values())
        if styles := parts.get("styles"):
            self.formats = {str(number): format_ for number, format_ in enumerate(_formats(self.package, styles))}
        if texts := parts.get("sharedStrings"):
            self.texts = list(SharedTextReader().read(self.package.blocks(texts)))


def _id(attributes: dict[str, str]) -> str:
    """The relationship of an element (``r:id``, whose namespace has two addresses)."""
    return next((value for name, value in attributes.items() if name.endswith(" id")), "")


def _formats(package: Package, part: str) -> Iterator[str]:
    """The kind of a number in each style of cells: ``date``, ``duration``, or blank for others."""
    codes: dict[str, str] = {}
    kinds: dict[str, str] = {}
    size = 0
    is_of_cells = False
    for name, attributes in package.elements(part, "numFmt", "cellStyleXfs", "cellXfs", "xf", "dxfs"):
        if name == "numFmt":
            codes.setdefault(attributes["numFmtId"], attributes["formatCode"])
            size += len(attributes["formatCode"])
            if len(attributes["formatCode"]) > _MAX_CODE:
                raise damaged()
        elif name != "xf":
            is_of_cells = name == "cellXfs"
        elif is_of_cells:
            id_ = attributes.get("numFmtId", "0")
            if id_ not in kinds:
                kinds[id_] = kind_of_format(whole_number(id_), codes.get(id_))
            size += 1
            yield kinds[id_]
        if size > _MAX_FORMATS:
            raise too_much()


class _Rows(TextReader[Row]):
    """The rows of a sheet that have cells with something in them (18.3.1.4, 18.3.1.73)."""

    def __init__(self, book: _Book) -> None:
        super().__init__(
            {"row": self._row_starts, "c": self._cell_starts, "f": self._formula_starts},
            {"row": self._row_ends, "c": self._cell_ends},
        )
        self._book = book
        self._number = self._column = self._count = 0
        self._row_text = 0
        self._cells_left = _MAX_CELLS
        self._text_left = settings.MUSTER_MAX_SHEET_BYTES
        """Characters that cells may still have. A shared text counts in each cell."""
        self._cells: list[str] = []
        self._cell: dict[str, str] = {}
        self._is_formula = False

    def _row_starts(self, attributes: dict[str, str]) -> None:
        before, self._number = self._number, whole_number(attributes["r"]) if "r" in attributes else self._number + 1
        if not before < self._number <= _MAX_ROW:
            raise damaged()
        self._column = self._count = self._row_text = 0
        self._cells = []

    def _row_ends(self) -> None:
        if self._cells:
            self.items.append((self._number, self._cells))
        self._cells_left -= max(len(self._cells), self._count)
        self._text_left -= self._row_text
        if self._cells_left < 0 or self._text_left < 0:
            raise too_much()

    def _cell_starts(self, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > _MAX_CELLS_OF_A_ROW:
            raise damaged()
        self._cell = attributes
        self._is_formula = False
        place = attributes.get("r")  # a cell without a place is the next one
        self._column = column_index_from_string(place.rstrip(digits)) if place else self._column + 1

    def _formula_starts(self, _attributes: dict[str, str]) -> None:
        self._is_formula = True

    def _cell_ends(self) -> None:
        has_text = self.has_text
        text = self.taken()
        if self._is_formula and not (
            self._book.is_calculated and (text or (has_text and self._cell.get("t") == "str"))
        ):
            raise SheetRefused(
                _(
                    "The formula in row %(row)s, column %(column)s was never calculated. Open the workbook in a "
                    "spreadsheet program and save it."
                )
                % {"row": self._number, "column": self._column}
            )
        if text:
            if self._column > MAX_COLUMNS:
                raise too_wide(self._number, self._column)
            self._cells += [""] * (self._column - len(self._cells))
            self._cells[self._column - 1] = value = self._read(text)
            self._row_text += len(value)
            if self._row_text > _MAX_ROW_TEXT:
                raise SheetRefused(
                    _("Row %(row)s has more than %(count)s characters: this is not a table of attendance.")
                    % {"row": self._number, "count": f"{_MAX_ROW_TEXT:,}"}
                )

    def _read(self, value: str) -> str:
        kind = self._cell.get("t", "n")
        if kind == "s":
            return self._book.texts[whole_number(value)]
        if kind == "n":
            return number_text(value, self._book.formats.get(self._cell.get("s", "0"), ""), self._book.epoch)
        if kind == "b":
            return Truth({"1": "TRUE", "true": "TRUE", "0": "FALSE", "false": "FALSE"}.get(value.lower(), value))
        if kind == "d":
            return iso_text(value)
        if kind == "e" and not is_error(value):
            return "#VALUE!"
        return read_xlsx(value)
