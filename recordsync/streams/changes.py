"""A change of one key, and a deletion as a file lists it."""

from __future__ import annotations

from typing import NamedTuple

from recordsync.model.records import Key, Record


class Change(NamedTuple):
    """A change of one key: from ``before`` (None: there is no record) to ``after`` (None: the record is deleted), which
    has another key where the record is renamed."""

    key: Key
    before: Record | None
    after: Record | None

    @property
    def kind(self) -> str:
        """``add``, ``update`` or ``delete``."""
        if self.before is None:
            return "add"
        return "delete" if self.after is None else "update"

    @property
    def is_rename(self) -> bool:
        """Whether the record gets another key, by which others refer to it."""
        return self.before is not None and self.after is not None and self.before.key != self.after.key


class Deletion(NamedTuple):
    """A key that a file lists as deleted, with the checksum of the record that was deleted."""

    key: Key
    checksum: str
