"""The ancestry of a snapshot, by the headers that the register has."""

from __future__ import annotations

import pytest

from recordsync.errors import RecordSyncError
from recordsync.history.ancestry import ancestry
from recordsync.history.headers import Merge
from tests.running.snapshots import snapshot, tree


def test_a_merge_is_told_from_an_ordinary_one(register_db: str) -> None:
    """What a digest says is of an ordinary snapshot, so a merge is there in full."""
    root = tree(register_db, {("ABC Corp", "2026-11", "15"): ["1"]})
    sides = sorted((snapshot(register_db, root), snapshot(register_db, root)), key=lambda side: side.pk)
    merged = snapshot(register_db, root, sides, is_merge=True)
    *known, last = ancestry(register_db, [merged.pk])
    assert {one.id: one.says for one in known} == {side.pk: None for side in sides}
    assert last == (merged.pk, merged.parents, merged.said, Merge(root))


def test_a_missing_header_is_named(register_db: str) -> None:
    with pytest.raises(RecordSyncError, match="aaaaaaaaaa"):
        ancestry(register_db, ["a" * 64])
