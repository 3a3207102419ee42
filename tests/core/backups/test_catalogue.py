"""The catalogue of backups, and the ancestry that it proves."""

from __future__ import annotations

import datetime as dt
import io
import uuid
from typing import Any

import pytest
from django.utils import timezone

from core.backups import catalogue
from core.demo.generator import DemoPlan
from core.demo.service import DemoService
from core.models import AttendanceRecord, Backup, Installation
from core.operations.errors import OperationFailed
from core.operations.results import BackupResult
from core.register.database import Register
from core.register.declared import Selection
from core.restores.restore_service import RestoreService
from recordsync.backupfile import BackupType
from tests.builders.ancestry import header, says
from tests.builders.days import ABC, day
from tests.builders.files import ELSEWHERE, File, file, sha256
from tests.builders.registers import SMALL, a_company, put, register, rows
from tests.running.services import backup, own_file, restore, some_id

SINCE = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def _backups(alias: str) -> Any:
    return Backup.objects.using(alias)


def edited(alias: str, backup_type: BackupType = "full", **options: Any) -> BackupResult:
    """A backup after a change."""
    AttendanceRecord.objects.using(alias).update(shift=some_id())
    return backup(alias, backup_type, **options)


def of(result: BackupResult) -> str:
    """The id of a backup's snapshot."""
    assert result.metadata.snapshot is not None
    return result.metadata.snapshot.id


def test_a_backup_is_entered_as_it_is(register_db: str) -> None:
    put(register_db, SMALL)
    out = io.BytesIO()
    result = backup(register_db, output=out, compression="gzip")
    entry = _backups(register_db).get()
    here = Installation.current(register_db)
    assert (entry.pk, entry.installation_id, entry.installation_name) == (result.id, here.id, here.name)
    assert (entry.backup_type, entry.selection, entry.since, entry.parent) == ("full", None, None, None)
    assert (entry.companies_count, entry.records_count, entry.deleted_count) == (2, 3, 0)
    assert (entry.size, entry.digest) == (len(out.getvalue()), result.digest)
    assert (entry.file, entry.location, entry.purpose) == ("", "-", Backup.Purpose.USER)
    assert entry.taken_at == dt.datetime.fromisoformat(result.metadata.created_at)
    assert entry.merged_at is None


def test_each_backup_continues_the_newest_without_a_gap(register_db: str) -> None:
    put(register_db, SMALL)
    first, second = backup(register_db), edited(register_db)
    third, fourth = edited(register_db, "incremental"), edited(register_db, "incremental")
    parents = [result.metadata.parent for result in (first, second, third, fourth)]
    assert parents == [None, None, of(second), of(third)]
    entry = _backups(register_db).get(pk=fourth.id)
    assert (entry.parent, entry.parent_snapshot, entry.snapshot) == (None, of(third), of(fourth))


@pytest.mark.parametrize(
    "gap",
    [
        {"backup_type": "incremental", "since_date": SINCE},
        {"selection": Selection(companies=[ABC])},
        {"backup_type": "incremental", "since_date": SINCE, "selection": Selection(companies=[ABC])},
        {"purpose": Backup.Purpose.SAFETY},
        {"file_format": "1.0"},
        {"file_format": "1.0", "backup_type": "incremental", "since_date": SINCE},
    ],
    ids=["since", "selection", "selected incremental", "safety copy", "1.0", "1.0 since"],
)
def test_what_leaves_a_gap_is_never_a_parent(register_db: str, gap: dict[str, Any]) -> None:
    put(register_db, SMALL)
    full = backup(register_db)
    edited(register_db, **gap)
    assert backup(register_db, "incremental").metadata.parent == of(full)


def test_since_a_moment_has_no_parent(register_db: str) -> None:
    put(register_db, SMALL)
    backup(register_db)
    assert backup(register_db, "incremental", SINCE).metadata.parent is None


def test_since_a_moment_that_is_still_to_come_is_refused(register_db: str) -> None:
    """Whoever asks: it would be empty, and pass for "nothing changed"."""
    put(register_db, SMALL)
    with pytest.raises(OperationFailed, match=r"is still to come: it is .* here now\. No backup was written\."):
        backup(register_db, "incremental", timezone.now() + dt.timedelta(seconds=60))
    assert not _backups(register_db).exists()


