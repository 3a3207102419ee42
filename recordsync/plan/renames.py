"""Theirs and the base of a merge, seen under our names where records that others refer to have other names since.

Both sides are joined under our names. What changed in a name itself is merged by the same rules as everything else: a
name that only one side changed is taken from it, and two new names are a conflict
(docs/decisions/0068-renames-in-merges.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import IO, NamedTuple

from recordsync.history.ancestry import Ancestry
from recordsync.history.changed import ChangedTree, SpooledFrame, TreeChanges
from recordsync.history.relation import BaseIds, MergedBases, snapshots_in
from recordsync.history.renames import NamesSeen, Naming
from recordsync.history.store import HistoryStore, StoredTree
from recordsync.merge import KEY_UNIT, Merged, Outcome, Side
from recordsync.model.records import Record
from recordsync.model.schema import Model, Schema, Shape
from recordsync.plan.source import Source
from recordsync.streams.lines import Lines

Seen = Mapping[str, Mapping[str, str | None]]
"""For each model the names of records, and those under which they are seen (None: they are left out)."""

NamesAt = Mapping[str, frozenset[str]]
"""For each model to which others refer, all names that something has."""


class Shared(NamedTuple):
    """A record that both sides may have under other names than the base. ``bases``: its name in each snapshot of the
    base, by the snapshot's id. None: a side does not have it."""

    ours: str | None
    theirs: str | None
    bases: Mapping[str, str]

    @property
    def seen(self) -> str:
        """The name under which both sides are joined."""
        return self.ours or self.theirs or ""


class NewName(NamedTuple):
    """The name that theirs has for a record of ours that has another one. ``base``: that of the base; None: it is not
    known. ``outcome``: what becomes of the name."""

    theirs: str
    base: str | None
    outcome: Outcome


@dataclass(frozen=True)
class Renames:
    """What is seen under other names. ``bases``: by snapshot. ``names``: for each model the new names by our names.
    ``apart``: for each model the records that are not followed, because the names would not be one to one."""

    theirs: dict[str, Mapping[str, str | None]]
    bases: Mapping[str, dict[str, Mapping[str, str | None]]]
    names: dict[str, Mapping[str, NewName]]
    apart: dict[str, Sequence[Shared]]


class Sides(NamedTuple):
    """The names that are told of one snapshot of the base, at ours and at theirs."""

    ours: NamesSeen
    theirs: NamesSeen


def followed(
    told: Mapping[str, Sides], ours: frozenset[str], theirs: frozenset[str]
) -> tuple[list[Shared], list[Shared]]:
    """The records of one model that are seen under other names, and those that are not although they have other names.

    ``told``: by snapshot of the base. ``ours``, ``theirs``: all names that each side has. Pure.
    """
    together: dict[tuple[str | None, str | None], dict[str, str]] = {}
    for pk, sides in told.items():
        for name in sides.ours.keys() & sides.theirs.keys():
            of = (sides.ours[name], sides.theirs[name])
            if any(of):
                together.setdefault(of, {})[pk] = name
    shared = [
        Shared(our, their, names)
        for (our, their), names in sorted(together.items(), key=lambda item: (item[0][0] or "", item[0][1] or ""))
        if {our, their, *names.values()} - {None, our or their}
    ]
    apart: list[Shared] = []
    new = ours.difference(*(sides.ours.values() for sides in told.values()))
    while clash := _clash(shared, ours, theirs, new):
        apart += clash
        shared = [one for one in shared if one not in clash]
    return shared, [one for one in apart if one.ours is not None and one.theirs is not None]


def _clash(shared: Sequence[Shared], ours: frozenset[str], theirs: frozenset[str], new: frozenset[str]) -> list[Shared]:
    """Those that cannot be seen under the name of ours, or whose new name cannot be taken, because it would name two
    records. ``new``: the names of ours of which no base knows."""
    seen = Counter(one.seen for one in shared)
    named = Counter(one.theirs for one in shared)
    return [
        one
        for one in shared
        if seen[one.seen] > 1
        or (one.theirs is not None and named[one.theirs] > 1)
        or (one.seen in theirs and not named[one.seen])
        or (one.ours is None and one.seen in ours)
        or (one.theirs in new and one.theirs != one.ours and one.theirs not in one.bases.values())
    ]


