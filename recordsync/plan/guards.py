"""Records of ours that are guarded in a merge: those of which only a person decides, and those that theirs cannot
delete."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Final

from recordsync.merge import Merged, Outcome, addition
from recordsync.model.records import Key, Record
from recordsync.model.schema import Model
from recordsync.plan.lines import Identical
from recordsync.plan.references import Held
from recordsync.plan.steps import Additions

IsSealed = Callable[[Model, Key, Record | None], bool]
"""Whether only a person may decide that a record changes. It gets the record's key under our names, and what we have
of it (None: nothing)."""

IsKept = Callable[[Record, bool], bool]
"""Whether a record of ours stays although theirs deleted it. It gets whether all that the record refers to is deleted,
too, and nothing that stays refers to that."""

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
    sealed: IsSealed | None,
    kept: IsKept | None,
    deletions: DeletedParents,
) -> Iterable[MergePart]:
    """The same parts of a model's merge, guarded. ``deletions``: of the models before."""
    if sealed is not None:
        parts = _sealed(model, parts, sealed)
    if kept is not None:
        parts = _kept(model, parts, kept, deletions)
    if deletions:
        parts = _followed(model, parts, deletions)
    return parts


def _followed(model: Model, parts: Iterable[MergePart], deletions: DeletedParents) -> Iterator[MergePart]:
    for part in parts:
        deletions.follow(model, part)
        yield part


def _sealed(model: Model, parts: Iterable[MergePart], sealed: IsSealed) -> Iterator[MergePart]:
    """What would change a sealed record is marked, so it is no addition like others."""
    for part in parts:
        if isinstance(part, Additions):
            yield from _apart(model, part, sealed)
        elif isinstance(part, Merged) and part.outcome not in _SETTLED and sealed(model, part.key, part.ours):
            yield part._replace(sealed=True)
        else:
            yield part


def _kept(model: Model, parts: Iterable[MergePart], kept: IsKept, deletions: DeletedParents) -> Iterator[MergePart]:
    """What theirs cannot delete stays."""
    for names, group in groupby(parts, key=lambda part: _names(model, part)):
        if names is None or not deletions:
            yield from (_as_kept(part, kept, goes=False) for part in group)
            continue
        together = list(group)  # one that stays may come after those that would go
        goes = deletions.go(model, names, sum(isinstance(part, Merged) and _is_deletion(part) for part in together))
        yield from (_as_kept(part, kept, goes=goes) for part in together)


def _as_kept(part: MergePart, kept: IsKept, *, goes: bool) -> MergePart:
    if isinstance(part, Merged) and part.ours is not None and part.theirs is None and part.outcome not in _SETTLED:
        return part._replace(outcome=Outcome.KEEP, conflicts=()) if kept(part.ours, goes) else part
    return part


def _apart(model: Model, part: Additions, sealed: IsSealed) -> Iterator[MergePart]:
    """Additions without those of sealed records, which are parts of their own."""
    units = tuple(part.shape.units)
    for is_sealed, records in groupby(part.theirs, key=lambda record: sealed(model, record.key, None)):
        if is_sealed:
            yield from (addition(record, units)._replace(sealed=True) for record in records)
        else:
            yield part._replace(theirs=list(records))


def _is_deletion(part: Merged) -> bool:
    """Whether a record of ours is deleted, and nobody is asked."""
    return part.ours is not None and part.theirs is None and part.outcome is Outcome.TAKE and not part.sealed


def _names(model: Model, part: MergePart) -> Key | None:
    return model.names_in(part.key) if isinstance(part, Merged) else None


def _referred(model: Model, names: Key) -> list[tuple[str, str]]:
    """The records with these names to which a record refers, each with its model."""
    return [(str(field.references), name) for field, name in zip(model.references, names, strict=False)]
