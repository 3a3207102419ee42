"""Where the records of a block are in a database, told by a row's columns alone, so that a trigger can tell it."""

from __future__ import annotations

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
