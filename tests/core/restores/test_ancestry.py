"""Restores of files whose snapshots have something in common with the register, between two installations: one on
SQLite, one on PostgreSQL. In `make test-deep` each in turn is the office and the server."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from pytest_django import DjangoDbBlocker

from core.history.verification import verify
from core.models import AttendanceRecord, BackupLog, Company, Installation
from core.operations.errors import ConflictsLeft, DataMoved, OperationFailed
from core.operations.results import RestoreResult
from core.register.database import Register
from core.register.declared import Selection
from core.restores.large_deletions import LargeDeletion
from core.restores.merging import ConfirmationNeeded
from core.restores.restore_service import RestoreService
from recordsync.history.databases import history_of
from recordsync.models import Block, Dirty, Head, Node, Snapshot
from tests.builders.days import ABC, FRIDAY, XYZ, day
from tests.builders.files import canonical, checksum, sealed
from tests.builders.registers import put, register
from tests.running import databases
from tests.running.inspection import content
from tests.running.services import backup_bytes, restore


class Site(NamedTuple):
    """An installation, by its database."""

    alias: str

    def file(self, *args: Any, **options: Any) -> bytes:
        return backup_bytes(self.alias, *args, **options)[0]

    def restore(self, data: bytes, strategy: str = "manual", **options: Any) -> RestoreResult:
        return restore(self.alias, data, strategy, **options)

    def preview(self, data: bytes, **options: Any) -> dict[str, Any]:
        service = RestoreService(register=Register(self.alias))
        with service.preview_changes(io.BytesIO(data), "manual", **options) as preview:
            return preview.summary()

    def rows(self, ep_no: str) -> Any:
        return AttendanceRecord.objects.using(self.alias).filter(ep_no=ep_no)

    def edit(self, ep_no: str = "E1", **fields: Any) -> None:
        assert self.rows(ep_no).update(**fields)

    def delete(self, ep_no: str) -> None:
        assert self.rows(ep_no).delete()[0]

    def numbers(self) -> str:
        return " ".join(sorted(AttendanceRecord.objects.using(self.alias).values_list("ep_no", flat=True)))

    @property
    def head(self) -> str:
        return str(Head.objects.using(self.alias).get().snapshot_id)

    @property
    def snapshots(self) -> int:
        return Snapshot.objects.using(self.alias).count()


class Sites(NamedTuple):
    office: Site
    server: Site


@pytest.fixture(params=["sqlite office", pytest.param("postgres office", marks=pytest.mark.deep)])
def sites(request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Sites]:
    """Two installations on different engines that share what the office has: four days of four people."""
    aliases = list(databases.ALIASES.values())
    if request.param != "sqlite office":
        aliases.reverse()
    with django_db_blocker.unblock():
        databases.empty(*aliases, "jobs")
        for alias, name in zip(aliases, ("Office", "Server"), strict=True):
            Installation.objects.using(alias).create(id=uuid.uuid4(), name=name)
        office, server = map(Site, aliases)
        put(office.alias, register(*(day(ep_no=f"E{n}") for n in (1, 2, 3, 4))))
        server.restore(office.file())
        yield Sites(office, server)
        databases.empty(*aliases, "jobs")


def exchange(one: Site, other: Site, **options: Any) -> tuple[RestoreResult, RestoreResult]:
    """Both restore the other's file. The files cross."""
    files = one.file(), other.file()
    return one.restore(files[1], **options), other.restore(files[0], **options)


def test_an_empty_register_becomes_what_comes(sites: Sites) -> None:
    office, server = sites
    assert content(office.alias) == content(server.alias)
    assert office.head == server.head
    assert server.snapshots == office.snapshots == 1


