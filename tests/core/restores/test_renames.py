"""Companies that were renamed on one side or both, between installations: two on two engines, a third on SQLite."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from tempfile import TemporaryFile

import pytest
from django.template.loader import render_to_string

from core.attendance.companies import rename_company
from core.models import AttendanceRecord, Company, Installation, Kind, Operation, Role, User
from core.operations.errors import ConflictsLeft
from core.operations.wording import describe
from core.preview import stored as stored_preview
from core.preview.filters import Filter
from core.register.database import Register
from core.register.declared import SCHEMA
from core.restores.merging import ConfirmationNeeded, DecidedPlan
from core.restores.restore_service import RestoreService
from core.restores.undo import How, undo_of, undoable
from recordsync.history.databases import history_of
from recordsync.merge import KEY_UNIT, Side, Strategy, decide_by
from recordsync.models import Block, Head, HeadMove, Node
from recordsync.plan import Account, ChangeList, decided_batches, list_changes
from tests.builders.days import ABC, FRIDAY, XYZ, day
from tests.builders.registers import an_account, put, register
from tests.core.restores.test_ancestry import Site, Sites, exchange, sites
from tests.core.restores.test_jobs import applied, checked
from tests.running.inspection import content
from tests.running.installation import NewInstallation

__all__ = ["sites"]

LTD, INC = "ABC Ltd", "ABC Inc"


@pytest.fixture
def third(sites: Sites, new_installation: NewInstallation) -> Iterator[Site]:
    """A third installation, which has nothing."""
    with new_installation("sqlite").opened() as alias:
        Installation.objects.using(alias).all().delete()
        Installation.objects.using(alias).create(id=uuid.uuid4(), name="Third")
        yield Site(alias)


def rename(site: Site, before: str, after: str) -> None:
    rows = Company.objects.using(site.alias)
    user, _new = User.objects.using(site.alias).get_or_create(username="root", defaults={"role": Role.ROOT})
    rename_company(rows.get(name=before).pk, after, user=user, register=Register(site.alias))


def undo(site: Site, move: HeadMove | None = None) -> None:
    """Undo as usual what was done by this move of the head, or last."""
    there = Register(site.alias)
    RestoreService(register=there).restore_backup(undo_of(move or undoable(there), there), "manual", yes=True)


def companies(site: Site) -> str:
    return ", ".join(sorted(Company.objects.using(site.alias).values_list("name", flat=True)))


def add(site: Site, company: str, *numbers: str) -> None:
    for ep_no in numbers:
        AttendanceRecord.objects.using(site.alias).create(
            company=Company.objects.using(site.alias).get_or_create(name=company)[0],
            ep_no=ep_no, date=FRIDAY, ep_name="Meena", shift="GS", status="P",
        )  # fmt: skip


def of(site: Site, company: str) -> str:
    rows = AttendanceRecord.objects.using(site.alias).filter(company__name=company)
    return " ".join(sorted(rows.values_list("ep_no", flat=True)))


def test_a_rename_there_is_taken_with_what_changed_here(sites: Sites) -> None:
    office, server = sites
    rename(office, ABC, LTD)
    office.edit("E1", shift="N")
    add(office, LTD, "E5")
    office.delete("E2")
    server.edit("E3", shift="G1")
    add(server, ABC, "E6")
    server.delete("E4")
    result = server.restore(office.file())
    assert (result.companies.updated, result.companies.read, result.companies.conflicts) == (1, 1, 0)
    counts = result.records
    assert (counts.added, counts.updated, counts.absent_deleted, counts.only_here, counts.conflicts) == (1, 1, 1, 3, 0)
    assert companies(server) == LTD
    assert of(server, LTD) == "E1 E3 E5 E6"
    assert server.rows("E1").get().shift == "N"
    office.restore(server.file())
    assert content(office.alias) == content(server.alias)
    assert office.head == server.head


def test_a_fast_forward_over_a_rename_ends_at_theirs(sites: Sites) -> None:
    office, server = sites
    rename(office, ABC, LTD)
    result = server.restore(office.file())
    assert companies(server) == LTD
    assert server.head == office.head
    assert (result.records.updated, result.records.added, result.records.skipped) == (0, 0, 4)


def test_what_comes_arrives_under_the_new_name_here(sites: Sites) -> None:
    office, server = sites
    rename(server, ABC, LTD)
    office.edit("E1", shift="N")
    add(office, ABC, "E5")
    office.delete("E2")
    result = server.restore(office.file())
    assert (result.companies.kept, result.companies.only_here, result.companies.conflicts) == (1, 1, 0)
    counts = result.records
    assert (counts.added, counts.updated, counts.absent_deleted, counts.only_here, counts.conflicts) == (1, 1, 1, 0, 0)
    assert companies(server) == LTD
    assert of(server, LTD) == "E1 E3 E4 E5"
    office.restore(server.file())
    assert content(office.alias) == content(server.alias)
    assert office.head == server.head


def test_files_that_cross_with_renames_settle_on_one_head(sites: Sites) -> None:
    office, server = sites
    put(office.alias, register(day(XYZ, ep_no="X1"), day(XYZ, ep_no="X2")))
    server.restore(office.file())
    rename(office, ABC, LTD)
    rename(server, XYZ, INC)
    office.edit("X1", shift="N")
    server.edit("E1", shift="N")
    exchange(office, server)
    assert companies(office) == companies(server) == f"{INC}, {LTD}"
    assert content(office.alias) == content(server.alias)
    assert office.head == server.head
    for result in exchange(office, server):
        assert result.changes_nothing


@pytest.mark.parametrize(("strategy", "name"), [("backup_wins", LTD), ("database_wins", INC)])
def test_two_names_of_one_company_are_a_conflict_that_is_asked_once(sites: Sites, strategy: str, name: str) -> None:
    office, server = sites
    rename(office, ABC, LTD)
    rename(server, ABC, INC)
    office.edit("E1", shift="N")
    add(server, INC, "E6")
    data = office.file()
    with pytest.raises(ConflictsLeft, match="1 conflict is left") as failure:
        server.restore(data)
    assert "its name" in failure.value.errors[0].message
    result = server.restore(data, strategy)
    assert (result.companies.conflicts, result.records.conflicts) == (1, 0)
    assert companies(server) == name
    assert of(server, name) == "E1 E2 E3 E4 E6"
    assert not office.restore(server.file()).conflicts
    assert content(office.alias) == content(server.alias)
    assert not server.restore(office.file()).conflicts


def test_both_gave_it_the_same_name(sites: Sites) -> None:
    office, server = sites
    for site in sites:
        rename(site, ABC, LTD)
    office.edit("E1", shift="N")
    server.edit("E2", shift="N")
    result = server.restore(office.file())
    assert (result.companies.conflicts, result.companies.skipped, result.records.updated) == (0, 1, 1)
    office.restore(server.file())
    assert content(office.alias) == content(server.alias)


def test_names_that_were_exchanged_are_exchanged(sites: Sites) -> None:
    office, server = sites
    put(office.alias, register(day(XYZ, ep_no="X1")))
    server.restore(office.file())
    rename(office, ABC, INC)
    rename(office, XYZ, ABC)
    rename(office, INC, XYZ)
    server.edit("E1", shift="N")
    server.edit("X1", shift="G1")
    result = server.restore(office.file())
    assert result.companies.updated == 2
    assert (of(server, ABC), of(server, XYZ)) == ("X1", "E1 E2 E3 E4")
    assert server.rows("E1").get().shift == "N"
    assert server.rows("X1").get().shift == "G1"
    known = dict(Company.objects.using(office.alias).values_list("name", "pk"))
    file = server.file()
    back = office.restore(file)
    assert (back.companies.updated, back.records.updated, back.records.added) == (0, 2, 0)
    assert content(office.alias) == content(server.alias)
    assert dict(Company.objects.using(office.alias).values_list("name", "pk")) == known, "accounts refer to them"
    rename(office, ABC, INC)
    rename(office, XYZ, ABC)
    rename(office, INC, XYZ)
    assert server.restore(office.file()).companies.updated == 2
    assert (of(server, XYZ), of(server, ABC), office.head) == ("X1", "E1 E2 E3 E4", server.head)


def test_a_company_that_was_renamed_there_and_deleted_here(sites: Sites) -> None:
    office, server = sites
    rename(office, ABC, LTD)
    office.edit("E1", shift="N")
    server.rows("E1").all()
    AttendanceRecord.objects.using(server.alias).all().delete()
    Company.objects.using(server.alias).all().delete()
    data = office.file()
    with pytest.raises(ConflictsLeft, match="1 conflict"):
        server.restore(data)
    server.restore(data, "database_wins")
    assert companies(server) == ""
    office.restore(server.file(), "backup_wins", yes=True)
    assert companies(office) == ""


def test_a_company_that_was_deleted_there_and_renamed_here(sites: Sites) -> None:
    office, server = sites
    AttendanceRecord.objects.using(office.alias).all().delete()
    Company.objects.using(office.alias).all().delete()
    rename(server, ABC, LTD)
    result = server.restore(office.file())
    assert (result.records.absent_deleted, result.records.conflicts, result.companies.absent_deleted) == (4, 0, 1)
    assert companies(server) == ""


@pytest.mark.parametrize("renamed", ["there", "here"])
def test_a_name_that_another_company_has_is_not_followed_unseen(sites: Sites, renamed: str) -> None:
    """One gave ABC Corp the name that the other one gave to a new company: nothing is lost, and somebody is asked."""
    office, server = sites
    one, other = (office, server) if renamed == "there" else (server, office)
    rename(one, ABC, LTD)
    add(other, LTD, "L1")
    data = office.file()
    with pytest.raises(ConfirmationNeeded, match="merged as two companies"):
        server.restore(data)
    preview = server.preview(data)
    assert "merged as two companies" in preview["warnings"][0]
    assert "To go on all the same, say --yes." in preview["stop"]
    result = server.restore(data, yes=True)
    assert not result.conflicts
    assert companies(server) == LTD
    assert of(server, LTD) == "E1 E2 E3 E4 L1"
    office.restore(server.file())
    assert content(office.alias) == content(server.alias)


def test_a_new_company_with_the_old_name_is_another_one(sites: Sites) -> None:
    office, server = sites
    rename(server, ABC, LTD)
    add(server, ABC, "N1")
    office.edit("E1", shift="N")
    add(office, ABC, "E5")
    server.restore(office.file())
    assert (of(server, ABC), of(server, LTD)) == ("N1", "E1 E2 E3 E4 E5")
    assert server.rows("E1").get().shift == "N"
    office.restore(server.file())
    assert content(office.alias) == content(server.alias)
    assert office.head == server.head


def test_a_new_company_with_the_old_name_there_is_followed_there_first(sites: Sites) -> None:
    """Here the old name would stand for two companies. So the restore stops, and says where none is lost."""
    office, server = sites
    rename(office, ABC, LTD)
    add(office, ABC, "N1")
    server.edit("E1", shift="N")
    server.delete("E2")
    add(server, ABC, "E5")
    with pytest.raises(ConfirmationNeeded, match="It can be followed there: restore a backup of this register there"):
        server.restore(office.file(), "backup_wins")
    assert not office.restore(server.file()).conflicts
    assert (of(office, ABC), of(office, LTD)) == ("N1", "E1 E3 E4 E5")
    assert office.rows("E1").get().shift == "N"
    server.restore(office.file())
    assert content(office.alias) == content(server.alias)
    assert office.head == server.head


def test_a_company_that_comes_back_under_its_first_name_is_another_one(sites: Sites) -> None:
    """It was renamed, deleted, and brought back from a file from before the rename: nothing edited is lost."""
    office, server = sites
    before = office.file()
    rename(office, ABC, LTD)
    server.restore(office.file())
    server.edit("E1", shift="N")
    AttendanceRecord.objects.using(office.alias).all().delete()
    Company.objects.using(office.alias).all().delete()
    assert office.restore(before).records.added == 4
    assert companies(office) == ABC
    file = office.file()
    with pytest.raises(ConflictsLeft, match="1 conflict"):
        server.restore(file)
    counts = server.restore(file, "database_wins", yes=True).records
    assert (counts.added, counts.absent_deleted, counts.absent_kept, counts.conflicts) == (4, 3, 1, 1)
    assert (of(server, ABC), of(server, LTD)) == ("E1 E2 E3 E4", "E1")
    office.restore(server.file())
    assert content(office.alias) == content(server.alias)
    assert office.head == server.head


def test_a_company_that_got_the_name_of_one_that_is_nowhere_any_more_is_new(sites: Sites) -> None:
    office, server = sites
    for site in sites:
        rename(site, ABC, LTD)
        assert site.rows("E1").exists()
        AttendanceRecord.objects.using(site.alias).all().delete()
        Company.objects.using(site.alias).all().delete()
    add(server, ABC, "E1")
    assert not server.restore(office.file()).conflicts
    assert of(server, ABC) == "E1"


def test_a_name_that_is_still_taken_here_is_a_conflict_that_nobody_can_decide(sites: Sites) -> None:
    """The company that had the name was deleted there, and an account here still belongs to it."""
    office, server = sites
    put(office.alias, register(companies=(XYZ,)))
    server.restore(office.file())
    an_account(server.alias, XYZ)
    Company.objects.using(office.alias).get(name=XYZ).delete(using=office.alias)
    rename(office, ABC, XYZ)
    office.edit("E1", shift="N")
    check = checked(server.alias, data := office.file(), Strategy.BACKUP_WINS)
    with stored_preview.opened(check.pk) as preview:
        lines = [line for line in preview.page(Filter()).lines if line.stays]
        assert [(line.key, line.is_rename) for line in lines] == [((ABC,), True), ((XYZ,), False)]
        assert "It keeps its name" in render_to_string("partials/line.html", {"line": lines[0]})
        counted = preview.counts()
    result = server.restore(data)
    assert result.models == counted
    assert (result.companies.conflicts, result.companies.updated, result.records.updated) == (2, 0, 1)
    assert companies(server) == f"{ABC}, {XYZ}"
    assert of(server, ABC) == "E1 E2 E3 E4"


def test_three_installations_find_a_rename_behind_merges(sites: Sites, third: Site) -> None:
    office, server = sites
    third.restore(office.file())
    add(third, ABC, "T1")
    early = third.file()
    rename(office, ABC, LTD)
    office.edit("E1", shift="N")
    server.edit("E2", shift="N")
    server.restore(office.file())
    add(server, LTD, "S1")
    third.edit("E3", shift="N")
    third.restore(server.file())
    assert companies(third) == LTD
    assert of(third, LTD) == "E1 E2 E3 E4 S1 T1"
    office.restore(early)
    assert of(office, LTD) == "E1 E2 E3 E4 T1"
    for one, other in ((office, third), (server, office), (third, server), (office, third)):
        assert not one.restore(other.file()).conflicts
    assert content(office.alias) == content(server.alias) == content(third.alias)
    assert office.head == server.head == third.head


def test_a_rename_is_found_behind_a_criss_cross(sites: Sites) -> None:
    """Both merged each other's file once before, so that the base has two snapshots, one with the new name."""
    office, server = sites
    rename(office, ABC, LTD)
    office.edit("E1", shift="N")
    server.edit("E2", shift="N")
    files = office.file(), server.file()
    office.edit("E3", shift="N")
    server.edit("E4", shift="N")
    office.restore(files[1])
    server.restore(files[0])
    add(server, LTD, "S1")
    office.edit("E2", shift="G1")
    assert companies(office) == companies(server) == LTD
    exchange(office, server)
    assert of(office, LTD) == "E1 E2 E3 E4 S1"
    assert content(office.alias) == content(server.alias)
    assert office.head == server.head


