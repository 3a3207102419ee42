"""Records of ours that are guarded in a merge: those of which only a person decides, and those that theirs cannot
delete."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Final

from recordsync.merge import Merged, Outcome, addition
from recordsync.model.records import Key, Record
from recordsync.model.schema import Model, Schema
from recordsync.plan.lines import Identical
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
    """The records that others refer to and that a merge deletes without a question, with all that refers to them.

    Follows the parts of the merge in the schema's order.
    """

    def __init__(self, schema: Schema) -> None:
        self._referred = schema.referred
        self._deleted: set[tuple[str, str]] = set()

    def follow(self, model: Model, part: MergePart) -> None:
        """Account for a part of the merge."""
        if isinstance(part, Merged) and part.ours is not None and part.theirs is None and _is_free(part):
            if model.name in self._referred:
                self._deleted.add((model.name, part.key[0]))
        elif self._deleted and isinstance(part, Merged):
            if part.ours is not None or part.theirs is not None:
                self._deleted.difference_update(_referred(model, model.names_in(part.key)))
        elif self._deleted and isinstance(part, Additions):
            for record in part.theirs:
                self._deleted.difference_update(_referred(model, model.names_in(record.key)))

    def may_change_with(self, model: Model) -> bool:
        """Whether the parts of a model have to be followed."""
        return model.name in self._referred or bool(self._deleted)

    def include(self, model: Model, names: Key) -> bool:
        """Whether a record that refers to those with these names refers to any, and all of them are deleted."""
        referred = _referred(model, names)
        return bool(referred) and self._deleted.issuperset(referred)


def guarded(
    model: Model,
    parts: Iterable[MergePart],
    sealed: IsSealed | None,
    kept: IsKept | None,
    deletions: DeletedParents | None,
) -> Iterable[MergePart]:
    """The same parts of a model's merge, guarded. ``deletions``: of the models before; None: they are not known."""
    if sealed is not None:
        parts = _sealed(model, parts, sealed)
    if kept is not None:
        parts = _kept(model, parts, kept, deletions)
    if deletions is not None and deletions.may_change_with(model):
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


def _kept(
    model: Model, parts: Iterable[MergePart], kept: IsKept, deletions: DeletedParents | None
) -> Iterator[MergePart]:
    """What theirs cannot delete stays."""
    for names, group in groupby(parts, key=lambda part: _names(model, part)):
        if names is None or deletions is None or not deletions.include(model, names):
            yield from (_as_kept(part, kept, goes=False) for part in group)
            continue
        together = list(group)
        for part in together:  # one that stays may come after those that would go
            deletions.follow(model, part)
        goes = deletions.include(model, names)
        yield from (_as_kept(part, kept, goes=goes) for part in together)


def _as_kept(part: MergePart, kept: IsKept, *, goes: bool) -> MergePart:
    if not isinstance(part, Merged) or part.ours is None or part.theirs is not None or part.outcome in _SETTLED:
        return part
    return part._replace(outcome=Outcome.KEEP, conflicts=()) if kept(part.ours, goes) else part


def _apart(model: Model, part: Additions, sealed: IsSealed) -> Iterator[MergePart]:
    """Additions without those of sealed records, which are parts of their own."""
    units = tuple(part.shape.units)
    for is_sealed, records in groupby(part.theirs, key=lambda record: sealed(model, record.key, None)):
        if is_sealed:
            yield from (addition(record, units)._replace(sealed=True) for record in records)
        else:
            yield part._replace(theirs=list(records))


def _is_free(part: Merged) -> bool:
    """Whether a part is applied whoever decides."""
    return part.outcome is Outcome.TAKE and not part.sealed


def _names(model: Model, part: MergePart) -> Key | None:
    return model.names_in(part.key) if isinstance(part, Merged) else None


def _referred(model: Model, names: Key) -> list[tuple[str, str]]:
    """The records with these names to which a record refers, each with its model."""
    return [(str(field.references), name) for field, name in zip(model.references, names, strict=False)]
