"""How two snapshots are related, by the ids of their ancestors alone. Pure.

A *best common ancestor* is a common ancestor of which no other common ancestor descends. Of two snapshots there may be
several (a criss-cross); as in Git's recursive strategy, these are then merged with each other first, with their own
best common ancestors as bases, and what comes of it is the base.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

Parents = Mapping[str, Sequence[str]]
"""The ids of each snapshot's parents, by its id. It has all ancestors of every snapshot that it has."""

LEVELS: Final = 2
"""How many levels of bases are merged with a base of their own."""


class MergedBases(NamedTuple):
    """A base that is the merge of two. ``base``: theirs; None: whatever they differ in is disputed, because they have
    none, or one that is too many levels down."""

    one: BaseIds
    other: BaseIds
    base: BaseIds | None


BaseIds = str | MergedBases
"""The id of a snapshot, or what several of them come to."""


class Kinship(StrEnum):
    """How theirs is related to ours."""

    STRANGE = "strange"
    """They have no ancestor in common."""
    MERGED = "merged"
    """Theirs is ours, or an ancestor of it: it was merged here."""
    AHEAD = "ahead"
    """Theirs descends from ours: nothing of ours is missing there."""
    APART = "apart"
    """Each has something that the other has not."""


class Relation(NamedTuple):
    """The relation of theirs to ours. ``base``: that of their merge; None: they have no ancestor in common.

    ``settles_on``: which of the two both sides are to be at if their trees are the same; None: a merge of both. The
    same ordinary snapshots are then in both ancestries, and only merges are other ones. It is the one with more
    ancestors, so that nobody goes back to an ancestor; of equally many, the one with the smaller id. Without this,
    files that go round in a ring would never end.
    """

    kinship: Kinship
    base: BaseIds | None
    settles_on: str | None


def relation(parents: Parents, merges: Collection[str], ours: str, theirs: str) -> Relation:
    """How two snapshots are related. ``merges``: the ids of those that are merges."""
    base = base_of(parents, ours, theirs)
    one, other = with_ancestors(parents, [ours]), with_ancestors(parents, [theirs])
    if theirs in one:
        kinship = Kinship.MERGED
    elif ours in other:
        kinship = Kinship.AHEAD
    else:
        kinship = Kinship.STRANGE if base is None else Kinship.APART
    are_alike = all(pk in merges for pk in one ^ other)
    newer = min((-len(one), ours), (-len(other), theirs))[1]
    return Relation(kinship, base, newer if are_alike else None)


def with_ancestors(parents: Parents, ids: Iterable[str]) -> set[str]:
    """These snapshots and all of their ancestors."""
    found: set[str] = set()
    new = list(ids)
    while new:
        pk = new.pop()
        if pk not in found:
            found.add(pk)
            new += parents[pk]
    return found


def best_common_ancestors(parents: Parents, ours: Collection[str], theirs: Collection[str]) -> list[str]:
    """The best common ancestors of two snapshots, in order of their ids. A snapshot is among its own ancestors here.

    ``ours``, ``theirs``: the id of a snapshot each, or of all that a merge of snapshots has as its parents.
    """
    common = with_ancestors(parents, ours) & with_ancestors(parents, theirs)
    return sorted(common - with_ancestors(parents, (parent for pk in common for parent in parents[pk])))


def base_of(parents: Parents, ours: str, theirs: str) -> BaseIds | None:
    """The base of a merge of two snapshots; None: they have no ancestor in common."""
    return _base(parents, {ours}, {theirs}, LEVELS)


def _base(parents: Parents, ours: Collection[str], theirs: Collection[str], levels: int) -> BaseIds | None:
    best = best_common_ancestors(parents, ours, theirs)
    if not best:
        return None
    base: BaseIds = best[0]
    for position, other in enumerate(best[1:], 1):
        below = _base(parents, best[:position], [other], levels - 1) if levels else None
        base = MergedBases(base, other, below)
    return base


def snapshots_in(base: BaseIds | None) -> set[str]:
    """The ids of all snapshots that a base is made of."""
    if base is None:
        return set()
    if isinstance(base, str):
        return {base}
    return snapshots_in(base.one) | snapshots_in(base.other) | snapshots_in(base.base)
