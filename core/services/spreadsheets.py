"""Reading sheets that people send (CSV and XLSX), and the text of a cell, in both directions.

A sheet is untrusted: what it could cost is found out before it is parsed, and whatever is wrong with it as a
whole is one sentence (:class:`SheetRefused`). Every cell comes as text; what it means is for others to say.
"""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import io
import re
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Generator, Iterator
from pathlib import PurePath
from typing import IO, Any, BinaryIO, Final, cast

import python_calamine
from django.conf import settings
from django.utils.translation import gettext as _

from core.services.errors import FileRefused

MAX_COLUMNS: Final = 500
MAX_CELLS: Final = 5_000_000
"""Rows times columns of a sheet in XLSX, which is laid out in memory: 300,000 rows of all columns."""
_MAX_LINE: Final = 1 << 20
_MAX_RATIO: Final = 200
_RATIO_MATTERS_FROM: Final = 10 << 20
_BLOCK: Final = 1 << 16

Row = tuple[int, list[str]]
"""The row's number as a spreadsheet program counts it, and its cells' text."""


class SheetRefused(FileRefused):
    """The file cannot be read as a sheet at all."""

    def __init__(self, message: str) -> None:
        super().__init__(f"{message} {_('Nothing was changed.')}")


def too_large() -> SheetRefused:
    """A file over the limit."""
    limit = settings.MUSTER_MAX_SHEET_UPLOAD_BYTES / (1 << 20)
    return SheetRefused(_("The file is larger than %(limit)s MiB. Send it in parts.") % {"limit": f"{limit:,.0f}"})


def rows(stream: BinaryIO) -> Generator[Row, None, None]:
    """The rows of a sheet that are not blank, its heading first. Reads a seekable stream from its start.

    The content says what it is; whoever named the stream ``.xlsx`` has to hear that it is no workbook.
    Memory: a row for CSV; for XLSX the sheet, bounded by :data:`MAX_CELLS`. Raises SheetRefused.
    """
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    start = stream.read(8)
    stream.seek(0)
    if size > settings.MUSTER_MAX_SHEET_UPLOAD_BYTES:
        raise too_large()
    if not start:
        raise SheetRefused(_("The file is empty."))
    if start.startswith(b"PK\x03\x04"):
        found = _xlsx_rows(stream)
    elif start.startswith(b"\xd0\xcf\x11\xe0"):
        raise SheetRefused(_("This is an old Excel file (.xls) or an encrypted one. Save it as .xlsx or as CSV UTF-8."))
    elif PurePath(str(getattr(stream, "name", ""))).suffix.lower() == ".xlsx":
        raise _damaged()
    else:
        found = _csv_rows(stream)
    some = False
    for number, cells in found:
        if len(cells) > MAX_COLUMNS:
            raise SheetRefused(
                _("Row %(row)s has %(count)s columns; a sheet may have %(most)s.")
                % {"row": number, "count": f"{len(cells):,}", "most": MAX_COLUMNS}
            )
        if any(cells) and any(cell.strip() for cell in cells):
            some = True
            yield number, cells
    if not some:
        raise SheetRefused(_("The sheet has no rows."))


# --- CSV


def _csv_rows(stream: BinaryIO) -> Iterator[Row]:
    number = 0
    head = stream.read(_BLOCK)
    stream.seek(0)
    encoding = "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    if encoding != "utf-16" and b"\0" in head:
        raise SheetRefused(_("This is not a spreadsheet: send CSV or XLSX."))
    text = io.TextIOWrapper(cast(IO[bytes], stream), encoding, newline="")
    try:
        reader = csv.reader(_lines(text), delimiter=_delimiter(text), strict=True)
        for cells in reader:
            number += 1
            yield number, cells
    except UnicodeError:
        raise SheetRefused(
            _(
                "The file is not in UTF-8 (near row %(row)s), so that names could come out wrong. In Excel, save it as "
                "“CSV UTF-8”."
            )
            % {"row": number + 1}
        ) from None
    except csv.Error as error:
        raise SheetRefused(
            _("Row %(row)s is not CSV (%(error)s): look for a quotation mark that is opened and not closed.")
            % {"row": number + 1, "error": error}
        ) from None
    finally:
        if not stream.closed:
            text.detach()  # the stream stays open, and is not ours to close


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(_MAX_LINE):
        if len(line) >= _MAX_LINE:
            raise SheetRefused(
                _("A line is longer than %(count)s characters: this is not a table of attendance.")
                % {"count": f"{_MAX_LINE:,}"}
            )
        yield line


