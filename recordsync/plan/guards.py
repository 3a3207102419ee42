"""What an application has to say in a merge: of which records only a person decides, and how those of a model merge
that have a rule of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Final

from recordsync.merge import Merged, Outcome, addition
from recordsync.model.records import Key, Record
from recordsync.model.schema import Model, Shape
from recordsync.plan.lines import Identical
from recordsync.plan.references import Held
from recordsync.plan.steps import Additions

SealOf = Callable[[Model, Key, Record | None], str]
"""What seals a record, so that only a person may decide that it changes; blank: nothing. It gets the record's key under
our names, and what we have of it (None: nothing)."""

MergeDriver = Callable[[Merged, Shape, bool], Merged]
"""The merge of a record that both sides do not have the same, by a rule of its model. It gets the three-way merge, the
shape of theirs, and whether what the record refers to stays in the register: it is there, and is not deleted together
with all that refers to it. (Git's term.)"""

MergePart = Merged | Identical | Additions
"""A part of the merge of one model."""

_SETTLED: Final = (Outcome.SAME, Outcome.KEEP)
"""The outcomes by which nothing changes, whoever decides."""


class DeletedParents:
    """The records that others refer to and that a merge deletes, with the number of rows that still refer to each, once
    all deletions about which nobody is asked are done.

    Follows the parts of the merge, in the schema's order.
    """

    def __init__(self) -> None:
        self._left: dict[tuple[str, str], int] = {}

    def add(self, held: Held) -> None:
        """Account for the deletion of a record that others refer to."""
        if _is_deletion(held.merged):
            self._left[held.model.name, held.name] = held.references

    def follow(self, model: Model, part: MergePart) -> None:
        """Account for a part of the merge of a model that refers to others."""
        if isinstance(part, Merged) and _is_deletion(part):
            self._subtract(_referred(model, model.names_in(part.key)))
        elif isinstance(part, Additions):
            for names, number in part.names().items():
                self._subtract(_referred(model, names), -number)

    def go(self, model: Model, names: Key, number: int) -> bool:
        """Whether all that a record with these names refers to goes, if ``number`` more such records are deleted."""
        referred = Counter(_referred(model, names))
        return bool(referred) and all(self._left.get(one) == number * times for one, times in referred.items())

    def __bool__(self) -> bool:
        return bool(self._left)

    def _subtract(self, referred: Iterable[tuple[str, str]], number: int = 1) -> None:
        for one in referred:
            if one in self._left:
                self._left[one] -= number


def guarded(
    model: Model,
    parts: Iterable[MergePart],
    shape: Shape,
    seal_of: SealOf | None,
    driver: MergeDriver | None,
    deletions: DeletedParents,
    present: Mapping[str, Collection[str]],
) -> Iterable[MergePart]:
    """The same parts of a model's merge, as the application has them. ``shape``: of theirs; ``deletions``: of the
    models before; ``present``: for each model that others refer to, the names that the register has."""
    if seal_of is not None:
        parts = _sealed(model, parts, seal_of)
    if driver is not None:
        parts = _driven(model, parts, shape, driver, seal_of, deletions, present)
    if deletions:
        parts = _followed(model, parts, deletions)
    return parts


def _followed(model: Model, parts: Iterable[MergePart], deletions: DeletedParents) -> Iterator[MergePart]:
    for part in parts:
        deletions.follow(model, part)
        yield part


def _sealed(model: Model, parts: Iterable[MergePart], seal_of: SealOf) -> Iterator[MergePart]:
    """What would change a sealed record is marked, so it is no addition like others."""
    for part in parts:
        if isinstance(part, Additions):
            yield from _apart(model, part, seal_of)
        elif isinstance(part, Merged) and part.outcome not in _SETTLED:
            yield part._replace(sealed=seal_of(model, part.key, part.ours))
        else:
            yield part


def _driven(
    model: Model,
    parts: Iterable[MergePart],
    shape: Shape,
    driver: MergeDriver,
    seal_of: SealOf | None,
    deletions: DeletedParents,
    present: Mapping[str, Collection[str]],
) -> Iterator[MergePart]:
    """What is merged by the rule of the model. What this changes, and the three-way merge does not, is sealed, too."""
    for names, group in groupby(parts, key=lambda part: _names(model, part)):
        if names is None:
            yield from group
            continue
        together = list(group)  # one that stays may come after those that would go
        goes = bool(deletions) and deletions.go(model, names, sum(map(_is_deletion, together)))
        is_here = all(name in present[parent] for parent, name in _referred(model, names))
        for part in together:
            assert isinstance(part, Merged)
            if part.outcome is Outcome.SAME:
                yield part
                continue
            driven = driver(part, shape, is_here if part.ours is None else not goes)
            if seal_of is not None and part.outcome in _SETTLED and driven.outcome not in _SETTLED:
                driven = driven._replace(sealed=seal_of(model, part.key, part.ours))
            yield driven


def _apart(model: Model, part: Additions, seal_of: SealOf) -> Iterator[MergePart]:
    """Additions without those of sealed records, which are parts of their own."""
    units = tuple(part.shape.units)
    for seal, records in groupby(part.theirs, key=lambda record: seal_of(model, record.key, None)):
        if seal:
            yield from (addition(record, units)._replace(sealed=seal) for record in records)
        else:
            yield part._replace(theirs=list(records))


def _is_deletion(part: MergePart) -> bool:
    """Whether a record of ours is deleted, and nobody is asked."""
    if not isinstance(part, Merged) or part.sealed:
        return False
    return part.ours is not None and part.theirs is None and part.outcome is Outcome.TAKE


def _names(model: Model, part: MergePart) -> Key | None:
    return model.names_in(part.key) if isinstance(part, Merged) else None


def _referred(model: Model, names: Key) -> list[tuple[str, str]]:
    """The records with these names to which a record refers, each with its model."""
    return [(str(field.references), name) for field, name in zip(model.references, names, strict=False)]
