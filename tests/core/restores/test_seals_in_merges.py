"""Who closed which month when is not lost where two installations merge: seals stay, and are only reopened."""

from __future__ import annotations

import datetime as dt
import io

import pytest
from django.db import connections
from django.utils import timezone

from core.attendance.companies import delete_company
from core.attendance.seals import month_seals
from core.models import AttendanceRecord, BackupLog, Company, Kind, Role, Seal, User
from core.operations.closed import ClosedChoice
from core.operations.errors import ConflictsLeft, DataMoved
from core.operations.results import RestoreResult
from core.operations.wording import describe
from core.preview import stored as stored_preview
from core.preview.filters import Filter
from core.register.database import Register
from core.restores import jobs as restore_jobs
from core.restores.incoming import BaseChoice
from core.restores.merging import ConfirmationNeeded
from core.restores.restore_service import RestoreService
from core.restores.undo import How, undo_of, undoable
from recordsync.merge import Strategy
from recordsync.models import HeadMove, Snapshot
from tests.builders.days import ABC, XYZ, day
from tests.builders.registers import put, register
from tests.core.restores.test_ancestry import Site, Sites, sites
from tests.core.restores.test_closed_months import (
    KEEP,
    NOVEMBER,
    REOPEN,
    add,
    close,
    data_dir,
    days,
    kept,
    reopen,
    standing,
)
from tests.core.restores.test_jobs import ACTOR, checked
from tests.running.inspection import content, state
from tests.running.work_queue import perform

__all__ = ["data_dir", "sites"]


def closings(site: Site) -> list[tuple[str, bool]]:
    """Who closed a month, and whether it was reopened."""
    rows = Seal.objects.using(site.alias).order_by("closed_at")
    return [(seal.closed_by, seal.reopened_at is not None) for seal in rows]


def undone(site: Site, how: How, closed: ClosedChoice) -> None:
    here = Register(site.alias)
    source = undo_of(undoable(here), here, how)
    RestoreService(register=here).restore_backup(source, "manual", yes=True, closed=closed)


def undoable_restore(site: Site) -> HeadMove:
    """The move of the last restore, after which a month was closed or reopened."""
    return HeadMove.objects.using(site.alias).filter(cause=Kind.RESTORE).latest("pk")


def share_a_reopened_month(sites: Sites) -> None:
    """Both have a company whose month was closed and reopened, and another company."""
    office, server = sites
    close(office)
    reopen(office)
    put(office.alias, register(day(XYZ)))
    server.restore(office.file())


def close_and_put_the_office_back(sites: Sites) -> None:
    """A month is closed at both, and at the office an exact restore removes its seal."""
    office, server = sites
    before = office.file()
    close(office)
    server.restore(office.file())
    office.restore(before, mode="exact", yes=True, closed=REOPEN)


def drop(site: Site, name: str = ABC) -> None:
    """Delete a company that has been reopened, with all of its records."""
    AttendanceRecord.objects.using(site.alias).filter(company__name=name).delete()
    user, _new = User.objects.using(site.alias).get_or_create(username="root", defaults={"role": Role.ROOT})
    company = Company.objects.using(site.alias).get(name=name)
    delete_company(company.pk, user=user, register=Register(site.alias))


def test_what_is_undone_everywhere_reopens_the_months_that_came_with_it(sites: Sites) -> None:
    office, server = sites
    add(office, "E5")
    close(office)
    server.restore(office.file())
    here = Register(server.alias)
    source = undo_of(undoable(here), here, How.EVERYWHERE)
    service = RestoreService(register=here)
    kept(server, lambda: service.restore_backup(source, "manual", yes=True), "1 day of it would change.")
    undone(server, How.EVERYWHERE, closed=REOPEN)
    assert server.numbers() == "E1 E2 E3 E4"
    assert closings(server) == [("asha", True)]
    kept(office, lambda: office.restore(server.file()), "is closed (by asha, ", "1 day of it would change.")
    office.restore(server.file(), closed=REOPEN)
    assert (closings(office), office.numbers()) == ([("asha", True)], "E1 E2 E3 E4")
    assert (content(office.alias), office.head) == (content(server.alias), server.head)


