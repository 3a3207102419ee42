"""The three-way merge of base, ours and theirs, key by key, by content (docs/merging.md has the table).

*Ours* is the register, *theirs* is the snapshot that comes in, and *base* is the last state that both are proven to
have shared. Without a base, every difference is a conflict. A merge is computed first and decided afterwards
(:mod:`recordsync.merge.decide`): a strategy decides conflicts and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from recordsync.model.records import Key, Record, Values, checksum
from recordsync.model.schema import Shape
from recordsync.streams import Deletion, join

EXISTENCE = "record"
"""The unit of a conflict about the existence of the record."""
SEAL: Final = "seal"
"""What is decided of a sealed record in place of a unit: whether it stays as it is, or changes as it would without."""


class Disputed(NamedTuple):
    """A record of a base that is the merge of several, which these left in conflict.

    ``units``: those of which nothing is proven, or :data:`EXISTENCE` alone: not even whether there is a record.
    ``values``: None in that case; those of the other units hold.
    """

    key: Key
    values: Values | None
    units: frozenset[str]


class Outcome(StrEnum):
    """The outcome of the merge of one key."""

    SAME = "same"
    """Both sides have the same."""
    KEEP = "keep"
    """Only our side changed."""
    TAKE = "take"
    """Their change is taken: an addition, an update or a deletion."""
    CONFLICT = "conflict"
    """Both sides changed the same unit differently, or nothing proves that they did not."""


class Merged(NamedTuple):
    """The merge of one key.

    ``ours`` has every field of the model; ``theirs`` and ``base`` have those of theirs' shape, and nothing says when
    what the base has was created. They have another key where a record to which others refer was renamed. ``units``
    take their side, and somebody must decide ``conflicts``. ``listed``: whether theirs has an entry for the key, as a
    record or a deletion. ``sealed``: what seals the record, so that only a person may decide that it changes; blank:
    nothing.
    """

    key: Key
    outcome: Outcome
    ours: Record | None
    theirs: Record | None
    base: Record | None = None
    units: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    listed: bool = True
    sealed: str = ""


def merge(
    whole: Shape,
    shape: Shape,
    base: Iterable[Record | Disputed] | None,
    ours: Iterable[Record],
    theirs: Iterable[Record],
    deleted: Iterable[Deletion] = (),
    *,
    complete: bool = False,
) -> Iterator[Merged]:
    """The merge of one model's sorted streams, key by key, without keys that theirs does not speak about. Pure.

    ``ours`` has the model's ``whole`` shape; ``theirs`` and ``base`` (None: there is none) have ``shape``. With
    ``complete``, theirs speaks about every key, so that under a known base a key that it does not list was deleted
    there. Raises :class:`recordsync.errors.OutOfOrder`.
    """
    base_known = base is not None
    for base_record, our_record, their_record, deletion in join(base or (), ours, theirs, deleted):
        listed = their_record is not None or deletion is not None
        if not listed and not (complete and base_known):
            continue
        projected = shape.project(our_record, whole) if our_record is not None else None
        if base_record is None:
            yield _without_base(shape, our_record, projected, their_record, deletion, base_known)
        elif isinstance(base_record, Disputed):
            yield _disputed(shape, base_record, our_record, projected, their_record, listed)
        else:
            yield _with_base(shape, base_record, our_record, projected, their_record, listed)


def is_addition(merged: Merged) -> bool:
    """Whether theirs adds the record, which neither ours nor the base has, and nobody has to decide that."""
    if merged.ours is not None or merged.base is not None or merged.theirs is None:
        return False
    return not merged.conflicts and not merged.sealed


def addition(theirs: Record, units: tuple[str, ...]) -> Merged:
    """The merge of a key that neither ours nor a known base has. ``units``: those of theirs' shape."""
    return Merged(theirs.key, Outcome.TAKE, None, theirs, units=units)


