"""Closed months in merges between two installations: they change only where a person has decided so."""

from __future__ import annotations

import datetime as dt
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django import Settings

from core.attendance.companies import rename_company
from core.history.fingerprint import month_digest
from core.models import AttendanceRecord, BackupLog, Company, Operation, Role, Seal, User
from core.operations.closed import ClosedChoice, ClosedMonth, MonthsAreClosed
from core.operations.errors import DataMoved, OperationFailed
from core.operations.wording import describe
from core.preview import stored as stored_preview
from core.preview.filters import Filter
from core.register.database import Register
from core.register.declared import Selection
from core.restores import jobs as restore_jobs
from core.restores.merging import ConfirmationNeeded
from core.restores.restore_service import RestoreService
from core.restores.undo import How, undo_of, undoable
from core.sheets.import_service import ImportService
from recordsync.merge import Side, Strategy
from recordsync.models import HeadMove, Snapshot
from tests.builders.days import ABC, FRIDAY, XYZ, day
from tests.builders.files import file, lacking
from tests.builders.registers import put, register
from tests.builders.sheets import as_csv, row, table
from tests.core.restores.test_ancestry import Site, Sites, sites
from tests.core.restores.test_jobs import ACTOR, checked
from tests.running.inspection import content, state
from tests.running.services import imported
from tests.running.work_queue import perform

__all__ = ["sites"]

NOVEMBER = dt.date(2026, 11, 1)
KEEP, REOPEN = ClosedChoice.KEEP, ClosedChoice.REOPEN


def close(site: Site, company: str = ABC, month: dt.date = NOVEMBER, who: str = "asha") -> Seal:
    """Close a month as it is."""
    there = Company.objects.using(site.alias).get(name=company)
    with Register(site.alias).read() as store:
        digest = month_digest(store, company, month.replace(day=1))
    seal = Seal(company=there, month=month, closed_by=who, closed_as=company, digest=digest)
    seal.save(using=site.alias)
    return seal


def add(site: Site, ep_no: str, date: str = FRIDAY, company: str = ABC) -> None:
    there, _new = Company.objects.using(site.alias).get_or_create(name=company)
    AttendanceRecord.objects.using(site.alias).create(
        company=there, ep_no=ep_no, date=date, ep_name="Meena", shift="GS", status="P"
    )


def reopen(site: Site) -> None:
    Seal.objects.using(site.alias).standing().update(reopened_at=timezone.now(), reopened_by="ravi")


def standing(site: Site) -> int:
    return Seal.objects.using(site.alias).standing().count()


def closed_and_reopened_by(site: Site) -> list[tuple[str, str]]:
    """Who closed a month, and who reopened it."""
    rows = Seal.objects.using(site.alias).order_by("closed_at")
    return list(rows.values_list("closed_by", "reopened_by"))


def days(site: Site) -> list[tuple[object, ...]]:
    rows = AttendanceRecord.objects.using(site.alias).order_by("date", "ep_no")
    return list(rows.values_list("date", "ep_no", "shift", "status"))


def kept(site: Site, do: Callable[[], object], *says: str) -> None:
    """What is done is refused with these texts, and changes nothing."""
    before = state(site.alias), standing(site)
    with pytest.raises(MonthsAreClosed) as refused:
        do()
    assert (state(site.alias), standing(site)) == before
    for text in says:
        assert text in str(refused.value)


def changed_at_the_office(sites: Sites) -> bytes:
    """The office's file: one day of November changed, one deleted, one added; and a day of October added."""
    office, _server = sites
    office.edit("E1", shift="N")
    office.delete("E2")
    add(office, "E5")
    add(office, "E6", "2026-10-02")
    return office.file()


@pytest.mark.parametrize("strategy", list(Strategy))
def test_no_strategy_changes_a_closed_month(sites: Sites, strategy: Strategy) -> None:
    server = sites.server
    file = changed_at_the_office(sites)
    close(server)
    kept(
        server,
        lambda: server.restore(file, strategy, yes=True),
        "November 2026 of ABC Corp is closed (by asha, ",
        "3 days of it would change. Nothing was changed. ",
        "say --keep-closed to leave it as it is, or --reopen",
    )
    log = BackupLog.objects.using(server.alias).latest("pk")
    assert (log.success, "is closed" in log.error_message) == (False, True)


