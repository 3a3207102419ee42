"""What the cells of a workbook (XLSX) are beside text, and text as XLSX holds it."""

from __future__ import annotations

import re
from typing import Final


class Moment(str):
    """The text of a cell that is a date, a time or a duration."""

    __slots__ = ()


class Number(str):
    """The text of a cell that is another number."""

    __slots__ = ()


class Truth(str):
    """The text of a cell that is true or false."""

    __slots__ = ()


_NOT_XML: Final = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_ESCAPED: Final = re.compile("_x(?![Dd][89A-Fa-f])([0-9A-Fa-f]{4})_")
"""Escapes, but not those of half a character in UTF-16."""
_ERROR: Final = re.compile(r"#(?:N/[AD]|NV|GETTING_DATA|[¡¿]?(?:DIV/0|[A-Z]+)[!?]|##+)|Err:[0-9]{3}")
"""The errors of 18.17.3, later ones that end in the same way, and their forms in CSV of other languages."""


def written_xlsx(text: str) -> str:
    """The text for XLSX. Characters that XML cannot hold, and CR, which it changes, become ``_xHHHH_`` (22.9.2.19,
    ST_Xstring); text that only looks like that is protected in the same way."""
    return _NOT_XML.sub(lambda match: f"_x{ord(match[0]):04X}_", text)


def read_xlsx(text: str) -> str:
    """The text that XLSX holds, without the escapes of :func:`written_xlsx` and of spreadsheet programs."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if "_x" in text else text


def is_error(text: str) -> bool:
    """Whether a text is what a spreadsheet shows for a failed formula, such as ``#N/A``."""
    return text[:1] in ("#", "E") and _ERROR.fullmatch(text) is not None
