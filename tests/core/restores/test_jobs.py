"""Check, preview, decide and apply as the web does them, with the jobs run in this process."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections
from django.utils import timezone
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from core.management.commands import db_worker
from core.models import JOBS, AttendanceRecord, BackupLog, Kind, Operation
from core.operations import queue as jobs
from core.operations.errors import OperationFailed, RegisterBusy
from core.operations.run import Actor
from core.preview import changes as preview_changes
from core.preview import folders as preview_folders
from core.preview import stored as stored_preview
from core.preview.decisions import Carried, DecidedMeanwhile
from core.preview.filters import Filter
from core.preview.lines import Line
from core.preview.stored import StoredPreview
from core.register.database import Register
from core.restores import jobs as restore_jobs
from recordsync.merge import Side, Strategy
from recordsync.system import locks
from tests.builders.days import ABC, SATURDAY, XYZ, Content, day
from tests.builders.files import file
from tests.builders.old_files import old_file, old_record
from tests.builders.registers import SMALL, RegisterData, put, register, rows
from tests.running.work_queue import perform

ACTOR = Actor("Meena")
OTHER = register(day(shift="N"), day(ep_no="E9"), day(XYZ, shift="N", in_time="22:00:00", out_time="06:00:00"))
"""Against SMALL: one differs, one is new, one is the same."""


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)


def checked(alias: str, content: RegisterData | bytes, strategy: Strategy = Strategy.MANUAL) -> Operation:
    data = content if isinstance(content, bytes) else file(content).encode()
    pk = restore_jobs.receive([data], 1 << 30)
    operation = jobs.submit(
        Kind.CHECK,
        ACTOR,
        register=Register(alias),
        pk=pk,
        parameters={"strategy": strategy.value, "backup": None},
    )
    perform(pk)
    return Operation.objects.using(JOBS).get(pk=operation.pk)


def applied(alias: str, preview: StoredPreview) -> Operation:
    operation = restore_jobs.submit_apply(ACTOR, preview, register=Register(alias))
    perform(operation.pk)
    return Operation.objects.using(JOBS).get(pk=operation.pk)


def test_from_upload_to_summary(register_db: str) -> None:
    put(register_db, SMALL)
    check = checked(register_db, OTHER)
    assert (check.state, check.message) == (Operation.State.SUCCEEDED, "")
    assert not BackupLog.objects.using(register_db).exists(), "a preview leaves no audit row"
    with stored_preview.opened(check.pk) as preview:
        assert [line.kind for line in preview.page(Filter()).lines] == ["conflict", "add"]
        assert preview.undecided == 1
        with pytest.raises(OperationFailed, match="not decided"):
            restore_jobs.submit_apply(ACTOR, preview)
        assert preview.decide(Side.OURS, 0, "shift", seen=preview.version) == 1
        for strategy, side in ((Strategy.BACKUP_WINS, "theirs"), (Strategy.DATABASE_WINS, "ours")):
            preview.choose(strategy)
            assert [unit.side for line in preview.page(Filter()).lines for unit in line.units] == [side]
        preview.choose(Strategy.MANUAL)
        assert preview.decide(Side.THEIRS, 0, "shift", seen=preview.version) == 1
    with stored_preview.opened(check.pk) as preview:
        counts = preview.counts()
        done = applied(register_db, preview)
    assert (done.state, done.message) == (Operation.State.SUCCEEDED, "")
    assert done.result["models"]["attendance_records"] == asdict(counts["attendance_records"])
    log = BackupLog.objects.using(register_db).get()
    assert (log.records_added, log.records_updated, log.records_skipped, log.records_deleted) == (1, 1, 1, 0)
    assert rows(register_db).contents[(ABC, "2026-11-20", "E1")]["shift"] == "N"
    assert not preview_folders.folder_of(check.pk).exists()
    assert preview_changes.changes_file(done.pk).stat().st_size
    with pytest.raises(OperationFailed, match="not there any more"), stored_preview.opened(check.pk):
        pass


@pytest.mark.untraced
def test_what_is_counted_by_company_is_what_the_summary_counts(register_db: str) -> None:
    """Attendance records, in the preview and when it is done; a new company is counted among the companies."""
    put(register_db, SMALL)
    more = [day("With one", shift="N"), *OTHER.records.values()]
    check = checked(register_db, register(*more, companies=("Without any",)), Strategy.BACKUP_WINS)
    with stored_preview.opened(check.pk) as preview:
        assert (preview.counts()["attendance_records"].added, preview.counts()["companies"].added) == (2, 2)
        before = preview.results_by_company()
        done = applied(register_db, preview)
    assert {one["company"]: one["add"] for one in before} == {ABC: 1, "With one": 1}
    assert done.result["companies"] == before


@pytest.mark.untraced
def test_data_that_moved_stops_it_and_is_named(register_db: str) -> None:
    put(register_db, SMALL)
    check = checked(register_db, OTHER, Strategy.BACKUP_WINS)
    AttendanceRecord.objects.using(register_db).filter(ep_no="E1", date="2026-11-20").update(shift="Q")
    before = rows(register_db)
    with stored_preview.opened(check.pk) as preview:
        done = applied(register_db, preview)
    assert done.state == Operation.State.FAILED
    assert "E1" in done.message
    assert rows(register_db) == before
    with stored_preview.opened(check.pk) as preview:
        assert preview.applying == ""
        preview.choose(Strategy.DATABASE_WINS)
        again = restore_jobs.check_again(ACTOR, preview)
    perform(again.pk)
    with stored_preview.opened(again.pk) as preview:
        assert preview.strategy is Strategy.DATABASE_WINS
        done = applied(register_db, preview)
    assert (done.state, done.message) == (Operation.State.SUCCEEDED, "")
    assert rows(register_db).contents[(ABC, "2026-11-20", "E1")]["shift"] == "Q"
    assert preview_folders.folder_of(check.pk).exists()


def test_a_bad_file_ends_with_its_errors(register_db: str) -> None:
    data = file(SMALL).encode().replace(b'"status":"P"', b'"status":"X"', 1)
    check = checked(register_db, data)
    assert check.state == Operation.State.FAILED
    assert any(error["field"] == "status" for error in check.result["errors"])
    assert not preview_folders.folder_of(check.pk).exists()


def test_a_1_0_file_and_its_warnings(register_db: str) -> None:
    """It does not say where it comes from; what is odd about it is kept from the check to the summary."""
    put(register_db, SMALL)
    record = old_record(day(shift="N"))
    check = checked(register_db, old_file([record, record], [ABC]), Strategy.BACKUP_WINS)
    assert (check.state, check.message) == (Operation.State.SUCCEEDED, "")
    with stored_preview.opened(check.pk) as preview:
        assert (preview.origin.name, preview.origin.taken_at) == ("", "2026-11-20T18:40:00.000000Z")
        (warning,) = preview.warnings
        assert "the same record twice" in warning
        done = applied(register_db, preview)
    assert (done.state, done.message) == (Operation.State.SUCCEEDED, "")
    assert check.result["warnings"] == done.result["warnings"] == [warning]
    assert rows(register_db).contents[(ABC, "2026-11-20", "E1")]["shift"] == "N"


@pytest.mark.untraced
def test_a_company_that_cannot_be_deleted_is_said_to_stay(register_db: str) -> None:
    """As long as the file leaves a record of it; what the preview says is what applying then does."""
    put(register_db, SMALL)
    gone: list[tuple[str, Content]] = [("companies", {"name": ABC}), ("attendance_records", day())]
    whole = [*gone, ("attendance_records", day(date=SATURDAY))]
    for deleted, stays in ((gone, True), (whole, False)):
        incremental: dict[str, Any] = {"backup_type": "incremental", "since_date": "2026-11-01T00:00:00.000000Z"}
        check = checked(register_db, file(register(), deleted=deleted, **incremental).encode(), Strategy.BACKUP_WINS)
        with stored_preview.opened(check.pk) as preview:
            lines = [line for line in preview.page(Filter(kind="delete")).lines if line.key == (ABC,)]
            assert [line.stays for line in lines] == [stays]
    with stored_preview.opened(check.pk) as preview:
        applied(register_db, preview)
    assert ABC not in rows(register_db).companies


def test_one_at_a_time_and_who_it_is(register_db: str) -> None:
    put(register_db, SMALL)
    first, second = (checked(register_db, OTHER, Strategy.BACKUP_WINS) for _ in range(2))
    with stored_preview.opened(first.pk) as preview:
        operation = restore_jobs.submit_apply(ACTOR, preview, register=Register(register_db))
        with pytest.raises(OperationFailed, match="being applied"):
            preview.decide_many(Side.OURS, Filter())
    told = r"Meena asked for a restore at [\d-]{10} \d\d:\d\d UTC, which waits for the worker\. Nothing was changed\."
    with stored_preview.opened(second.pk) as preview, pytest.raises(RegisterBusy, match=told):
        restore_jobs.submit_apply(ACTOR, preview, register=Register(register_db))
    with locks.held(f"operation-{operation.pk}", JOBS):
        Operation.objects.using(JOBS).filter(pk=operation.pk).update(state="running", phase="apply", done=7)
        with (
            stored_preview.opened(second.pk) as preview,
            pytest.raises(RegisterBusy, match=r"Meena has been running a restore since .* \(apply, 7 done\)"),
        ):
            restore_jobs.submit_apply(ACTOR, preview, register=Register(register_db))


def test_of_two_that_ask_at_the_same_moment_one_is_told_about_the_other(register_db: str) -> None:
    put(register_db, SMALL)
    previews = [checked(register_db, OTHER, Strategy.BACKUP_WINS).pk for _ in range(2)]
    together = threading.Barrier(4)

    def ask(pk: uuid.UUID, who: str) -> str:
        try:
            with stored_preview.opened(pk) as preview:
                together.wait(60)
                return str(restore_jobs.submit_apply(Actor(who), preview, register=Register(register_db)).pk)
        except RegisterBusy as busy:
            return str(busy)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:  # two people, each with two tabs
        answers = list(pool.map(ask, previews * 2, ("Meena", "Meena", "Ivan", "Ivan")))
    operation = Operation.objects.using(JOBS).get(kind="restore")
    assert answers.count(str(operation.pk)) == 1
    told = [answer for answer in answers if answer != str(operation.pk)]
    assert all(answer.startswith(f"{operation.actor_name} asked for a restore at ") for answer in told), told
    assert (
        DBTaskResult.objects.using(JOBS).filter(status=TaskResultStatus.READY).count() == 3
    )  # the checks, called above, and it


@pytest.mark.untraced
def test_two_workers_and_two_applies(register_db: str) -> None:
    """Both in the queue, as by an older version's page: the second waits, finds the register moved, and says so."""
    put(register_db, SMALL)
    previews = [checked(register_db, OTHER, Strategy.BACKUP_WINS).pk for _ in range(2)]
    waiting = []
    for pk in previews:
        with stored_preview.opened(pk) as preview, pytest.MonkeyPatch.context() as patch:
            patch.setattr(restore_jobs, "_require_alone", lambda register: None)
            waiting.append(str(restore_jobs.submit_apply(ACTOR, preview, register=Register(register_db)).pk))

    def work(pk: str) -> None:
        try:
            perform(pk)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, waiting))
    ended = Operation.objects.using(JOBS).filter(kind="restore")
    assert sorted(one.state for one in ended) == ["failed", "succeeded"]
    assert "The register changed after the preview" in ended.get(state="failed").message
    assert sorted(BackupLog.objects.using(register_db).values_list("success", flat=True)) == [False, True]