def test_what_is_withdrawn_takes_its_seals_along_and_they_come_again(sites: Sites) -> None:
    office, server = sites
    close(office)
    file = office.file()
    server.restore(file)
    undone(server, How.WITHDRAW, closed=REOPEN)
    assert closings(server) == []
    office.restore(server.file())
    assert closings(office) == [("asha", False)], "what was withdrawn there stays here"
    server.restore(office.file())
    assert closings(server) == [("asha", False)]
    assert office.head == server.head


@pytest.mark.parametrize("is_incremental", [False, True])
def test_a_seal_that_an_exact_restore_removed_elsewhere_stays_here(sites: Sites, is_incremental: bool) -> None:
    """Here one month was reopened already, and another one is closed."""
    office, server = sites
    before = office.file()
    close(office)
    server.restore(office.file())
    reopen(server)
    close(server, who="meena")
    office.restore(server.file(), closed=REOPEN)
    assert closings(office) == closings(server) == [("asha", True), ("meena", False)]
    office.restore(before, mode="exact", yes=True, closed=REOPEN)
    assert closings(office) == []
    file = office.file("incremental") if is_incremental else office.file()
    kept(server, lambda: server.restore(file, "backup_wins"), "a closing of it would no longer stand.")
    head = server.head
    counts = server.restore(file, closed=KEEP).models["seals"]
    assert (counts.absent_deleted, counts.absent_kept, counts.sealed, counts.conflicts) == (0, 2, 1, 0)
    assert closings(server) == [("asha", True), ("meena", False)]
    assert server.head not in (office.head, head), "it is a merge of both"
    office.restore(server.file())
    assert (closings(office), office.head) == (closings(server), server.head), "nobody is asked about it again"
    office.restore(before, mode="exact", yes=True, closed=REOPEN)
    result = server.restore(office.file(), closed=REOPEN)
    assert closings(server) == [("asha", True), ("meena", True)]
    assert result.closed.decision == "Reopened: November 2026 of ABC Corp."
    office.restore(server.file())
    assert (closings(office), office.head) == (closings(server), server.head)


def test_a_reopened_seal_stays_without_a_question(sites: Sites) -> None:
    office, server = sites
    before = office.file()
    close(office)
    reopen(office)
    server.restore(office.file())
    office.restore(before, mode="exact", yes=True)
    counts = server.restore(office.file()).models["seals"]
    assert (counts.absent_deleted, counts.absent_kept, counts.only_here, counts.sealed) == (0, 1, 1, 0)
    assert closings(server) == [("asha", True)]
    office.restore(server.file())
    assert (closings(office), office.head) == (closings(server), server.head)


def test_a_seal_that_is_gone_here_comes_back_when_it_was_reopened_there(sites: Sites) -> None:
    """Without a question on either side, whatever the strategies are: so files that cross every night settle."""
    office, server = sites
    close_and_put_the_office_back(sites)
    reopen(server)
    files = office.file(), server.file()
    for site, file, strategy in ((server, files[0], "backup_wins"), (office, files[1], "database_wins")):
        counts = site.restore(file, strategy).models["seals"]
        assert (counts.conflicts, counts.sealed, closings(site)) == (0, 0, [("asha", True)])
    assert (content(office.alias), office.head) == (content(server.alias), server.head)


def test_a_seal_of_a_company_that_is_gone_here_is_a_conflict_when_it_was_reopened_there(sites: Sites) -> None:
    office, server = sites
    close(office)
    put(office.alias, register(day(XYZ)))
    server.restore(office.file())
    Seal.objects.using(office.alias).all().delete()
    drop(office)
    reopen(server)
    with pytest.raises(ConflictsLeft, match="1 conflict"):
        office.restore(server.file())
    office.restore(server.file(), "database_wins")
    assert (closings(office), Company.objects.using(office.alias).get().name) == ([], XYZ)
    office.restore(server.file(), "backup_wins", base="none")
    assert closings(office) == [("asha", True)]


