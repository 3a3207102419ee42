"""Which snapshot a register is at after it took in another one, or went back to one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from recordsync.history.headers import Header
from recordsync.history.relation import Kinship, Relation


class Lineage(NamedTuple):
    """What the next snapshot descends from. ``instead``: ids of known snapshots; the first whose tree the register has
    becomes the head, and no snapshot is made. ``parents`` and ``is_merge``: of the snapshot that is made otherwise."""

    parents: Sequence[str]
    instead: Sequence[str]
    is_merge: bool = False


def after_change(head: str | None) -> Lineage:
    """The lineage after a change of the register's own. ``head``: before it; None: this is the first snapshot."""
    return Lineage([], []) if head is None else Lineage([head], [head])


def after_taking(head: Header | None, theirs: Header, relation: Relation | None, *, is_exact: bool = False) -> Lineage:
    """The lineage after ``theirs`` was merged into the register, or (``is_exact``) after the register became as it is.

    ``relation``: that of theirs to the head; None where there is no head.
    """
    if head is None or relation is None:
        return Lineage([theirs.id], [theirs.id])
    if relation.settles_on is not None and head.says.tree == theirs.says.tree:
        instead = [relation.settles_on]
    elif relation.kinship is Kinship.MERGED:
        return after_change(head.id)
    else:
        instead = [theirs.id] if relation.kinship is Kinship.AHEAD else []
    if is_exact:
        return Lineage([head.id, theirs.id], instead)
    return Lineage(sorted((head.id, theirs.id)), instead, is_merge=True)


def after_withdrawal(before: str) -> Lineage:
    """The lineage after what came since ``before`` was withdrawn, so that it counts as not merged."""
    return Lineage([before], [before])