def test_kept_closed_it_stays_and_everything_else_is_taken(sites: Sites) -> None:
    office, server = sites
    file = changed_at_the_office(sites)
    close(server)
    heads = {office.head, server.head}
    result = server.restore(file, closed=KEEP)
    counts = result.records
    assert (counts.added, counts.updated, counts.absent_deleted, counts.absent_kept, counts.kept) == (1, 0, 0, 1, 2)
    assert (counts.sealed, counts.conflicts) == (3, 0)
    assert server.numbers() == "E1 E2 E3 E4 E6"
    assert server.rows("E1").get().shift == "GS"
    assert standing(server) == 1
    assert result.summary()["closed"] == "keep_closed"
    assert (
        BackupLog.objects.using(server.alias)
        .get(pk=result.log_id)
        .base.endswith("Kept closed, as it was here: November 2026 of ABC Corp.")
    )
    merge = Snapshot.objects.using(server.alias).get(pk=server.head)
    assert (merge.is_merge, heads - {server.head}) == (True, heads)
    again = office.restore(server.file(), "backup_wins")
    assert (content(office.alias), office.head) == (content(server.alias), server.head)
    assert again.records.conflicts == 0
    assert standing(office) == 1, "the office's month becomes closed without a question"


def test_reopened_it_changes_and_who_decided_is_kept(sites: Sites) -> None:
    office, server = sites
    file = changed_at_the_office(sites)
    close(server)
    result = server.restore(file, closed=REOPEN)
    counts = result.records
    assert (counts.added, counts.updated, counts.absent_deleted, counts.sealed) == (2, 1, 1, 3)
    assert days(server) == days(office)
    seal = Seal.objects.using(server.alias).get()
    log = BackupLog.objects.using(server.alias).get(pk=result.log_id)
    assert seal.reopened_at is not None
    assert seal.reopened_by == log.actor_name
    assert log.base.endswith("Reopened and changed: November 2026 of ABC Corp.")
    assert server.head != office.head, "a fast-forward that reopened something is a merge"
    office.restore(server.file())
    assert office.head == server.head


def test_what_is_withdrawn_closes_the_month_again_and_undone_everywhere_it_stays_reopened(sites: Sites) -> None:
    """In the second case others have seen that it was reopened: whoever wants it closed closes it again."""
    office, server = sites
    file = changed_at_the_office(sites)
    close(server)
    before = content(server.alias)
    there = Register(server.alias)
    for how in (How.WITHDRAW, How.EVERYWHERE):
        server.restore(file, closed=REOPEN)
        if how is How.EVERYWHERE:
            office.restore(server.file())
        RestoreService(register=there).restore_backup(undo_of(undoable(there), there, how), "manual", yes=True)
        assert (standing(server) == 1) == (how is How.WITHDRAW)
        assert server.numbers() == "E1 E2 E3 E4"
        assert (content(server.alias) == before) == (how is How.WITHDRAW)
    office.restore(server.file())
    assert (content(office.alias), office.head) == (content(server.alias), server.head)
    assert standing(office) == 0


def test_where_nothing_of_it_would_change_nobody_is_asked(sites: Sites) -> None:
    """What both changed stays as it is here by the strategy; other months and other companies are not concerned."""
    office, server = sites
    office.edit("E1", shift="N")
    server.edit("E1", shift="G1")
    add(office, "E6", company=XYZ)
    add(office, "E7", "2026-10-30")
    close(server)
    close(server, month=dt.date(2026, 9, 30))
    file = office.file()
    assert server.preview(file)["closed_months"], "by hand it may change"
    result = server.restore(file, "database_wins")
    assert (result.records.conflicts, result.records.sealed, result.records.added) == (1, 0, 2)
    assert result.summary()["closed_months"] == []
    assert server.rows("E1").get().shift == "G1"


def test_kept_closed_needs_no_decision_about_its_conflicts(sites: Sites) -> None:
    office, server = sites
    office.edit("E1", shift="N")
    server.edit("E1", shift="G1")
    close(server)
    result = server.restore(office.file(), "manual", closed=KEEP)
    assert (result.records.conflicts, result.records.sealed, result.records.kept) == (0, 1, 1)
    assert server.rows("E1").get().shift == "G1"
    assert not office.restore(server.file()).conflicts
    assert office.rows("E1").get().shift == "G1", "what was decided once is not asked again"