def test_bases_that_each_changed_another_week_are_seen_under_one_name(sites: Sites) -> None:
    """Each of the two is the base of one week, in which both sides change something else later."""
    office, server = sites
    weeks = "2026-11-03", "2026-11-10"
    days = [day(XYZ, ep_no=ep_no, date=date) for ep_no in ("X1", "X2", "X3") for date in weeks]
    put(office.alias, register(*days))
    server.restore(office.file())
    for site in sites:
        rename(site, XYZ, INC)
    for site, date in zip(sites, weeks, strict=True):
        assert site.rows("X1").filter(date=date).update(shift="N")
    exchange(office, server)
    rename(office, INC, XYZ)
    for site, ep_no in ((office, "X2"), (server, "X3")):
        assert site.rows(ep_no).update(shift="G1")
    files = office.file(), server.file()
    for site, ep_no in ((office, "X2"), (server, "X3")):
        assert site.rows(ep_no).update(shift="N")
    office.restore(files[1])
    server.restore(files[0])
    for site, ep_no in ((office, "X2"), (server, "X3")):
        assert site.rows(ep_no).update(shift="GS")
    exchange(office, server)
    assert content(office.alias) == content(server.alias)
    assert set(office.rows("X2").values_list("shift", flat=True)) == {"GS"}
    assert companies(server) == f"{ABC}, {XYZ}"