@pytest.mark.parametrize(("later", "records"), [(0, 3), (1, 0)])
def test_what_changed_at_the_very_moment_is_in(register_db: str, later: int, records: int) -> None:
    put(register_db, SMALL)
    AttendanceRecord.objects.using(register_db).update(updated_at=SINCE)
    since = SINCE + dt.timedelta(microseconds=later)
    assert backup(register_db, "incremental", since_date=since).records == records


def test_what_was_deleted_is_never_continued(register_db: str) -> None:
    """Nor what lacks it: the newest chain that is whole is."""
    put(register_db, SMALL)
    old = backup(register_db)
    full = edited(register_db)
    chain = [edited(register_db, "incremental") for _ in range(3)]
    ids = [full.id, *(one.id for one in chain)]

    def delete(pk: uuid.UUID) -> None:
        _backups(register_db).filter(pk=pk).update(file="", location="")

    def continuing(pk: uuid.UUID) -> list[uuid.UUID]:
        return [row.pk for row in catalogue.continued_by(_backups(register_db).get(pk=pk), Register(register_db))]

    def lacking() -> list[uuid.UUID]:
        rows = list(_backups(register_db).order_by("taken_at"))
        lacks = {entry.backup.pk: entry.lacks for entry in catalogue.entries(rows, Register(register_db))}
        assert all(f"It needs snapshot {of(chain[1])[:10]}," in why for why in lacks.values() if why), (
            "the link is named"
        )
        return [pk for pk, why in lacks.items() if why]

    assert [continuing(pk) for pk in (old.id, *ids)] == [[], ids[1:], ids[2:], ids[3:], []]
    assert not lacking()
    delete(ids[2])
    assert [continuing(pk) for pk in ids] == [ids[1:2], [], [], []], "the last lacks something already"
    assert lacking() == ids[3:]
    third = backup(register_db, "incremental")
    assert third.metadata.parent == of(chain[0])
    delete(third.id)
    delete(ids[0])
    assert backup(register_db, "incremental").metadata.parent == of(old)
    delete(old.id)
    with pytest.raises(OperationFailed, match="Take a full backup first"):
        backup(register_db, "incremental")
    assert backup(register_db).metadata.parent is None


def test_a_file_that_names_itself_as_its_parent_is_no_endless_chain(register_db: str) -> None:
    one = backup(register_db)
    two = backup(register_db, "incremental")
    for child, parent in ((one, two), (two, one)):
        _backups(register_db).filter(pk=child.id).update(
            backup_type="incremental", parent=parent.id, snapshot="", parent_snapshot=""
        )
    entries = catalogue.entries(list(_backups(register_db)), Register(register_db))
    assert all("no longer here" in entry.lacks for entry in entries)
    assert not catalogue.continued_by(_backups(register_db).get(pk=one.id), Register(register_db))


def test_a_failed_backup_is_never_a_parent(register_db: str) -> None:
    put(register_db, SMALL)
    full = backup(register_db)

    def fails(phase: str, done: int, total: int | None, /) -> None:
        raise RuntimeError(phase)

    with pytest.raises(OperationFailed):
        backup(register_db, progress_callback=fails)
    assert backup(register_db, "incremental").metadata.parent == of(full)


def test_an_incremental_needs_something_to_continue(register_db: str) -> None:
    with pytest.raises(OperationFailed, match="Take a full backup first"):
        backup(register_db, "incremental")


def test_a_full_backup_has_no_starting_date(register_db: str) -> None:
    with pytest.raises(OperationFailed, match="A full backup holds everything"):
        backup(register_db, "full", SINCE)


def test_received_backups_are_no_parents(register_db: str) -> None:
    restore(register_db, file(SMALL))
    with pytest.raises(OperationFailed, match="Take a full backup first"):
        backup(register_db, "incremental")
    assert backup(register_db).metadata.parent is None


def test_a_full_file_from_elsewhere_enters_the_ancestry(register_db: str) -> None:
    theirs = file(SMALL)
    restore(register_db, theirs)
    entry = _backups(register_db).get()
    assert (entry.purpose, entry.installation_id, entry.installation_name) == ("received", ELSEWHERE, "Site A")
    assert (str(entry.pk), entry.records_count, entry.companies_count) == (theirs.metadata["id"], 3, 2)
    assert entry.merged_at is not None


