"""Reading workbooks (XLSX) a row at a time, and the text that XLSX can hold, in both directions.

The format is ECMA-376: Part 1, 18 (SpreadsheetML) and Part 2 (packages). ``zipfile`` and ``expat`` take it apart, and
openpyxl knows what a number's format means. Why no library reads it whole: docs/decisions/0044.
"""

from __future__ import annotations

import datetime as dt
import io
import posixpath
import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from string import digits
from typing import IO, BinaryIO, Final, Generic, TypeVar, cast
from xml.parsers import expat

from django.conf import settings
from django.utils.translation import gettext as _
from openpyxl.styles.numbers import builtin_format_code, is_date_format, is_timedelta_format
from openpyxl.utils.cell import column_index_from_string
from openpyxl.utils.datetime import MAC_EPOCH, WINDOWS_EPOCH, from_excel

from core.operations.errors import SheetRefused

Row = tuple[int, list[str]]
"""The row's number as a spreadsheet program counts it, and its cells' text; of a workbook's cell that is no text, as a
:class:`Moment`, :class:`Number` or :class:`Truth`."""


class Moment(str):
    """The text of a cell that is a date, a time or a duration."""

    __slots__ = ()


class Number(str):
    """The text of a cell that is another number."""

    __slots__ = ()


class Truth(str):
    """The text of a cell that is true or false."""

    __slots__ = ()


Element = tuple[str, dict[str, str]]
"""Its name, and its attributes by name."""
Item = TypeVar("Item")

MAX_COLUMNS: Final = 500
"""Of a sheet, in any form."""
MAX_SHARED_TEXTS: Final = 128 << 20
"""Bytes of memory for the texts that the cells of a workbook share."""

_MAX_ROW: Final = 1_048_576
_MAX_CELLS_OF_A_ROW: Final = 16_384
_MAX_CELLS: Final = 50_000_000
"""Of a sheet, with the blank ones between them: 47 columns of as many rows as there can be."""
_MAX_ROW_TEXT: Final = 1 << 20
"""Characters of a row."""
_MAX_TEXT: Final = 1 << 16
"""Characters of a cell. Excel allows 32,767."""
_MAX_TAG: Final = 1 << 20
"""Bytes of a tag or a comment."""
_MAX_NAMES: Final = 5_000
"""Names of elements and attributes in a part, which the parser keeps."""
_MAX_FORMATS: Final = 100_000
"""Styles of cells, and characters of all their formats' codes. Excel allows 65,490 styles."""
_MAX_CODE: Final = 1_000
"""Characters of a format's code. Excel allows 255."""
_MAX_DIRECTORY: Final = 1 << 18
"""Bytes of a ZIP file's directory, which has some 80 for each part; a workbook has some dozens of them."""
_MIME_TYPE: Final = 100
"""Bytes of the part ``mimetype`` that are looked at."""
_OTHERS_NAMED: Final = 100
_OTHER_NAME: Final = 100
"""Characters of a sheet's name. Excel allows 31."""
_MAX_DEPTH: Final = 64
_MAX_RATIO: Final = 200
_RATIO_MATTERS_FROM: Final = 10 << 20
_MAX_SMALL_PART: Final = 16 << 20
_BLOCK: Final = 1 << 16
_TRUE: Final = ("1", "true")
_NOT_PLAIN: Final = 0x61
"""Flags of what is encrypted or patched (APPNOTE.TXT of ZIP, 4.4.4)."""


class Workbook:
    """A workbook that is read. ``stream``: seekable. Raises SheetRefused."""

    def __init__(self, stream: BinaryIO) -> None:
        with _damage_told():
            self._book = _Book(_Package(stream))
        self.others = self._book.others
        """The names of the sheets that :meth:`rows` does not read, the hidden ones among them; the first of them."""

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
    """Raises SheetRefused for a ZIP file that is certainly no workbook. Reads its directory, and of a part 1 KiB."""
    with _damage_told():
        _Package(stream).require_workbook()


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, NotImplementedError, zlib.error, expat.ExpatError, EOFError) as error:
        raise damaged() from error
    except (LookupError, ValueError) as error:  # something refers to what is not there, or is no number
        raise damaged() from error


