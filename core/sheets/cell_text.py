"""Converts the text of a cell in both directions, so that it survives a spreadsheet program and runs nothing there."""

from __future__ import annotations

import re
from typing import Final

from core.sheets.csv_files import DELIMITERS, may_be_rows
from core.sheets.spoilt_text import FORMULA, UNSEEN, has_lost_digits, normalised, spoilt, without_decimals
from core.sheets.workbook_values import Number, is_error

_SIGNS: Final = "=+-@＝＋－＠"
"""Characters that start a formula in spreadsheets (OWASP, CSV Injection), with their full-width forms."""
_FORMULA: Final = frozenset(f"{_SIGNS}\t\r\n")
_ENDS: Final = f"{DELIMITERS}\r\n"
"""Characters that end a cell in some program. CSV does not name its delimiter; each program guesses it."""
_STARTS: Final = rf"(?=(?:[^\S\t\r\n]|['\"{UNSEEN}])*[{re.escape(_SIGNS)}])"
_OPEN: Final = re.compile(f"([{_ENDS}]){_STARTS}")
"""A place where another delimiter would start a formula."""
_CLOSED: Final = re.compile(f"([{_ENDS}])'{_STARTS}")
"""The same with an apostrophe."""
_HARMLESS: Final = re.compile(r"-|[+-][0-9]+(?:[.,][0-9]+)?")
"""Cells that have a meaning here (no overstay, a half day) and that no spreadsheet calculates."""
_ANY_NUMBER: Final = re.compile(r"[+(-]?[0-9][0-9eE.,:/+() -]*")
"""Numbers, days and times, in any notation."""


def _is_risky(text: str) -> bool:
    """Whether a spreadsheet would run the text or a part of it, or could take it for several rows of CSV."""
    return text[:1] in _FORMULA or _OPEN.search(text) is not None or may_be_rows(text, DELIMITERS)


def _is_delicate(text: str) -> bool:
    """Whether a text is risky, looks like an error, or would be tidied or doubted by :func:`read_text`."""
    return _is_risky(text) or is_error(text) or bool(spoilt(text)) or text != normalised(text)


def _quoted(text: str) -> str:
    return "'" + _OPEN.sub(r"\1'", text)


def written_text(text: str) -> str:
    """The text for a cell. Delicate text gets an apostrophe wherever a cell might begin, and so does text that begins
    with one, so that :func:`read_text` can remove it."""
    return _quoted(text) if text[:1] == "'" or _is_delicate(text) else text


def read_text(cell: str, *, is_code: bool = False) -> tuple[str, bool]:
    """The text of a cell, and whether it is verbatim: it undoes :func:`written_text`, and normalises other text.

    A lone apostrophe is text without characters. ``is_code``: whether it is a number or a code, which never begins with
    an apostrophe. A name may begin with one, but not before a number: there it tells a spreadsheet to take it for text.
    """
    return _read(unwrapped(cell), is_code)


def _read(cell: str, is_code: bool) -> tuple[str, bool]:
    if cell[:1] == "'":
        text = _CLOSED.sub(r"\1", cell[1:])
        if text[:1] in ("", "'") or _ANY_NUMBER.fullmatch(text) or _is_delicate(text):
            return text, True
    text = normalised(cell)
    if text[:1] == "'" and (is_code or _ANY_NUMBER.fullmatch(text[1:])):
        text = normalised(text[1:])
    return without_decimals(text) if is_code else text, False


def guarded_cell(cell: str, *, is_code: bool = False) -> str:
    """A cell of a sheet that somebody sent, written so that it runs nothing and reads as before."""
    if isinstance(cell, Number) and has_lost_digits(cell):
        return f"{float(cell):.14E}"  # as plain text it would be trusted
    if is_code and is_formula(cell):
        return FORMULA
    bare = unwrapped(cell)
    text, verbatim = _read(bare, is_code)
    if not verbatim and spoilt(text, is_code=is_code):
        return text
    if bare is not cell and not verbatim and _ANY_NUMBER.fullmatch(text):
        return _quoted(text)
    if _HARMLESS.fullmatch(normalised(bare)) or not (_is_risky(bare) or (_is_risky(text) and not verbatim)):
        return bare
    return _quoted(text) if _ANY_NUMBER.fullmatch(text) else written_text(text)


def is_formula(cell: str) -> bool:
    """Whether a cell is the text of a formula, which CSV may have in place of its result.

    A formula that only quotes a text (:func:`unwrapped`) is none.
    """
    return normalised(cell)[:1] in ("=", "＝") and unwrapped(cell) is cell


def plain_text(cell: str) -> str:
    """The text of a cell that holds a day or the like, without what protects it from spreadsheets."""
    return normalised(unwrapped(cell).strip().removeprefix("'"))


def unwrapped(cell: str) -> str:
    """The text that a formula only quotes to protect it from spreadsheets (``="000123"``); any other cell as it is."""
    text = cell.strip()
    if len(text) > 2 and text.startswith('="') and text.endswith('"'):
        quoted = text[2:-1].replace('""', "")
        if '"' not in quoted:
            return text[2:-1].replace('""', '"')
    return cell
