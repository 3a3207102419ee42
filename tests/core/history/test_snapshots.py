"""Snapshots as people see them, and what changed from one to the next."""

from __future__ import annotations

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from core.history import snapshots
from core.history.snapshots import BlockCounts, CompanyBlocks, cause_label
from core.operations.errors import OperationFailed
from core.register.database import Register
from recordsync.history.databases import history_of
from recordsync.history.store import HistoryStore
from recordsync.models import Block, Node, Snapshot
from tests.running.snapshots import Week, snapshot, tree

FIRST: dict[Week, list[str]] = {
    ("ABC Corp", "2026-10", "22"): ["1", "2"],
    ("ABC Corp", "2026-11", "01"): ["3"],
    ("ABC Corp", "2026-11", "15"): ["4", "5"],
    ("XYZ Ltd", "2026-11", "15"): ["6"],
}
SECOND = FIRST | {
    ("ABC Corp", "2026-11", "01"): ["3", "7"],
    ("ABC Corp", "2026-11", "15"): ["4", "other"],
    ("ABC Corp", "2026-11", "22"): ["8", "9", "10"],
    ("Zed", "2026-12", "01"): ["11"],
}
del SECOND["XYZ Ltd", "2026-11", "15"]


@pytest.fixture
def register(register_db: str) -> Register:
    return Register(register_db)


def chain(alias: str) -> tuple[Snapshot, Snapshot]:
    first = snapshot(alias, tree(alias, FIRST), message="full.json")
    return first, snapshot(alias, tree(alias, SECOND), [first], cause="before_restore")


def test_the_newest_comes_first_with_what_it_holds(register: Register) -> None:
    first, second = chain(register.alias)
    listing = snapshots.list_snapshots(None, register)
    told = [(entry.id, entry.is_head, entry.companies, entry.records, entry.why) for entry in listing.entries]
    assert told == [
        (second.pk, True, 2, 10, "Before a restore"),
        (first.pk, False, 2, 6, "Full backup"),
    ]
    moves = [(move.before, move.after) for move in listing.moves]
    assert moves == [(first.pk, second.pk), ("", first.pk)]
    assert (listing.total, listing.total_moves, listing.unusable) == (2, 2, "")
    last = snapshots.list_snapshots(1, register)
    assert ([entry.id for entry in last.entries], last.total) == ([second.pk], 2)
    assert ([move.after for move in last.moves], last.total_moves) == ([second.pk], 2)


def test_a_list_reads_the_store_once(register: Register) -> None:
    chain(register.alias)
    with CaptureQueriesContext(connections[history_of(register.alias)]) as queries:
        snapshots.list_snapshots(None, register)
    assert len(queries) == 1


def test_what_is_not_at_hand_cannot_be_shown(register: Register) -> None:
    first, second = chain(register.alias)
    third = snapshot(register.alias, tree(register.alias, {}), [second])
    Snapshot.objects.using(register.alias).filter(pk=second.pk).update(is_kept=False)
    Node.objects.using(history_of(register.alias)).filter(digest=first.tree).update(body=b"[]")
    found = {entry.id: entry.records for entry in snapshots.list_snapshots(None, register).entries}
    assert found == {third.pk: 0, second.pk: None, first.pk: None}
    told = [snapshots.show(row, register).unknown for row in snapshots.newest_first(register)]
    lost = f"The history store does not have the contents of snapshot {first.pk[:10]}: the store was deleted, or is"
    pruned = f"The contents of snapshot {second.pk[:10]} are not kept any more: it is not among the last ones."
    assert told == [
        f"{pruned} So nothing tells what changed after it.",
        f"{pruned} So it cannot be shown.",
        f"{lost} another copy's. So it cannot be shown.",
    ]


