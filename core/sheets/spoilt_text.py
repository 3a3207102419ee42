"""Recognises text that spreadsheet programs have changed, or that has unseen characters, and mends what is certain.

A program that opens CSV takes 6-2 for a day, 000123 for 123, and a long number for one of fifteen digits. Then it saves
what it made of them.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from django.utils.translation import gettext_lazy

_SHAPED = "\u0600-\u180a\u1810-\u1fff\u2190-\ufdff\ufe10-\ufefe\uff00-\U000dffff"
"""Characters whose shape unseen characters can change: those of scripts that join letters, and pictures."""
_VARIANTS = "\u180b-\u180f\ufe00-\ufe0f\U000e0001-\U000e01ef"
_VIRAMAS = "\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca"
"""Characters after which a joiner, at the end of a word, makes another letter of what stands before."""
UNSEEN: Final = (
    "\x01-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u17b4\u17b5\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff9-\ufffb"
)
"""Control characters that are no space, the soft hyphen, marks of direction, spaces without width, the byte order mark,
and letters and notes that are blank: a class of a regular expression."""
_UNSEEN: Final = re.compile(
    f"[{UNSEEN}]"
    f"|(?<![{_SHAPED}{_VARIANTS}])[\u200c\u200d{_VARIANTS}]"
    f"|\u200c(?![{_SHAPED}])|(?<![{_VIRAMAS}])\u200d(?![{_SHAPED}])"
)
_SPACES: Final = re.compile("[\u00a0\u2000-\u200a\u202f\u205f]")
"""Spaces of other widths, or that allow no line break."""


def normalised(text: str) -> str:
    """Text as people mean it: trimmed, in NFC, with plain spaces and without unseen characters.

    Joiners that some scripts need stay.
    """
    text = text.strip()
    if text.isascii() and text.isprintable():
        return text
    return unicodedata.normalize("NFC", _SPACES.sub(" ", _UNSEEN.sub("", text)).strip())


_MONTH: Final = "(?i:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)"
_YEAR: Final = "(?:19|20)[0-9]{2}"
_PART: Final = "(?:0?[1-9]|[12][0-9]|3[01])"
_CLOCK: Final = r"[0-9]{1,4}:[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?(?: ?(?i:[AP]M))?"
_SPOILT: Final = re.compile(
    rf"(?P<date>(?:{_YEAR}(?P<a>[-/.]){_PART}(?P=a){_PART}|{_PART}(?P<b>[-/.]){_PART}(?P=b){_YEAR}"
    rf"|{_PART}-{_MONTH}(?:-{_YEAR}|-[0-9]{{2}})?|{_MONTH}-(?:{_YEAR}|[0-9]{{2}}))"
    rf"(?:[ T](?:{_CLOCK}|[0-9]{{1,2}}:[0-5][0-9]))?)"
    rf"|(?P<time>{_CLOCK})"
    r"|(?P<formula>\(formula\))"
    r"|(?P<truth>TRUE|FALSE)"
    r"|(?P<scientific>[0-9](?:[.,][0-9]+)?[eE][+-][0-9]{2,3}|[0-9]+[.,][0-9]+[eE][+-]?[0-9]{1,3})"
    r"|(?P<rounded>[1-9][0-9]{14}0+)"
    r"|(?P<missing>nan|NaN|NaT|<NA>|None)"
    r"|(?P<shown>[0-9]+[.,]0+|[1-9][0-9]{0,2}(?:,[0-9]{2,3})*,[0-9]{3}(?:\.0+)?)"
)
"""Texts that spreadsheets, or programs that calculate with tables, write, and people hardly do."""
_REASONS: Final = {
    "date": gettext_lazy(
        "is a date, which a spreadsheet may have made of something like 6-2. Write what was meant; if this is right, "
        "with an apostrophe before it"
    ),
    "time": gettext_lazy(
        "is a time, which a spreadsheet may have made of something like 6:2. Write what was meant; if this is right, "
        "with an apostrophe before it"
    ),
    "formula": gettext_lazy(
        "is a formula, and what it gives is not in the sheet. Write what was meant; if this is right, with an "
        "apostrophe before it"
    ),
    "truth": gettext_lazy(
        "is a truth value, which a spreadsheet may have made of a word. Write what was meant; if this is right, with "
        "an apostrophe before it"
    ),
    "scientific": gettext_lazy(
        "is a number of which a spreadsheet has dropped digits. Write all of them; if this is right, with an "
        "apostrophe before it"
    ),
    "rounded": gettext_lazy(
        "has zeros after its 15th digit, where a spreadsheet drops what was there. Write all digits; if these are "
        "right, with an apostrophe before them"
    ),
    "missing": gettext_lazy(
        "is what programs write where there is nothing. Write what was meant, or nothing; if this is right, with an "
        "apostrophe before it"
    ),
    "shown": gettext_lazy(
        "is a number with decimals or commas, as a spreadsheet shows it. Write what was meant; if this is right, with "
        "an apostrophe before it"
    ),
}
FORMULA: Final = "(formula)"
"""The text that stands for a formula that must not run. An import doubts it too."""
_DIGITS: Final = 15
"""Digits of a number that spreadsheets keep."""
_WHOLE: Final = re.compile(r"(0|[1-9][0-9]{0,14})\.00?")


def without_decimals(text: str) -> str:
    """A whole number that a program has turned into a decimal (``123.0``), as it was; any other text as it is."""
    match = _WHOLE.fullmatch(text)
    return match[1] if match else text


def spoilt(text: str, *, is_code: bool = True) -> str:
    """The reason why a text may not be what was meant; blank if there is none.

    ``is_code``: whether it is a number or a code, which nobody writes with decimals or commas, and which is never Nan.
    """
    match = _SPOILT.fullmatch(text)
    if match is None or ((match["shown"] or match["missing"] or match["formula"]) and not is_code):
        return ""
    return str(_REASONS[next(kind for kind in _REASONS if match[kind])])


def has_lost_digits(number: str) -> bool:
    """Whether a number of a workbook has more digits than spreadsheets calculate with."""
    digits = number.lstrip("-0.").replace(".", "")
    return len(digits) > _DIGITS or not (digits or "0").isdigit()