def _delimiter(text: io.TextIOWrapper) -> str:
    """What stands most often between the headings. Leaves the text at its start."""
    heading = next((line for line in _lines(text) if line.strip()), "")
    text.seek(0)
    bare = re.sub(r'"[^"]*"', "", heading)
    return max(",;\t", key=bare.count)


# --- XLSX

_REFERENCE: Final = re.compile(rb'<(?:\w+:)?c\b[^<>]*?\sr="([A-Z]+)([0-9]+)"')
_CELL: Final = re.compile(rb"<(?:\w+:)?c[\s/>]")


def _xlsx_rows(stream: BinaryIO) -> Iterator[Row]:
    _weigh(stream)
    stream.seek(0)
    try:
        with python_calamine.CalamineWorkbook.from_filelike(cast(Any, stream)) as book:
            if not book.sheet_names:
                raise SheetRefused(_("The workbook has no sheets."))
            sheet = book.get_sheet_by_index(0)
            for number, cells in enumerate(sheet.iter_rows(), start=1):
                yield number, [_read_xlsx(cell) if type(cell) is str else cell_text(cell) for cell in cells]
    except Exception as error:
        if isinstance(error, SheetRefused):
            raise
        raise _damaged() from error
    except BaseException as error:  # a panic in the library, which is no Exception
        if type(error).__name__ != "PanicException":
            raise
        raise _damaged() from error


def _damaged() -> SheetRefused:
    return SheetRefused(_("The file is damaged, or not a workbook (XLSX)."))


def _weigh(stream: BinaryIO) -> None:
    """Unpack a workbook once, keeping nothing, to know what parsing it would cost. Raises SheetRefused.

    Sizes are counted, not believed: what a ZIP says about them may be a lie.
    """
    try:
        entries = zipfile.ZipFile(stream).infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error) as error:
        raise _damaged() from error
    if not any(entry.filename.lower().startswith("xl/") for entry in entries):
        raise SheetRefused(_("This is a ZIP file, not a workbook (XLSX)."))
    total = 0
    packed = max(sum(entry.compress_size for entry in entries), 1)
    for entry in entries:
        rest = b""
        is_xml: bool | None = None
        last_row = last_column = cells = references = 0
        for block in _inflated(stream, entry):
            total += len(block)
            if total > settings.MUSTER_MAX_SHEET_BYTES or (total > _RATIO_MATTERS_FROM and total > _MAX_RATIO * packed):
                raise SheetRefused(_("The workbook would unpack to far more than a sheet of attendance has."))
            if is_xml is None:  # pictures and the like are only weighed
                is_xml = block.lstrip(b"\xef\xbb\xbf\xff\xfe \r\n\t")[:1] == b"<"
            if not is_xml:
                continue
            block = rest + block
            cut = block.rfind(b"<")
            block, rest = (block[:cut], block[cut:]) if cut >= 0 else (block, b"")
            rest = rest[-_BLOCK:]
            found = _REFERENCE.findall(block)
            if found:
                references += len(found)
                last_row = max(last_row, max(int(row[:9]) for _letters, row in found))
                last_column = max(last_column, max(_column_number(column) for column in {c for c, _row in found}))
            cells += len(_CELL.findall(block))
        if cells != references:
            raise SheetRefused(
                _("Cells of the workbook do not say where they stand. Save it again with Excel or Calc.")
            )
        if last_column > MAX_COLUMNS:
            raise SheetRefused(
                _("The sheet has %(count)s columns; it may have %(most)s.")
                % {"count": f"{last_column:,}", "most": MAX_COLUMNS}
            )
        if last_row * last_column > MAX_CELLS:
            raise SheetRefused(
                _(
                    "The sheet spreads over %(rows)s rows and %(columns)s columns; a workbook may have %(most)s cells. "
                    "Delete what is not attendance, or save it as CSV UTF-8, which is read row by row."
                )
                % {"rows": f"{last_row:,}", "columns": f"{last_column:,}", "most": f"{MAX_CELLS:,}"}
            )


