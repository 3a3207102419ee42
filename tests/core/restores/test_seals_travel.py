"""The seals of closed months, which travel between installations as records do: one on SQLite, one on PostgreSQL."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest

from core.models import AttendanceRecord, BackupLog, Company, Installation, Seal, SealQuerySet
from core.operations.closed import ClosedChoice
from core.register.declared import SCHEMA, Selection
from core.restores.incoming import BaseChoice, Mode
from recordsync.history import marks
from recordsync.history.places import ALL, Place
from tests.builders.days import ABC, XYZ, day
from tests.builders.files import SECTIONS, File, lacking, parsed
from tests.builders.registers import put, register
from tests.builders.trees import snapshot_file
from tests.core.restores.test_ancestry import Site, Sites, exchange, sites
from tests.core.restores.test_renames import LTD, companies, rename
from tests.running import databases
from tests.running.inspection import content
from tests.running.installation import NewInstallation
from tests.running.services import backup_bytes, restore

__all__ = ["sites"]

AT = dt.datetime(2026, 11, 20, 18, 40, tzinfo=dt.UTC)


def close(site: Site, month: int, company: str = ABC) -> None:
    """Close a month of 2026, each a minute after the one before."""
    Seal.objects.using(site.alias).create(
        company=Company.objects.using(site.alias).get(name=company),
        month=dt.date(2026, month, 1),
        closed_at=AT + dt.timedelta(minutes=month),
        closed_by="root",
        closed_as=company,
        digest=64 * "0",
    )


def reopen(site: Site, month: int, by: str = "root") -> None:
    assert seals_of(site).filter(month__month=month).update(reopened_at=AT, reopened_by=by)


def seals_of(site: Site) -> SealQuerySet:
    return Seal.objects.using(site.alias)


def seals(site: Site) -> str:
    """Each by its company and month, and who has reopened it."""
    rows = seals_of(site).values_list("company__name", "month", "reopened_by")
    return ", ".join(sorted(f"{name} {month.month} {by}".strip() for name, month, by in rows))


def test_they_come_with_a_file_and_what_becomes_of_them_with_the_next_one(sites: Sites) -> None:
    office, server = sites
    for month in (8, 9, 10):
        close(office, month)
    counts = server.restore(office.file()).models["seals"]
    assert (counts.read, counts.added) == (3, 3)
    reopen(office, 9)
    seals_of(office).filter(month__month=8).delete()  # which no merge does
    close(office, 11)
    close(server, 7)
    counts = server.restore(office.file("incremental"), closed=ClosedChoice.REOPEN).models["seals"]
    assert (counts.read, counts.added, counts.updated, counts.absent_deleted, counts.absent_kept) == (3, 1, 1, 0, 2)
    who = BackupLog.objects.using(server.alias).latest("pk").actor_name
    assert seals(server) == f"ABC Corp 10, ABC Corp 11, ABC Corp 7, ABC Corp 8 {who}, ABC Corp 9 root"
    office.restore(server.file())
    assert content(office.alias) == content(server.alias)
    assert office.head == server.head


def test_an_empty_register_is_filled_with_them_at_once(sites: Sites) -> None:
    office, server = sites
    put(office.alias, register(day(XYZ)))
    for company in (ABC, XYZ):
        close(office, 10, company)
    databases.empty(server.alias)
    Installation.objects.using(server.alias).create(id=uuid.uuid4(), name="Server")
    server.restore(office.file())
    assert content(office.alias) == content(server.alias)
    assert office.head == server.head


def test_they_follow_a_company_that_was_renamed_there(sites: Sites) -> None:
    office, server = sites
    close(office, 9)
    server.restore(office.file())
    rename(office, ABC, LTD)
    close(office, 10, LTD)
    close(server, 8)
    server.restore(office.file())
    assert seals(server) == "ABC Ltd 10, ABC Ltd 8, ABC Ltd 9"
    assert sorted(seals_of(server).values_list("closed_as", flat=True)) == [ABC, ABC, LTD]
    office.restore(server.file())
    assert office.head == server.head


@pytest.mark.parametrize("closed_here", [False, True])
@pytest.mark.parametrize("kind", ["full", "incremental"])
def test_a_company_that_was_deleted_there_goes_after_its_seals_and_stays_with_one_of_ours(
    sites: Sites, kind: str, closed_here: bool
) -> None:
    office, server = sites
    close(office, 9)
    reopen(office, 9)
    server.restore(office.file())
    seals_of(office).all().delete()
    AttendanceRecord.objects.using(office.alias).all().delete()
    Company.objects.using(office.alias).all().delete()
    if closed_here:
        close(server, 10)
    result = server.restore(office.file(kind), yes=True, closed=ClosedChoice.REOPEN)
    assert server.numbers() == ""
    assert (companies(server), seals(server)) == ((ABC, "ABC Corp 10, ABC Corp 9 root") if closed_here else ("", ""))
    of_companies, of_seals = result.models["companies"], result.models["seals"]
    assert of_companies.deleted + of_companies.absent_deleted == (not closed_here)
    assert of_seals.deleted + of_seals.absent_deleted == (not closed_here)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("base", BaseChoice)
def test_of_two_who_reopened_a_month_the_first_is_kept_on_either_side(
    sites: Sites, first: int, base: BaseChoice
) -> None:
    """Without a question, whatever the strategy, also where the files cross."""
    close(sites.office, 9)
    sites.server.restore(sites.office.file())
    reopen(sites[first], 9, "meena")
    later = AT + dt.timedelta(seconds=1)
    assert seals_of(sites[1 - first]).update(reopened_at=later, reopened_by="anil")
    files = [site.file() for site in sites]
    for site, file in zip(sites, reversed(files), strict=True):
        counts = site.restore(file, base=base).models["seals"]
        assert (counts.conflicts, counts.sealed) == (0, 0)
        assert seals(site) == "ABC Corp 9 meena"
    assert content(sites.office.alias) == content(sites.server.alias)


def test_an_exact_restore_takes_theirs_and_no_others(sites: Sites) -> None:
    office, server = sites
    close(office, 9)
    close(server, 9)
    reopen(server, 9)
    close(server, 10)
    server.restore(office.file(), mode=Mode.EXACT, yes=True, closed=ClosedChoice.REOPEN)
    assert seals(server) == "ABC Corp 9"
    assert content(office.alias) == content(server.alias)


@pytest.mark.parametrize("mode", Mode)
def test_a_file_from_before_there_were_any_says_nothing_about_them(sites: Sites, mode: Mode) -> None:
    """Nor does an exact restore of it delete them."""
    server = sites.server
    close(server, 9)
    old = lacking(snapshot_file(register(day(ep_no="E1", shift="N"))), "seals")
    result = server.restore(old, "backup_wins", mode=mode, yes=True)
    assert "seals" not in result.models
    assert seals(server) == "ABC Corp 9"
    assert server.rows("E1").get().shift == "N"
    assert server.numbers() == ("E1" if mode is Mode.EXACT else "E1 E2 E3 E4")
    server.restore(server.file())
    assert not Seal.objects.using(server.alias).exclude(month__month=9).exists()


def test_a_register_from_before_there_were_any_and_one_of_now_go_on_together(sites: Sites) -> None:
    """The office has an older version, which writes no such section."""
    office, server = sites
    close(server, 9)
    before = snapshot_file(register(*(day(ep_no=f"E{number}", shift="N") for number in (1, 2))))
    server.restore(lacking(before, "seals"), "backup_wins")
    assert seals(server) == "ABC Corp 9"
    one, other = exchange(office, server, strategy="backup_wins")
    assert seals(office) == seals(server) == "ABC Corp 9"
    assert (one.models["seals"].added, other.models["seals"].read) == (1, 0)


def test_an_incremental_file_from_before_there_were_any_brings_its_values_back(sites: Sites) -> None:
    office, server = sites
    office.edit("E1", shift="N")
    now = parsed(office.file("incremental"))
    rows, deleted = ({name: of[name] for name in SECTIONS} for of in (now, now["deleted"]))
    before = lacking(File(now["metadata"], rows, deleted), "seals")
    close(server, 9)
    assert server.restore(before, "backup_wins", base="none").records.conflicts == 1
    assert (server.rows("E1").get().shift, seals(server)) == ("N", "ABC Corp 9")


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        (Selection(), "ABC Corp 10, ABC Corp 11, XYZ Ltd 10"),
        (Selection(companies=[ABC]), "ABC Corp 10, ABC Corp 11"),
        (Selection(date_from="2026-10-02"), "ABC Corp 11"),
        (Selection(date_from="2026-10-01", date_to="2026-10-31"), "ABC Corp 10, XYZ Ltd 10"),
        (Selection(date_to="2026-11-29"), "ABC Corp 10, XYZ Ltd 10"),
        (Selection(date_to="2026-11-30"), "ABC Corp 10, ABC Corp 11, XYZ Ltd 10"),
        (Selection(date_from="2026-11-02"), ""),
        (Selection(date_to="0001-01-01"), ""),
        (Selection(date_to="9999-12-31"), "ABC Corp 10, ABC Corp 11, XYZ Ltd 10"),
    ],
    ids=str,
)
def test_a_part_of_a_register_has_the_seals_of_whole_months(
    engine: str, register_db: str, selection: Selection, found: str
) -> None:
    there = Site(register_db)
    put(register_db, register(companies=(ABC, XYZ)))
    for month, company in ((10, ABC), (11, ABC), (10, XYZ)):
        close(there, month, company)
    data, _result = backup_bytes(register_db, selection=selection)
    databases.empty(register_db)
    restore(register_db, data)
    assert seals(there) == found
    assert not Company.objects.using(register_db).filter(seals=None).exists() or selection.companies is None


@pytest.mark.usefixtures("register_db")
def test_a_register_is_upgraded_and_read_once(engine: str, new_installation: NewInstallation) -> None:
    """Whatever the tables of the history are, and everything is marked for the next snapshot."""
    installation = new_installation(engine)
    for older in (["recordsync", "0003"], ["core", "0022"]):
        installation.manage("migrate", *older, "--verbosity", "0", check=True)
    with installation.opened() as alias:
        put(alias, register(day()))
    installation.manage("migrate", "--verbosity", "0", check=True)
    with installation.opened() as alias:
        assert marks.faults(alias, SCHEMA) == []
        assert marks.read(alias) >= {(model.name, Place(ALL, ALL)) for model in SCHEMA}
        assert backup_bytes(alias)[1].metadata.totals == {"companies": 1, "attendance_records": 1, "seals": 0}
        close(Site(alias), 9)
        assert ("seals", Place(str(Company.objects.using(alias).get().pk), "")) in marks.read(alias)
        assert backup_bytes(alias, "incremental")[1].metadata.totals["seals"] == 1