def _in_ancestry(alias: str) -> set[str]:
    """The ids of the backups of others that the register has whole."""
    return {str(entry.pk) for entry in _backups(alias).filter(merged_at__isnull=False)}


INCREMENTAL: dict[str, Any] = {
    "backup_type": "incremental",
    "since_date": "2026-11-01T00:00:00.000000Z",
    "deletions": "unknown",
}


def test_an_incremental_enters_the_ancestry_only_behind_its_parent(register_db: str) -> None:
    full = file(SMALL)
    known = file(register(day()), parent=full.metadata["id"], **INCREMENTAL)
    restore(register_db, known)
    assert _in_ancestry(register_db) == set()
    restore(register_db, full)
    restore(register_db, known)
    expected = {full.metadata["id"], known.metadata["id"]}
    assert _in_ancestry(register_db) == expected
    restore(register_db, file(register(day(ep_no="E2")), parent=some_id(), **INCREMENTAL))
    restore(register_db, file(register(day(ep_no="E3")), **INCREMENTAL))
    assert _in_ancestry(register_db) == expected


def test_an_incremental_whose_parent_was_never_here_is_warned_about(register_db: str) -> None:
    """By a preview and by the restore itself; only those that continue something, and nothing is refused."""
    service = RestoreService(register=Register(register_db))

    def warned(theirs: File) -> bool:
        with service.preview_changes(theirs.stream()) as preview:
            said = list(preview.warnings)
        assert said == restore(register_db, theirs).warnings
        assert all(f"backup {theirs.metadata['parent']}, which was never made or restored here" in one for one in said)
        return bool(said)

    full = file(SMALL)
    first = file(register(day()), parent=full.metadata["id"], **INCREMENTAL)
    second = file(register(day(ep_no="E2")), parent=first.metadata["id"], **INCREMENTAL)
    assert [warned(theirs) for theirs in (second, first)] == [True, True]
    assert warned(second), "what it continues was restored with a gap before it"
    assert [warned(theirs) for theirs in (full, first, second)] == [False, False, False]
    assert not warned(file(register(day(ep_no="E3")), **INCREMENTAL)), "it says that it continues nothing"
    ours = backup(register_db)
    assert not warned(own_file(register_db, register(day()), parent=str(ours.id), **INCREMENTAL))
    assert warned(own_file(register_db, register(day()), parent=some_id(), **INCREMENTAL))


def test_an_incremental_that_continues_a_snapshot_is_merged_without_a_base(register_db: str) -> None:
    """No snapshot is known here yet. What it lists as deleted is deleted, and the gap before it is warned about."""
    restore(register_db, file(SMALL))
    parent = sha256("a snapshot")
    gone = SMALL.records[min(SMALL.records)]
    theirs = file(
        register(day(ep_no="E7")), deleted=[("attendance_records", gone)], backup_type="incremental", parent=parent,
        snapshot=header(says(), parent), ancestors=[],
    )  # fmt: skip
    summary = restore(register_db, theirs)
    assert (summary.records.added, summary.records.deleted) == (1, 1)
    assert [f"after snapshot {parent[:10]}, which is not known here" in one for one in summary.warnings] == [True]
    entry = _backups(register_db).get(pk=theirs.metadata["id"])
    assert (entry.parent, entry.since, entry.merged_at) == (None, None, None)


def test_a_selection_never_enters_the_ancestry(register_db: str) -> None:
    full = file(SMALL)
    restore(register_db, full)
    selection = {"companies": [ABC], "date_from": None, "date_to": None}
    restore(register_db, file(register(day()), selection=selection))
    restore(
        register_db, file(register(day(ep_no="E4")), selection=selection, parent=full.metadata["id"], **INCREMENTAL)
    )
    assert _in_ancestry(register_db) == {full.metadata["id"]}
    assert _backups(register_db).filter(merged_at__isnull=True).count() == 2


