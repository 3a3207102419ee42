"""Properties 6, 7, 8, 11, 13, 17 and 18: what a restore does to the register, told from the tables themselves."""

from __future__ import annotations

import datetime as dt
import io
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from django.conf import settings
from django.db import OperationalError
from hypothesis import event
from hypothesis import strategies as st

from core.models import JOBS, AttendanceRecord, BackupLog, Company, Kind, Operation
from core.operations import queue as jobs
from core.operations.errors import ConflictsLeft, DataMoved, OperationFailed
from core.operations.results import RestoreResult, RestoreSummary
from core.operations.run import Actor, Run
from core.preview import stored as stored_preview
from core.preview.filters import Filter
from core.register.database import Register
from core.restores import jobs as restore_jobs
from core.restores.restore_service import RestoreService
from recordsync.merge import Side, Strategy
from recordsync.stores import OrmStore
from tests.builders import files
from tests.builders.days import Key
from tests.builders.registers import RegisterData, Rows, an_account, everything, put, rows
from tests.properties.laws import clear, for_all, for_some
from tests.running.services import backup_bytes, restore
from tests.running.work_queue import perform
from tests.strategies.registers import STRATEGIES, Merge, contents, deciding, merges, pairs, texts

Sides = tuple[RegisterData, RegisterData]


@for_all(sides=pairs(min_records=2), strategy=deciding, listed=st.booleans(), full=st.booleans())
def test_properties_06_07_11_what_is_absent_is_inserted_and_what_differs_updated(
    alias: str, sides: Sides, strategy: str, listed: bool, full: bool
) -> None:
    """For all files, full or incremental, every record whose key the register does not have is inserted as the file has
    it, with its creation time, whatever the strategy; so is every company. With backup_wins every record whose key is
    there and whose content differs becomes the file's: the same row, created when it was, changed now. What is equal or
    not listed, and with database_wins what differs, is not touched at all. Companies that the records name and that are
    not there, listed or not, are created, each once, and every record is its company's."""
    ours, theirs = sides
    put(alias, ours)
    before, start = rows(alias), dt.datetime.now(dt.UTC)
    partial: dict[str, Any] = {
        "backup_type": "incremental",
        "since_date": "2026-11-01T00:00:00.000000Z",
        "deletions": "unknown",
    }
    listed = listed or full  # a full file lists them
    file = files.file(theirs, list_companies=listed, **({} if full else partial))
    if not listed:
        file.metadata["total_companies"] = 0
    outcome = restore(alias, file.encode(), strategy)
    after = rows(alias)  # by the companies' ids: an orphan would have no name
    named = {key[0] for key in theirs.records} | (set(theirs.companies) if listed else set())
    new = [key for key in theirs.records if key not in before.records]
    for key in new:
        row = after.records[key]
        assert row.content == theirs.records[key]
        assert row.created_at == theirs.record_stamp(key).created_at
        assert row.updated_at >= start
    assert set(after.records) == {*before.records, *theirs.records}
    assert set(after.companies) == {*before.companies, *named}
    updated = 0
    for key, row in before.records.items():
        there = after.records[key]
        if strategy == "backup_wins" and key in theirs.records and theirs.records[key] != row.content:
            updated += 1
            assert there.content == theirs.records[key]
            assert (there.pk, there.created_at) == (row.pk, row.created_at)
            assert there.updated_at >= start
        else:
            assert there == row
    for name, company in before.companies.items():
        assert after.companies[name] == company
    assert (outcome.records.added, outcome.records.updated) == (len(new), updated)
    created = len(named - set(before.companies))
    assert (outcome.companies.added, outcome.companies.created) == ((created, 0) if listed else (0, created))
    event(f"{min(len(new), 3)} new, {min(updated, 3)} updated, {min(created, 2)} companies")


def _moved(before: Rows, after: Rows) -> dict[str, Counter[str]]:
    """What became of the rows of each model, told from the tables."""
    found = {}
    for name in ("companies", "records", "seals"):
        old, new = getattr(before, name), getattr(after, name)
        counter: Counter[str] = Counter()
        counter["added"] = len(set(new) - set(old))
        counter["deleted"] = len(set(old) - set(new))
        counter["updated"] = sum(new[key] != old[key] for key in set(old) & set(new))
        found["attendance_records" if name == "records" else name] = counter
    return found