def _inflated(stream: BinaryIO, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """What is really in an entry, whatever size it says it has."""
    damaged = _damaged()
    stream.seek(entry.header_offset)
    header = stream.read(30)
    if len(header) < 30 or not header.startswith(b"PK\x03\x04"):
        raise damaged
    stream.seek(sum(struct.unpack("<HH", header[26:30])), io.SEEK_CUR)
    left = entry.compress_size
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise SheetRefused(_("The workbook is packed in a way that spreadsheets do not use."))
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS) if entry.compress_type == zipfile.ZIP_DEFLATED else None
    at = stream.tell()
    while left > 0:
        stream.seek(at)
        block = stream.read(min(_BLOCK, left))
        if not block:
            raise damaged
        at += len(block)
        left -= len(block)
        if unpacker is None:
            yield block
            continue
        try:
            while block:
                yield unpacker.decompress(block, _BLOCK)
                block = unpacker.unconsumed_tail
        except zlib.error:
            raise damaged from None


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters[:8]:
        number = number * 26 + letter - 64
    return number


def cell_text(value: object) -> str:
    """The text of a value as a spreadsheet holds it: dates and times in ISO, whole numbers without a point."""
    if type(value) is float:
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(" ", "seconds")
    if isinstance(value, dt.timedelta):
        seconds = round(value.total_seconds())
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}" if seconds >= 0 else str(value)
    if isinstance(value, dt.time):
        return value.isoformat("seconds")
    if isinstance(value, bool):
        return str(value).upper()
    return str(value)


# --- Text that survives a spreadsheet

_FORMULA: Final = frozenset("=+-@\t\r\n＝＋－＠")
"""What spreadsheets take for the start of a formula (OWASP, CSV Injection), the full-width forms included."""
_NUMBER: Final = re.compile(r"[+-][0-9]+([.,][0-9]+)?")


def normalised(text: str) -> str:
    """Text as people mean it: trimmed, in NFC."""
    text = text.strip()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _is_delicate(text: str) -> bool:
    """Whether a spreadsheet would run it, or :func:`read_text` would tidy it."""
    return (text[:1] in _FORMULA and not _NUMBER.fullmatch(text)) or text != normalised(text)


def _needs_quote(text: str) -> bool:
    bare = text.lstrip("'")
    return not bare or _is_delicate(text) or _is_delicate(bare)


def written_text(text: str) -> str:
    """Text for a cell: an apostrophe before what a spreadsheet would run and before what :func:`read_text` would
    not leave as it is. It also goes before such texts that begin with apostrophes, so that it can be taken back."""
    return f"'{text}" if text and _needs_quote(text) else text


def read_text(cell: str) -> tuple[str, bool]:
    """The text that a cell stands for, and whether it is verbatim: what :func:`written_text` wrote is taken back, other
    text is :func:`normalised`. A lone apostrophe is text without characters."""
    if cell[:1] == "'" and _needs_quote(cell[1:]):
        return cell[1:], True
    return normalised(cell), False


_NOT_XML: Final = re.compile("[\x00-\x08\x0b-\x1f]|_(?=x[0-9A-Fa-f]{4}_)")
# The reader leaves these two as they are written, so they take a layer of their own.
_NOT_READ: Final = re.compile("[\ufffe\uffff]|_(?=x(?:FFFE|FFFF|005F)_)")
_WRITTEN: Final = re.compile("_x(FFFE|FFFF|005F)_")


def written_xlsx(text: str) -> str:
    """Text for XLSX: characters that XML cannot hold (and CR, which it changes) as ``_xHHHH_`` (ECMA-376, ST_Xstring),
    and what only looks like that protected the same way."""
    return _NOT_XML.sub(_hexadecimal, _NOT_READ.sub(_hexadecimal, text))


def _hexadecimal(found: re.Match[str]) -> str:
    return f"_x{ord(found[0]):04X}_"


def _read_xlsx(text: str) -> str:
    return _WRITTEN.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text