def test_decisions_in_bulk_by_company_unit_and_filter(register_db: str) -> None:
    put(register_db, register(*(day(company, f"E{n}") for company in (ABC, XYZ) for n in range(4))))
    theirs = (day(company, f"E{n}", shift="N", ep_name="Ann") for company in (ABC, XYZ) for n in range(4))
    check = checked(register_db, register(*theirs, companies=("New",)))
    with stored_preview.opened(check.pk) as preview:
        assert preview.conflicting_companies() == [ABC, XYZ]
        assert preview.undecided == preview.conflicting == 16
        assert preview.decide_many(Side.OURS, Filter(company=ABC, unit="shift")) == (4, 0)
        assert preview.undecided == 12
        assert preview.count(Filter(undecided=True)) == (8, False)
        assert preview.decide_many(Side.THEIRS, Filter(ep_no="E1")) == (3, 1)
        assert preview.count(Filter(company=ABC, field="shift")) == (4, False)
        assert preview.count(Filter(field="status")) == (0, False)
        assert preview.redecide_many(None, Filter(), seen=preview.version) == 7
        assert preview.decide_many(Side.THEIRS, Filter(company=XYZ)) == (8, 0)
        assert preview.decide_many(Side.OURS, Filter(company=ABC)) == (8, 0)
        counts = preview.counts()["attendance_records"]
        assert (counts.updated, counts.kept) == (4, 4)
        done = applied(register_db, preview)
    assert done.state == Operation.State.SUCCEEDED, done.message
    assert {key[0] for key, content in rows(register_db).contents.items() if content["shift"] == "N"} == {XYZ}