def _entries(file: files.File, section: str) -> int:
    return len(file.records[section]) + len(file.deleted[section])


class Failure(Exception):
    """What the tests make happen."""


_ERRORS = st.sampled_from([Failure, OperationalError, MemoryError, OSError, KeyboardInterrupt])


@contextmanager
def _failing(where: str, at: int, error: type[BaseException], after: bool) -> Iterator[None]:
    """Fail at the call number ``at`` of something that a restore calls; ``after`` it was done, or before."""
    owner, name = {"store": (OrmStore, "write"), "log": (Run, "save_log")}[where]
    calls = 0
    real: Any = getattr(owner, name)

    def fails(self: Any, *args: Any, **options: Any) -> Any:
        nonlocal calls
        if options.get("success") is False:
            return real(self, *args, **options)  # the account of the failure
        calls += 1
        if calls == at and not after:
            raise error("made to fail")
        result = real(self, *args, **options)
        if calls == at:
            raise error("made to fail")
        return result

    with patch.object(owner, name, fails):
        yield


@for_all(
    merge=merges(),
    strategy=deciding,
    where=st.sampled_from(["progress", "progress", "store", "log", "catalogue"]),
    at=st.integers(1, 6),
    error=_ERRORS,
    after=st.booleans(),
)
def test_property_13_a_restore_that_fails_at_any_point_changes_nothing(
    alias: str, merge: Merge, strategy: str, where: str, at: int, error: type[BaseException], after: bool
) -> None:
    """For all restores that fail at any point (in a report of progress, before or after a batch is written, in the
    audit trail, in the catalogue), the database is exactly as it was, ids and timestamps included, and the audit
    trail has one row that says it failed. One that the failure did not reach is done."""
    put(alias, merge.ours)
    before, contents_before = everything(alias), rows(alias)
    data = merge.file.encode()
    reached: list[str] = []

    def progress(phase: str, done: int, total: int | None, /) -> None:
        reached.append(phase)
        if where == "progress" and len(reached) == at:
            raise error("made to fail")

    failed = None
    try:
        if where == "catalogue":
            with patch("core.backups.catalogue.record_restored", side_effect=error("made to fail")):
                restore(alias, data, strategy, progress)
        elif where == "progress":
            restore(alias, data, strategy, progress)
        else:
            with _failing(where, at if where == "store" else 1, error, after):
                restore(alias, data, strategy, progress)
    except (OperationFailed, KeyboardInterrupt) as failure:
        failed = failure
    log = BackupLog.objects.using(alias).get()
    operation = Operation.objects.using(JOBS).get()
    if failed is None:
        assert where in ("progress", "store"), "it was to fail, and did not"
        assert log.success
        assert operation.state == Operation.State.SUCCEEDED
        assert set(rows(alias).records) >= set(merge.theirs.records)
        event("not reached")
        return
    assert everything(alias) == before
    assert rows(alias) == contents_before
    assert not log.success
    assert "Nothing was changed." in log.error_message
    assert log.operation_id == operation.pk
    assert log.records_added == log.records_updated == 0 or where in ("log", "catalogue", "progress")
    assert operation.state in (Operation.State.FAILED, Operation.State.CANCELLED)
    event(f"{where} failed in {reached[-1]}")


MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 # decisions are synced to disk: not here
"""Where there is a file system in memory, a stored preview of an example goes there."""


