"""What an incremental backup continues, and what it says where there is nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from django.db import connections

from core.backups.parents import known_installations
from core.models import AttendanceRecord, Backup, Installation
from core.operations.errors import OperationFailed
from core.operations.results import BackupResult
from core.register.database import Register
from core.register.declared import Selection
from recordsync.history.databases import history_of
from recordsync.model.json_values import InstallationName
from recordsync.models import Block, Head, Leaf, Node, Snapshot
from tests.builders.days import ABC
from tests.builders.files import ELSEWHERE, file
from tests.builders.registers import SMALL, put
from tests.recordsync.support import opened
from tests.running.services import backup, backup_bytes, restore, some_id
from tests.running.snapshots import snapshot, tree
from tests.running.ways_to_write import RECORD, sql

SITE_A = InstallationName(str(ELSEWHERE), "Site A")
FULL_FIRST = "No backup was written. Take a full backup first: incremental ones then continue it."


def edit(alias: str) -> None:
    AttendanceRecord.objects.using(alias).update(shift=some_id())


def of(result: BackupResult) -> Snapshot:
    """The row of a backup's snapshot."""
    assert result.metadata.snapshot is not None
    return Snapshot(id=result.metadata.snapshot.id, tree=result.metadata.snapshot.says.tree)


def refused(alias: str, **asked: str) -> str:
    before = Backup.objects.using(alias).count()
    with pytest.raises(OperationFailed) as failure:
        backup(alias, "incremental", **asked)
    assert Backup.objects.using(alias).count() == before
    return str(failure.value)


def their_snapshot(alias: str, *parents: Snapshot, tree: str | None = None) -> Snapshot:
    """A snapshot of Site A, as it is known here when one of its files was restored."""
    return snapshot(alias, tree or parents[0].tree, parents, is_head=False, installation=SITE_A)


def test_what_another_installation_has_is_continued(register_db: str) -> None:
    """The last snapshot that both have, by the newest one that is known of it."""
    put(register_db, SMALL)
    first = backup(register_db)
    edit(register_db)
    backup(register_db)
    theirs = their_snapshot(register_db, of(first))
    for name in ("site a", SITE_A.id):
        result = backup(register_db, "incremental", for_installation=name)
        assert (result.metadata.parent, result.records, result.warnings) == (of(first).id, 3, ())
    edit(register_db)
    head = Head.objects.using(register_db).get().snapshot
    their_snapshot(register_db, theirs, head)
    assert backup(register_db, "incremental", for_installation="Site A").metadata.parent == head.id


def test_a_base_whose_contents_are_damaged_is_left_out(register_db: str) -> None:
    """The file says so, leads past it, and is restored like any other."""
    put(register_db, SMALL)
    first = backup(register_db)
    their_snapshot(register_db, of(first))
    edit(register_db)
    between = [backup(register_db)]
    a_block_is_damaged(register_db)
    edit(register_db)
    between.append(backup(register_db))
    edit(register_db)
    data, result = backup_bytes(register_db, "incremental", for_installation="Site A")
    assert [base.id for base in opened(data).bases] == [of(between[1]).pk]
    assert f"without the content of snapshot {of(between[0]).pk}" in result.warnings[-1]
    assert restore(register_db, data).records.conflicts == 0


def test_of_several_last_ones_one_at_hand_is_continued(register_db: str) -> None:
    """Which, the result says."""
    put(register_db, SMALL)
    root = of(backup(register_db))
    here = Installation.current(register_db)
    ourselves = InstallationName(str(here.id), here.name)
    one, other = (
        snapshot(register_db, root.tree, [root], is_head=False, installation=ourselves, message=text) for text in "12"
    )
    ours = snapshot(register_db, root.tree, [one, other], installation=ourselves)
    their_snapshot(register_db, one, other)
    gone = min(one.id, other.id)
    result = backup(register_db, "incremental", for_installation="Site A")
    assert result.metadata.parent == gone
    assert result.metadata.snapshot is not None
    assert result.metadata.snapshot.id == ours.id
    assert f"This backup continues {gone[:10]}." in result.warnings[-1]
    Snapshot.objects.using(register_db).filter(pk=gone).update(is_kept=False)
    assert backup(register_db, "incremental", for_installation="Site A").metadata.parent == max(one.id, other.id)


