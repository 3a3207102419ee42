"""Removing what no snapshot that is kept has."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from core.register.database import Register
from core.register.declared import ATTENDANCE_RECORDS
from recordsync.history.collect import collect
from recordsync.history.databases import history_of
from recordsync.history.trees import children_of
from recordsync.models import Block, Node, Snapshot
from tests.running.databases import LONG
from tests.running.snapshots import Week, snapshot, tree

LATER = dt.timedelta(days=1, minutes=1)


def weeks(*texts: str) -> dict[Week, list[str]]:
    return {("ABC Corp", "2026-11", "15"): list(texts)}


def collected(alias: str, keep: int) -> None:
    """Collect twice, a day apart."""
    for _time in range(2):
        collect(Register(alias).history, keep, LONG)
        for table in (Block, Node):
            marked = table._default_manager.using(history_of(alias)).exclude(unreachable_since=None)
            marked.update(unreachable_since=timezone.now() - LATER)


def is_whole(alias: str, of: Snapshot) -> bool:
    """Whether the snapshot is kept, and its root is there."""
    of.refresh_from_db(using=alias)
    return of.is_kept and Register(alias).history.store.has_node(of.tree)


def test_what_no_kept_snapshot_has_goes(register_db: str) -> None:
    first = snapshot(register_db, tree(register_db, weeks("1")))
    second = snapshot(register_db, tree(register_db, weeks("2")), [first])
    collected(register_db, keep=2)
    assert is_whole(register_db, first)
    collected(register_db, keep=1)
    assert not is_whole(register_db, first)
    assert is_whole(register_db, second)
    assert Block.objects.using(history_of(register_db)).count() == 2  # of its week, and of the companies


def test_what_left_in_a_file_stays(register_db: str) -> None:
    """Also what a collection gave up while the file was written."""
    first = snapshot(register_db, tree(register_db, weeks("1")))
    snapshot(register_db, tree(register_db, weeks("2")), [first])
    collect(Register(register_db).history, 1, LONG)
    Register(register_db).history.note_left(first.pk)
    collected(register_db, keep=1)
    assert is_whole(register_db, first)


def inner_node(alias: str, of: Snapshot) -> str:
    """The digest of a node of a snapshot that is not its root: that of its records."""
    children = children_of(Register(alias).history.store.nodes, of.tree)
    return next(digest for name, digest, _count in children if name == ATTENDANCE_RECORDS.name)


@pytest.mark.parametrize("is_missing", [True, False])
def test_a_damaged_old_snapshot_does_not_keep_others(register_db: str, is_missing: bool) -> None:
    """What is left of it stays."""
    gone = snapshot(register_db, tree(register_db, weeks("1")))
    damaged = snapshot(register_db, tree(register_db, weeks("2", "3")), [gone])
    snapshot(register_db, tree(register_db, weeks("4")), [damaged])
    nodes = Node.objects.using(history_of(register_db)).filter(digest=inner_node(register_db, damaged))
    nodes.delete() if is_missing else nodes.update(body=b"[]")
    collected(register_db, keep=2)
    assert not is_whole(register_db, gone)
    assert is_whole(register_db, damaged)


def test_nothing_is_removed_where_the_heads_tree_is_damaged(register_db: str) -> None:
    gone = snapshot(register_db, tree(register_db, weeks("1")))
    head = snapshot(register_db, tree(register_db, weeks("2")), [gone])
    Node.objects.using(history_of(register_db)).filter(digest=inner_node(register_db, head)).delete()
    before = Block.objects.using(history_of(register_db)).count()
    collected(register_db, keep=1)
    assert Block.objects.using(history_of(register_db)).count() == before


def test_a_store_that_was_away_is_what_it_was_when_it_is_back(register_db: str) -> None:
    alias = history_of(register_db)
    first = snapshot(register_db, tree(register_db, weeks("1")))
    rows = [row for table in (Block, Node) for row in table._default_manager.using(alias)]
    for table in (Block, Node):
        table._default_manager.using(alias).all().delete()
    second = snapshot(register_db, tree(register_db, weeks("2")), [first])
    collected(register_db, keep=100)
    assert not is_whole(register_db, first)
    for row in rows:
        type(row)._default_manager.using(alias).filter(pk=row.pk).delete()
        row.save(using=alias, force_insert=True)
    collected(register_db, keep=100)
    assert is_whole(register_db, first)
    assert is_whole(register_db, second)