def test_an_empty_register_becomes_all_of_a_long_file(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of the blocks that came is longer than what is read of it at once, and is read once for each model."""
    office, server = sites
    monkeypatch.setattr("recordsync.streams.sort._BLOCK", 64)
    put(office.alias, register(day(XYZ), day("Other")))
    databases.empty(server.alias)
    Installation.objects.using(server.alias).create(id=uuid.uuid4(), name="Server")
    server.restore(office.file())
    assert server.head == office.head


def test_what_changed_on_one_side_is_no_conflict(sites: Sites) -> None:
    office, server = sites
    office.edit("E1", shift="N")
    office.delete("E2")
    put_day(office, "E5")
    server.edit("E1", status="A")
    server.edit("E3", shift="G1")
    server.delete("E4")
    summary = server.preview(file := office.file())
    assert summary["base"]["why"].startswith("Both had snapshot 1 of Office")
    result = server.restore(file)
    counts = result.records
    assert (counts.added, counts.updated, counts.absent_deleted, counts.only_here, counts.conflicts) == (1, 1, 1, 2, 0)
    assert counts == type(counts)(**summary["models"]["attendance_records"])
    log = BackupLog.objects.using(server.alias).get(pk=result.log_id)
    told = (log.records_added, log.records_updated, log.records_deleted, log.records_skipped, log.records_kept)
    assert (told, log.records_only_here, log.records_in_conflict) == ((1, 1, 1, 0, 2), 2, 0)
    assert log.base == summary["base"]["why"]
    assert server.numbers() == "E1 E3 E5"
    assert server.rows("E1").values_list("shift", "status")[0] == ("N", "A")
    assert server.rows("E3").get().shift == "G1"
    office.restore(server.file())
    assert content(office.alias) == content(server.alias)
    assert office.head == server.head


def test_files_that_cross_settle_on_one_head(sites: Sites) -> None:
    office, server = sites
    office.edit("E1", shift="N")
    server.edit("E2", shift="N")
    exchange(office, server)
    assert content(office.alias) == content(server.alias)
    assert office.head == server.head
    count = office.snapshots
    for result in exchange(office, server):
        assert result.changes_nothing
    assert (office.head, office.snapshots, server.snapshots) == (server.head, count, count)


def test_a_merge_that_was_known_from_elsewhere_is_kept_when_it_is_made_here(sites: Sites) -> None:
    office, server = sites
    office.edit("E1", shift="N")
    server.edit("E2", shift="N")
    files = office.file(), server.file()
    server.restore(files[0])
    (merge,) = Snapshot.objects.using(server.alias).filter(pk=server.head)
    merge.order, merge.is_kept = 1000, False
    merge.save(using=office.alias, force_insert=True)
    office.restore(files[1])
    assert office.head == merge.pk
    assert Snapshot.objects.using(office.alias).get(pk=merge.pk).is_kept


def test_a_deletion_against_an_edit_is_asked_once(sites: Sites) -> None:
    """Whoever decides it decides it for both."""
    office, server = sites
    office.delete("E1")
    server.edit("E1", shift="N")
    data = office.file()
    with pytest.raises(ConflictsLeft):
        server.restore(data)
    assert server.restore(data, "database_wins").conflicts == 1
    assert server.numbers() == "E1 E2 E3 E4"
    assert not office.restore(server.file()).conflicts
    assert office.numbers() == "E1 E2 E3 E4"
    assert not server.restore(office.file()).conflicts


def test_what_was_merged_here_is_not_taken_again(sites: Sites) -> None:
    """Its values are brought back only by who says so."""
    office, server = sites
    data = office.file()
    server.edit("E1", shift="N")
    server.delete("E2")
    result = server.restore(data, "backup_wins")
    assert result.changes_nothing
    assert "was merged here already" in result.base.why
    assert result.records.only_here == 2
    assert server.numbers() == "E1 E3 E4"
    assert server.preview(data, base="none")["conflicts"] == 1
    brought = server.restore(data, "backup_wins", base="none").records
    assert (brought.added, brought.updated) == (1, 1)
    assert server.rows("E1").get().shift == "GS"


def test_a_backup_of_ones_own_brings_its_values_back(sites: Sites) -> None:
    office = sites.office
    data = office.file()
    office.edit("E1", shift="N")
    put_day(office, "E5")
    result = office.restore(data, "backup_wins")
    assert "was taken here" in result.base.why
    assert office.rows("E1").get().shift == "GS"
    assert office.numbers() == "E1 E2 E3 E4 E5"


def test_a_large_deletion_stops_until_somebody_says_yes(sites: Sites) -> None:
    office, server = sites
    put(office.alias, register(*(day(XYZ, ep_no=f"X{n}") for n in range(500))))
    server.restore(office.file())
    office.rows("X1").filter(company__name=XYZ).delete()
    some = [f"X{n}" for n in range(300, 401)]
    AttendanceRecord.objects.using(office.alias).filter(ep_no__in=some).delete()
    data = office.file()
    before = content(server.alias)
    with pytest.raises(LargeDeletion, match="102 of 500 records of XYZ Ltd"):
        server.restore(data)
    assert server.preview(data)["stop"] == (
        "This would delete 102 of 500 records of XYZ Ltd here, because they were deleted there. Ask whoever deleted "
        "them. If they are to go, restore it with --yes."
    )
    assert content(server.alias) == before
    assert server.restore(data, yes=True).records.absent_deleted == 102
    assert content(server.alias) == content(office.alias)


def test_a_small_deletion_of_a_large_company_does_not_stop(sites: Sites) -> None:
    office, server = sites
    put(office.alias, register(*(day(XYZ, ep_no=f"X{n}") for n in range(1200))))
    server.restore(office.file())
    some = [f"X{n}" for n in range(300, 420)]
    AttendanceRecord.objects.using(office.alias).filter(ep_no__in=some).delete()
    data = office.file()
    assert server.preview(data)["stop"] is None
    assert server.restore(data).records.absent_deleted == 120


def test_a_base_that_is_not_here_is_named(sites: Sites) -> None:
    office, server = sites
    office.edit("E1", shift="N")
    data = office.file()
    server.edit("E2", shift="N")
    base = server.head
    for table in (Block, Node):
        table._default_manager.using(history_of(server.alias)).all().delete()
    before = content(server.alias)
    with pytest.raises(OperationFailed, match=r"The records of snapshot 1 of Office \(.*\), which both sides had"):
        server.restore(data)
    assert content(server.alias) == before
    assert server.restore(data, "backup_wins", base="none").conflicts == 2
    assert base


def test_no_base_is_needed_where_both_are_alike(sites: Sites) -> None:
    """So files that go round settle, also where somebody never had the records of what others merged."""
    office, server = sites
    base = Head.objects.using(server.alias).get().snapshot.tree
    office.edit("E1", shift="N")
    server.edit("E1", shift="N")
    data = office.file()
    server.file()
    Node.objects.using(history_of(server.alias)).filter(digest=base).delete()
    assert server.preview(data)["skipped"] == 4
    assert server.restore(data).changes_nothing
    office.restore(server.file())
    assert office.head == server.head


def test_a_lost_history_is_no_matter_where_nothing_changed_here(sites: Sites) -> None:
    """The register is what it was at its head, which is the base. So no preview refuses what the restore does."""
    office, server = sites
    office.edit("E1", shift="N")
    office.delete("E2")
    for table in (Block, Node):
        table._default_manager.using(history_of(server.alias)).all().delete()
    data = office.file()
    preview = server.preview(data)
    assert (preview["updated"], preview["deleted"], preview["conflicts"]) == (1, 1, 0)
    server.restore(data)
    assert (content(server.alias), server.head) == (content(office.alias), office.head)


def test_without_anything_in_common_absence_deletes_nothing(sites: Sites) -> None:
    office, server = sites
    databases.empty_history(server.alias)
    server.delete("E1")
    office.delete("E2")
    result = server.restore(office.file())
    assert "Nothing in common is known" in result.base.why
    assert server.numbers() == "E1 E2 E3 E4"
    assert not office.restore(server.file()).conflicts, "they have something in common now"
    assert office.numbers() == "E1 E2 E3 E4"
    assert office.head == server.head


def test_a_company_that_is_deleted_there_is_deleted_here(sites: Sites) -> None:
    office, server = sites
    put(office.alias, register(companies=(XYZ,)))
    server.restore(office.file())
    Company.objects.using(office.alias).get(name=XYZ).delete(using=office.alias)
    server.restore(office.file())
    assert list(Company.objects.using(server.alias).values_list("name", flat=True)) == [ABC]


def put_day(site: Site, ep_no: str) -> None:
    company = Company.objects.using(site.alias).get(name=ABC)
    AttendanceRecord.objects.using(site.alias).create(
        company=company, ep_no=ep_no, date=FRIDAY, ep_name="Meena", shift="GS", status="P"
    )


def test_the_week_of_the_documentation(sites: Sites) -> None:
    """The steps that docs/merging.md tells of, in its order."""
    office, server = sites

    def night(strategy: str = "manual") -> int:
        """Both restore the other's file of this evening: how many conflicts there are."""
        files = office.file(), server.file()
        return server.restore(files[0], strategy).conflicts + office.restore(files[1], _other(strategy)).conflicts

    put_day(office, "E5")  # Monday
    assert night() == 0
    assert office.numbers() == server.numbers() == "E1 E2 E3 E4 E5"
    office.edit("E1", shift="N")  # Tuesday
    server.edit("E1", status="A")
    assert night() == 0
    assert [site.rows("E1").values_list("shift", "status").get() for site in sites] == [("N", "A")] * 2
    office.delete("E2")  # Wednesday
    assert night() == 0
    assert office.numbers() == server.numbers() == "E1 E3 E4 E5"
    office.edit("E3", shift="N")  # Thursday
    server.edit("E3", shift="G1")
    assert night("backup_wins") == 2, "one on each side, because the files crossed"
    assert [site.rows("E3").get().shift for site in sites] == ["N", "N"]
    heads = office.head, office.snapshots
    assert night() == 0  # Friday
    assert (server.head, server.snapshots) == heads


def _other(strategy: str) -> str:
    return {"backup_wins": "database_wins"}.get(strategy, strategy)


# --- Exactly as a file or a snapshot


def test_a_register_becomes_exactly_as_a_file(sites: Sites) -> None:
    """What it does not have is deleted, after somebody has said so; the head has both for its parents."""
    office, server = sites
    office.edit("E1", shift="N")
    server.edit("E1", shift="G1")
    server.delete("E2")
    put_day(server, "E5")
    data = office.file()
    before = content(server.alias)
    with pytest.raises(ConfirmationNeeded, match="add 1, change 1 and delete 1 attendance records"):
        server.restore(data, mode="exact")
    assert content(server.alias) == before
    preview = server.preview(data, mode="exact")
    assert (preview["added"], preview["updated"], preview["deleted"], preview["conflicts"]) == (1, 1, 1, 0)
    here = server.snapshots
    result = server.restore(data, mode="exact", yes=True)
    assert content(server.alias) == content(office.alias)
    assert not server.restore(data, mode="exact").records.updated, "nothing differs, so nobody is asked"
    assert result.base.is_exact
    assert server.snapshots > here
    assert not office.restore(server.file()).conflicts
    assert office.head == server.head


def test_a_register_becomes_as_it_was(sites: Sites) -> None:
    server = sites.server
    first, before = server.head, content(server.alias)
    server.edit("E1", shift="N")
    put_day(server, "E5")
    server.file()
    snapshot = Snapshot.objects.using(server.alias).get(pk=first)
    service = RestoreService(register=Register(server.alias))
    brought = service.restore_backup(snapshot, "backup_wins").records
    assert (brought.updated, brought.absent_deleted) == (1, 0), "its values are brought back, and nothing is deleted"
    service.restore_backup(snapshot, mode="exact", yes=True)
    assert content(server.alias) == before


def test_a_part_of_a_register_cannot_be_exact(sites: Sites) -> None:
    office, server = sites
    data = office.file(selection=Selection([ABC]))
    with pytest.raises(OperationFailed, match="This is neither"):
        server.restore(data, mode="exact", yes=True)


def test_a_snapshot_that_is_not_kept_is_named(sites: Sites) -> None:
    server = sites.server
    snapshot = Snapshot.objects.using(server.alias).get(pk=server.head)
    server.edit("E1", shift="N")
    server.file()
    Node.objects.using(history_of(server.alias)).all().delete()
    with pytest.raises(OperationFailed, match="The records of snapshot 1 of Office"):
        RestoreService(register=Register(server.alias)).restore_backup(snapshot, mode="exact", yes=True)


# --- Incremental files


def test_a_preview_without_the_history_that_the_restore_has_is_made_again(sites: Sites) -> None:
    """The snapshot before a restore stores what a lost history store had, and the base is at hand only then."""
    office, server = sites
    office.file("full")
    office.edit("E1", shift="N")
    file = office.file("incremental")
    for table in (Block, Node):
        table._default_manager.using(history_of(server.alias)).all().delete()
    service = RestoreService(register=Register(server.alias))
    with (
        service.preview_changes(io.BytesIO(file), "backup_wins") as preview,
        pytest.raises(DataMoved, match="What both sides had in common is known better now"),
    ):
        service.restore_backup(io.BytesIO(file), "backup_wins", preview=preview)
    assert server.rows("E1").get().shift == "GS"
    with service.preview_changes(io.BytesIO(file), "backup_wins") as preview:
        service.restore_backup(io.BytesIO(file), "backup_wins", preview=preview)
    assert server.rows("E1").get().shift == "N"
    assert server.head == office.head


def test_a_chain_of_incrementals_is_the_register(sites: Sites) -> None:
    """Law 12: restored in order, they give what the full file gives, deletions included."""
    office, server = sites
    chain = []
    for number in range(3):
        office.edit("E1", shift=f"N{number}")
        put_day(office, f"E{5 + number}")
        office.delete(f"E{2 + number}")
        chain.append(office.file("incremental"))
    for file in chain:
        result = server.restore(file)
        assert "Both had" in result.base.why
        assert (result.records.added, result.records.updated, result.records.absent_deleted) == (1, 1, 1)
    assert content(server.alias) == content(office.alias)
    assert server.head == office.head


def test_an_incremental_is_merged_with_what_changed_here(sites: Sites) -> None:
    office, server = sites
    office.edit("E1", shift="N")
    office.delete("E2")
    server.edit("E1", status="A")
    server.edit("E2", shift="G1")
    file = office.file("incremental")
    preview = server.preview(file)
    assert (preview["updated"], preview["conflicts"], preview["undecided"]) == (1, 1, 1)
    server.restore(file, "backup_wins")
    assert server.numbers() == "E1 E3 E4"
    office.restore(server.file("incremental", for_installation="Office"))
    assert content(office.alias) == content(server.alias)
    assert office.head == server.head


def test_a_link_that_is_missing_is_named(sites: Sites) -> None:
    """Its keys are merged without a base, and the register does not count as having it."""
    office, server = sites
    office.delete("E1")
    office.file("incremental")
    office.edit("E2", shift="N")
    office.delete("E3")
    last = office.file("incremental")
    result = server.restore(last, "backup_wins")
    assert "whose records are not at hand here" in result.base.why
    assert any("snapshot" in warning for warning in result.warnings)
    assert server.numbers() == "E1 E2 E4"
    assert not Snapshot.objects.using(server.alias).filter(pk=office.head).exists()


def test_what_was_written_past_the_marks_is_found_as_the_refusal_says(sites: Sites) -> None:
    """A fast-forward over it would end at another tree than theirs."""
    office, server = sites
    office.edit("E2", shift="N")
    data = office.file()
    server.edit("E1", shift="PAST")
    Dirty.objects.using(server.alias).all().delete()
    with pytest.raises(OperationFailed, match="history verify --register, which reads everything, and try again"):
        server.restore(data)
    assert verify(with_register=True, register=Register(server.alias)).errors
    assert server.restore(data).records.only_here == 1
    office.restore(server.file())
    assert office.rows("E1").get().shift == "PAST"


def test_changes_that_do_not_fit_are_refused(sites: Sites) -> None:
    """A file whose changes lead to another tree than it says, with digests that are right."""
    office, server = sites
    office.edit("E1", shift="N")
    text = office.file("incremental").decode()
    (record,) = json.loads(text)["attendance_records"]
    said = {name: value for name, value in record.items() if name not in ("checksum", "created_at")}
    other = said | {"shift": "G9"}
    text = text.replace(canonical(record), canonical({**record, **other, "checksum": checksum(other)}))
    body, _name, trailer = text.partition('"trailer":')
    before = content(server.alias)
    with pytest.raises(OperationFailed, match="do not lead from the snapshot that it continues to its own"):
        server.restore(sealed(body, json.loads(trailer.rstrip()[:-1])))
    assert content(server.alias) == before


def test_an_incremental_makes_the_register_exact(sites: Sites) -> None:
    office, server = sites
    office.delete("E2")
    put_day(server, "E9")
    server.restore(office.file("incremental"), mode="exact", yes=True)
    assert content(server.alias) == content(office.alias)