def test_a_new_preview_carries_over_what_was_decided_about_lines_that_are_the_same(register_db: str) -> None:
    """What moved or is gone, and a company of which more refers to than then, is to be decided again."""
    put(register_db, register(*(day(ep_no=f"E{n}") for n in range(4)), day("Same"), day("More")))
    gone = [("companies", {"name": name, "otherwise": "x"}) for name in ("Same", "More")]
    incremental: dict[str, Any] = {"backup_type": "incremental", "since_date": "2026-11-01T00:00:00.000000Z"}
    theirs = register(*(day(ep_no=f"E{n}", shift="N", ep_name="Ann") for n in range(4)))
    check = checked(register_db, file(theirs, deleted=gone, **incremental).encode())
    records = AttendanceRecord.objects.using(register_db)
    with stored_preview.opened(check.pk) as preview:
        assert (preview.carried, preview.conflicting) == (None, 10)
        preview.decide(Side.THEIRS, 0, seen=preview.version)
        preview.decide(Side.OURS, 1, "shift", seen=preview.version)
        preview.decide_many(Side.THEIRS, Filter(ep_no="E2"))
        preview.decide_many(Side.OURS, Filter(ep_no="E3", unit="name"))
        for company in ("Same", "More"):
            preview.decide_many(Side.THEIRS, Filter(company=company))
        assert preview.decided == 8
        records.filter(ep_no="E1", company__name=ABC).update(overtime=60)
        records.filter(ep_no="E2").delete()
        records.filter(ep_no="E3").update(updated_at=timezone.now())
        put(register_db, replace(register(day("More", "E7")), companies=()))
        again = restore_jobs.check_again(ACTOR, preview)
    perform(again.pk)
    with stored_preview.opened(again.pk) as preview:
        assert preview.carried == Carried(made=8, carried=4)
        assert (preview.decided, preview.version) == (4, 1)
        lines = preview.page(Filter(kind="conflict")).lines
        assert {line.key[-1]: [unit.side for unit in line.units] for line in lines} == {
            "E0": ["theirs", "theirs"], "E1": ["", "", ""], "E3": ["ours", ""], "More": [""], "Same": ["theirs"]
        }  # fmt: skip
        assert preview.counts() == preview.plan.counts(preview.decisions())


