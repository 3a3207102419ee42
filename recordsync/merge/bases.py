"""The merge of two bases, whose result is the base of a merge (:mod:`recordsync.history.relation`).

Nobody decides what two bases are in conflict about. It is *disputed*: nothing proves what both sides of the merge
shared there, so whatever they differ in is a conflict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from recordsync.merge.three_way import EXISTENCE, Disputed
from recordsync.model.records import Record, Values
from recordsync.model.schema import Shape
from recordsync.streams import join

BaseRecord = Record | Disputed
"""A record of a base."""


class _Known(NamedTuple):
    """What a base says of one key. ``values``: None if there is no record; ``disputed``: units."""

    values: Values | None
    disputed: frozenset[str]


_NOTHING = _Known(None, frozenset())
_UNPROVEN = _Known(None, frozenset({EXISTENCE}))


def merged_bases(
    shape: Shape, base: Iterable[BaseRecord] | None, one: Iterable[BaseRecord], other: Iterable[BaseRecord]
) -> Iterator[BaseRecord]:
    """What two bases come to, in key order. ``base``: theirs; None: everything that they differ in is disputed. Pure.

    All have ``shape`` and are in key order. Raises :class:`recordsync.errors.OutOfOrder`.
    """
    for below, left, right in join(base or (), one, other):
        key = (left or right or below)[0]
        unknown = _UNPROVEN if base is None else _NOTHING
        found = _merged(shape, unknown if below is None else _known(below), _known(left), _known(right))
        if found.disputed:
            yield Disputed(key, found.values, found.disputed)
        elif found.values is not None:
            yield Record(key, found.values)


def _known(of: BaseRecord | None) -> _Known:
    if of is None:
        return _NOTHING
    return _Known(of.values, of.units if isinstance(of, Disputed) else frozenset())


def _merged(shape: Shape, base: _Known, one: _Known, other: _Known) -> _Known:
    if EXISTENCE in one.disputed | other.disputed:
        return _UNPROVEN
    if one.values is None or other.values is None:
        if one == other or (other == base and not base.disputed):
            return one
        return other if one == base and not base.disputed else _UNPROVEN
    values, disputed = list(one.values), set(one.disputed | other.disputed)
    for unit, positions in shape.units.items():
        left, right, below = (_unit(of, unit, positions) for of in (one, other, base))
        if unit in disputed or right in (left, below):
            continue
        if left == below:
            for position in positions:
                values[position] = other.values[position]
        else:
            disputed.add(unit)
    return _Known(tuple(values), frozenset(disputed))


def _unit(of: _Known, unit: str, positions: Iterable[int]) -> list[str | None] | None:
    """The values of a unit; None if it is disputed, or there is no record."""
    return None if of.values is None or unit in of.disputed else [of.values[position] for position in positions]
