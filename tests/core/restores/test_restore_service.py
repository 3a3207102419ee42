"""Restores by example: companies, previews that the register moved away from, conflicts, sources."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import IO, Any

import pytest
from pytest_django import Settings

from core.models import AttendanceRecord, Company
from core.operations.errors import ConflictsLeft, DataMoved, FileRefused, OperationFailed
from core.operations.wording import describe
from core.register.database import Register
from core.restores.restore_service import RestoreService
from tests.builders.days import ABC, SATURDAY, XYZ, Content, day
from tests.builders.files import File, file
from tests.builders.registers import SMALL, a_company, an_account, everything, put, register, rows
from tests.running.services import restore

INCREMENTAL: dict[str, Any] = {
    "backup_type": "incremental",
    "since_date": "2026-11-01T00:00:00.000000Z",
    "deletions": "unknown",
}


def _company_gone(name: str = XYZ, *records: Content) -> File:
    """A file that lists a company, and these records, as deleted."""
    gone = [("attendance_records", content) for content in records]
    return file(register(), deleted=[("companies", {"name": name}), *gone], **INCREMENTAL)


def _texts(alias: str, file: File, strategy: str = "backup_wins") -> list[str]:
    """What a preview says that it would do."""
    with RestoreService(register=Register(alias)).preview_changes(file.stream(), strategy) as preview:
        return [describe(step, preview.plan.shapes[step.model.name], decided=True) for step in preview]


def test_a_company_that_nothing_refers_to_is_deleted(register_db: str) -> None:
    a_company(register_db, XYZ)
    assert _texts(register_db, _company_gone()) == [f"{XYZ}: delete"]
    outcome = restore(register_db, _company_gone())
    assert (outcome.companies.deleted, outcome.companies.conflicts) == (1, 0)
    assert not Company.objects.using(register_db).exists()


def test_a_company_goes_after_its_records(register_db: str) -> None:
    content = day(XYZ)
    put(register_db, register(content, day(XYZ, date=SATURDAY)))
    file = _company_gone(XYZ, content, day(XYZ, date=SATURDAY))
    outcome = restore(register_db, file)
    assert (outcome.companies.deleted, outcome.records.deleted) == (1, 2)
    assert rows(register_db).companies == {}


@pytest.mark.parametrize("strategy", ["backup_wins", "database_wins"])
def test_a_company_that_a_record_refers_to_stays(register_db: str, strategy: str) -> None:
    put(register_db, register(day(XYZ), day(XYZ, ep_no="E9")))
    file = _company_gone(XYZ, day(XYZ))
    assert any("still refer to it; it stays" in text for text in _texts(register_db, file, strategy))
    outcome = restore(register_db, file, strategy)
    assert (outcome.companies.kept, outcome.companies.conflicts, outcome.records.deleted) == (1, 1, 1)
    assert set(rows(register_db).companies) == {XYZ}


def test_a_company_that_an_account_refers_to_stays(register_db: str) -> None:
    a_company(register_db, XYZ)
    an_account(register_db, XYZ)
    outcome = restore(register_db, _company_gone())
    assert (outcome.companies.kept, outcome.companies.conflicts) == (1, 1)
    outcome = restore(register_db, _company_gone(), "manual")  # nobody could decide it otherwise
    assert (outcome.companies.kept, outcome.companies.conflicts) == (1, 1)


def test_an_unlisted_company_is_created_once_and_said(register_db: str) -> None:
    theirs = file(register(day(), day(date=SATURDAY)), list_companies=False, **INCREMENTAL)
    texts = _texts(register_db, theirs)
    assert texts[0] == f"{ABC}: add, because records name it"
    assert len(texts) == 3
    outcome = restore(register_db, theirs)
    assert (outcome.companies.read, outcome.companies.created, outcome.records.added) == (0, 1, 2)
    assert rows(register_db).names == (ABC,)


def test_a_record_deleted_there_and_changed_here_is_a_conflict(register_db: str) -> None:
    put(register_db, register(day(shift="N")))
    theirs = file(register(), deleted=[("attendance_records", day())], **INCREMENTAL)
    assert _texts(register_db, theirs, "database_wins")[0].endswith("changed here, deleted there; stays as it is here")
    assert restore(register_db, theirs, "database_wins").records.kept == 1
    assert restore(register_db, theirs, "backup_wins").records.deleted == 1


def test_conflicts_left_are_told_one_by_one(register_db: str) -> None:
    put(register_db, register(day(shift="N", in_time="08:00:00"), day(XYZ)))
    before = everything(register_db)
    with pytest.raises(ConflictsLeft) as left:
        restore(register_db, file(SMALL), "manual")
    assert str(left.value).startswith("2 conflicts are left for somebody to decide. Nothing was changed.")
    assert left.value.error_count == 2
    first = left.value.errors[0]
    assert (first.section, first.key, first.field) == ("attendance_records", (ABC, "E1", "2026-11-20"), "shift, day")
    assert 'in_time here "08:00", backup "09:00"' in first.message
    assert ABC not in first.message, "it is said where, once"
    assert everything(register_db) == before


def test_manual_goes_through_where_nothing_is_to_decide(register_db: str) -> None:
    put(register_db, register(day()))
    assert restore(register_db, file(SMALL), "manual").records.added == 2


@pytest.mark.untraced
def test_a_restore_of_a_preview_stops_where_a_record_moved(register_db: str) -> None:
    put(register_db, register(day(shift="N")))
    service = RestoreService(register=Register(register_db))
    stream = file(SMALL).stream()
    with service.preview_changes(stream) as preview:
        AttendanceRecord.objects.using(register_db).update(shift="E")
        before = everything(register_db)
        with pytest.raises(DataMoved, match="preview: Attendance records ABC Corp · E1 · 2026-11-20"):
            service.restore_backup(stream, preview=preview)
        assert everything(register_db) == before
    with service.preview_changes(stream) as preview:
        assert service.restore_backup(stream, preview=preview).records.updated == 1


def test_many_moved_records_are_counted(register_db: str) -> None:
    days = [day(ep_no=f"E{number}") for number in range(9)]
    service = RestoreService(register=Register(register_db))
    stream = file(register(*days)).stream()
    with service.preview_changes(stream) as preview:
        put(register_db, register(*days))
        with pytest.raises(DataMoved, match="and 5 more"):
            service.restore_backup(stream, preview=preview)


def test_a_preview_of_another_file_is_not_applied(register_db: str) -> None:
    service = RestoreService(register=Register(register_db))
    with (
        service.preview_changes(file(SMALL).stream()) as preview,
        pytest.raises(DataMoved, match="not the one that was previewed, or another version of Muster"),
    ):
        service.restore_backup(file(SMALL, created_by="somebody else").stream(), preview=preview)


def test_a_company_created_since_the_preview_is_told(register_db: str) -> None:
    service = RestoreService(register=Register(register_db))
    stream = file(register(day()), list_companies=False, **INCREMENTAL).stream()
    with service.preview_changes(stream) as preview:
        a_company(register_db)
        with pytest.raises(DataMoved, match="changed after the preview: Attendance records ABC Corp · "):
            service.restore_backup(stream, preview=preview)


def test_an_account_created_since_the_preview_is_told(register_db: str) -> None:
    a_company(register_db, XYZ)
    service = RestoreService(register=Register(register_db))
    stream = _company_gone().stream()
    with service.preview_changes(stream) as preview:
        an_account(register_db, XYZ)
        with pytest.raises(DataMoved, match="Companies XYZ Ltd"):
            service.restore_backup(stream, preview=preview)


@pytest.mark.untraced
def test_sources_are_paths_and_streams(register_db: str, tmp_path: Path) -> None:
    service = RestoreService(register=Register(register_db))
    path = tmp_path / "full.json"
    path.write_bytes(file(SMALL).encode())
    assert service.restore_backup(path).file == str(path)
    assert service.restore_backup(str(path)).records.skipped == 3
    with path.open("rb") as stream:
        assert service.restore_backup(stream).file == str(path)
    assert service.restore_backup(io.BytesIO(path.read_bytes())).file == "-"


def _pipe(data: bytes) -> IO[bytes]:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as stream:
        stream.write(data)  # less than a pipe holds
    return os.fdopen(reading, "rb")


def test_a_stream_that_can_be_read_only_once_is_copied(register_db: str) -> None:
    data = file(SMALL).encode()
    service = RestoreService(register=Register(register_db))
    phases: list[str] = []
    with _pipe(data) as stream:
        outcome = service.restore_backup(stream, "backup_wins", lambda phase, done, total: phases.append(phase))
    assert outcome.records.added == 3
    assert phases[0] == "receive"
    assert phases[-1] == "commit"
    with _pipe(data) as stream:
        assert service.validate_backup(stream).valid
    with _pipe(data) as stream, service.preview_changes(stream) as preview:
        assert preview.changes_nothing


def test_a_file_that_is_too_large_is_refused(register_db: str, settings: Settings) -> None:
    settings.MUSTER_MAX_FILE_BYTES = 500
    service = RestoreService(register=Register(register_db))
    data = file(SMALL).encode()
    with _pipe(data) as stream, pytest.raises(FileRefused) as refused:
        service.restore_backup(stream)
    assert "the limit of 500 bytes" in str(refused.value.errors[0])
    with _pipe(data) as stream:
        result = service.validate_backup(stream)
    assert not result.valid
    assert "the limit of 500 bytes" in str(result.errors[0])


OTHERS = pytest.mark.parametrize("other", [file(register(day(shift="N"))).encode(), b"", b"nonsense"])


@pytest.mark.untraced
@OTHERS
def test_the_file_that_was_checked_is_the_file_that_is_used(register_db: str, tmp_path: Path, other: bytes) -> None:
    """A part of a register is checked first, and read again when it is used."""
    path = tmp_path / "part.json"
    path.write_bytes(file(SMALL, selection={"companies": None, "date_from": None, "date_to": None}).encode())

    def swap(phase: str, done: int, total: int | None, /) -> None:
        if phase == "check":  # reported at the end of so short a check
            path.write_bytes(other)

    with pytest.raises(OperationFailed, match="The file has changed since it was checked"):
        RestoreService(register=Register(register_db)).restore_backup(path, progress_callback=swap)
    assert rows(register_db).companies == {}


@OTHERS
def test_the_file_that_is_read_is_the_file_that_is_used(register_db: str, tmp_path: Path, other: bytes) -> None:
    """A whole one is checked while it is compared: another one, that took its place, is restored whole or refused."""
    path = tmp_path / "full.json"
    path.write_bytes(file(SMALL).encode())

    def swap(phase: str, done: int, total: int | None, /) -> None:
        if phase == "check":
            path.write_bytes(other)

    service = RestoreService(register=Register(register_db))
    if other.startswith(b"{"):
        service.restore_backup(path, progress_callback=swap)
        assert AttendanceRecord.objects.using(register_db).get().shift == "N"
    else:
        with pytest.raises(OperationFailed, match="is not a valid backup"):
            service.restore_backup(path, progress_callback=swap)
        assert rows(register_db).companies == {}


def test_a_missing_file_is_one_sentence(register_db: str, tmp_path: Path) -> None:
    service = RestoreService(register=Register(register_db))
    path = tmp_path / "nowhere.json"
    expected = f"{path}: there is no such file or folder. Nothing was changed."
    for act in (service.validate_backup, service.preview_changes, service.restore_backup):
        with pytest.raises(OperationFailed) as failed:
            act(path)
        assert str(failed.value) == expected


def test_an_unknown_strategy_is_a_mistake_of_the_caller(register_db: str) -> None:
    with pytest.raises(ValueError, match="is not a valid Strategy"):
        restore(register_db, file(SMALL), "guess")


def test_a_summary_has_the_keys_of_every_command(register_db: str) -> None:
    put(register_db, register(day(shift="N")))
    service = RestoreService(register=Register(register_db))
    with service.preview_changes(file(SMALL).stream()) as preview:
        told = preview.summary()
    done = restore(register_db, file(SMALL)).summary()
    counts = {
        "companies": 2, "records": 3, "added": 2, "updated": 1, "deleted": 0, "skipped": 0, "kept": 0, "undecided": 0,
        "conflicts": 1,
    }  # fmt: skip
    for summary, operation in ((told, "preview"), (done, "restore")):
        assert (summary["ok"], summary["operation"], summary["type"]) == (True, operation, "full")
        assert {name: summary[name] for name in counts} == counts
        assert summary["models"]["companies"]["added"] == 1
    assert len(told["plan"]) == 64
    assert done["seconds"] >= 0
