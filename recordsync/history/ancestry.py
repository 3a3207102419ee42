"""The ancestry of a snapshot, by the headers that the register's own database has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from django.db.models import Q

from recordsync.errors import RecordSyncError
from recordsync.history.headers import Header, Merge, Ordinary
from recordsync.models import Snapshot


class Known(NamedTuple):
    """A snapshot of an ancestry: its id, its parents' ids, and what it says: as a digest, and in full where it is a
    merge or says that records have other names. So what is known by its digest alone is an ordinary one."""

    id: str
    parents: Sequence[str]
    said: str
    says: Ordinary | Merge | None


class Ancestry(NamedTuple):
    """Snapshots with the ids of their parents. ``merges``: those that are merges."""

    parents: dict[str, Sequence[str]]
    merges: set[str]

    def with_known(self, ancestors: Iterable[Known], header: Header) -> Ancestry:
        """The same with a snapshot and its ancestors."""
        parents, merges = dict(self.parents), set(self.merges)
        for known in ancestors:
            parents[known.id] = known.parents
            if isinstance(known.says, Merge):
                merges.add(known.id)
        parents[header.id] = header.parents
        if isinstance(header.says, Merge):
            merges.add(header.id)
        return Ancestry(parents, merges)


def known_ancestry(using: str) -> Ancestry:
    """All snapshots whose headers the register has."""
    rows = Snapshot.objects.using(using).values_list("id", "parents", "is_merge")
    found = Ancestry({}, set())
    for pk, parents, is_merge in rows.iterator():
        found.parents[pk] = parents
        if is_merge:
            found.merges.add(pk)
    return found


def ancestry(using: str, ids: Iterable[str]) -> list[Known]:
    """These snapshots and all of their ancestors, each after its parents. Reads headers only.

    Raises RecordSyncError where a header is missing.
    """
    rows = Snapshot.objects.using(using)
    wanted = set(ids)
    found: list[Known] = []
    in_full = rows.filter(Q(bears_renames=True) | Q(is_merge=True))
    says: dict[str, Ordinary | Merge] = {
        pk: msgspec.convert(content, Ordinary | Merge) for pk, content in in_full.values_list("id", "says")
    }
    # Of one query for all rows, because most are ancestors of each other. The order in which they came to be known has
    # parents first.
    for pk, parents, said in rows.order_by("-order").values_list("id", "parents", "said").iterator():
        if pk in wanted:
            wanted.remove(pk)
            wanted.update(parents)
            found.append(Known(pk, parents, said, says.get(pk)))
    if wanted:
        raise RecordSyncError(f"The header of snapshot {min(wanted)[:10]} is missing from the register.")
    return found[::-1]
