"""The account of a merge: the effects on everything that was read."""

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
"""Where an effect is counted on a record that theirs lists, or that is created."""
_ABSENT: Final = {
    Effect.DELETE: "absent_deleted",
    Effect.KEEP: "absent_kept",
    Effect.BLOCKED: "absent_kept",
    Effect.UNDECIDED: "absent_undecided",
}
"""Where an effect is counted on a record that theirs does not list."""


@dataclass
class Counts:
    """The effects on one model's records: ``read`` is the sum of ``added`` to ``undecided``.

    ``undecided`` records are in conflict, and nobody has decided them yet; a plan that is applied has none. Not in the
    sum are ``conflicts`` (records in conflict), ``created`` (records that others refer to and that theirs does not
    list), ``only_here`` (records that changed on our side alone since the base, which are kept), ``sealed`` (sealed
    records that change, or would), and the effects on records that a complete snapshot does not list under a known
    base. A sealed record that stays as it is, or of which nobody has decided whether it does, counts as no conflict.
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
    only_here: int = 0
    absent_deleted: int = 0
    absent_kept: int = 0
    absent_undecided: int = 0
    sealed: int = 0

    def tally(self, effect: Effect, number: int = 1, *, listed: bool = True, to_decide: bool = False) -> None:
        """Account for the same effect on ``number`` records.

        ``listed``: whether theirs has an entry for them. ``to_decide``: whether both sides changed the same unit, so
        that somebody or a strategy decides.
        """
        name = (_LISTED if listed else _ABSENT)[effect]
        setattr(self, name, getattr(self, name) + number)
        if to_decide or effect is Effect.BLOCKED:
            self.conflicts += number

    def keep_ours(self, *, listed: bool) -> None:
        """Account for a record that changed on our side alone, or was deleted there."""
        self.tally(Effect.KEEP, listed=listed)
        self.only_here += 1

    def verify(self) -> None:
        """Raises RecordSyncError unless everything that was read is accounted for."""
        total = self.added + self.updated + self.deleted + self.skipped + self.kept + self.undecided
        if total != self.read:
            raise RecordSyncError(f"Of {self.read:,} entries read, {total:,} are accounted for.")

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))
