"""The account of a merge: what became of everything that was read."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from recordsync.errors import RecordSyncError
from recordsync.merge.effects import Effect

_LISTED: Final = {
    Effect.ADD: "added",
    Effect.UPDATE: "updated",
    Effect.DELETE: "deleted",
    Effect.KEEP: "kept",
    Effect.BLOCKED: "kept",
    Effect.UNDECIDED: "undecided",
    Effect.CREATE: "created",
}
"""Where a record is counted that theirs has an entry for, and one that is created."""
_ABSENT: Final = {
    Effect.DELETE: "absent_deleted",
    Effect.KEEP: "absent_kept",
    Effect.BLOCKED: "absent_kept",
    Effect.UNDECIDED: "absent_undecided",
}
"""Where a record is counted that theirs does not list."""


@dataclass
class Counts:
    """What becomes of one model's entries: ``read`` is the sum of ``added`` to ``undecided``.

    ``undecided`` are in conflict, and nobody has decided yet what becomes of them: none where a plan is applied.
    Beside the sum: ``conflicts`` found (in records), ``created`` (records that others refer to and that
    theirs does not list), and what follows from absence in a complete snapshot under a known base.
    """

    read: int = 0
    added: int = 0
    updated: int = 0
    deleted: int = 0
    skipped: int = 0
    kept: int = 0
    undecided: int = 0
    conflicts: int = 0
    created: int = 0
    absent_deleted: int = 0
    absent_kept: int = 0
    absent_undecided: int = 0

    def tally(self, effect: Effect, n: int = 1, *, listed: bool = True, to_decide: bool = False) -> None:
        """Account for ``n`` records of which the same becomes. ``listed``: whether theirs has an entry for them;
        ``to_decide``: whether both sides changed the same, so that somebody or a strategy decides."""
        name = (_LISTED if listed else _ABSENT)[effect]
        setattr(self, name, getattr(self, name) + n)
        if to_decide or effect is Effect.BLOCKED:
            self.conflicts += n

    def verify(self) -> None:
        """Raises RecordSyncError unless everything that was read is accounted for."""
        total = self.added + self.updated + self.deleted + self.skipped + self.kept + self.undecided
        if total != self.read:
            raise RecordSyncError(f"Of {self.read:,} entries read, {total:,} are accounted for.")

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))
