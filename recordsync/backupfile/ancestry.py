"""What a 2.0 file says of its snapshot and of that snapshot's ancestors, and the check that it is possible.

A snapshot's id is made of what it says and of its parents' ids (:func:`recordsync.model.digests.snapshot_id`). So the
ancestors, each as a digest with its parents by position, prove the whole ancestry of a snapshot whose id is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import msgspec

from recordsync.history.ancestry import Known
from recordsync.history.headers import Header, Merge, Ordinary
from recordsync.model.digests import content_digest, snapshot_id
from recordsync.model.fields import TIMESTAMP
from recordsync.model.json_values import Count, Sha256Text
from recordsync.model.schema import Schema

Ancestor = tuple[Sha256Text | Ordinary | Merge, list[Count | Sha256Text]]
"""What an ancestor says, as a digest or (where it is a merge or has renames) in full; and its parents, each as the
position of an ancestor before it or, in an incremental file, as the id of one that is not listed."""


def check_ancestry(header: Header, ancestors: Sequence[Ancestor], begins_at: str | None, schema: Schema) -> list[Known]:
    """The ancestors with their ids, and each with what the file says of its kind.

    Raises :class:`msgspec.ValidationError` unless the ids are right and the ancestors are exactly those of the
    snapshot: all of them, or those since ``begins_at``, the id of the snapshot that an incremental file continues.
    """
    known: list[Known] = []
    unused: set[str] = set()
    outside: set[str] = set()
    for position, (says, parents) in enumerate(ancestors):
        place = f"ancestor {position}"
        if not isinstance(says, str):
            _check_says(says, schema, place, "$.ancestors")
        parent_ids = []
        for parent in parents:
            if isinstance(parent, int):
                if parent >= position:
                    _refuse(f"Expected the position of an ancestor before it as a parent of {place}", "$.ancestors")
                parent_ids.append(known[parent].id)
            elif begins_at is None:
                _refuse(f"Expected positions as the parents of {place}, because a full file has all", "$.ancestors")
            else:
                outside.add(parent)
                parent_ids.append(parent)
        _check_parents(parent_ids, f"parents of {place}", "$.ancestors", is_merge=isinstance(says, Merge))
        unused.difference_update(parent_ids)
        said = says if isinstance(says, str) else content_digest(msgspec.to_builtins(says))
        known.append(Known(snapshot_id(said, parent_ids), parent_ids, said, None if isinstance(says, str) else says))
        unused.add(known[-1].id)
    listed = {ancestor.id for ancestor in known}
    if len(listed) < len(known) or listed & outside or header.id in listed or begins_at in listed:
        _refuse("Expected each ancestor once", "$.ancestors")
    check_header(header, schema, "$.snapshot")
    if begins_at is None and not listed.issuperset(header.parents):
        _refuse("Expected ids of ancestors that are listed", "$.snapshot.parents")
    if unused.difference(header.parents) or (known and header.id == begins_at):
        _refuse("Expected ancestors of the snapshot only", "$.ancestors")
    if begins_at is not None and begins_at not in {header.id, *header.parents, *outside}:
        _refuse("Expected an ancestor of the snapshot", "$.parent")
    return known


def check_header(header: Header, schema: Schema, place: str) -> None:
    """Raises :class:`msgspec.ValidationError` unless a snapshot is possible, and has the id that follows. ``place``:
    where it stands."""
    _check_says(header.says, schema, "what the snapshot says", f"{place}.says")
    _check_parents(header.parents, "its parents", f"{place}.parents", is_merge=isinstance(header.says, Merge))
    if header.id != snapshot_id(content_digest(msgspec.to_builtins(header.says)), header.parents):
        _refuse("Expected the id that what it says and its parents have", f"{place}.id")


def _check_parents(parents: Sequence[str], what: str, place: str, *, is_merge: bool) -> None:
    if len(set(parents)) < len(parents) or len(parents) > 2:
        _refuse(f"Expected up to two different ids as {what}", place)
    if is_merge and (len(parents) != 2 or list(parents) != sorted(parents)):
        _refuse(f"Expected two ids in order as {what}, because it is a merge", place)


def _check_says(says: Ordinary | Merge, schema: Schema, what: str, place: str) -> None:
    if isinstance(says, Merge):
        return
    if TIMESTAMP.error(says.moment):
        _refuse(f"Expected {TIMESTAMP.expected} in {what}", place)
    named = {name: schema[name].key[0].type for name in schema.referred}
    for rename in says.renames:
        kind = named.get(rename.model)
        if kind is None or kind.error(rename.before) or kind.error(rename.after) or rename.before == rename.after:
            _refuse(f"Expected names of a model to which others refer in {what}", place)
    pairs = [(rename.model, rename.before) for rename in says.renames]
    targets = {(rename.model, rename.after) for rename in says.renames}
    if pairs != sorted(set(pairs)) or len(targets) < len(pairs):
        _refuse(f"Expected renames in order, each name once, in {what}", place)


def _refuse(expected: str, place: str) -> NoReturn:
    raise msgspec.ValidationError(f"{expected} - at `{place}`")


def listed(known: Sequence[Known]) -> list[Ancestor]:
    """The ancestors as a file has them. ``known``: all of a snapshot's, each after its parents; or those since another
    one, for an incremental file."""
    positions = {ancestor.id: position for position, ancestor in enumerate(known)}
    return [
        (
            ancestor.said if ancestor.says is None else ancestor.says,
            [positions.get(parent, parent) for parent in ancestor.parents],
        )
        for ancestor in known
    ]
