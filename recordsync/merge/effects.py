"""What becomes of a record when its merge is decided. One definition, by which plans are counted, shown and applied."""

from __future__ import annotations

from enum import StrEnum

from recordsync.merge.three_way import Merged, Outcome


class Effect(StrEnum):
    """What becomes of a record."""

    ADD = "add"
    UPDATE = "update"
    DELETE = "delete"
    KEEP = "keep"
    """It stays as it is here."""
    UNDECIDED = "undecided"
    """Nobody has decided yet: some unit of it is in conflict."""
    CREATE = "create"
    """It is added because others refer to it, and not because theirs has it."""
    BLOCKED = "blocked"
    """It was to be deleted, and stays because something still refers to it: a conflict that nobody can decide."""


def effect_of(merged: Merged, *, takes_theirs: bool) -> Effect:
    """What becomes of a record when all its conflicts are decided. ``takes_theirs``: whether any of them is decided for
    theirs."""
    if merged.outcome in (Outcome.SAME, Outcome.KEEP):
        return Effect.KEEP
    if merged.ours is not None and merged.theirs is not None:
        return Effect.UPDATE if merged.units or takes_theirs else Effect.KEEP
    if merged.conflicts and not takes_theirs:
        return Effect.KEEP
    return Effect.ADD if merged.ours is None else Effect.DELETE
