"""Undoing what an operation did, between two installations: one on SQLite, one on PostgreSQL."""

from __future__ import annotations

import uuid

import pytest

from core.attendance.companies import rename_company
from core.models import AttendanceRecord, Company, User
from core.operations.errors import ConflictsLeft, OperationFailed
from core.operations.results import RestoreResult
from core.register.database import Register
from core.restores.restore_service import RestoreService
from core.restores.undo import How, may_undo, undo_of, undoable, ways
from core.sheets.import_service import ImportService
from recordsync.history.databases import history_of
from recordsync.models import Head, HeadMove, Node, Snapshot
from tests.builders.days import ABC, XYZ, day
from tests.builders.registers import put, register
from tests.builders.sheets import as_csv, row, table
from tests.core.restores.test_ancestry import Site, Sites, put_day, sites
from tests.running.inspection import content
from tests.running.services import backup_bytes, imported

__all__ = ["sites"]


def undo(site: Site, how: How | None = None, strategy: str = "manual", move: HeadMove | None = None) -> RestoreResult:
    here = Register(site.alias)
    undone = undo_of(move or undoable(here), here, how)
    return RestoreService(register=here).restore_backup(undone, strategy, yes=True)


def test_a_restore_is_withdrawn_and_comes_again(sites: Sites) -> None:
    """Law 15: undo ∘ restore = before; what was withdrawn can come again, and is not deleted at its origin."""
    office, server = sites
    before, head = content(server.alias), server.head
    put_day(office, "E5")
    office.delete("E1")
    server.restore(file := office.file())
    taken = content(server.alias)
    result = undo(server)
    assert "stays where it came from" in result.base.why
    assert (content(server.alias), server.head) == (before, head)
    office.restore(server.file())
    assert office.numbers() == "E2 E3 E4 E5", "nothing is deleted at its origin"
    server.restore(file)
    assert content(server.alias) == taken


def test_undo_of_undo_is_redo(sites: Sites) -> None:
    office, server = sites
    put_day(office, "E5")
    server.restore(office.file())
    after, head = content(server.alias), server.head
    undo(server)
    result = undo(server)
    assert "comes back" in result.base.why
    assert (content(server.alias), server.head) == (after, head)
    assert server.restore(office.file()).changes_nothing


def test_what_was_edited_after_stays(sites: Sites) -> None:
    office, server = sites
    put_day(office, "E5")
    office.edit("E1", shift="N")
    server.restore(office.file())
    server.edit("E1", status="A")
    server.edit("E2", status="A")
    undo(server)
    assert server.numbers() == "E1 E2 E3 E4"
    assert server.rows("E1").values_list("shift", "status")[0] == ("GS", "A")
    assert server.rows("E2").get().status == "A"
    undo(server)
    assert server.numbers() == "E1 E2 E3 E4 E5"
    assert server.rows("E1").values_list("shift", "status")[0] == ("N", "A")


def test_an_edit_of_the_same_is_a_conflict(sites: Sites) -> None:
    office, server = sites
    office.edit("E1", shift="N")
    server.restore(office.file())
    server.edit("E1", shift="G2")
    with pytest.raises(ConflictsLeft):
        undo(server)
    undo(server, strategy="database_wins")
    assert server.rows("E1").get().shift == "G2"


def test_undone_everywhere_it_travels(sites: Sites) -> None:
    office, server = sites
    put_day(office, "E5")
    server.restore(office.file())
    undo(server, How.EVERYWHERE)
    assert server.numbers() == "E1 E2 E3 E4"
    office.restore(server.file())
    assert office.numbers() == "E1 E2 E3 E4"
    undo(server)
    office.restore(server.file())
    assert office.numbers() == "E1 E2 E3 E4 E5"


def test_what_has_left_cannot_be_withdrawn(sites: Sites) -> None:
    office, server = sites
    put_day(office, "E5")
    server.restore(office.file())
    here = Register(server.alias)
    assert ways(undoable(here), here) == [How.WITHDRAW, How.EVERYWHERE]
    server.file()
    assert ways(undoable(here), here) == [How.EVERYWHERE]
    with pytest.raises(OperationFailed, match="Undo everywhere"):
        undo(server, How.WITHDRAW)


def test_a_later_restore_stands_between(sites: Sites) -> None:
    """Both can be undone, in any order, everywhere; only the newest can be withdrawn."""
    office, server = sites
    here = Register(server.alias)
    put_day(office, "E5")
    server.restore(office.file())
    first = undoable(here)
    put_day(office, "E6")
    server.restore(office.file())
    assert ways(first, here) == [How.EVERYWHERE]
    undo(server, move=first)
    assert server.numbers() == "E1 E2 E3 E4 E6"


def test_an_import_is_undone_everywhere(sites: Sites) -> None:
    server = sites.server
    imported(server.alias, row(ep_no="E5"))
    here = Register(server.alias)
    assert ways(undoable(here), here) == [How.EVERYWHERE]
    undo(server)
    assert server.numbers() == "E1 E2 E3 E4"