def test_an_incremental_brings_a_rename(sites: Sites) -> None:
    office, server = sites
    rename(office, ABC, LTD)
    office.edit("E1", shift="N")
    server.edit("E2", shift="N")
    data = office.file("incremental")
    assert server.preview(data)["models"]["companies"]["updated"] == 1
    result = server.restore(data)
    assert (result.records.updated, result.records.added, result.records.only_here) == (1, 0, 1)
    assert of(server, LTD) == "E1 E2 E3 E4"
    office.restore(server.file())
    assert content(office.alias) == content(server.alias)
    assert office.head == server.head


def test_what_was_previewed_and_decided_is_applied(sites: Sites) -> None:
    """By the list of changes, as the pages apply it."""
    office, server = sites
    rename(office, ABC, LTD)
    rename(server, ABC, INC)
    office.edit("E1", shift="N")
    data = office.file()
    service = RestoreService(register=Register(server.alias))
    with service.preview_changes(io.BytesIO(data), "backup_wins") as preview, TemporaryFile() as listed:
        steps = [describe(step, preview.plan.shapes[step.model.name], decided=True) for step in preview]
        assert steps[-1] == f'{INC}: conflict in its name: name here "{INC}", backup "{LTD}"; takes the backup\'s'
        account = Account(preview.plan)
        list_changes(listed, SCHEMA, decided_batches(preview.plan, decide_by(preview.strategy), account))
        decided = DecidedPlan(account.verified(), ChangeList(listed, SCHEMA))
        service.restore_backup(io.BytesIO(data), "backup_wins", preview=preview, prepare=lambda run: decided)
    assert companies(server) == LTD
    assert not office.restore(server.file()).conflicts
    assert office.head == server.head