@pytest.mark.parametrize("strategy", ["backup_wins", "database_wins"])
@pytest.mark.parametrize("base", BaseChoice)
def test_who_reopened_a_month_is_not_lost_where_it_was_kept_closed(
    sites: Sites, strategy: str, base: BaseChoice
) -> None:
    """Whoever keeps it closed has closed it again, with what it had when it was closed first."""
    office, server = sites
    first = close(office)
    server.restore(office.file())
    reopen(office)
    add(office, "E5")
    file = office.file()
    kept(server, lambda: server.restore(file), "in what comes it was reopened, and 1 day of it would change. Nothing")
    result = server.restore(file, strategy, closed=KEEP, base=base)
    me = BackupLog.objects.using(server.alias).latest("pk").actor_name
    assert (closings(server), server.numbers()) == ([("asha", True), (me, False)], "E1 E2 E3 E4")
    assert result.closed.decision == "Closed again, as it was here, after it was reopened: November 2026 of ABC Corp."
    assert [one.is_closed for one in result.closed.months] == [True]
    again = Seal.objects.using(server.alias).standing().get()
    assert (again.digest, again.closed_as, again.month) == (first.digest, first.closed_as, first.month)
    assert not server.restore(office.file(), strategy).models["seals"].sealed, "nobody is asked again about it"
    if base is BaseChoice.ANCESTRY:
        office.restore(server.file(), strategy)
        assert (closings(office), office.numbers()) == (closings(server), "E1 E2 E3 E4")
        assert (content(office.alias), office.head) == (content(server.alias), server.head)
    ravi = Seal.objects.using(office.alias).get(closed_by="asha")
    assert Seal.objects.using(server.alias).get(closed_by="asha").reopened_at == ravi.reopened_at
    assert ravi.reopened_by == "ravi"


def test_a_month_with_another_seal_that_stands_is_not_closed_once_more(sites: Sites) -> None:
    office, server = sites
    close(office)
    server.restore(office.file())
    close(server, who="meena")
    reopen(office)
    file = office.file()
    kept(server, lambda: server.restore(file), "a closing of it would no longer stand.")
    result = server.restore(file, closed=KEEP)
    assert closings(server) == [("asha", True), ("meena", False)]
    assert [one.is_closed for one in result.closed.months] == [True]
    assert result.closed.decision == "Kept closed, as it was here: November 2026 of ABC Corp."


OCTOBER = dt.date(2026, 10, 1)


def by_month(site: Site) -> list[tuple[int, str, str]]:
    """The months of seals, who closed each and who reopened it."""
    rows = Seal.objects.using(site.alias).order_by("month", "closed_at")
    return [(seal.month.month, seal.closed_by, seal.reopened_by) for seal in rows]


def test_two_months_that_one_restore_closed_again_are_told_apart(sites: Sites) -> None:
    """Both have the moment of that restore."""
    office, server = sites
    add(office, "E9", "2026-10-05")
    close(office)
    close(office, month=OCTOBER)
    server.restore(office.file())
    reopen(office)
    server.restore(office.file(), closed=KEEP)
    me = BackupLog.objects.using(server.alias).latest("pk").actor_name
    office.restore(server.file())
    assert by_month(office) == [(10, "asha", "ravi"), (10, me, ""), (11, "asha", "ravi"), (11, me, "")]
    Seal.objects.using(office.alias).standing().filter(month=OCTOBER).update(
        reopened_at=timezone.now(), reopened_by="zoya"
    )
    result = server.restore(office.file(), closed=KEEP)
    assert result.closed.decision == "Closed again, as it was here, after it was reopened: October 2026 of ABC Corp."
    assert by_month(server)[:3] == [(10, "asha", "ravi"), (10, me, "zoya"), (10, me, "")]
    assert by_month(server)[3:] == by_month(office)[2:]
    office.restore(server.file())
    assert (content(office.alias), office.head) == (content(server.alias), server.head)


def corrected(site: Site) -> None:
    """The month is reopened, corrected and closed again."""
    reopen(site)
    site.edit("E1", shift="N")
    close(site, who="zoya")