def test_a_reopening_elsewhere_is_asked_and_a_closing_is_not(sites: Sites) -> None:
    office, server = sites
    close(office)
    assert server.restore(office.file()).models["seals"].added == 1
    assert standing(server) == 1
    reopen(office)
    file = office.file()
    kept(server, lambda: server.restore(file, "backup_wins"), "): in what comes it was reopened. Nothing was changed.")
    service = RestoreService(register=Register(server.alias))
    with service.preview_changes(io.BytesIO(file), "backup_wins", closed=KEEP) as preview:
        assert preview.closed.intention.startswith("To close again, as it is here, after it was reopened: ")
        assert not preview.changes_nothing
    assert server.preview(file)["undecided"] == 0
    with service.preview_changes(io.BytesIO(file), "backup_wins", closed=REOPEN) as preview:
        assert (
            preview.closed.intention == "To reopen, unless it is then as somebody closed it: November 2026 of ABC Corp."
        )
        (told,) = [describe(step, preview.plan.shapes["seals"], decided=True) for step in preview]
    moment = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    assert re.match(rf'ABC Corp · 2026-11-01 · {moment}: update: reopened_at nothing → "{moment}"; ', told), (
        "as people read it"
    )
    assert server.restore(file, closed=KEEP).models["seals"].sealed == 1
    assert standing(server) == 1
    me = BackupLog.objects.using(server.alias).latest("pk").actor_name
    assert closed_and_reopened_by(server) == [("asha", "ravi"), (me, "")], (
        "it was reopened there, and whoever kept it closed it again"
    )
    close(office, who="meena")
    assert office.restore(server.file()).models["seals"].sealed == 0
    assert closed_and_reopened_by(office) == [("asha", "ravi"), (me, ""), ("meena", "")]
    server.restore(office.file())
    assert (content(office.alias), office.head) == (content(server.alias), server.head), "nobody is asked again"


def test_both_that_closed_it_have_two_seals_without_a_question(sites: Sites) -> None:
    office, server = sites
    close(office)
    close(server, who="meena")
    assert server.restore(office.file()).models["seals"].added == 1
    office.restore(server.file())
    assert (standing(office), standing(server), office.head) == (2, 2, server.head)
    file = changed_at_the_office(sites)
    server.restore(file, closed=REOPEN)
    assert standing(server) == 0, "all of its seals are reopened"


def test_a_seal_that_comes_with_what_it_changes_is_not_the_one_that_is_reopened(sites: Sites) -> None:
    """Without a base, what is added is written while the plan is made: seals, too."""
    office, server = sites
    add(office, "E5")
    close(server)
    close(office, who="meena")
    file = office.file()
    kept(server, lambda: server.restore(file, base="none"), "is closed (by asha, ", "1 day of it would change.")
    server.restore(file, base="none", closed=REOPEN)
    assert [seal.closed_by for seal in Seal.objects.using(server.alias).standing()] == ["meena"]


@pytest.mark.parametrize("kind", ["since", "part", "incremental", "no base"])
def test_files_of_every_kind_stop_at_a_closed_month(sites: Sites, kind: str) -> None:
    office, server = sites
    office.file()
    options = {}
    office.edit("E1", shift="N", updated_at=timezone.now())
    add(office, "E5")
    close(server)
    if kind == "since":
        data = office.file("incremental", timezone.now() - dt.timedelta(hours=1))
    elif kind == "part":
        data = office.file(selection=Selection([ABC]))
    elif kind == "incremental":
        data = office.file("incremental")
    else:
        data = office.file()
        options["base"] = "none"
    kept(server, lambda: server.restore(data, "backup_wins", **options), "2 days of it would change.")
    assert server.restore(data, "backup_wins", closed=KEEP, **options).records.sealed == 2
    assert server.numbers() == "E1 E2 E3 E4"