def test_a_page_shows_names_and_decides_them(sites: Sites) -> None:
    office, server = sites
    put(office.alias, register(day(XYZ, ep_no="X1")))
    server.restore(office.file())
    rename(office, XYZ, "XYZ Inc")
    rename(office, ABC, LTD)
    rename(server, ABC, INC)
    check = checked(server.alias, office.file())
    with stored_preview.opened(check.pk) as preview:
        asked, taken = preview.page(Filter()).lines
        assert [(of.name, of.ours, of.theirs, of.base) for of in asked.units[0].fields] == [("name", INC, LTD, ABC)]
        assert [(of.name, of.ours, of.theirs) for of in taken.fields] == [("name", XYZ, "XYZ Inc")]
        assert [(line.kind, line.is_rename, line.stays) for line in (asked, taken)] == [
            ("conflict", True, False),
            ("update", True, False),
        ]
        shown = render_to_string("partials/line.html", {"line": taken})
        assert "It has another name there." in shown
        assert preview.page(Filter(unit=KEY_UNIT)).total == preview.page(Filter(company=INC)).total == 1
        assert preview.decide(Side.THEIRS, asked.id, KEY_UNIT, seen=preview.version) == 1
        counts = preview.counts()["companies"]
        assert (counts.updated, counts.conflicts, counts.undecided) == (2, 1, 0)
        assert applied(server.alias, preview).state == Operation.State.SUCCEEDED
    assert companies(server) == f"{LTD}, XYZ Inc"


