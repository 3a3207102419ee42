"""Snapshots that a register may have: a chain of them, each with a tree in the history store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES
from recordsync.history.databases import history_of
from recordsync.history.headers import Merge, Ordinary, header
from recordsync.history.store import HistoryStore
from recordsync.history.trees import Path, nodes
from recordsync.model.digests import content_digest
from recordsync.model.json_values import InstallationName
from recordsync.models import Head, HeadMove, Snapshot
from tests.builders.files import sha256

Week = tuple[str, str, str]
"""A company, a month, and the first day of a week in it: ``("ABC Corp", "2026-11", "15")``."""

HERE = InstallationName("00000000-0000-4000-8000-000000000001", "Site A")
NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


def lines(*contents: str) -> list[bytes]:
    """Lines of records that differ as these texts do."""
    return [b'{"checksum":"%s"}' % sha256(content).encode() for content in contents]


def tree(alias: str, weeks: Mapping[Week, Sequence[str]], companies: Sequence[str] | None = None) -> str:
    """The digest of the root of a tree in the history store of this register. ``weeks``: a text for each record.
    ``companies``: None: those of the weeks."""
    names = sorted({week[0] for week in weeks}) if companies is None else companies
    blocks: dict[Path, Sequence[str]] = {(COMPANIES.name,): names} if names else {}
    blocks |= {(ATTENDANCE_RECORDS.name, *week): list(contents) for week, contents in weeks.items()}
    with HistoryStore(history_of(alias)).writing(5) as writer:
        known = [(path, writer.put(lines(*contents))) for path, contents in sorted(blocks.items())]
        *_, root = nodes(known, (), writer.put_node)
    return root.digest


def snapshot(
    alias: str,
    root: str,
    parents: Sequence[Snapshot] = (),
    *,
    is_head: bool = True,
    is_merge: bool = False,
    at: dt.datetime = NOON,
    **says: Any,
) -> Snapshot:
    """A snapshot with this tree, which is the head afterwards. ``says``: what an ordinary one says."""
    rows = Snapshot.objects.using(alias)
    number = rows.count() + 1
    known: dict[str, Any] = {
        "installation": HERE,
        "number": number,
        "moment": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "author": "root",
        "cause": "backup_full",
        "message": "",
        "renames": [],
    }
    said = Merge(root) if is_merge else Ordinary(tree=root, **known | says)
    made = header(said, [parent.pk for parent in parents])
    content = msgspec.to_builtins(said)
    row = rows.create(
        id=made.id,
        parents=made.parents,
        said=content_digest(content),
        says=content,
        is_merge=is_merge,
        tree=root,
        installation=None if is_merge else content["installation"]["id"],
        number=None if is_merge else content["number"],
        order=number,
    )
    if is_head:
        Head.objects.using(alias).update_or_create(id=1, defaults={"snapshot": row})
        HeadMove.objects.using(alias).create(
            before=parents[0] if parents else None,
            after=row,
            cause=content.get("cause", "merge"),
            actor=content.get("author", "root"),
            moment=at,
        )
    return row