def damaged() -> SheetRefused:
    """The refusal of what cannot be read as a workbook."""
    return SheetRefused(_("The file is damaged, or not a workbook (XLSX)."))


def too_wide(row: int, columns: int) -> SheetRefused:
    """The refusal of a row with more than :data:`MAX_COLUMNS`."""
    return SheetRefused(
        _("Row %(row)s has %(count)s columns; a sheet may have %(most)s.")
        % {"row": row, "count": f"{columns:,}", "most": MAX_COLUMNS}
    )


def _too_much() -> SheetRefused:
    return SheetRefused(_("The workbook would unpack to far more than a sheet of attendance has."))


def _whole(text: str) -> int:
    """A number without a sign, as XML has it, which is stricter than Python. Raises ValueError."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


# --- The package


class _Directory:
    """A stream for ``zipfile``, which reads a whole directory at once, however many entries it has."""

    def __init__(self, stream: BinaryIO) -> None:
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable
        self._read = stream.read

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or those that are left, if these are few. Raises SheetRefused."""
        if size > _MAX_DIRECTORY:
            raise SheetRefused(_("The file is a ZIP file with more parts than any workbook has."))
        return self._read(_MAX_DIRECTORY if size < 0 else size)


class _Package:
    """The parts in a ZIP file. What they unpack to is counted, not believed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._archive = zipfile.ZipFile(cast(IO[bytes], _Directory(stream)))
        self._entries = {_normalised(entry.filename): entry for entry in self._archive.infolist()}
        packed = stream.seek(0, io.SEEK_END)
        if not all(0 <= entry.header_offset < packed for entry in self._entries.values()):
            raise damaged()
        self._left = min(settings.MUSTER_MAX_SHEET_BYTES, max(_RATIO_MATTERS_FROM, _MAX_RATIO * packed))

    def require_workbook(self) -> None:
        """Raises SheetRefused for what has the parts of something else, or none of a workbook."""
        if "mimetype" in self:
            kind = next(self.blocks("mimetype"), b"")[:_MIME_TYPE]
            if b"opendocument.spreadsheet" in kind:
                raise SheetRefused(_("This is an OpenDocument sheet (.ods). Save it as .xlsx or as CSV UTF-8."))
        if any(name.endswith(".iwa") or name == "index.zip" for name in self._entries):
            raise SheetRefused(_("This is a document of Apple’s iWork. In Numbers, export it to Excel or CSV."))
        if "_rels/.rels" not in self:
            raise SheetRefused(_("This is a ZIP file, not a workbook (XLSX): unpack it, and send the sheet in it."))
        if "word/document.xml" in self or "ppt/presentation.xml" in self:
            raise SheetRefused(_("This is a document or a presentation, not a workbook: send CSV or XLSX."))

    def __contains__(self, part: str) -> bool:
        return _normalised(part) in self._entries

    def blocks(self, part: str) -> Iterator[bytes]:
        """What is in a part, unpacked."""
        entry = self._entries[_normalised(part)]
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.flag_bits & _NOT_PLAIN:
            raise SheetRefused(_("The workbook is packed in a way that spreadsheets do not use."))
        with self._archive.open(entry) as file:
            while block := file.read(_BLOCK):
                self._left -= len(block)
                if self._left < 0:
                    raise _too_much()
                yield block

    def elements(self, part: str, *names: str) -> Iterator[Element]:
        """The elements of these names in a small part, in their order."""
        if self._entries[_normalised(part)].file_size > _MAX_SMALL_PART:
            raise _too_much()
        return _Elements(names).read(self.blocks(part))

    def related(self, part: str = "") -> dict[str, tuple[str, str]]:
        """By their ids the kind and the name of the parts that a part, or the package, refers to (Part 2, 9.3)."""
        folder, name = posixpath.split(part)
        return {
            attributes["Id"]: (attributes["Type"].rpartition("/")[2], posixpath.join(folder, attributes["Target"]))
            for _name, attributes in self.elements(f"{folder}/_rels/{name}.rels", "Relationship")
        }


def _normalised(name: str) -> str:
    """A part's name from the root, without regard to case."""
    return posixpath.normpath("/" + name.replace("\\", "/")).lower().lstrip("/")