def test_what_changed_is_counted_by_block(register: Register) -> None:
    _first, second = chain(register.alias)
    Block.objects.using(history_of(register.alias)).all().delete()
    with CaptureQueriesContext(connections[register.alias]) as queries:
        shown = snapshots.show(second, register)
    assert not [query for query in queries if "core_attendancerecord" in query["sql"]]
    assert shown.companies_changed
    assert not shown.has_more
    november = BlockCounts(added=1, added_records=3, changed=2, changed_before=3, changed_after=4)
    assert shown.changes == [
        CompanyBlocks(**vars(november), company="ABC Corp", months={"2026-11": november}),
        CompanyBlocks(
            gone=1, gone_records=1, company="XYZ Ltd", months={"2026-11": BlockCounts(gone=1, gone_records=1)}
        ),
        CompanyBlocks(
            added=1, added_records=1, company="Zed", months={"2026-12": BlockCounts(added=1, added_records=1)}
        ),
    ]
    assert [company.more for company in shown.changes] == [4, -1, 1]


def test_the_first_snapshot_has_everything_new(register: Register) -> None:
    first, _second = chain(register.alias)
    shown = snapshots.show(first, register)
    assert shown.parent is None
    assert [(company.company, company.added, company.added_records) for company in shown.changes] == [
        ("ABC Corp", 3, 5),
        ("XYZ Ltd", 1, 1),
    ]


def test_a_snapshot_of_the_same_contents_changes_nothing(register: Register) -> None:
    first, _second = chain(register.alias)
    again = snapshot(register.alias, first.tree, [first], is_merge=True)
    shown = snapshots.show(again, register)
    assert (shown.changes, shown.companies_changed, shown.unknown) == ([], False, "")
    assert (shown.entry.number, shown.entry.author, shown.entry.why) == (None, "", "Merge")


def test_a_snapshot_whose_parent_is_not_here(register: Register) -> None:
    first, second = chain(register.alias)
    Snapshot.objects.using(register.alias).filter(pk=second.pk).update(parents=["0" * 64])
    shown = snapshots.show(snapshots.find(second.pk, register), register)
    assert (shown.parent, shown.changes) == (None, ())
    assert shown.unknown == "The register does not have the header of its parent."
    assert snapshots.show(first, register).changes


def test_only_so_many_companies_as_asked_for(register: Register) -> None:
    _first, second = chain(register.alias)
    for most, has_more in ((1, True), (2, True), (3, False), (4, False)):
        shown = snapshots.show(second, register, most=most)
        assert (len(shown.changes), shown.has_more) == (min(most, 3), has_more)


def test_a_snapshot_is_found_by_the_beginning_of_its_id(register: Register) -> None:
    first, second = chain(register.alias)
    assert snapshots.find(first.pk, register) == snapshots.find(first.pk[:8].upper(), register) == first
    twin = Snapshot.objects.using(register.alias).get(pk=second.pk)
    twin.pk, twin.order = f"{second.pk[:30]}{'0' * 34}", 3
    twin.save(using=register.alias, force_insert=True)
    with pytest.raises(OperationFailed, match=r"More than one .* Give more of its characters\."):
        snapshots.find(second.pk[:30], register)
    assert snapshots.find(second.pk, register) == second
    with pytest.raises(OperationFailed, match="No snapshot has an id that begins with"):
        snapshots.find("0" * 64, register)


def test_a_history_that_does_not_answer_leaves_the_list(register: Register, settings: Settings) -> None:
    _first, second = chain(register.alias)
    settings.RECORDSYNC_HISTORY = {"default": "jobs", register.alias: "jobs"}  # which has no such tables
    listing = snapshots.list_snapshots(None, register)
    assert [entry.records for entry in listing.entries] == [None, None]
    assert "The history database (" in listing.unusable
    with pytest.raises(OperationFailed, match="The history database"):
        snapshots.show(second, register)


def test_a_block_in_between_that_is_missing_is_told(register: Register) -> None:
    _first, second = chain(register.alias)
    store = HistoryStore(history_of(register.alias))
    roots = list(Snapshot.objects.using(register.alias).values_list("tree", flat=True))
    Node.objects.using(store.alias).exclude(digest__in=roots).delete()
    with pytest.raises(OperationFailed, match="The history store is not whole: a node of a tree is missing"):
        snapshots.show(second, register)


@pytest.mark.parametrize(
    ("cause", "label"),
    [
        ("restore", "Restore"),
        ("before_rename_company", "Before the renaming of a company"),
        ("merge", "Merge"),
        ("of a later\nversion", "of a later\\nversion"),
        ("before_something", "before_something"),
    ],
)
def test_a_cause_in_words(cause: str, label: str) -> None:
    assert cause_label(cause) == label
