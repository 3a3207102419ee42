"""Where partitions are in a table, told by a row's columns alone: by the primary keys that its references hold in place
of names, and by the first day of the slice of its date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from recordsync.errors import RecordSyncError
from recordsync.model import slices
from recordsync.model.records import Partition
from recordsync.model.schema import Model

SEPARATOR = ","
"""What joins the primary keys of several references."""


class Places:
    """The places of one model's partitions, and the partitions of its places.

    A place is ``(parent, slice)``. ``parent``: the primary keys of the records that the partition names, as texts as
    SQL casts them, joined by commas; blank if it names none. ``slice``: the first day of the slice, ``YYYY-MM-DD``;
    blank if no date cuts the model.
    """

    def __init__(self, model: Model, keys: Sequence[Mapping[str, str]]) -> None:
        """``keys``: for each reference of the partition, the primary key of each record by its name. Raises
        RecordSyncError for keys that cannot be told apart once they are joined."""
        self._by_slice = model.cut_date is not None
        self._keys = keys
        if len(keys) > 1:
            for key in (key for of in keys for key in of.values() if SEPARATOR in key):
                raise RecordSyncError(
                    f"The partitions of {model.name} cannot be told apart by primary keys: {key!r} has a comma."
                )

    @cached_property
    def _names(self) -> list[dict[str, str]]:
        """For each reference of the partition, the name of each record by its primary key."""
        return [{key: name for name, key in of.items()} for of in self._keys]

    def place(self, partition: Partition) -> tuple[str, str] | None:
        """The place of a partition; None if a record that it names does not exist."""
        names = partition[: len(self._keys)]
        keys = [of.get(name) for of, name in zip(self._keys, names, strict=True)]
        found = [key for key in keys if key is not None]
        if len(found) < len(keys):
            return None
        return SEPARATOR.join(found), slices.first_day(*partition[len(names) :]) if self._by_slice else ""

    def partition(self, place: tuple[str, str]) -> Partition | None:
        """The partition of a place; None if a record whose primary key it has does not exist."""
        names = self.names(place[0])
        if names is None:
            return None
        return (*names, *slices.parts(place[1])) if self._by_slice else names

    def names(self, parent: str) -> Partition | None:
        """The names of the records whose primary keys these are; None if one does not exist."""
        keys = parent.split(SEPARATOR) if len(self._names) > 1 else [parent] * len(self._names)
        names = [of.get(key) for of, key in zip(self._names, keys, strict=False)]
        found = [name for name in names if name is not None]
        return tuple(found) if len(found) == len(self._names) else None
