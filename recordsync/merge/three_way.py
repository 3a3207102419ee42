"""The three-way merge: base, ours, theirs, per key, by content (docs/merging.md has the table).

*Ours* is the register, *theirs* the snapshot that comes in, *base* the last state that both are proven to have shared;
without a base every difference is a conflict. A merge is computed first and decided afterwards
(:mod:`recordsync.merge.decide`): strategies decide conflicts and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from recordsync.model.records import Key, Record, Values, checksum
from recordsync.model.schema import Shape
from recordsync.streams import Deletion, join

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


class Merged(NamedTuple):
    """The merge of one key.

    ``ours`` has every field of the model; ``theirs`` and ``base`` those of theirs' shape. ``units`` are
    the units that take their side, ``conflicts`` those that somebody must decide. ``listed`` says
    whether theirs has an entry for the key, or it follows from the key's absence.
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
    """The merge of one model's sorted streams, key by key; keys out of scope are left out. Pure.

    ``ours`` has the model's ``whole`` shape; ``theirs`` and ``base`` (None: there is none) have
    ``shape``. ``complete``: theirs speaks about every key, so that with a known base a key that it
    does not list was deleted there; otherwise such a key is out of scope.
    Raises :class:`recordsync.errors.OutOfOrder`.
    """
    base_known = base is not None
    for b, o, t, deletion in join(base or (), ours, theirs, deleted):
        listed = t is not None or deletion is not None
        if not listed and not (complete and base_known):
            continue
        seen = shape.project(o, whole) if o is not None else None
        if b is None:
            yield _without_base(shape, o, seen, t, deletion, base_known)
        else:
            yield _with_base(shape, b, o, seen, t, listed)


def addition(theirs: Record, units: tuple[str, ...]) -> Merged:
    """The merge of a key that is not here and that the base, if it is known, has not either. ``units``: the shape's."""
    return Merged(theirs.key, Outcome.TAKE, None, theirs, units=units)


def _without_base(
    shape: Shape,
    ours: Record | None,
    seen: Record | None,
    theirs: Record | None,
    deletion: Deletion | None,
    base_known: bool,
) -> Merged:
    """The base is unknown, or known not to have had the key."""
    if theirs is None:
        if ours is None or seen is None:
            assert deletion is not None
            return Merged(deletion.key, Outcome.SAME, None, None)
        if base_known:
            return Merged(ours.key, Outcome.KEEP, ours, None, listed=deletion is not None)
        if deletion is not None and checksum(shape.content(seen)) == deletion.checksum:
            return Merged(ours.key, Outcome.TAKE, ours, None)
        return Merged(ours.key, Outcome.CONFLICT, ours, None, conflicts=(EXISTENCE,))
    if ours is None or seen is None:
        return addition(theirs, tuple(shape.units))
    if seen.values == theirs.values:
        return Merged(theirs.key, Outcome.SAME, ours, theirs)
    return Merged(theirs.key, Outcome.CONFLICT, ours, theirs, conflicts=_differing(shape, seen.values, theirs.values))


def _with_base(
    shape: Shape, base: Record, ours: Record | None, seen: Record | None, theirs: Record | None, listed: bool
) -> Merged:
    """The base had the key."""
    key = base.key
    if ours is None or seen is None:
        if theirs is None:
            return Merged(key, Outcome.SAME, None, None, base, listed=listed)
        if theirs.values == base.values:
            return Merged(key, Outcome.KEEP, None, theirs, base)
        return Merged(key, Outcome.CONFLICT, None, theirs, base, conflicts=(EXISTENCE,))
    if theirs is None:
        if seen.values == base.values:
            return Merged(key, Outcome.TAKE, ours, None, base, listed=listed)
        return Merged(key, Outcome.CONFLICT, ours, None, base, conflicts=(EXISTENCE,), listed=listed)
    if seen.values == theirs.values:
        return Merged(key, Outcome.SAME, ours, theirs, base)
    take: list[str] = []
    conflicts: list[str] = []
    for unit in _differing(shape, seen.values, theirs.values):
        positions = shape.units[unit]
        if all(theirs.values[at] == base.values[at] for at in positions):
            continue  # only ours changed it
        if all(seen.values[at] == base.values[at] for at in positions):
            take.append(unit)
        else:
            conflicts.append(unit)
    outcome = Outcome.CONFLICT if conflicts else Outcome.TAKE if take else Outcome.KEEP
    return Merged(key, outcome, ours, theirs, base, tuple(take), tuple(conflicts))


def _differing(shape: Shape, one: Values, other: Values) -> tuple[str, ...]:
    """The units in which two records of one shape differ."""
    return tuple(unit for unit, positions in shape.units.items() if any(one[at] != other[at] for at in positions))