def test_a_company_that_got_another_name_is_the_same(sites: Sites) -> None:
    """Renames change no closed month. What changed there under the new name is known by the old one here."""
    office, server = sites
    put(office.alias, register(day(XYZ)))
    server.restore(office.file())
    close(server)
    user, _new = User.objects.using(office.alias).get_or_create(username="root", defaults={"role": Role.ROOT})
    there = Company.objects.using(office.alias).get(name=ABC)
    rename_company(there.pk, "ABC Ltd", user=user, register=Register(office.alias))
    file = office.file()
    assert server.preview(file)["closed_months"] == []
    office.edit("E2", shift="N")
    kept(server, lambda: server.restore(office.file(), "backup_wins"), "November 2026 of ABC Corp", "1 day of it")
    server.restore(office.file(), "backup_wins", closed=KEEP)
    assert Seal.objects.using(server.alias).get().company.name == "ABC Ltd"
    office.edit("E3", shift="N")
    kept(server, lambda: server.restore(office.file(), "backup_wins"), "November 2026 of ABC Ltd", "1 day of it")
    server.restore(office.file(), "backup_wins", closed=REOPEN)
    assert standing(server) == 0


def test_a_company_that_was_deleted_there_stays_with_its_closed_month(sites: Sites) -> None:
    office, server = sites
    add(server, "E1", company=XYZ)
    office.restore(server.file())
    AttendanceRecord.objects.using(office.alias).filter(company__name=ABC).delete()
    Company.objects.using(office.alias).get(name=ABC).delete()
    close(server)
    file = office.file()
    kept(server, lambda: server.restore(file, "backup_wins", yes=True), "4 days of it would change.")
    result = server.restore(file, "backup_wins", closed=KEEP)
    assert (result.records.absent_kept, result.companies.conflicts) == (4, 1)
    assert server.numbers() == "E1 E1 E2 E3 E4"
    office.restore(server.file())
    assert content(office.alias) == content(server.alias)


def test_an_exact_restore_is_only_reopened(sites: Sites) -> None:
    server = sites.server
    file = server.file()
    snapshot = server.head
    server.edit("E1", shift="N")
    close(server)
    kept(server, lambda: server.restore(file, mode="exact", yes=True), "1 day of it would change.", "say --reopen")
    with pytest.raises(OperationFailed, match=r"cannot keep them closed\. Nothing was changed\. Reopen"):
        server.restore(file, mode="exact", yes=True, closed=KEEP)
    with pytest.raises(OperationFailed, match="cannot keep them closed"):
        server.preview(file, mode="exact", closed=KEEP)
    with pytest.raises(ConfirmationNeeded):
        server.restore(file, mode="exact", closed=REOPEN)
    server.restore(file, mode="exact", yes=True, closed=REOPEN)
    row_of_head = Snapshot.objects.using(server.alias).get(pk=server.head)
    assert row_of_head.tree == Snapshot.objects.using(server.alias).get(pk=snapshot).tree
    assert not Seal.objects.using(server.alias).exists(), "the seals are those of what comes"
    close(server)
    file = server.file()
    server.edit("E1", shift="N")
    server.restore(file, mode="exact", yes=True, closed=REOPEN)
    assert (server.rows("E1").get().shift, standing(server)) == ("GS", 1), "and it is closed, as there"


def test_a_file_that_says_nothing_of_closed_months_changes_no_seal(sites: Sites) -> None:
    """Such as one of a version that knew of none: what it changes is reopened."""
    server = sites.server
    data = lacking(file(register(day(shift="N"))), "seals")
    close(server)
    kept(server, lambda: server.restore(data, "backup_wins"), "1 day of it would change.")
    server.restore(data, mode="exact", yes=True, closed=REOPEN)
    assert (server.rows("E1").get().shift, standing(server)) == ("N", 0)


def test_what_is_undone_is_asked_too(sites: Sites) -> None:
    """An import whose month was closed afterwards, and a restore that is withdrawn."""
    office, server = sites
    imported(server.alias, row(ep_no="E9"))
    undone = undo_of(undoable(there := Register(server.alias)), there, How.EVERYWHERE)
    close(server)
    service = RestoreService(register=there)
    kept(server, lambda: service.restore_backup(undone, "backup_wins", yes=True), "1 day of it would change.")
    with service.preview_changes(undone, "manual") as preview:
        assert "November 2026 of ABC Corp is closed" in preview.stop
        assert [describe(step, preview.plan.shapes[step.model.name], decided=True) for step in preview] == [
            "ABC Corp · E9 · 2026-11-20: its month is closed"
        ]
    service.restore_backup(undone, "manual", yes=True, closed=KEEP)
    assert server.numbers() == "E1 E2 E3 E4 E9"
    reopen(server)
    office.edit("E1", shift="N")
    server.restore(office.file())
    move = HeadMove.objects.using(server.alias).latest("pk")
    withdrawn = undo_of(move, there, How.WITHDRAW)
    close(server)
    kept(server, lambda: service.restore_backup(withdrawn, "backup_wins", yes=True), "1 day of it would change.")
    service.restore_backup(withdrawn, "manual", yes=True, closed=REOPEN)
    assert (server.rows("E1").get().shift, standing(server)) == ("GS", 0)