def test_a_new_preview_of_one_that_is_not_there_any_more_begins_anew(register_db: str) -> None:
    put(register_db, SMALL)
    check = checked(register_db, OTHER)
    with stored_preview.opened(check.pk) as preview:
        preview.decide_many(Side.OURS, Filter())
        again = restore_jobs.check_again(ACTOR, preview)
    preview_folders.remove(check.pk)
    perform(again.pk)
    with stored_preview.opened(again.pk) as preview:
        assert (preview.undecided, preview.carried) == (1, None)


def test_a_preview_of_another_version_of_the_program_is_not_read(register_db: str) -> None:
    check = checked(register_db, OTHER)
    with closing(sqlite3.connect(preview_folders.folder_of(check.pk) / "preview.sqlite3")) as db:
        db.execute("PRAGMA user_version=1")
    with pytest.raises(OperationFailed, match="another version of Muster"), stored_preview.opened(check.pk):
        pass


def test_what_is_decided_between_looking_and_applying_stops_it(register_db: str) -> None:
    put(register_db, SMALL)
    check = checked(register_db, OTHER)
    with stored_preview.opened(check.pk) as preview:
        preview.decide_many(Side.OURS, Filter())
        with stored_preview.opened(check.pk) as other:
            other.decide(Side.THEIRS, 0, seen=other.version)
        with pytest.raises(DecidedMeanwhile):
            restore_jobs.submit_apply(ACTOR, preview, register=Register(register_db))
        assert not Operation.objects.using(JOBS).filter(kind="restore").exists()
    with stored_preview.opened(check.pk) as preview:
        assert applied(register_db, preview).state == Operation.State.SUCCEEDED


