"""Reading sheets that people send (CSV and XLSX), and the text of a cell, in both directions.

A sheet is untrusted: what it may cost is bounded, and whatever is wrong with it as a
whole is one sentence (:class:`SheetRefused`). Every cell comes as text; what it means is for others to say.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Generator, Iterator
from pathlib import PurePath
from typing import IO, BinaryIO, Final, cast

from django.conf import settings
from django.utils.translation import gettext as _

from core.services import workbooks
from core.services.errors import SheetRefused
from core.services.workbooks import MAX_COLUMNS, Row, is_error

_MAX_LINE: Final = 1 << 20
_BLOCK: Final = 1 << 16
_ZIP: Final = b"PK\x03\x04"


def too_large() -> SheetRefused:
    """A file over the limit."""
    limit = settings.MUSTER_MAX_SHEET_UPLOAD_BYTES / (1 << 20)
    return SheetRefused(_("The file is larger than %(limit)s MiB. Send it in parts.") % {"limit": f"{limit:,.0f}"})


def rows(stream: BinaryIO) -> Generator[Row, None, None]:
    """The rows of a sheet that are not blank, its heading first. Reads a seekable stream from its start.

    The content says what it is; whoever named the stream ``.xlsx`` has to hear that it is no workbook.
    Memory: a row; for XLSX also the texts that its cells share. Raises SheetRefused.
    """
    size = stream.seek(0, io.SEEK_END)
    start = _start(stream)
    if size > settings.MUSTER_MAX_SHEET_UPLOAD_BYTES:
        raise too_large()
    if not start:
        raise SheetRefused(_("The file is empty."))
    if start.startswith(_ZIP):
        found: Iterator[Row] = workbooks.rows(stream)
    elif start.startswith(b"\xd0\xcf\x11\xe0"):
        raise SheetRefused(_("This is an old Excel file (.xls) or an encrypted one. Save it as .xlsx or as CSV UTF-8."))
    elif PurePath(str(getattr(stream, "name", ""))).suffix.lower() == ".xlsx":
        raise workbooks.damaged()
    else:
        found = _csv_rows(stream)
    some = False
    for number, cells in found:
        if len(cells) > MAX_COLUMNS:
            raise workbooks.too_wide(number, len(cells))
        if any(cells) and any(cell.strip() for cell in cells):
            some = True
            yield number, cells
    if not some:
        raise SheetRefused(_("The sheet has no rows."))


def other_sheets(stream: BinaryIO) -> list[str]:
    """The names of the sheets of a workbook that :func:`rows` does not read. Leaves the stream where it is."""
    at = stream.tell()
    names = workbooks.other_sheets(stream) if _start(stream).startswith(_ZIP) else []
    stream.seek(at)
    return names


def unpacked_size(stream: BinaryIO) -> int:
    """Bytes that there are to read of a sheet. Raises SheetRefused."""
    is_workbook = _start(stream).startswith(_ZIP)
    return workbooks.unpacked_size(stream) if is_workbook else stream.seek(0, io.SEEK_END)


def _start(stream: BinaryIO) -> bytes:
    """The first bytes, which say what a file is. Leaves the stream at its start."""
    stream.seek(0)
    start = stream.read(8)
    stream.seek(0)
    return start


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


# --- Text that survives a spreadsheet

_FORMULA: Final = frozenset("=+-@\t\r\n＝＋－＠")
"""What spreadsheets take for the start of a formula (OWASP, CSV Injection), the full-width forms included."""
_NUMBER: Final = re.compile(r"[+-][0-9]+([.,][0-9]+)?")


def normalised(text: str) -> str:
    """Text as people mean it: trimmed, in NFC."""
    text = text.strip()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _is_delicate(text: str) -> bool:
    """Whether a spreadsheet would run it, it looks like an error, or :func:`read_text` would tidy it."""
    return (text[:1] in _FORMULA and not _NUMBER.fullmatch(text)) or is_error(text) or text != normalised(text)


def _needs_quote(text: str) -> bool:
    bare = text.lstrip("'")
    return not bare or _is_delicate(text) or _is_delicate(bare)


def written_text(text: str) -> str:
    """Text for a cell: an apostrophe goes before what is delicate, and before such texts that begin with apostrophes,
    so that it can be taken back."""
    return f"'{text}" if text and _needs_quote(text) else text


def read_text(cell: str) -> tuple[str, bool]:
    """The text that a cell stands for, and whether it is verbatim: what :func:`written_text` wrote is taken back, other
    text is :func:`normalised`. A lone apostrophe is text without characters."""
    if cell[:1] == "'" and _needs_quote(cell[1:]):
        return cell[1:], True
    return normalised(cell), False