@for_some(merge=merges(), strategy=st.sampled_from(list(Strategy)), decided=st.randoms(use_true_random=False))
def test_property_17_a_stored_preview_counts_what_applying_then_does(
    alias: str, merge: Merge, strategy: Strategy, decided: Random
) -> None:
    """For all files, strategies and decisions by hand: what the web shows is what applying it there does."""
    put(alias, merge.ours)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        patch.setattr(settings, "DATA_DIR", folder)
        pk = restore_jobs.receive([merge.file.encode()], 1 << 30)
        parameters = {"strategy": strategy.value, "backup": None}
        asker = Actor("Meena")
        jobs.submit(Kind.CHECK, asker, register=Register(alias), pk=pk, parameters=parameters)
        perform(pk)
        before = rows(alias)
        with stored_preview.opened(pk) as preview:
            lines = preview.page(Filter()).lines
            assert preview.count(Filter()) == (preview.plan.size, False)
            for line in lines:
                for unit in line.units:
                    preview.decide(decided.choice(list(Side)), line.id, unit.name, seen=preview.version)
                    assert preview.counts() == preview.plan.counts(preview.decisions())
            if strategy is Strategy.MANUAL:
                preview.decide_many(decided.choice(list(Side)), Filter(undecided=True))
            told = preview.counts()
            assert told == preview.plan.counts(preview.decisions())
            assert not any(one.undecided + one.absent_undecided for one in told.values())
            operation = restore_jobs.submit_apply(asker, preview, register=Register(alias))
        perform(operation.pk)
    done = Operation.objects.using("jobs").get(pk=operation.pk)
    assert done.state == Operation.State.SUCCEEDED, done.message
    log = BackupLog.objects.using(alias).get()
    records = told["attendance_records"]
    assert (log.records_added, log.records_updated, log.records_kept) == (records.added, records.updated, records.kept)
    moved = _moved(before, rows(alias))["attendance_records"]
    assert (moved["added"], moved["updated"]) == (records.added, records.updated)


@for_all(merge=merges(), strategy=st.sampled_from(STRATEGIES))
def test_properties_08_17_a_preview_counts_what_applying_then_does(alias: str, merge: Merge, strategy: str) -> None:
    """For all files, full, incremental or selection, and strategies: a preview writes nothing, and its counts and
    steps are what restoring then does; with manual that is nothing as long as there is a conflict to decide. The
    entries of the file are all accounted for, once; and what is counted as added, updated and deleted is what happened
    to the tables. The audit trail says the same."""
    put(alias, merge.ours)
    before, tables = rows(alias), everything(alias)
    data = merge.file.encode()
    service = RestoreService(register=Register(alias))
    with service.preview_changes(io.BytesIO(data), strategy) as preview:
        assert everything(alias) == tables
        assert not BackupLog.objects.using(alias).exists()
        told = {name: asdict(counts) for name, counts in preview.models.items()}
        steps = list(preview)
        to_decide = sum(step.to_decide for step in steps)
        assert to_decide == len(list(preview.to_decide()))
        assert preview.conflicts == to_decide + sum(step.blocked for step in steps)
        undecided = sum(one.undecided + one.absent_undecided for one in preview.models.values())
        assert undecided == (to_decide if strategy == "manual" else 0)
        if strategy == "manual" and to_decide:
            with pytest.raises(ConflictsLeft) as left:
                service.restore_backup(io.BytesIO(data), strategy, preview=preview)
            assert left.value.error_count == to_decide
            assert everything(alias) == tables
            event("conflicts left")
            return
        outcome = service.restore_backup(io.BytesIO(data), strategy, preview=preview)
    after = rows(alias)
    assert {name: asdict(counts) for name, counts in outcome.models.items()} == told
    moved = _moved(before, after)
    _assert_accounted_for(alias, outcome, merge.file, moved)
    records = preview.records
    assert (records.added, records.updated, records.deleted + records.absent_deleted) == (
        moved["attendance_records"]["added"],
        moved["attendance_records"]["updated"],
        moved["attendance_records"]["deleted"],
    )
    assert records.skipped == outcome.records.skipped
    assert preview.changes_nothing is (before == after and not preview.conflicts)
    _assert_steps(steps, before, after)
    event(f"{merge.file.metadata['backup_type']}, {strategy}")