class _Book:
    """What there is to know before the first visible sheet is read: which it is, and what its cells refer to."""

    def __init__(self, package: _Package) -> None:
        self.package = package
        package.require_workbook()
        main = dict(package.related().values())["officeDocument"]
        if main.endswith(".bin"):
            raise SheetRefused(_("This is a binary workbook (.xlsb). Save it as .xlsx or as CSV UTF-8."))
        self._related = package.related(main)
        self.epoch = WINDOWS_EPOCH
        self.is_calculated = True
        """Whether the results of its formulas are true. Who writes some without calculating says so (18.2.2)."""
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
        """By number, as cells write it."""
        self.texts: list[str] = []

    def load(self) -> None:
        """The formats and the texts that cells refer to."""
        parts = dict(self._related.values())
        if styles := parts.get("styles"):
            self.formats = {str(number): format_ for number, format_ in enumerate(_formats(self.package, styles))}
        if texts := parts.get("sharedStrings"):
            self.texts = list(_SharedTexts().read(self.package.blocks(texts)))


def _id(attributes: dict[str, str]) -> str:
    """The relationship of an element (``r:id``, whose namespace has two addresses)."""
    return next((value for name, value in attributes.items() if name.endswith(" id")), "")


_EAST_ASIAN_DATES: Final = frozenset([*range(27, 37), *range(50, 59)])
"""Formats built in by number that have no code of their own (18.8.30)."""


def _formats(package: _Package, part: str) -> Iterator[str]:
    """What a number is by each style of cells: ``date``, ``duration``, or nothing of the kind."""
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
                kinds[id_] = _kind(_whole(id_), codes.get(id_))
            size += 1
            yield kinds[id_]
        if size > _MAX_FORMATS:
            raise _too_much()


def _kind(id_: int, code: str | None) -> str:
    code = code or builtin_format_code(id_)
    if is_timedelta_format(code):
        return "duration"
    return "date" if is_date_format(code) or (code is None and id_ in _EAST_ASIAN_DATES) else ""


# --- Its XML

_NAMESPACES: Final = (
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
    "http://purl.oclc.org/ooxml/spreadsheetml/main",
    "http://schemas.openxmlformats.org/package/2006/relationships",
)


Starts = Callable[[dict[str, str]], None]
"""Is told of an element that starts: its attributes."""
Ends = Callable[[], None]