def test_kept_closed_where_it_was_closed_again_elsewhere_it_is_what_it_was_here(sites: Sites) -> None:
    office, server = sites
    close(office)
    server.restore(office.file())
    corrected(office)
    result = server.restore(office.file(), closed=KEEP)
    me = BackupLog.objects.using(server.alias).latest("pk").actor_name
    assert result.closed.decision == "Closed again, as it was here, after it was reopened: November 2026 of ABC Corp."
    assert server.rows("E1").get().shift == "GS"
    assert [(who, is_reopened) for who, is_reopened in closings(server) if not is_reopened] == [
        ("zoya", False),
        (me, False),
    ]
    seals = month_seals(Company.objects.using(server.alias).get(), NOVEMBER, Register(server.alias))
    assert seals.shown is not None
    assert (seals.shown.seal.closed_by, seals.changed) == (me, None), "what was closed here is what it has"
    office.restore(server.file(), closed=REOPEN)
    assert (content(office.alias), office.head) != (content(server.alias), server.head)
    server.restore(office.file(), closed=REOPEN)
    assert (content(office.alias), office.head) == (content(server.alias), server.head)
    assert office.rows("E1").get().shift == "GS", "whoever kept it closed has decided"


def test_reopened_where_it_was_corrected_and_closed_again_elsewhere_it_is_closed_as_there(sites: Sites) -> None:
    office, server = sites
    close(office)
    server.restore(office.file())
    corrected(office)
    result = server.restore(office.file(), closed=REOPEN)
    assert result.closed.decision == "Changed, and still closed: November 2026 of ABC Corp."
    assert closings(server) == [("asha", True), ("zoya", False)]
    assert (content(office.alias), office.head) == (content(server.alias), server.head)


def test_what_both_corrected_and_closed_again_is_open_once_it_is_merged(sites: Sites) -> None:
    """For nobody has closed what both together make of it; the files cross."""
    office, server = sites
    close(office)
    server.restore(office.file())
    for site, number, who in ((office, "E1", "meena"), (server, "E2", "zoya")):
        reopen(site)
        site.edit(number, shift="N")
        close(site, who=who)
    files = [site.file() for site in sites]
    for site, file in zip(sites, reversed(files), strict=True):
        result = site.restore(file, closed=REOPEN)
        assert result.closed.decision == "Reopened and changed: November 2026 of ABC Corp."
        assert closings(site) == [("asha", True), ("meena", True), ("zoya", True)]
        assert [site.rows(number).get().shift for number in ("E1", "E2")] == ["N", "N"]
    server.restore(office.file())
    office.restore(server.file())
    assert (content(office.alias), office.head) == (content(server.alias), server.head)


def test_a_preview_says_that_a_reopening_is_recorded_where_another_seal_stands(sites: Sites) -> None:
    office, server = sites
    close(office)
    server.restore(office.file())
    close(server, who="meena")
    reopen(office)
    file = office.file()
    service = RestoreService(register=Register(server.alias))
    with service.preview_changes(io.BytesIO(file), "manual", closed=KEEP) as preview:
        assert preview.closed.intention == "To stay closed, as it is here: November 2026 of ABC Corp."
        assert not preview.changes_nothing
    server.restore(file, closed=KEEP)
    assert closings(server) == [("asha", True), ("meena", False)]


def withdrawn(site: Site, closed: ClosedChoice | None) -> RestoreResult:
    here = Register(site.alias)
    source = undo_of(undoable_restore(site), here, How.WITHDRAW)
    return RestoreService(register=here).restore_backup(source, "manual", yes=True, closed=closed)


@pytest.mark.parametrize("is_closed_again", [False, True])
def test_a_withdrawal_closes_no_month_that_has_changed_since_it_was_reopened(
    sites: Sites, is_closed_again: bool
) -> None:
    office, server = sites
    close(server)
    office.edit("E1", shift="N")
    server.restore(office.file(), closed=REOPEN)
    server.edit("E3", shift="G1")
    if is_closed_again:
        close(server, who="meena")
    result = withdrawn(server, KEEP if is_closed_again else None)
    assert result.warnings == [
        "Not closed again, because it has changed since it was reopened: November 2026 of ABC Corp."
    ]
    assert closings(server) == [("asha", True), ("meena", False)][: 1 + is_closed_again]
    assert server.rows("E1").get().shift == ("N" if is_closed_again else "GS")


