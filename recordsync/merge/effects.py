"""The effect that a decided merge has on a record: the one definition by which plans are counted, shown and applied."""

from __future__ import annotations

from enum import StrEnum

from recordsync.merge.three_way import Merged, Outcome


class Effect(StrEnum):
    """The effect on a record."""

    ADD = "add"
    UPDATE = "update"
    DELETE = "delete"
    KEEP = "keep"
    """The record stays as it is here."""
    UNDECIDED = "undecided"
    """A unit of the record is in conflict, and nobody has decided it yet."""
    CREATE = "create"
    """The record is added because others refer to it. Theirs does not list it."""
    BLOCKED = "blocked"
    """The record should be deleted and stays, because something still refers to it, or should get a name that another
    one has: a conflict that nobody can decide."""


def effect_of(merged: Merged, *, takes_theirs: bool) -> Effect:
    """The effect on a record whose conflicts are all decided. ``takes_theirs``: whether one of them is decided for
    theirs."""
    if merged.outcome in (Outcome.SAME, Outcome.KEEP):
        return Effect.KEEP
    if merged.ours is not None and merged.theirs is not None:
        return Effect.UPDATE if merged.units or takes_theirs else Effect.KEEP
    if merged.conflicts and not takes_theirs:
        return Effect.KEEP
    return Effect.ADD if merged.ours is None else Effect.DELETE
