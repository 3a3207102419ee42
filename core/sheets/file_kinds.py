"""Recognises files that are no sheets by how they begin: people send whatever a program gave them, under any name."""

from __future__ import annotations

import codecs
import re
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

HEAD: Final = 4096
"""Bytes at the beginning of a file that are enough to recognise it."""

_SAVE: Final = gettext_lazy("Open it in a spreadsheet program and save it as .xlsx or as CSV UTF-8.")
_PICTURE: Final = gettext_lazy("This is a picture, not a spreadsheet: send CSV or XLSX.")
_OLD_EXCEL: Final = gettext_lazy(
    "This is an old Excel file (.xls) or an encrypted one. Save it as .xlsx without a password, or as CSV UTF-8."
)
_SYLK: Final = gettext_lazy("This is an old sheet (SYLK). Save it as .xlsx or as CSV UTF-8.")
_PACKED: Final = gettext_lazy("This is a compressed file, not a spreadsheet: unpack it, and send what is in it.")
_WEB_PAGE: Final = gettext_lazy("This is a web page (HTML), whatever its name says.")

_BEGINNINGS: Final = (
    (b"\xd0\xcf\x11\xe0", _OLD_EXCEL),  # a compound file
    (b"\x09\x08", _OLD_EXCEL),  # BIFF without one: 5 to 8, 4, 3, 2
    (b"\x09\x04\x06\x00", _OLD_EXCEL),
    (b"\x09\x02\x06\x00", _OLD_EXCEL),
    (b"\x09\x00\x04\x00", _OLD_EXCEL),
    (b"%PDF-", gettext_lazy("This is a PDF, which keeps no cells. Ask for the sheet itself, as .xlsx or CSV.")),
    (b"{\\rtf", gettext_lazy("This is a document (RTF), not a spreadsheet: send CSV or XLSX.")),
    (b"\x89PNG", _PICTURE),
    (b"\xff\xd8\xff", _PICTURE),
    (b"GIF87a", _PICTURE),
    (b"GIF89a", _PICTURE),
    (b"ID;P", _SYLK),
    (b"II*\0", _PICTURE),
    (b"MM\0*", _PICTURE),
    (b"RIFF", _PICTURE),
    (b"\x1f\x8b", _PACKED),
    (b"BZh91AY", _PACKED),
    (b"\xfd7zXZ", _PACKED),
    (b"7z\xbc\xaf", _PACKED),
    (b"Rar!\x1a", _PACKED),
    (b"\x28\xb5\x2f\xfd", _PACKED),
    (b"SQLite format 3", gettext_lazy("This is a database, not a spreadsheet: export a table of it as CSV.")),
    (
        b"\0\1\0\0Standard ",
        gettext_lazy("This is a database (Access), not a spreadsheet: export a table of it as CSV."),
    ),
)
_DBASE: Final = (b"\x03", b"\x83", b"\x8b", b"\xf5")
_XML_OF_EXCEL: Final = re.compile(rb"urn:schemas-microsoft-com:office:spreadsheet|progid=.Excel\.Sheet")
_HTML: Final = re.compile(
    rb"<(?:!doctype\s+html|html|head|body|table|meta|link|style|script|title|center|font|div|span|form|p|br?|h[1-6]|tr)\b",
    re.IGNORECASE,
)
_MAIL: Final = re.compile(rb"(?:MIME-Version|Return-Path): ", re.IGNORECASE)
_PUNCH: Final = re.compile(
    rb"\s*\"?[A-Za-z]{0,3}\d+\"?[\t ,;]+\"?(?:\d{4}[-/]\d\d?[-/]\d\d?|\d\d?[-/.]\d\d?[-/.]\d{4})[\t ,;T]+"
    rb"\d\d?:\d\d(?::\d\d)?(?:[\t ,;\"]+\w+)*[\s,;\"]*"
)
"""A line in the log of an attendance clock (attlog.dat): a number, a moment, and codes."""
_CLOCK: Final = re.compile(rb"\bEnNo\b.*\bDateTime\b", re.IGNORECASE | re.DOTALL)
"""The heading in the log of another clock (glog.txt)."""


def foreign(head: bytes) -> str | None:
    """A sentence that says what a file is and what to do, if it is certainly no sheet; otherwise None.

    ``head``: the first :data:`HEAD` bytes of the file.
    """
    for beginning, told in _BEGINNINGS:
        if head.startswith(beginning):
            return str(told)
    if head[4:8] == b"ftyp":
        return str(_PICTURE)
    if (
        len(head) > 32 and head[:1] in _DBASE and 1 <= head[2] <= 12 and 1 <= head[3] <= 31
    ):  # the day of its last change
        return f"{_('This is a table of a database (.dbf).')} {_SAVE}"
    return _of_text(head.replace(b"\0", b""))  # as UTF-16 has Latin letters


def _of_text(head: bytes) -> str | None:
    for bom in (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        head = head.removeprefix(bom)
    text = head.lstrip()
    if text.startswith(b"<"):
        return _of_tags(text)
    if _MAIL.match(text):
        return f"{_('This is a mail or a web page in one file (.eml, .mht), not a spreadsheet.')} {_SAVE}"
    if re.match(rb'\{\s*"|\[\s*[\[{]', text):
        if b'"metadata"' in text:
            return _("This is a backup of a register, not a sheet: restore it instead.")
        return _("This is JSON, not a spreadsheet: send CSV or XLSX.")
    first = text.split(b"\n", 1)[0].strip()
    if _PUNCH.fullmatch(first) or _CLOCK.search(first):
        return _(
            "This is the log of a clock, a line for each punch, without names and companies. Import the sheet of "
            "attendance that the clock's own software makes of it, a row for each employee and day."
        )
    return None


def _of_tags(text: bytes) -> str:
    if _XML_OF_EXCEL.search(text):
        return f"{_('This is an XML spreadsheet of 2003, whatever its name says.')} {_SAVE}"
    if _HTML.search(text) or b"xmlns:o=" in text:
        return f"{_WEB_PAGE} {_SAVE}"
    return f"{_('This is XML, not a spreadsheet.')} {_SAVE}"