@pytest.mark.parametrize("strategy", ["backup_wins", "database_wins"])
def test_a_month_that_is_closed_elsewhere_with_other_days_than_here_is_told(sites: Sites, strategy: str) -> None:
    office, server = sites
    close(office)
    result = server.restore(office.file())
    assert (result.closed.newly, result.warnings) == ([(ABC, "2026-11")], [])
    assert result.closed.decision == "Closed now: November 2026 of ABC Corp."
    assert BackupLog.objects.using(server.alias).latest("pk").base.endswith(result.closed.decision)
    close(office, month=OCTOBER)
    add(server, "E9", "2026-10-05")
    result = server.restore(office.file(), strategy)
    assert result.summary()["newly_closed"] == [[ABC, "2026-10"]]
    assert result.warnings == [
        "Closed elsewhere with other days than here: October 2026 of ABC Corp. The muster roll shows which differ."
    ]


@pytest.mark.parametrize("way", ["older file", "exactly", "undo"])
def test_a_reopening_is_not_taken_back_by_an_older_state(sites: Sites, way: str) -> None:
    """Neither here nor elsewhere; but an exact restore makes the register as it was."""
    office, server = sites
    close(office)
    older = office.file()
    server.restore(older)
    reopen(office)
    server.restore(office.file(), closed=REOPEN)
    if way == "older file":
        office.restore(older, "backup_wins")
    elif way == "undo":
        undone(server, How.EVERYWHERE, REOPEN)
    else:
        office.restore(older, mode="exact", yes=True)
        assert closings(office) == [("asha", False)]
        kept(
            office, lambda: office.restore(server.file(), "database_wins"), "): in what comes it was reopened. Nothing"
        )
    server.restore(office.file(), "backup_wins")
    office.restore(server.file(), "backup_wins", closed=REOPEN)
    assert closings(server) == closings(office) == [("asha", True)]
    assert (content(office.alias), office.head) == (content(server.alias), server.head)


@pytest.mark.parametrize("strategy", ["backup_wins", "database_wins"])
def test_a_seal_that_was_reopened_here_since_stays_when_what_came_is_withdrawn(sites: Sites, strategy: str) -> None:
    office, server = sites
    close(office)
    add(office, "E5")
    server.restore(office.file())
    reopen(server)
    here = Register(server.alias)
    source = undo_of(undoable_restore(server), here, How.WITHDRAW)
    RestoreService(register=here).restore_backup(source, strategy, yes=True)
    assert (closings(server), server.numbers()) == ([("asha", True)], "E1 E2 E3 E4")
    server.restore(office.file(), strategy)
    assert (closings(server), server.numbers()) == ([("asha", True)], "E1 E2 E3 E4 E5")


@pytest.mark.usefixtures("data_dir")
@pytest.mark.parametrize("choice", [KEEP, REOPEN])
@pytest.mark.parametrize("is_stored", [False, True])
def test_a_preview_decides_about_the_closing_that_was_seen_and_no_other(
    sites: Sites, choice: ClosedChoice, is_stored: bool
) -> None:
    """Somebody reopens the month meanwhile, and somebody else closes it again."""
    office, server = sites
    add(office, "E5")
    file = office.file()
    close(server)
    there = Register(server.alias)

    def change() -> tuple[object, ...]:
        reopen(server)
        close(server, who="zoya")
        return state(server.alias), closings(server)

    says = "After the preview somebody closed or reopened November 2026 of ABC Corp. Nothing was changed."
    if is_stored:
        check = checked(server.alias, file)
        with stored_preview.opened(check.pk) as preview:
            restore_jobs.choose_closed(preview, choice)
            operation = restore_jobs.submit_apply(ACTOR, preview, there)
        before = change()
        perform(operation.pk)
        operation.refresh_from_db()
        assert says in operation.message
    else:
        service = RestoreService(register=there)
        with service.preview_changes(io.BytesIO(file), "manual", closed=choice) as asked:
            before = change()
            with pytest.raises(DataMoved, match=says):
                service.restore_backup(io.BytesIO(file), "manual", closed=choice, preview=asked)
    assert (state(server.alias), closings(server)) == before
    assert closings(server) == [("asha", True), ("zoya", False)]