class Renamings:
    """The renames between ours, theirs, and the snapshots of a base (:func:`recordsync.history.relation.base_of`), by
    what headers say. ``ours``, ``theirs``: ids of snapshots. Pure."""

    def __init__(self, ancestry: Ancestry, schema: Schema, ours: str, theirs: str, base: BaseIds) -> None:
        self._ours, self._theirs = ours, theirs
        self._bases = snapshots_in(base)
        known = ancestry.parents, ancestry.merges, ancestry.renames
        self._namings = {name: Naming(*known, name) for name in sorted(schema.referred)}

    def are_none(self) -> bool:
        """Whether every record has the same name everywhere."""
        sides = [(pk, side) for pk in self._bases for side in (self._ours, self._theirs)]
        between = (naming.between(pk, side) for naming in self._namings.values() for pk, side in sides)
        return all(possible == {name} for names in between for name, possible in names.items())

    def seen(
        self, ours: NamesAt, theirs: NamesAt, bases: Mapping[str, NamesAt], merged: BaseIds | Side | None
    ) -> Renames:
        """What is seen under other names. ``ours``, ``theirs``, ``bases``: all names that each has; ``merged``: the
        base of the merge."""
        found = Renames({}, {pk: {} for pk in bases}, {}, {})
        for model, naming in self._namings.items():
            told = {
                pk: Sides(
                    naming.told(pk, self._ours, at[model], ours[model]),
                    naming.told(pk, self._theirs, at[model], theirs[model]),
                )
                for pk, at in bases.items()
            }
            shared, apart = followed(told, ours[model], theirs[model])
            found.theirs[model] = seen_in_theirs(shared)
            for pk, at in bases.items():
                found.bases[pk][model] = seen_in_base(shared, pk, at[model], told[pk], ours[model] | theirs[model])
            found.names[model] = merged_names(shared, merged)
            found.apart[model] = apart
        return found


def merged_names(shared: Iterable[Shared], base: BaseIds | Side | None) -> dict[str, NewName]:
    """What becomes of the names of records that both sides have, by our names. ``base``: that of the merge. Pure."""
    found: dict[str, NewName] = {}
    for one in shared:
        if one.ours is None or one.theirs is None or one.ours == one.theirs:
            continue
        before: str | None = None
        match base:
            case None:
                outcome = Outcome.CONFLICT
            case Side.OURS:
                outcome, before = Outcome.TAKE, one.ours
            case Side.THEIRS:
                outcome, before = Outcome.KEEP, one.theirs
            case _:
                known = _names_in(base, one)
                before = next(iter(known)) if len(known) == 1 else None
                outcome = {one.ours: Outcome.TAKE, one.theirs: Outcome.KEEP}.get(str(before), Outcome.CONFLICT)
        found[one.ours] = NewName(one.theirs, before, outcome)
    return found


def _names_in(base: BaseIds, shared: Shared) -> frozenset[str]:
    """The names of a record in a base: none where it is not there, several where snapshots of the base differ in it."""
    if not isinstance(base, MergedBases):
        return frozenset(shared.bases[pk] for pk in [base] if pk in shared.bases)
    one, other = _names_in(base.one, shared), _names_in(base.other, shared)
    below = frozenset[str]() if base.base is None else _names_in(base.base, shared)
    if one == below and other:
        return other
    return one if other == below and one else one | other


def seen_in_base(
    shared: Iterable[Shared], pk: str, names: Iterable[str], told: Sides, used: frozenset[str]
) -> dict[str, str | None]:
    """How a base's records are seen. ``pk``: its snapshot; ``names``: all that it has; ``told``: where they are on both
    sides; ``used``: all names of both. What is on neither side, and whose name another record has, is left out. Pure.
    """
    seen = {one.bases[pk]: one.seen for one in shared if pk in one.bases}
    taken = set(seen.values())
    taken |= {name for name in used if told.ours.get(name, name) is None and told.theirs.get(name, name) is None}
    left_out: dict[str, str | None] = {name: None for name in names if name in taken and name not in seen}
    return left_out | {name: other for name, other in seen.items() if name != other}


def seen_in_theirs(shared: Iterable[Shared]) -> dict[str, str | None]:
    """How theirs' records are seen. Pure."""
    return {one.theirs: one.seen for one in shared if one.theirs is not None and one.theirs != one.seen}


