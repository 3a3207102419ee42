"""The ancestry of a snapshot, by the headers that the register's own database has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from django.db.models import Q

from recordsync.errors import RecordSyncError
from recordsync.history.headers import Header, Merge, Ordinary, Rename
from recordsync.models import Snapshot


class Known(NamedTuple):
    """A snapshot of an ancestry: its id, its parents' ids, and what it says: as a digest, and in full where it is a
    merge or says that records have other names. So what is known by its digest alone is an ordinary one."""

    id: str
    parents: Sequence[str]
    said: str
    says: Ordinary | Merge | None


class Ancestry(NamedTuple):
    """Snapshots with the ids of their parents. ``merges``: those that are merges; ``renames``: those that say that
    records have other names, with what they say."""

    parents: dict[str, Sequence[str]]
    merges: set[str]
    renames: dict[str, Sequence[Rename]]

    def with_known(self, ancestors: Iterable[Known], header: Header) -> Ancestry:
        """The same with a snapshot and its ancestors."""
        found = Ancestry(dict(self.parents), set(self.merges), dict(self.renames))
        for pk, parents, says in (
            *((known.id, known.parents, known.says) for known in ancestors),
            (header.id, header.parents, header.says),
        ):
            found.parents[pk] = parents
            if isinstance(says, Merge):
                found.merges.add(pk)
            elif says is not None and says.renames:
                found.renames[pk] = says.renames
        return found


def known_ancestry(using: str) -> Ancestry:
    """All snapshots whose headers the register has."""
    rows = Snapshot.objects.using(using)
    found = Ancestry({}, set(), {})
    for pk, parents, is_merge in rows.values_list("id", "parents", "is_merge").iterator():
        found.parents[pk] = parents
        if is_merge:
            found.merges.add(pk)
    for pk, says in rows.filter(bears_renames=True).values_list("id", "says"):
        found.renames[pk] = msgspec.convert(says, Ordinary).renames
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