def test_a_company_that_was_deleted_there_goes_with_its_seals(sites: Sites) -> None:
    office, server = sites
    share_a_reopened_month(sites)
    drop(office)
    result = server.restore(office.file(), yes=True)
    assert (result.models["seals"].absent_deleted, result.companies.absent_deleted) == (1, 1)
    assert (Company.objects.using(server.alias).get().name, office.head) == (XYZ, server.head)


@pytest.mark.parametrize("strategy", ["backup_wins", "database_wins"])
def test_where_somebody_has_to_decide_about_its_records_the_company_and_its_seals_stay(
    sites: Sites, strategy: str
) -> None:
    office, server = sites
    share_a_reopened_month(sites)
    drop(office)
    server.edit("E1", shift="N")
    result = server.restore(office.file(), strategy, yes=True)
    assert closings(server) == [("asha", True)]
    assert set(server.numbers().split()) == {"E1"}
    assert (result.models["seals"].absent_deleted, result.companies.conflicts) == (0, 1)


def test_a_company_with_a_closed_month_stays_until_somebody_deletes_it_here(sites: Sites) -> None:
    office, server = sites
    share_a_reopened_month(sites)
    close(server, who="meena")
    drop(office)
    file = office.file()
    kept(server, lambda: server.restore(file, "backup_wins", yes=True), "4 days of it would change.")
    result = server.restore(file, "backup_wins", yes=True, closed=REOPEN)
    assert (result.records.absent_deleted, result.companies.conflicts) == (4, 1)
    assert closings(server) == [("asha", True), ("meena", True)]
    drop(server)
    office.restore(server.file())
    assert content(office.alias) == content(server.alias)


def test_a_closed_month_without_records_keeps_the_seals_of_its_company_too(sites: Sites) -> None:
    office, server = sites
    share_a_reopened_month(sites)
    close(server, month=dt.date(2026, 12, 1), who="meena")
    drop(office)
    result = server.restore(office.file(), "backup_wins", yes=True)
    assert (result.records.absent_deleted, result.companies.conflicts) == (4, 1)
    assert closings(server) == [("asha", True), ("meena", False)]


@pytest.mark.parametrize("month", [1, 12])
def test_a_seal_that_only_we_have_keeps_the_others_of_its_company_too(sites: Sites, month: int) -> None:
    """Whether it comes before or after them."""
    office, server = sites
    share_a_reopened_month(sites)
    close(server, month=dt.date(2026, month, 1), who="meena")
    reopen(server)
    drop(office)
    result = server.restore(office.file(), "backup_wins", yes=True)
    assert (result.records.absent_deleted, result.companies.conflicts) == (4, 1)
    assert closings(server) == [("asha", True), ("meena", True)]


def test_a_company_that_has_accounts_keeps_its_seals(sites: Sites) -> None:
    office, server = sites
    share_a_reopened_month(sites)
    there = Company.objects.using(server.alias).get(name=ABC)
    User.objects.using(server.alias).create(username="meena", role=Role.ADMIN, company=there)
    drop(office)
    result = server.restore(office.file(), "backup_wins", yes=True)
    assert (result.records.absent_deleted, result.companies.conflicts) == (4, 1)
    assert closings(server) == [("asha", True)]
    User.objects.using(server.alias).filter(username="meena").delete()


def test_a_month_that_is_again_what_was_closed_stays_closed(sites: Sites) -> None:
    """By SQL a day of it changed on either side; what the file has is what was closed."""
    office, server = sites
    close(office)
    server.restore(office.file())
    server.edit("E1", shift="N")
    add(office, "E9", "2026-10-05")
    file = office.file()
    result = server.restore(file, "backup_wins", base="none", closed=REOPEN)
    assert server.rows("E1").get().shift == "GS"
    assert closings(server) == [("asha", False)]
    assert result.closed.decision == "Changed, and still closed: November 2026 of ABC Corp."
    server.edit("E1", shift="N")
    office.edit("E2", shift="N")
    result = server.restore(office.file(), "backup_wins", base="none", closed=REOPEN)
    assert closings(server) == [("asha", True)], "it has what the office has, which nobody has closed"
    assert result.closed.decision == "Reopened and changed: November 2026 of ABC Corp."
    assert days(server) == days(office)