def renamed_tree(
    store: HistoryStore, below: StoredTree, seen: Seen, spool: IO[bytes], frames: dict[str, SpooledFrame] | None = None
) -> ChangedTree:
    """A tree whose records are seen under other names. Reads what has these names, and writes to the end of ``spool``,
    a temporary file that stays open. ``frames``: see :class:`recordsync.history.changed.TreeChanges`. Raises
    :class:`recordsync.errors.HistoryDamaged` where the tree is not whole."""
    changes = TreeChanges(store, below, spool, frames)
    for model in below.schema:
        names = {field.name: seen.get(str(field.references), {}) for field in model.references}
        if model.name in seen:
            names[model.key_names[0]] = seen[model.name]
        if any(names.values()):
            _rename(changes, below, model, names)
    return changes.tree()


def _rename(
    changes: TreeChanges, below: StoredTree, model: Model, names: Mapping[str, Mapping[str, str | None]]
) -> None:
    """Put the blocks of a model in their places. ``names``: for fields of its key."""
    cut = [names.get(field.name, {}) for field in model.key[: len(model.partition)]]
    others = [(model.names.index(name), of) for name, of in names.items() if name not in model.partition and of]
    moved = []
    for partition, block in below.digests(model):
        if others or any(name in of for name, of in zip(partition, cut, strict=False)):
            moved.append((partition, block))
            changes.put(model, partition, ())
    for partition, block in moved:
        after = [of.get(name, name) for name, of in zip(partition, cut, strict=False)]
        if None not in after:
            place = (*map(str, after), *partition[len(after) :])
            lines = _renamed_lines(model, names, (line for some in below.lines([(partition, block)]) for line in some))
            changes.put(model, place, sorted_lines(model, lines) if others else lines)


def _renamed_lines(
    model: Model, names: Mapping[str, Mapping[str, str | None]], lines: Iterable[bytes]
) -> Iterator[bytes]:
    """The lines of the same records with other names, without those that are left out."""
    of = Lines(model.shape())
    positions = [(model.names.index(name), seen) for name, seen in names.items() if seen]
    for line in lines:
        *values, _checksum, created_at = of.parts(line)
        for position, seen in positions:
            values[position] = seen.get(str(values[position]), values[position])
        if all(values[position] is not None for position, _seen in positions):
            yield of.line(tuple(values), created_at)


def sorted_lines(model: Model, lines: Iterable[bytes]) -> list[bytes]:
    """The lines of a block in key order, which another name may change."""
    many = list(lines)
    keyed = zip((record.key for record in Lines(model.shape()).records(many)), many, strict=True)
    return [line for _key, line in sorted(keyed)]


def tree_of_all(store: HistoryStore, theirs: Source, schema: Schema, spool: IO[bytes]) -> ChangedTree:
    """The tree of all that a source has, which has every field and speaks about everything. Its blocks are written to
    the end of ``spool``, a temporary file that stays open. Raises what a pass through the source raises."""
    changes = TreeChanges(store, StoredTree(store, None, schema), spool)
    with theirs.open() as reader:
        for model in schema:
            line = Lines(model.shape()).line
            records = ((model.partition_of(record.key), record) for record in reader.records(model))
            for partition, together in groupby(records, key=itemgetter(0)):
                changes.put(model, partition, (line(record.values, record.created_at) for _place, record in together))
    return changes.tree()


def names_at(tree: StoredTree, schema: Schema) -> dict[str, frozenset[str]]:
    """For each model that others refer to, the names that a tree has. Reads its blocks of these."""
    return {
        name: frozenset(
            record.key[0]
            for lines in tree.lines(tree.digests(schema[name]))
            for record in Lines(schema[name].shape()).records(lines)
        )
        for name in schema.referred
    }


def with_new_name(merged: Merged, shape: Shape, new: NewName | None) -> Merged:
    """The merge of a record, with what becomes of its name. ``shape``: that of theirs; ``new``: None: nothing."""
    if new is None or merged.ours is None or merged.theirs is None:
        return merged
    if new.outcome is Outcome.KEEP:
        return merged._replace(outcome=Outcome.KEEP) if merged.outcome is Outcome.SAME else merged
    takes = new.outcome is Outcome.TAKE
    return merged._replace(
        outcome=Outcome.TAKE if takes and not merged.conflicts else Outcome.CONFLICT,
        theirs=_named(shape, merged.theirs, new.theirs),
        base=None if merged.base is None or new.base is None else _named(shape, merged.base, new.base),
        units=(*merged.units, KEY_UNIT) if takes else merged.units,
        conflicts=merged.conflicts if takes else (*merged.conflicts, KEY_UNIT),
    )


def _named(shape: Shape, record: Record, name: str) -> Record:
    (field,) = shape.model.key_names
    return shape.from_mapping({**shape.content(record), field: name}, record.created_at)
