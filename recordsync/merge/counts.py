"""The account of a merge: what became of everything that was read."""

from __future__ import annotations

from dataclasses import dataclass, fields

from recordsync.errors import RecordSyncError


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

    def verify(self) -> None:
        """Raises RecordSyncError unless everything that was read is accounted for."""
        total = self.added + self.updated + self.deleted + self.skipped + self.kept + self.undecided
        if total != self.read:
            raise RecordSyncError(f"Of {self.read:,} entries read, {total:,} are accounted for.")

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))