def test_our_own_file_changes_nothing_in_the_catalogue(register_db: str) -> None:
    put(register_db, SMALL)
    backup(register_db)
    before = list(_backups(register_db).values())
    restore(register_db, own_file(register_db, register(day(shift="N"))))
    assert list(_backups(register_db).values()) == before
    assert _in_ancestry(register_db) == set()


def test_a_failed_restore_enters_nothing(register_db: str) -> None:
    put(register_db, register(day(shift="N")))
    with pytest.raises(OperationFailed):
        restore(register_db, file(SMALL), "manual")
    assert not _backups(register_db).exists()


def test_what_was_restored_goes_on_with_the_next_incremental(register_db: str) -> None:
    put(register_db, register(day(XYZ_OLD)))
    backup(register_db)
    assert backup(register_db, "incremental").records == 0
    restore(register_db, file(register(day(), day(ep_no="E2"))))
    again = backup(register_db, "incremental")
    assert again.records == 2
    assert {row.updated_at <= timezone.now() for row in rows(register_db).records.values()} == {True}


XYZ_OLD = "XYZ since long"


def test_an_unlisted_selected_company_is_refused(register_db: str) -> None:
    a_company(register_db)
    with pytest.raises(OperationFailed, match="There is no company 'Nobody'"):
        backup(register_db, selection=Selection(companies=[ABC, "Nobody"]))


def test_days_the_wrong_way_round_are_refused(register_db: str) -> None:
    with pytest.raises(OperationFailed, match="is after the last"):
        backup(register_db, selection=Selection(date_from="2026-11-21", date_to="2026-11-20"))


@pytest.mark.parametrize(
    ("selection", "companies", "records"),
    [
        (Selection(), 3, 3),
        (Selection(companies=[]), 0, 0),
        (Selection(companies=[ABC]), 1, 2),
        (Selection(companies=["Idle"]), 1, 0),
        (Selection(date_from="2026-11-21"), 1, 1),
        (Selection(date_to="2026-11-20"), 2, 2),
        (Selection(date_from="2026-11-21", date_to="2026-11-21"), 1, 1),
        (Selection(companies=["Idle", ABC], date_from="2026-11-21"), 2, 1),
        (Selection(date_from="2027-01-01"), 0, 0),
    ],
)
def test_what_a_selection_leaves_in(register_db: str, selection: Selection, companies: int, records: int) -> None:
    put(register_db, register(*SMALL.records.values(), companies=("Idle",)))
    result = backup(register_db, selection=selection)
    assert (result.companies, result.records) == (companies, records)
    assert _backups(register_db).get().selection == result.metadata.selection is not None


def test_a_backup_from_before_a_demo_register_is_continued(register_db: str) -> None:
    """Its records bear old timestamps, and are there all the same."""
    demo = DemoService(Register(register_db))
    demo.seed(DemoPlan(2, 30, 1, dt.date(2026, 10, 31)), password="only here")
    full = backup(register_db)
    demo.seed(DemoPlan(3, 40, 2, dt.date(2026, 10, 31)), password="only here")
    incremental = backup(register_db, "incremental")
    assert incremental.metadata.parent == of(full)
    assert incremental.records > 0
    assert incremental.deleted > 0


def test_only_what_goes_by_a_moment_does_not_know_what_was_deleted(register_db: str) -> None:
    put(register_db, SMALL)
    assert backup(register_db).metadata.deletions == "complete"
    assert backup(register_db, selection=Selection(companies=[ABC])).metadata.deletions == "complete"
    assert backup(register_db, "incremental").metadata.deletions == "complete"
    assert backup(register_db, "incremental", SINCE).metadata.deletions == "unknown"


def test_a_file_cannot_claim_a_backup_of_ours(register_db: str) -> None:
    """A file of another installation with the id of one of our backups leaves our entry as it is."""
    ours = backup(register_db)
    before = Backup.objects.using(register_db).values().get()
    restore(register_db, file(SMALL, id=str(ours.id)))
    assert Backup.objects.using(register_db).values().get() == before


@pytest.mark.parametrize("kind", ["weekly", "", "FULL"])
def test_an_unknown_kind_is_a_mistake_of_the_caller(register_db: str, kind: Any) -> None:
    with pytest.raises(ValueError, match="not a type of backup"):
        backup(register_db, kind)