def _assert_accounted_for(alias: str, outcome: RestoreResult, file: files.File, moved: dict[str, Counter[str]]) -> None:
    for section, counts in outcome.models.items():
        assert counts.read == _entries(file, section)
        assert counts.read == counts.added + counts.updated + counts.deleted + counts.skipped + counts.kept
        assert counts.added + counts.created == moved[section]["added"]
        assert counts.updated == moved[section]["updated"]
        assert counts.deleted == moved[section]["deleted"]
        assert (counts.absent_deleted, counts.absent_kept) == (0, 0)
    log = BackupLog.objects.using(alias).get(pk=outcome.log_id)
    records = outcome.records
    assert (log.records_count, log.companies_count) == (records.read, outcome.companies.read)
    assert (log.records_added, log.records_updated, log.records_deleted, log.records_skipped, log.records_kept) == (
        records.added, records.updated, records.deleted, records.skipped, records.kept
    )  # fmt: skip


def _assert_steps(steps: list[Any], before: Rows, after: Rows) -> None:
    """Every change of an attendance record is a step, with what was and what then is; and no step is anything else."""
    told = {
        step.change.key: (_content(step, step.change.before), _content(step, step.change.after))
        for step in steps
        if step.change is not None and step.model.name == "attendance_records"
    }
    done = {
        key: (before.contents.get(key), after.contents.get(key))
        for key in {*before.records, *after.records}
        if before.contents.get(key) != after.contents.get(key)
    }
    assert told == done


def _content(step: Any, record: Any) -> Any:
    return record and step.model.shape().content(record)


def _move(alias: str, merge: Merge, data: st.DataObject) -> str:
    """Somebody else's work after a preview, if any; what it was."""
    there = rows(alias)
    kinds = ["nothing", *(["edit", "delete"] if there.records else [])]
    missing = sorted({key[0] for key in merge.theirs.records} - set(there.companies))
    refused = sorted(set(merge.deleted_companies) & set(there.companies))
    kinds += ["company"] if missing else []
    kinds += ["account"] if refused else []
    kind: str = data.draw(st.sampled_from(kinds))
    records = AttendanceRecord.objects.using(alias)
    if kind in ("edit", "delete"):
        chosen = records.filter(pk=data.draw(st.sampled_from(list(there.records.values()))).pk)
        if kind == "edit":
            chosen.update(shift=data.draw(texts(0, 50)))
        else:
            chosen.delete()
    elif kind == "company":
        Company.objects.using(alias).create(name=missing[0])
    elif kind == "account":
        an_account(alias, refused[0])
    return kind


@for_all(merge=merges(), strategy=deciding, data=st.data())
def test_property_17_what_moved_since_the_preview_stops_the_restore(
    alias: str, merge: Merge, strategy: str, data: st.DataObject
) -> None:
    """For all files: if a record, company or account changes after the preview so that the outcome would be another
    one, the restore stops, says so and changes nothing; otherwise it does what the preview said."""
    put(alias, merge.ours)
    service = RestoreService(register=Register(alias))
    stream = io.BytesIO(merge.file.encode())
    with service.preview_changes(stream, strategy) as preview:
        told = preview.models
        kind = _move(alias, merge, data)
        before = everything(alias)
        stopped = None
        try:
            outcome: RestoreSummary = service.restore_backup(stream, strategy, preview=preview)
        except DataMoved as moved:
            stopped = moved
    if stopped is None:
        assert outcome.models == told
        event(f"{kind}: not moved")
    else:
        assert kind != "nothing"
        assert everything(alias) == before
        assert "The register changed after the preview" in str(stopped)
        event(f"{kind}: moved")


@for_all(content=contents, name=texts(0, 255), shift=texts(0, 50), number=texts(1, 50), company=texts(1, 255))
def test_property_18_any_text_is_stored_verbatim(
    alias: str, content: Any, name: str, shift: str, number: str, company: str
) -> None:
    """For all texts in all fields that hold text: restoring stores them character for character, and backing up
    writes them so; nothing is executed, escaped, trimmed, folded or normalised."""
    content = {**content, "ep_name": name, "shift": shift, "ep_no": number, "company_name": company}
    key: Key = (company, content["date"], number)
    register = RegisterData().having({key: content})
    data = files.file(register).encode()
    restore(alias, data)
    found = rows(alias)
    assert found.contents == {key: content}
    assert found.names == (company,)
    assert files.contents(files.parsed(backup_bytes(alias)[0])) == {key: content}
    clear(alias)
    assert rows(alias) == Rows({}, {})  # the tables are still there