def test_the_first_restore_into_an_empty_register_is_undone(sites: Sites) -> None:
    office, server = sites
    undo(server)
    assert not server.numbers()
    assert not Company.objects.using(server.alias).exists()
    server.restore(office.file())
    assert content(server.alias) == content(office.alias)


def test_an_operation_that_changed_nothing_is_named(sites: Sites) -> None:
    with pytest.raises(OperationFailed, match="Nothing is known that this operation changed"):
        undoable(Register(sites.server.alias), uuid.uuid4())


def test_who_may_undo(sites: Sites) -> None:
    """An administrator undoes an own import of the own company, and nothing else."""
    server = sites.server
    here = Register(server.alias)
    company = Company.objects.using(server.alias).get(name=ABC)
    users = User.objects.db_manager(server.alias)
    root, admin, other = (
        users.create_user("root", password="x", role="root"),
        users.create_user("admin", password="x", role="admin", company=company),
        users.create_user("other", password="x", role="admin", company=company),
    )
    assert [may_undo(user, undoable(here), here) for user in (root, admin)] == [True, False]
    ImportService(register=here, user=admin).apply(as_csv(table(row(ep_no="E5"))))
    move = undoable(here)
    assert [may_undo(user, move, here) for user in (root, admin, other)] == [True, True, False]
    with pytest.raises(OperationFailed, match="Only root"):
        undoable(here, user=other)


def test_a_rename_is_undone(sites: Sites) -> None:
    server = sites.server
    user = User.objects.db_manager(server.alias).create_user("root", password="x", role="root")
    pk = Company.objects.using(server.alias).get(name=ABC).pk
    rename_company(pk, XYZ, user=user, register=Register(server.alias))
    put(server.alias, register(day("Other", ep_no="O1")))
    undo(server)
    assert sorted(Company.objects.using(server.alias).values_list("name", flat=True)) == [ABC, "Other"]
    assert AttendanceRecord.objects.using(server.alias).filter(company__name=ABC).count() == 4


def test_a_restore_that_only_settles_is_no_withdrawal(sites: Sites) -> None:
    """Two sides that merged alike are at one of two snapshots afterwards, and neither descends from the other."""
    office, server = sites
    office.edit("E1", shift="N")
    server.edit("E2", shift="N")
    files = office.file(), server.file()
    office.restore(files[1], base="none", strategy="backup_wins")
    server.restore(files[0])
    here = Register(server.alias)
    assert ways(undoable(here), here)[0] is not How.REDO


def test_what_the_history_lost_cannot_be_undone(sites: Sites) -> None:
    """The message names what is missing, and does not speak of the other side of a merge."""
    office, server = sites
    office.edit("E1", shift="N")
    server.restore(office.file())
    after = Head.objects.using(server.alias).get().snapshot.tree
    server.edit("E2", shift="N")
    server.file()
    Node.objects.using(history_of(server.alias)).filter(digest=after).delete()
    with pytest.raises(OperationFailed, match=r"^The records of snapshot 2 of Office \(.*\) are not at hand"):
        undo(server)


@pytest.mark.parametrize("is_edited", [False, True])
def test_what_came_back_with_another_file_is_not_brought_back_once_more(sites: Sites, is_edited: bool) -> None:
    """Its snapshot is in the register's history already, and is no second parent of the next one."""
    office, server = sites
    put_day(office, "E5")
    server.edit("E1", shift="N")
    file = office.file()
    server.restore(file)
    undo(server)
    withdrawal = undoable(Register(server.alias))
    server.restore(file)
    head = server.head
    if is_edited:
        server.edit("E2", shift="N")
    result = undo(server, How.REDO, move=withdrawal)
    assert (result.records.added, result.records.updated, server.numbers()) == (0, 0, "E1 E2 E3 E4 E5")
    assert (server.head == head) is not is_edited
    if is_edited:
        assert Snapshot.objects.using(server.alias).get(pk=server.head).parents == [head]
    data, backup = backup_bytes(server.alias)
    assert (backup.metadata.snapshot is not None, backup.warnings) == (True, ())
    office.restore(data)
    assert (content(office.alias), office.head) == (content(server.alias), server.head)


def test_a_redo_is_withdrawn_again(sites: Sites) -> None:
    """However often somebody changes their mind: what came stays where it came from."""
    office, server = sites
    put_day(office, "E5")
    server.edit("E1", shift="N")
    server.restore(office.file())
    for numbers in ["E1 E2 E3 E4", "E1 E2 E3 E4 E5"] * 2:
        undo(server)
        assert server.numbers() == numbers
    result = undo(server)
    assert "stays where it came from" in result.base.why
    office.restore(server.file())
    assert office.numbers() == "E1 E2 E3 E4 E5"
    assert not server.restore(office.file()).changes_nothing
    assert server.numbers() == "E1 E2 E3 E4 E5"