def test_an_installation_of_which_nothing_is_known_is_refused(register_db: str) -> None:
    put(register_db, SMALL)
    here = Installation.current(register_db)
    assert f"{here.name} is this installation itself." in refused(register_db, for_installation=here.name)
    assert "No installation Site A is known here. Known are: none yet." in refused(
        register_db, for_installation="Site A"
    )
    restore(register_db, file(SMALL))
    assert "No snapshot of Site A is known here, so nothing tells what it has." in refused(
        register_db, for_installation="Site A"
    )
    root = tree(register_db, {(ABC, "2026-11", "15"): ["1"]})
    theirs = their_snapshot(register_db, tree=root)
    assert "This register and Site A have no snapshot in common." in refused(register_db, for_installation="Site A")
    assert known_installations(Register(register_db)) == {SITE_A.id: "Site A"}
    another = InstallationName(str(uuid.uuid4()), "SITE A")
    snapshot(register_db, root, [], is_head=False, installation=another)
    why = refused(register_db, for_installation="site a")
    assert "More than one installation is named site a" in why
    assert another.id in why
    Head.objects.using(register_db).update(snapshot=theirs)
    Snapshot.objects.using(register_db).filter(pk=theirs.pk).update(is_kept=False)
    why = refused(register_db, for_installation=SITE_A.id)
    assert f"The contents of snapshot {theirs.pk[:10]}, the last one that Site A has as well, are no longer" in why


def test_a_parent_that_nothing_can_continue_is_refused(register_db: str) -> None:
    put(register_db, SMALL)
    first = backup(register_db)
    selection = backup(register_db, selection=Selection(companies=[ABC]))
    why = refused(register_db, parent="ffff")
    assert "No snapshot has an id that begins with ffff. No backup was written. The history lists them" in why
    assert "No backup has the id" in refused(register_db, parent=some_id())
    assert "No backup has the id 3-4" in refused(register_db, parent="3-4")
    assert f"Backup {selection.id} holds no snapshot" in refused(register_db, parent=str(selection.id))
    elsewhere = snapshot(register_db, of(first).tree, [], is_head=False)
    why = refused(register_db, parent=elsewhere.pk)
    assert f"Snapshot {elsewhere.pk[:10]} is not in the history of what the register is now" in why
    edit(register_db)
    Snapshot.objects.using(register_db).filter(pk=of(first).pk).update(is_kept=False)
    why = refused(register_db, parent=str(first.id))
    assert f"The contents of snapshot {of(first).pk[:10]} are no longer kept here. {FULL_FIRST}" in why


def the_store_is_lost(alias: str) -> None:
    for table in (Node, Block):
        table._default_manager.using(history_of(alias)).all().delete()


def a_block_is_damaged(alias: str) -> None:
    leaf = Leaf.objects.using(alias).filter(model="attendance_records").earliest("names")
    Block.objects.using(history_of(alias)).filter(digest=leaf.digest).update(data=b"nothing")


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (the_store_is_lost, "The history does not have the contents of any backup that an incremental one could"),
        (a_block_is_damaged, "The history store is not whole"),
    ],
)
def test_where_the_contents_of_the_parent_are_lost_a_full_backup_helps(
    register_db: str, damage: Callable[[str], None], why: str
) -> None:
    put(register_db, SMALL)
    backup(register_db)
    edit(register_db)
    damage(register_db)
    said = refused(register_db)
    assert why in said
    assert "Take a full backup" in said
    full = backup(register_db)
    edit(register_db)
    assert backup(register_db, "incremental").metadata.parent == of(full).pk


def test_where_no_snapshot_can_be_taken_it_says_why(register_db: str) -> None:
    """A record that no file could hold; a full backup would name it as well."""
    put(register_db, SMALL)
    backup(register_db)
    edit(register_db)
    is_sqlite = connections[register_db].vendor == "sqlite"
    if is_sqlite:
        sql(register_db, "PRAGMA ignore_check_constraints = ON")
    row = AttendanceRecord.objects.using(register_db).latest("pk")
    day = "2026-11-31" if is_sqlite else "infinity"
    sql(register_db, f"UPDATE {RECORD} SET date = %s WHERE id = %s", day, row.pk)
    said = refused(register_db)
    if is_sqlite:
        sql(register_db, "PRAGMA ignore_check_constraints = OFF")
    assert "No snapshot can be taken." in said
    assert "date" in said
    assert "Take a full backup, or say since when (--since)." in said