def _without_base(
    shape: Shape,
    ours: Record | None,
    projected: Record | None,
    theirs: Record | None,
    deletion: Deletion | None,
    base_known: bool,
) -> Merged:
    """The merge of a key that the base does not have, or without a base. ``projected``: ours in theirs' shape."""
    if theirs is None:
        if ours is None or projected is None:
            assert deletion is not None
            return Merged(deletion.key, Outcome.SAME, None, None)
        if base_known:
            return Merged(ours.key, Outcome.KEEP, ours, None, listed=deletion is not None)
        if deletion is not None and checksum(shape.content(projected), shape.model.later) == deletion.checksum:
            return Merged(ours.key, Outcome.TAKE, ours, None)
        return Merged(ours.key, Outcome.CONFLICT, ours, None, conflicts=(EXISTENCE,))
    if ours is None or projected is None:
        return addition(theirs, tuple(shape.units))
    if projected.values == theirs.values:
        return Merged(theirs.key, Outcome.SAME, ours, theirs)
    return Merged(
        theirs.key, Outcome.CONFLICT, ours, theirs, conflicts=_differing(shape, projected.values, theirs.values)
    )


def _with_base(
    shape: Shape, base: Record, ours: Record | None, projected: Record | None, theirs: Record | None, listed: bool
) -> Merged:
    """The merge of a key that the base has. ``projected``: ours in theirs' shape."""
    key = base.key
    if ours is not None and projected is not None and theirs is not None and projected.values == theirs.values:
        return Merged(key, Outcome.SAME, ours, theirs, base)
    base = base._replace(created_at=None)  # which depends on where the base was read
    if ours is None or projected is None:
        if theirs is None:
            return Merged(key, Outcome.SAME, None, None, base, listed=listed)
        if theirs.values == base.values:
            return Merged(key, Outcome.KEEP, None, theirs, base)
        return Merged(key, Outcome.CONFLICT, None, theirs, base, conflicts=(EXISTENCE,))
    if theirs is None:
        if projected.values == base.values:
            return Merged(key, Outcome.TAKE, ours, None, base, listed=listed)
        return Merged(key, Outcome.CONFLICT, ours, None, base, conflicts=(EXISTENCE,), listed=listed)
    return _by_units(shape, base, ours, projected, theirs)


def _disputed(
    shape: Shape, base: Disputed, ours: Record | None, projected: Record | None, theirs: Record | None, listed: bool
) -> Merged:
    """The merge of a key of which the base is disputed. ``projected``: ours in theirs' shape."""
    if ours is None or projected is None or theirs is None:
        if ours is theirs:
            return Merged(base.key, Outcome.SAME, None, None, listed=listed)
        return Merged(base.key, Outcome.CONFLICT, ours, theirs, conflicts=(EXISTENCE,), listed=listed)
    if projected.values == theirs.values:
        return Merged(base.key, Outcome.SAME, ours, theirs)
    if base.values is None:
        conflicts = _differing(shape, projected.values, theirs.values)
        return Merged(base.key, Outcome.CONFLICT, ours, theirs, conflicts=conflicts)
    return _by_units(shape, Record(base.key, base.values), ours, projected, theirs, base.units)._replace(base=None)


def _by_units(
    shape: Shape,
    base: Record,
    ours: Record,
    projected: Record,
    theirs: Record,
    disputed: frozenset[str] = frozenset(),
) -> Merged:
    """The merge of a record that both sides have and that differs, unit by unit."""
    take: list[str] = []
    conflicts: list[str] = []
    for unit in _differing(shape, projected.values, theirs.values):
        positions = shape.units[unit]
        if unit in disputed:
            conflicts.append(unit)
        elif all(theirs.values[position] == base.values[position] for position in positions):
            continue  # only ours changed it
        elif all(projected.values[position] == base.values[position] for position in positions):
            take.append(unit)
        else:
            conflicts.append(unit)
    outcome = Outcome.CONFLICT if conflicts else Outcome.TAKE if take else Outcome.KEEP
    return Merged(base.key, outcome, ours, theirs, base, tuple(take), tuple(conflicts))


def _differing(shape: Shape, ours: Values, theirs: Values) -> tuple[str, ...]:
    """The units in which two records of one shape differ."""
    return tuple(
        unit
        for unit, positions in shape.units.items()
        if any(ours[position] != theirs[position] for position in positions)
    )
