"""What happens to one key, and what is known of a key that is not there any more."""

from __future__ import annotations

from typing import NamedTuple

from recordsync.model.records import Key, Record


class Change(NamedTuple):
    """What happens to one key: ``before`` is what is there (None: nothing), ``after`` what shall be."""

    key: Key
    before: Record | None
    after: Record | None

    @property
    def kind(self) -> str:
        """``add``, ``update`` or ``delete``."""
        if self.before is None:
            return "add"
        return "delete" if self.after is None else "update"


class Deletion(NamedTuple):
    """A key that a file says was deleted, with the checksum of what it last held there."""

    key: Key
    checksum: str