def test_an_import_into_a_closed_month_is_refused(sites: Sites) -> None:
    server = sites.server
    close(server)
    same = row(ep_no="E1")
    rows = as_csv(table(row(ep_no="E1", shift="N"), row(ep_no="E7"), row(ep_no="E8", date="2026-10-05")))
    service = ImportService(register=Register(server.alias))
    with service.preview(io.BytesIO(rows.getvalue())) as preview:
        said = preview.summary()
        assert (said["added"], said["updated"], preview.changes_nothing) == (1, 0, False)
        assert [(one["company"], one["month"], one["days"]) for one in said["closed_months"]] == [(ABC, "2026-11", 2)]
    kept(
        server,
        lambda: service.apply(io.BytesIO(rows.getvalue())),
        "2 days of it would change. Nothing was changed. Reopen what is closed first, or leave these days out",
    )
    unchanged = imported(server.alias, same, row(ep_no="E8", date="2026-10-05"))
    assert (unchanged.records.skipped, unchanged.records.added) == (1, 1)


@pytest.fixture
def data_dir(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


@pytest.mark.usefixtures("data_dir")
def test_a_stored_preview_waits_for_the_decision(sites: Sites) -> None:
    office, server = sites
    server.edit("E1", shift="G1")
    file = changed_at_the_office(sites)
    close(server)
    there = Register(server.alias)
    check = checked(server.alias, file)
    with stored_preview.opened(check.pk) as preview:
        (month,) = restore_jobs.closed_of(preview, there).months
        assert month[:4] == ClosedMonth(ABC, "2026-11", 3, "asha")[:4]
        assert preview.counts() == preview.plan.counts(preview.decisions())
        with pytest.raises(MonthsAreClosed, match="Say first whether they stay closed"):
            restore_jobs.submit_apply(ACTOR, preview, there)
        assert preview.undecided == preview.page(Filter(undecided=True)).total == 1
        preview.choose_closed(KEEP)
        assert preview.undecided == preview.page(Filter(undecided=True)).total == 0
        assert preview.counts() == preview.plan.counts(preview.decisions())
        preview.choose_closed(REOPEN)
        assert preview.undecided == 1
        preview.decide(Side.THEIRS, preview.page(Filter(undecided=True)).lines[0].id, seen=preview.version)
        counts = preview.counts()
        assert counts == preview.plan.counts(preview.decisions())
        assert counts["attendance_records"].sealed == 3
    with stored_preview.opened(check.pk) as preview:
        applied = restore_jobs.submit_apply(ACTOR, preview, there)
    perform(applied.pk)
    applied.refresh_from_db()
    assert applied.state == Operation.State.SUCCEEDED, applied.message
    assert (applied.result["closed"], applied.result["closed_months"][0]["days"]) == ("reopen", 3)
    assert days(server) == days(office)
    assert Seal.objects.using(server.alias).get().reopened_by == ACTOR.name


@pytest.mark.usefixtures("data_dir")
def test_a_month_that_is_closed_after_the_preview_stops_the_restore(sites: Sites) -> None:
    server = sites.server
    file = changed_at_the_office(sites)
    check = checked(server.alias, file)
    with stored_preview.opened(check.pk) as preview:
        operation = restore_jobs.submit_apply(ACTOR, preview, Register(server.alias))
    close(server)
    perform(operation.pk)
    operation.refresh_from_db()
    assert operation.state == Operation.State.FAILED
    assert "After the preview somebody closed or reopened November 2026 of ABC Corp. Nothing" in operation.message
    assert server.rows("E1").get().shift == "GS"
    service = RestoreService(register=Register(server.alias))
    with service.preview_changes(io.BytesIO(file), "manual", closed=KEEP) as preview_now:
        reopen(server)
        with pytest.raises(DataMoved):
            service.restore_backup(io.BytesIO(file), "manual", closed=KEEP, preview=preview_now)