def test_pages_lead_on_and_back(register_db: str) -> None:
    check = checked(register_db, register(*(day(ep_no=f"E{n:03}") for n in range(120))), Strategy.BACKUP_WINS)
    with stored_preview.opened(check.pk) as preview:
        seen, after = [], None
        while True:
            page = preview.page(Filter(kind="add"), after)
            seen += [line.key for line in page.lines]
            if page.after is None:
                break
            after = page.after
        assert len(seen) == len(set(seen)) == 121
        back = preview.page(Filter(kind="add"), before=page.before)
        before = len(seen) - len(page.lines)
        assert [line.key for line in back.lines] == seen[before - stored_preview.PAGE : before]


def test_every_filter_gives_its_lines_however_many_are_counted(
    register_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is searched in its own way, another one where there are more than are counted: all give the same lines."""
    put(
        register_db,
        register(*(day(company, f"E{n:02}", f"2026-11-{1 + n % 7:02}") for company in (ABC, XYZ) for n in range(30))),
    )
    theirs = (
        day(
            company,
            f"E{n:02}",
            f"2026-11-{1 + n % 7:02}",
            shift="N" if n % 2 else "GS",
            ep_name="Ann" if n % 3 else "Meena",
        )
        for company in (ABC, XYZ)
        for n in range(40)
    )
    check = checked(register_db, register(*theirs))
    with stored_preview.opened(check.pk) as preview:
        preview.decide_many(Side.THEIRS, Filter(company=ABC, unit="shift"))
        preview.decide(Side.OURS, 3, seen=preview.version)
        every = []
        after = None
        while True:
            page = preview.page(Filter(), after)
            every += page.lines
            if page.after is None:
                break
            after = page.after
        chosen: dict[Filter, Callable[[Line], bool]] = {
            Filter(kind="add"): lambda line: line.kind == "add",
            Filter(kind="conflict", company=XYZ): lambda line: line.kind == "conflict" and line.key[0] == XYZ,
            Filter(ep_no="E07"): lambda line: line.key[2:] == ("E07",),
            Filter(date_from="2026-11-02", date_to="2026-11-05"): lambda line: (
                line.key[1:2] > ("2026-11-01",) and line.key[1:2] < ("2026-11-06",)
            ),
            Filter(date_to="2026-11-02"): lambda line: ("",) < line.key[1:2] < ("2026-11-03",),
            Filter(field="shift"): lambda line: any(
                one.name == "shift" and one.differs for unit in line.units for one in unit.fields
            ),
            Filter(unit="name"): lambda line: any(unit.name == "name" for unit in line.units),
            Filter(undecided=True): lambda line: any(not unit.side for unit in line.units),
            Filter(unit="shift", undecided=True): lambda line: any(
                not unit.side for unit in line.units if unit.name == "shift"
            ),
            Filter(unit="name", company=ABC): lambda line: (
                line.key[0] == ABC and any(unit.name == "name" for unit in line.units)
            ),
            Filter(kind="add", undecided=True): lambda line: False,
        }
        for few in (False, True):
            if few:
                monkeypatch.setattr(stored_preview, "COUNTED", 5)
            for one, fits in chosen.items():
                expected = [line.id for line in every if fits(line)]
                page = preview.page(one)
                assert [line.id for line in page.lines] == expected[: stored_preview.PAGE], one
                total, more = (
                    (len(expected), False) if not few or one.is_tallied else (min(len(expected), 5), len(expected) > 5)
                )
                assert (page.total, page.more) == (total, more), one
                if expected:
                    back = preview.page(one, before=expected[-1])
                    assert [line.id for line in back.lines] == expected[:-1][-stored_preview.PAGE :], one


def test_what_is_abandoned_for_a_day_goes(register_db: str) -> None:
    pk = restore_jobs.receive([b"something"], 100)
    restore_jobs.sweep()
    folder = preview_folders.folder_of(pk)
    assert folder.exists()
    old = time.time() - 25 * 3600
    for path in (*folder.iterdir(), folder):
        os.utime(path, (old, old))
    ended = threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(db_worker, "_SECONDS_BETWEEN_SWEEPS", 0.01)
        worker = threading.Thread(target=db_worker.sweep_hourly, args=(ended,))
        worker.start()
        while folder.exists() and worker.is_alive():
            time.sleep(0.01)
        ended.set()
        worker.join()
    assert not folder.exists()


@pytest.mark.parametrize(("chunks", "says"), [([b"12345", b"67890", b"1"], "larger"), ([], "empty")])
def test_uploads_are_bounded(chunks: list[bytes], says: str) -> None:
    with pytest.raises(OperationFailed, match=says):
        restore_jobs.receive(chunks, 10)
    assert not list((Path(settings.DATA_DIR) / "restores").iterdir())


def test_a_preview_that_was_damaged_on_disk_is_not_applied(register_db: str) -> None:
    """Its lines are those of the register and the file as they are when it is applied, or nothing is written."""
    put(register_db, SMALL)
    check = checked(register_db, OTHER, Strategy.BACKUP_WINS)
    before = rows(register_db)
    items = preview_folders.folder_of(check.pk) / "items"
    items.write_bytes(items.read_bytes().replace(b'"N"', b'"M"', 1))
    with stored_preview.opened(check.pk) as preview:
        done = applied(register_db, preview)
    assert done.state == Operation.State.FAILED
    assert "Nothing was changed." in done.message
    assert rows(register_db) == before
    assert not list((Path(settings.DATA_DIR) / "changes").iterdir())


def test_a_list_of_changes_that_was_cut_before_it_was_applied_is_not_applied(
    register_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(register_db, SMALL)
    check = checked(register_db, OTHER, Strategy.BACKUP_WINS)
    before = rows(register_db)
    write = preview_changes.write_changes

    def cut(preview: StoredPreview, path: Path, progress: Any) -> Any:
        counts = write(preview, path, progress)
        os.truncate(path, path.stat().st_size - 1)
        return counts

    monkeypatch.setattr(preview_changes, "write_changes", cut)
    with stored_preview.opened(check.pk) as preview:
        done = applied(register_db, preview)
    assert done.state == Operation.State.FAILED
    assert done.message == (
        "The list of changes is not as it was written: it was cut or changed since. Nothing was changed."
    )
    assert rows(register_db) == before
