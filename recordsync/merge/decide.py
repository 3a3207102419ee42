"""Deciding a merge: whose side conflicts take, and the change that a decided merge comes to."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from recordsync.merge.effects import Effect, effect_of
from recordsync.merge.three_way import Merged
from recordsync.model.schema import Model, Shape
from recordsync.streams import Change


class Side(StrEnum):
    """Who a conflict is decided for: the database, or the backup."""

    OURS = "ours"
    THEIRS = "theirs"


class Strategy(StrEnum):
    """How conflicts are decided."""

    BACKUP_WINS = "backup_wins"
    DATABASE_WINS = "database_wins"
    MANUAL = "manual"

    @property
    def side(self) -> Side | None:
        """The side that wins every conflict; None: a person decides each."""
        return {Strategy.BACKUP_WINS: Side.THEIRS, Strategy.DATABASE_WINS: Side.OURS, Strategy.MANUAL: None}[self]


Decide = Callable[[Model, Merged, str], Side | None]
"""Whose side a conflict takes, per unit; None: nobody has decided it yet."""


def decide_by(strategy: Strategy) -> Decide:
    """The decision of every conflict for the strategy's side; for ``manual`` none is decided."""
    side = strategy.side
    return lambda model, merged, unit: side


def resolve(whole: Shape, shape: Shape, merged: Merged, decide: Callable[[str], Side]) -> Change | None:
    """The change that a merge comes to when ``decide`` says, per conflicting unit, whose side it takes; None: nothing
    is to be written.

    Its records have every field of the model: what theirs does not have stays ours, or is blank in an added record.
    """
    return effect_and_change(whole, shape, merged, decide)[1]


def effect_and_change(
    whole: Shape, shape: Shape, merged: Merged, decide: Callable[[str], Side]
) -> tuple[Effect, Change | None]:
    """As :func:`resolve`, with what becomes of the record."""
    ours, theirs = merged.ours, merged.theirs
    decided = [unit for unit in merged.conflicts if decide(unit) is Side.THEIRS]
    effect = effect_of(merged, takes_theirs=bool(decided))
    if effect is Effect.KEEP:
        return effect, None
    if ours is None or theirs is None:
        return effect, Change(merged.key, ours, None if theirs is None else whole.project(theirs, shape))
    content = whole.content(ours)
    incoming = shape.content(theirs)
    for unit in (*merged.units, *decided):
        for at in shape.units[unit]:
            content[shape.names[at]] = incoming[shape.names[at]]
    return effect, Change(merged.key, ours, whole.from_mapping(content, ours.created_at))
