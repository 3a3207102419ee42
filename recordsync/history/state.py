"""What is known of the register before anything is read of it: its head, and where something was written since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from recordsync.history import leaves, marks
from recordsync.history.leaves import PlacedBlock
from recordsync.history.places import ALL, Place
from recordsync.history.store import HistoryStore
from recordsync.model.schema import Model, Schema
from recordsync.models import Head, Snapshot

_MUCH: Final = 2
"""Where the dirty records are more than one in so many, everything is read: that takes less time."""


_PAST: Final = (
    "Something wrote to the register past the marks that say where it changed, so all of it was read. On SQLite this "
    "is REPLACE, or a program that switches triggers off; on PostgreSQL it is a replication."
)
_LOST: Final = (
    "The history store does not have what the register was at its last snapshot: the store was deleted, or is that of "
    "another copy. All of the register was read. Snapshots that it does not have can no longer be shown."
)


@dataclass(frozen=True)
class RegisterState:
    """See the module."""

    head: Snapshot | None
    dirty: Mapping[str, frozenset[Place] | None]
    """For each model the places in which something may be other than at the head; None: in all of them."""
    notes: tuple[str, ...] = ()
    """Sentences that say why marks cannot be trusted, so that everything is dirty."""
    leaves: Mapping[str, Sequence[PlacedBlock]] = field(default_factory=dict)
    """For each model of which not all is dirty: the leaves in the places that are."""

    @property
    def is_clean(self) -> bool:
        """Whether the register is what it was at the head."""
        return self.head is not None and all(places is not None and not places for places in self.dirty.values())


def read_state(using: str, schema: Schema, store: HistoryStore, *, is_counted: bool = True) -> RegisterState:
    """The state of the register as the current transaction sees it. Reads no record.

    ``is_counted``: whether the records are counted, which finds what went past the marks. Raises HistoryUnusable, and
    Error where the register's database does not answer.
    """
    head = Head.objects.using(using).select_related("snapshot").first()
    everything = dict.fromkeys(model.name for model in schema)
    if head is None:
        return RegisterState(None, everything)
    snapshot = head.snapshot
    if notes := [*marks.faults(using, schema), *marks.ways_past(using, schema)]:
        return RegisterState(snapshot, everything, tuple(notes))
    if not store.has_node(snapshot.tree):
        return RegisterState(snapshot, everything, (_LOST,))
    marked: dict[str, set[Place]] = {model.name: set() for model in schema}
    for name, place in marks.read(using):
        marked.setdefault(name, set()).add(place)
    if is_counted and any(not _is_marked(marked[name], place) for name, place in marks.mismatches(using, schema)):
        return RegisterState(snapshot, everything, (_PAST,))
    dirty = {model.name: _dirty(using, schema, model, marked[model.name]) for model in schema}
    return RegisterState(
        snapshot,
        {name: found and found[0] for name, found in dirty.items()},
        leaves={name: found[1] for name, found in dirty.items() if found is not None},
    )


def _is_marked(marked: set[Place], place: Place) -> bool:
    return not marked.isdisjoint((place, Place(place.parent, ALL), Place(ALL, ALL)))


def _dirty(
    using: str, schema: Schema, model: Model, marked: set[Place]
) -> tuple[frozenset[Place], list[PlacedBlock]] | None:
    """The dirty places of a model, and the leaves that are there; None where these are so much of it that all of it is
    read."""
    if Place(ALL, ALL) in marked:
        return None
    if not marked:
        return frozenset(), []
    if not model.levels:
        return frozenset({Place("", "")}), list(leaves.leaves(using, model))
    opened = {place.parent for place in marked if place.slice == ALL}
    dirty = {place for place in marked if place.parent not in opened}
    known = list(leaves.leaves_at(using, model, dirty | {Place(parent, ALL) for parent in opened}))
    count, records = leaves.totals(using, model)
    if sum(leaf.block.count for leaf in known) * _MUCH > records:
        return None
    if opened:
        # More than the leaves say: rows without a parent have one again, and dates that no file can hold are in none.
        there = marks.places_of(using, schema, model, opened)
        if there is None or any(place.slice == ALL for place in there):
            return None
        dirty |= there
    if len(dirty.difference(leaf.place for leaf in known)) * _MUCH > count:
        return None
    return frozenset(dirty.union(leaf.place for leaf in known)), known
