"""The three-way merge: base, ours, theirs, per key, by content (DESIGN §6 has the table).

*ours* is the database, *theirs* the backup, *base* the last state both are proven to have shared;
without a base every difference is a conflict. Strategies decide conflicts and nothing else, so a
merge is computed first and decided (:func:`resolve`) afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from recordsync.changes import Change, Deletion, join
from recordsync.records import Key, Record, Values, checksum
from recordsync.schema import Shape

EXISTENCE = "record"
"""The unit of a conflict about whether the record is there at all."""


class Outcome(StrEnum):
    """What the merge of one key comes to."""

    SAME = "same"
    """Both sides say the same."""
    KEEP = "keep"
    """Only our side changed."""
    TAKE = "take"
    """Their change goes in: add, update or delete."""
    CONFLICT = "conflict"
    """Both changed the same unit, differently (or nothing proves that they did not)."""


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


class Merged(NamedTuple):
    """The merge of one key.

    ``ours`` has every field of the model; ``theirs`` and ``base`` those of the file. ``units`` are
    the units that take their side, ``conflicts`` those that somebody must decide. ``listed`` says
    whether the file has an entry for the key, or it follows from the key's absence.
    """

    key: Key
    outcome: Outcome
    ours: Record | None
    theirs: Record | None
    base: Record | None = None
    units: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    listed: bool = True


def merge(
    whole: Shape,
    shape: Shape,
    base: Iterable[Record] | None,
    ours: Iterable[Record],
    theirs: Iterable[Record],
    deleted: Iterable[Deletion] = (),
    *,
    complete: bool = False,
) -> Iterator[Merged]:
    """Merge one model's sorted streams. Pure.

    ``ours`` has the model's ``whole`` shape; ``theirs`` and ``base`` (None: unknown) the file's
    ``shape``. ``complete``: the file speaks about every key, so that with a known base a key that it
    does not list was deleted there; otherwise such a key is out of scope. Keys out of scope are left
    out of the result. Raises :class:`recordsync.errors.OutOfOrder`.
    """
    base_known = base is not None
    for b, o, t, gone in join(base or (), ours, theirs, deleted):
        listed = t is not None or gone is not None
        if not listed and not (complete and base_known):
            continue
        mine = shape.project(o, whole) if o is not None else None
        if b is None:
            yield _without_base(shape, o, mine, t, gone, base_known)
        else:
            yield _with_base(shape, b, o, mine, t, listed)


def added(theirs: Record, units: tuple[str, ...]) -> Merged:
    """The merge of a key that is not here and that the base, if it is known, has not either. ``units``: the shape's."""
    return Merged(theirs.key, Outcome.TAKE, None, theirs, units=units)


def _without_base(
    shape: Shape,
    ours: Record | None,
    mine: Record | None,
    theirs: Record | None,
    gone: Deletion | None,
    base_known: bool,
) -> Merged:
    """The base is unknown, or known not to have had the key."""
    if theirs is None:
        if ours is None or mine is None:
            assert gone is not None
            return Merged(gone.key, Outcome.SAME, None, None)
        if base_known:
            return Merged(ours.key, Outcome.KEEP, ours, None, listed=gone is not None)
        if gone is not None and checksum(shape.content(mine)) == gone.checksum:
            return Merged(ours.key, Outcome.TAKE, ours, None)
        return Merged(ours.key, Outcome.CONFLICT, ours, None, conflicts=(EXISTENCE,))
    if ours is None or mine is None:
        return added(theirs, tuple(shape.units))
    if mine.values == theirs.values:
        return Merged(theirs.key, Outcome.SAME, ours, theirs)
    return Merged(theirs.key, Outcome.CONFLICT, ours, theirs, conflicts=_differing(shape, mine.values, theirs.values))


def _with_base(
    shape: Shape, base: Record, ours: Record | None, mine: Record | None, theirs: Record | None, listed: bool
) -> Merged:
    """The base had the key."""
    key = base.key
    if ours is None or mine is None:
        if theirs is None:
            return Merged(key, Outcome.SAME, None, None, base, listed=listed)
        if theirs.values == base.values:
            return Merged(key, Outcome.KEEP, None, theirs, base)
        return Merged(key, Outcome.CONFLICT, None, theirs, base, conflicts=(EXISTENCE,))
    if theirs is None:
        if mine.values == base.values:
            return Merged(key, Outcome.TAKE, ours, None, base, listed=listed)
        return Merged(key, Outcome.CONFLICT, ours, None, base, conflicts=(EXISTENCE,), listed=listed)
    if mine.values == theirs.values:
        return Merged(key, Outcome.SAME, ours, theirs, base)
    take: list[str] = []
    conflicts: list[str] = []
    for unit in _differing(shape, mine.values, theirs.values):
        positions = shape.units[unit]
        if all(theirs.values[at] == base.values[at] for at in positions):
            continue  # only ours changed it
        if all(mine.values[at] == base.values[at] for at in positions):
            take.append(unit)
        else:
            conflicts.append(unit)
    outcome = Outcome.CONFLICT if conflicts else Outcome.TAKE if take else Outcome.KEEP
    return Merged(key, outcome, ours, theirs, base, tuple(take), tuple(conflicts))


def _differing(shape: Shape, one: Values, other: Values) -> tuple[str, ...]:
    """The units in which two records of one shape differ."""
    return tuple(unit for unit, positions in shape.units.items() if any(one[at] != other[at] for at in positions))


def resolve(whole: Shape, shape: Shape, merged: Merged, decide: Callable[[str], Side]) -> Change | None:
    """The change that a merge comes to when ``decide`` says, per conflicting unit, whose side it takes.

    None: nothing is to be written. The result has every field of the model: what the file does not
    have stays ours, or is blank in an added record.
    """
    if merged.outcome in (Outcome.SAME, Outcome.KEEP):
        return None
    ours, theirs = merged.ours, merged.theirs
    decided = [unit for unit in merged.conflicts if decide(unit) is Side.THEIRS]
    if ours is None or theirs is None:
        if merged.conflicts and not decided:
            return None
        return Change(merged.key, ours, None if theirs is None else shape.complete(theirs, whole, None))
    units = [*merged.units, *decided]
    if not units:
        return None
    content = whole.content(ours)
    incoming = shape.content(theirs)
    for unit in units:
        for at in shape.units[unit]:
            content[shape.names[at]] = incoming[shape.names[at]]
    return Change(merged.key, ours, whole.from_mapping(content, ours.created_at))
