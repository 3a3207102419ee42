"""The decision of a merge: whose side each conflict takes, and the change that results."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from recordsync.merge.effects import Effect, effect_of
from recordsync.merge.three_way import SEAL, Merged
from recordsync.model.schema import Model, Shape
from recordsync.streams import Change


class Side(StrEnum):
    """The side that a conflict is decided for: the database or the backup."""

    OURS = "ours"
    THEIRS = "theirs"


class Strategy(StrEnum):
    """Who decides the conflicts."""

    BACKUP_WINS = "backup_wins"
    DATABASE_WINS = "database_wins"
    MANUAL = "manual"

    @property
    def side(self) -> Side | None:
        """The side that wins every conflict, or None if a person decides each."""
        return {Strategy.BACKUP_WINS: Side.THEIRS, Strategy.DATABASE_WINS: Side.OURS, Strategy.MANUAL: None}[self]


Decide = Callable[[Model, Merged, str], Side | None]
"""The side that a unit in conflict takes, or None if nobody has decided it yet. Of a sealed record it is asked for
:data:`SEAL` as well: ours keeps the record as it is; theirs lets it change as if it were not sealed."""


def decide_by(strategy: Strategy, sealed: Side | None = None) -> Decide:
    """A decision of every conflict for the strategy's side; with ``manual``, none is decided. ``sealed``: what a person
    has decided about sealed records, which no strategy does."""
    side = strategy.side
    return lambda model, merged, unit: sealed if unit == SEAL else side


def resolve(whole: Shape, shape: Shape, merged: Merged, decide: Callable[[str], Side]) -> Change | None:
    """The change that a merge results in, or None if there is nothing to write.

    ``decide`` gives the side that each unit in conflict takes. The records of the change have every field of the model:
    a field that theirs lacks keeps our value, and is blank in an added record.
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
        for position in shape.positions(unit):
            content[shape.names[position]] = incoming[shape.names[position]]
    return effect, Change(merged.key, ours, whole.from_mapping(content, ours.created_at))