def test_a_seal_that_is_gone_elsewhere_is_reopened_although_the_month_fits_it(sites: Sites) -> None:
    office, server = sites
    close_and_put_the_office_back(sites)
    result = server.restore(office.file(), closed=REOPEN)
    assert closings(server) == [("asha", True)]
    assert result.closed.decision == "Reopened: November 2026 of ABC Corp."


def test_a_day_that_nobody_can_have_makes_the_month_another_one(sites: Sites) -> None:
    """SQL wrote past this program, so nobody can say whether the month is what was closed."""
    office, server = sorted(sites, key=lambda site: connections[site.alias].vendor)  # SQLite last
    close(office)
    server.restore(office.file())
    office.edit("E1", shift="N")
    add(server, "E8", "2026-11-02")
    with connections[server.alias].cursor() as cursor:
        cursor.execute("PRAGMA ignore_check_constraints = ON")
        server.edit("E8", shift="x" * 51)
        cursor.execute("PRAGMA ignore_check_constraints = OFF")
    server.restore(office.file(), "backup_wins", closed=REOPEN)
    assert closings(server) == [("asha", True)]


def test_what_an_exact_restore_does_to_closed_months_is_told_as_it_is(sites: Sites) -> None:
    server = sites.server
    without = server.file()
    close(server)
    with_it = server.file()
    server.edit("E1", shift="N")
    result = server.restore(with_it, mode="exact", yes=True, closed=REOPEN)
    assert result.closed.decision == "Changed, and still closed: November 2026 of ABC Corp."
    assert result.summary()["closed_months"][0]["is_closed"] is True
    close(server, who="meena")
    result = server.restore(with_it, mode="exact", yes=True, closed=REOPEN)
    assert result.closed.decision == "Still closed, though a closing no longer stands: November 2026 of ABC Corp."
    with pytest.raises(ConfirmationNeeded, match=r"^This would add 0, change 0 and delete 1 closings of months"):
        server.restore(without, mode="exact", closed=REOPEN)
    result = server.restore(without, mode="exact", yes=True, closed=REOPEN)
    assert (result.closed.decision, standing(server)) == ("Reopened: November 2026 of ABC Corp.", 0)


@pytest.mark.usefixtures("data_dir")
@pytest.mark.parametrize("choice", [KEEP, REOPEN])
def test_a_stored_preview_shows_a_seal_that_stays(sites: Sites, choice: ClosedChoice) -> None:
    office, server = sites
    close_and_put_the_office_back(sites)
    check = checked(server.alias, file := office.file())
    there = Register(server.alias)
    with stored_preview.opened(check.pk) as preview:
        (month,) = restore_jobs.closed_of(preview, there).months
        assert (month.company, month.month, month.days) == (ABC, "2026-11", 0)
        for strategy in Strategy:
            preview.choose(strategy)
            assert preview.counts() == preview.plan.counts(preview.decisions())
            assert preview.sealed_months() == {(ABC, "2026-11"): (0, 0)}
        assert preview.counts()["seals"].absent_undecided == 1
        (line,) = preview.page(Filter()).lines
        assert (line.kind, line.is_closed, line.units) == ("keep", True, [])
        restore_jobs.choose_closed(preview, choice)
        assert preview.counts() == preview.plan.counts(preview.decisions())
        operation = restore_jobs.submit_apply(ACTOR, preview, there)
    service = RestoreService(register=there)
    with service.preview_changes(io.BytesIO(file), "manual", closed=REOPEN) as asked:
        (told,) = [describe(step, asked.plan.shapes["seals"], decided=True) for step in asked]
        assert told.endswith(": deleted there; its month is closed, and is reopened")
        assert not asked.changes_nothing
    perform(operation.pk)
    operation.refresh_from_db()
    assert operation.state == operation.State.SUCCEEDED, operation.message
    assert closings(server) == [("asha", choice is REOPEN)]
    assert operation.result["closed_months"][0]["is_closed"] is (choice is KEEP)
    row = Snapshot.objects.using(server.alias).get(pk=server.head)
    assert row.is_merge