class _Reader(Generic[Item]):
    """Reads a part. Subclasses are told of the elements of some names, and put what they make of them in ``found``."""

    def __init__(self, starts: Mapping[str, Starts], ends: Mapping[str, Ends]) -> None:
        self.found: list[Item] = []
        self._start_of = {f"{namespace} {name}": told for name, told in starts.items() for namespace in _NAMESPACES}
        self._end_of = {f"{namespace} {name}": told for name, told in ends.items() for namespace in _NAMESPACES}
        self._depth = 0
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._starts
        self._parser.EndElementHandler = self._ends
        self._parser.StartDoctypeDeclHandler = self._document_type  # no workbook does, and entities could grow
        self._parser.StartNamespaceDeclHandler = self._namespace  # so that they are among the parser's names, too

    def read(self, blocks: Iterable[bytes]) -> Iterator[Item]:
        """What is found in a part, while it is read."""
        fed = 0
        for block in blocks:
            fed += len(block)
            self._parser.Parse(block)
            # A tag that does not end is kept by the parser, and looked at again with every block.
            if fed - self._parser.CurrentByteIndex > _MAX_TAG or len(self._parser.intern) > _MAX_NAMES:
                raise damaged()
            yield from self.found
            self.found.clear()
        self._parser.Parse(b"", True)

    def _starts(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise damaged()
        if told := self._start_of.get(tag):
            told(attributes)

    def _ends(self, tag: str) -> None:
        self._depth -= 1
        if told := self._end_of.get(tag):
            told()

    def _document_type(self, *_declaration: object) -> None:
        raise damaged()

    def _namespace(self, *_declaration: object) -> None:
        """There is nothing to do but to be told."""


class _Elements(_Reader[Element]):
    """Finds elements by their names."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__({name: partial(self._add, name) for name in names}, {})

    def _add(self, name: str, attributes: dict[str, str]) -> None:
        self.found.append((name, attributes))


class _Texts(_Reader[Item]):
    """Collects text, which stands in ``t`` and ``v``, without the phonetic runs (``rPh``)."""

    def __init__(self, starts: Mapping[str, Starts], ends: Mapping[str, Ends]) -> None:
        super().__init__(
            {"t": self._text_starts, "v": self._text_starts, "rPh": self._phonetic_starts, **starts},
            {"t": self._text_ends, "v": self._text_ends, "rPh": self._phonetic_ends, **ends},
        )
        self._pieces: list[str] = []
        self._length = 0
        self._is_phonetic = False
        self.has_text = False

    def taken(self) -> str:
        """The text since the last was taken."""
        text = "".join(self._pieces)
        self._pieces.clear()
        self._length = 0
        self.has_text = False
        return text

    def _text_starts(self, _attributes: dict[str, str]) -> None:
        if not self._is_phonetic:
            self.has_text = True
            self._parser.CharacterDataHandler = self._add

    def _text_ends(self) -> None:
        self._parser.CharacterDataHandler = None

    def _phonetic_starts(self, _attributes: dict[str, str]) -> None:
        self._is_phonetic = True

    def _phonetic_ends(self) -> None:
        self._is_phonetic = False

    def _add(self, text: str) -> None:
        self._pieces.append(text)
        self._length += len(text)
        if self._length > _MAX_TEXT:
            raise SheetRefused(
                _("A cell is longer than %(count)s characters: this is not a table of attendance.")
                % {"count": f"{_MAX_TEXT:,}"}
            )


class _SharedTexts(_Texts[str]):
    """The texts that cells refer to by number (18.4.8)."""

    def __init__(self) -> None:
        super().__init__({}, {"si": self._item_ends})
        self._size = 0

    def _item_ends(self) -> None:
        text = read_xlsx(self.taken())
        self._size += sys.getsizeof(text)
        if self._size > MAX_SHARED_TEXTS:
            raise SheetRefused(
                _("The workbook has more text than is read at once. Save it as CSV UTF-8, which is read row by row.")
            )
        self.found.append(text)


class _Rows(_Texts[Row]):
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
        """Characters that cells may still have, those of shared texts counted in each."""
        self._cells: list[str] = []
        self._cell: dict[str, str] = {}
        self._is_formula = False

    def _row_starts(self, attributes: dict[str, str]) -> None:
        before, self._number = self._number, _whole(attributes["r"]) if "r" in attributes else self._number + 1
        if not before < self._number <= _MAX_ROW:
            raise damaged()
        self._column = self._count = self._row_text = 0
        self._cells = []

    def _row_ends(self) -> None:
        if self._cells:
            self.found.append((self._number, self._cells))
        self._cells_left -= max(len(self._cells), self._count)
        self._text_left -= self._row_text
        if self._cells_left < 0 or self._text_left < 0:
            raise _too_much()

    def _cell_starts(self, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > _MAX_CELLS_OF_A_ROW:
            raise damaged()
        self._cell = attributes
        self._is_formula = False
        place = attributes.get("r")  # without one it is the next
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
            return self._book.texts[_whole(value)]
        if kind == "n":
            return _number_text(value, self._book.formats.get(self._cell.get("s", "0"), ""), self._book.epoch)
        if kind == "b":
            return Truth({"1": "TRUE", "true": "TRUE", "0": "FALSE", "false": "FALSE"}.get(value.lower(), value))
        if kind == "d":
            return _iso_text(value)
        if kind == "e" and not is_error(value):
            return "#VALUE!"
        return read_xlsx(value)


# --- Values as text

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DAY_OF_TIMES: Final = "0001-01-01"


def _number_text(value: str, format_: str, epoch: dt.datetime) -> str:
    """A number as text: whole numbers without a point; dates, times and durations, which are numbers of days, to the
    second (18.17.4). What is none is left as it is."""
    if _NUMBER.fullmatch(value) is None:
        return value
    if not format_ and value.isdigit():
        return Number(value.lstrip("0") or "0")
    number = float(value)
    if not format_ or (number < 0 and format_ == "date"):
        return Number(int(number) if number.is_integer() and abs(number) <= 1 << 53 else repr(number))
    try:
        return _moment_text(from_excel(round(number * 86_400) / 86_400, epoch, format_ == "duration"))
    except (ValueError, OverflowError):  # no date that Python has
        return Number(value)


def _iso_text(value: str) -> str:
    """A date or a time of ISO 8601 to the second; what is none, or has a time zone, is left as it is."""
    text = value.removesuffix("Z")
    try:
        if "-" not in text:
            text = f"{_DAY_OF_TIMES}T{text}"
        moment = dt.datetime.fromisoformat(text) + dt.timedelta(milliseconds=500)
    except (ValueError, OverflowError):
        return value
    if moment.tzinfo is not None:
        return value
    if not text.startswith(_DAY_OF_TIMES):
        return _moment_text(moment.replace(microsecond=0))
    return _moment_text(moment.time()) if moment.day == 1 else value  # no time is rounded to the next day's


def _moment_text(value: dt.date | dt.time | dt.timedelta) -> Moment:
    if isinstance(value, dt.timedelta):
        seconds = round(value.total_seconds())
        minutes = abs(seconds) // 60
        return Moment(f"{'-' if seconds < 0 else ''}{minutes // 60:02}:{minutes % 60:02}:{abs(seconds) % 60:02}")
    if isinstance(value, dt.datetime):
        return Moment(value.date().isoformat() if value.time() == dt.time() else value.isoformat(" ", "seconds"))
    return Moment(value.isoformat("seconds") if isinstance(value, dt.time) else value.isoformat())


# --- Text

_NOT_XML: Final = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_ESCAPED: Final = re.compile("_x(?![Dd][89A-Fa-f])([0-9A-Fa-f]{4})_")
"""But no half of a character of UTF-16."""
_ERROR: Final = re.compile(r"#(?:N/[AD]|NV|GETTING_DATA|[¡¿]?(?:DIV/0|[A-Z]+)[!?]|##+)|Err:[0-9]{3}")
"""18.17.3, those that came later, which end as they do, and how CSV has them in other languages."""


def written_xlsx(text: str) -> str:
    """Text for XLSX: characters that XML cannot hold (and CR, which it changes) as ``_xHHHH_`` (22.9.2.19,
    ST_Xstring), and what only looks like that protected the same way."""
    return _NOT_XML.sub(lambda found: f"_x{ord(found[0]):04X}_", text)


def read_xlsx(text: str) -> str:
    """The text that XLSX holds: what :func:`written_xlsx` and spreadsheet programs wrote is taken back."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


def is_error(text: str) -> bool:
    """Whether a spreadsheet shows this where a formula failed, such as ``#N/A``."""
    return text[:1] in ("#", "E") and _ERROR.fullmatch(text) is not None