def test_an_own_backup_brings_the_old_name_back(sites: Sites) -> None:
    office, _server = sites
    data = office.file()
    rename(office, ABC, LTD)
    add(office, LTD, "E5")
    office.edit("E1", shift="N")
    result = office.restore(data, "backup_wins")
    assert (result.companies.conflicts, result.records.conflicts, result.records.added) == (1, 1, 0)
    assert companies(office) == ABC
    assert of(office, ABC) == "E1 E2 E3 E4 E5"
    said = Head.objects.using(office.alias).get().snapshot.says
    assert said is not None
    assert said["renames"] == [{"model": "companies", "before": LTD, "after": ABC}]


def test_undoing_a_rename_keeps_what_was_edited_since(sites: Sites) -> None:
    office, server = sites
    rename(office, ABC, LTD)
    server.restore(office.file())
    add(office, LTD, "E5")
    undo(office)
    assert companies(office) == ABC
    assert of(office, ABC) == "E1 E2 E3 E4 E5"
    add(server, LTD, "E6")
    assert not server.restore(office.file()).conflicts
    assert of(server, ABC) == "E1 E2 E3 E4 E5 E6"
    undo(office)
    assert of(office, LTD) == "E1 E2 E3 E4 E5"


def test_undoing_a_restore_that_brought_a_rename(sites: Sites) -> None:
    office, server = sites
    rename(office, ABC, LTD)
    office.edit("E1", shift="N")
    server.edit("E2", shift="N")
    before, data = content(server.alias), office.file()
    server.restore(data)
    add(server, LTD, "E6")
    undo(server)
    assert of(server, ABC) == "E1 E2 E3 E4 E6"
    server.delete("E6")
    assert content(server.alias) == before
    server.restore(data)
    assert of(server, LTD) == "E1 E2 E3 E4"


