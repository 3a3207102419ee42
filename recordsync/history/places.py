"""Where the records of a block are in a database, told by a row's columns alone, so that a trigger can tell it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

ALL: Final = "*"
"""In a mark: all parents of a model, or all slices of a parent."""


class Place(NamedTuple):
    """A partition as a database knows it: by the primary keys that the references of a row hold, not by their names.

    ``parent``: those of the references that the partition has, as texts, joined by commas; blank if it has none.
    ``slice``: the first day of the slice (:mod:`recordsync.model.slices`); blank if no date cuts the model.
    """

    parent: str
    slice: str


def joined(names: Sequence[str]) -> str:
    """The names in one text. Such texts are in the order of their names, compared by code point.

    The end of a name comes before every character, and what the end is written with is written in another way where it
    is a part of a name.
    """
    return "".join(name.replace(_MARK, _ESCAPED) + _END for name in names)


def split(text: str) -> tuple[str, ...]:
    """The names in a text of :func:`joined`."""
    return tuple(name.replace(_ESCAPED, _MARK) for name in text.split(_END)[:-1])


_MARK: Final = "\x01"  # the least character that a name can have
_END: Final = "\x01\x01"
_ESCAPED: Final = "\x01\x02"