def test_undoing_the_first_restore_takes_what_was_renamed_since(sites: Sites) -> None:
    office, server = sites
    rename(server, ABC, LTD)
    add(server, LTD, "E6")
    here = Register(server.alias)
    first = HeadMove.objects.using(server.alias).get(cause=Kind.RESTORE)
    RestoreService(register=here).restore_backup(undo_of(first, here, How.EVERYWHERE), "manual", yes=True)
    assert (companies(server), of(server, LTD)) == (LTD, "E6")
    office.restore(server.file(), yes=True)
    assert (companies(office), of(office, LTD)) == (LTD, "E6")


def test_a_name_that_was_given_since_stays_when_a_restore_is_withdrawn(sites: Sites) -> None:
    """The snapshot after goes on from the one before the restore, and states its renames against that."""
    office, server = sites
    put(office.alias, register(day(XYZ, ep_no="X1")))
    server.restore(office.file())
    rename(office, ABC, LTD)
    office.edit("X1", shift="N")
    server.edit("E2", shift="N")
    server.restore(office.file())
    rename(server, XYZ, INC)
    undo(server, HeadMove.objects.using(server.alias).filter(cause=Kind.RESTORE).latest("pk"))
    assert companies(server) == f"{ABC}, {INC}"
    said = Head.objects.using(server.alias).get().snapshot.says
    assert said is not None
    assert said["renames"] == [{"model": "companies", "before": XYZ, "after": INC}]
    assert server.rows("X1").get().shift == "GS"
    assert not server.restore(office.file()).conflicts
    assert (of(server, INC), server.rows("X1").get().shift) == ("X1", "N")
    assert companies(server) == f"{INC}, {LTD}"


def test_an_exact_restore_gives_the_old_name_back_and_says_so(sites: Sites) -> None:
    office, server = sites
    old = Head.objects.using(office.alias).get().snapshot
    rename(office, ABC, LTD)
    add(office, LTD, "E5")
    service = RestoreService(register=Register(office.alias))
    result = service.restore_backup(old, mode="exact", yes=True)
    assert (result.companies.updated, result.records.absent_deleted, result.records.deleted) == (1, 1, 0)
    assert companies(office) == ABC
    assert of(office, ABC) == "E1 E2 E3 E4"
    add(server, ABC, "S1")
    assert not server.restore(office.file()).conflicts
    assert of(server, ABC) == "E1 E2 E3 E4 S1"


@pytest.mark.parametrize("renamed", ["there", "here"])
def test_without_a_base_a_company_is_still_one(sites: Sites, renamed: str) -> None:
    """Somebody brings the values of a file back: which company is which is known all the same, and its name is a
    conflict like every other difference."""
    office, server = sites
    old = office.file()
    office.edit("E1", shift="N")
    rename(office, ABC, LTD)
    new = office.file()
    if renamed == "here":
        server.restore(new)
    data, name = (new, LTD) if renamed == "there" else (old, ABC)
    result = server.restore(data, "backup_wins", base="none")
    assert (result.companies.conflicts, result.records.conflicts, result.records.added) == (1, 1, 0)
    assert companies(server) == name
    assert of(server, name) == "E1 E2 E3 E4"
    assert not office.restore(server.file()).conflicts
    assert content(office.alias) == content(server.alias)


def test_without_what_both_had_a_rename_is_not_followed_unseen(sites: Sites) -> None:
    office, server = sites
    rename(office, ABC, LTD)
    data = office.file()
    for table in (Block, Node):
        table._default_manager.using(history_of(server.alias)).all().delete()
    server.edit("E1", shift="N")
    with pytest.raises(ConfirmationNeeded, match="may then stand twice"):
        server.restore(data, base="none")
    assert "may then stand twice" in server.preview(data, base="none")["stop"]
    server.restore(data, base="none", yes=True)
    assert companies(server) == f"{ABC}, {LTD}"


def test_a_record_with_another_key_is_deleted_and_added(sites: Sites) -> None:
    office, server = sites
    assert office.rows("E1").update(ep_no="E9")
    server.edit("E2", shift="N")
    result = server.restore(office.file())
    assert (result.records.added, result.records.absent_deleted, result.conflicts) == (1, 1, 0)
    assert server.numbers() == "E2 E3 E4 E9"
