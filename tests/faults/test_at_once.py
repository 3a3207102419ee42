"""Several at once: restores, backups, writers, readers and people who sign in."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from django.db import connections, transaction

from core import moments
from core.models import AttendanceRecord, Company, Operation
from core.register.declared import ATTENDANCE_RECORDS, SCHEMA
from recordsync.backupfile import check_backup
from recordsync.system import locks
from tests.builders.big_registers import filled
from tests.faults.conftest import RECORDS, Files
from tests.faults.test_held_register import SIGNED_IN
from tests.running import inspection
from tests.running.commands import (
    SECONDS,
    UNTIL_TOLD,
    at_phase,
    end,
    injected,
    run,
    start,
    tell_to_go_on,
    wait_for_phase,
)
from tests.running.inspection import jobs_of
from tests.running.installation import NewInstallation, ScratchInstallation
from tests.running.server import serving


@contextmanager
def in_background(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run ``work`` in a thread of its own until the block ends; what it raises is raised here."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def guarded() -> None:
        try:
            work(stop)
        except BaseException as error:
            failed.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=guarded)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(SECONDS)
    if failed:
        raise failed[0]


def test_two_restores_one_after_the_other(installation: ScratchInstallation, files: Files) -> None:
    """Both start at once; one waits for the other, both are done, and the later one's values stand."""
    both = [start(installation, "restore_data", "--input", path, "--json") for path in (files.a, files.b)]
    ends = [end(process) for process in both]
    for ended in ends:
        assert ended.code == 0, ended.err
        assert json.loads(ended.out)["ok"] is True
    added = [json.loads(ended.out)["added"] for ended in ends]
    updated = [json.loads(ended.out)["updated"] for ended in ends]
    last = files.a if updated[0] else files.b
    assert min(added) == 0
    assert min(updated) == 0
    assert inspection.content_of(installation) == files.content[last]
    inspection.accounts(installation).assert_settled()


def test_the_second_restore_is_refused_with_the_name_of_the_first(
    installation: ScratchInstallation, files: Files
) -> None:
    first = injected(installation, at_phase("commit", UNTIL_TOLD), "restore_data", "--input", files.a, "--quiet")
    wait_for_phase(installation, "commit")
    installation.env["LOCK_WAIT_SECONDS"] = "0"
    second = run(installation, "restore_data", "--input", files.b, "--quiet")
    sentence = second.assert_refused("has been running a restore since", "Nothing was changed", "Try again")
    tell_to_go_on(installation)
    with jobs_of(installation) as jobs:
        holder = Operation.objects.using(jobs).order_by("started_at")[0]
    assert sentence.startswith(f"Error: {holder.actor_name} has")
    assert f"since {moments.moment(holder.started_at)} (commit, {RECORDS + 8:,} done)" in sentence
    assert end(first).code == 0
    assert inspection.content_of(installation) == files.content[files.a]
    assert run(installation, "backup_data").code == 0
    accounts = inspection.accounts(installation)
    accounts.assert_settled()
    assert sorted(accounts.success.values()) == [False, True, True]


def test_backups_while_a_restore_runs_hold_the_old_state_or_the_new(
    installation: ScratchInstallation, files: Files, tmp_path: Path
) -> None:
    assert run(installation, "restore_data", "--input", files.a).code == 0
    restore = injected(installation, at_phase("apply", "time.sleep(0.5)"), "restore_data", "--input", files.b)
    backups = []
    found = []
    for n in range(4):
        backups.append(start(installation, "backup_data", "--output", tmp_path / f"{n}.json", "--quiet"))
        time.sleep(0.6)
    assert end(restore).code == 0
    for n, process in enumerate(backups):
        ended = end(process)
        assert ended.code == 0, ended.err
        found.append(inspection.file_content(tmp_path / f"{n}.json"))
    assert set(found) <= set(files.content.values())
    inspection.accounts(installation).assert_settled()


def test_a_restore_while_a_backup_runs(installation: ScratchInstallation, files: Files, tmp_path: Path) -> None:
    """The backup is of the moment at which it began, the restore does not wait for it, and both are accounted for."""
    assert run(installation, "restore_data", "--input", files.a).code == 0
    slow = at_phase("write", UNTIL_TOLD)
    backup = injected(installation, slow, "backup_data", "--output", tmp_path / "full.json", "--quiet")
    wait_for_phase(installation, "write")
    restored = run(installation, "restore_data", "--input", files.b, "--quiet")
    assert restored.code == 0, restored.err
    assert backup.poll() is None, "the restore waited for the backup"
    assert inspection.content_of(installation) == files.content[files.b]
    tell_to_go_on(installation)
    ended = end(backup)
    assert ended.code == 0, ended.err
    assert inspection.file_content(tmp_path / "full.json") == files.content[files.a]
    inspection.accounts(installation).assert_settled()


@pytest.mark.postgres
def test_a_backup_waits_while_a_restore_commits(
    new_installation: NewInstallation, files: Files, tmp_path: Path
) -> None:
    installation = new_installation("postgres")
    restore = injected(installation, at_phase("commit", UNTIL_TOLD), "restore_data", "--input", files.a)
    wait_for_phase(installation, "commit")
    process = start(installation, "backup_data", "--output", tmp_path / "full.json")
    with jobs_of(installation) as jobs:
        waiting = Operation.objects.using(jobs).filter(phase="wait")
        while not waiting.exists():
            assert process.poll() is None
            time.sleep(0.05)
    assert process.stderr
    lines = map(bytes.decode, process.stderr)  # one a second
    assert any(line.startswith("Waiting for somebody else’s restore or import") for line in lines), "it does not say so"
    tell_to_go_on(installation)
    ended = end(process)
    assert ended.code == 0, ended.err
    assert end(restore).code == 0
    assert inspection.file_content(tmp_path / "full.json") == files.content[files.a]


def test_two_backups_at_once_into_one_folder(new_installation: NewInstallation) -> None:
    installation = new_installation("sqlite")
    filled(installation, 300)
    processes = [start(installation, "backup_data", "--json") for _ in range(4)]
    names = set()
    for process in processes:
        ended = end(process)
        assert ended.code == 0, ended.err
        names.add(json.loads(ended.out)["file"])
    assert len(names) == 4
    assert inspection.assert_whole(installation.backups) == 4
    assert inspection.leftovers(installation.backups) == []
    inspection.accounts(installation).assert_settled()


def test_a_backup_taken_while_records_are_written_is_of_one_moment(
    installation: ScratchInstallation, tmp_path: Path
) -> None:
    """The writer gives two companies one record each in every transaction: in a backup they have equally many."""
    filled(installation, 1_500)
    written = [0]

    with installation.opened() as alias:
        pair = [Company.objects.using(alias).create(name=name) for name in ("Company 0 twin", "Company 7 twin")]

        def write(stop: threading.Event) -> None:
            while not stop.is_set():
                with transaction.atomic(using=alias):
                    for company in pair:
                        AttendanceRecord.objects.using(alias).create(
                            company=company, ep_no=f"E{written[0]}", date="2026-03-01", status="P"
                        )
                written[0] += 1

        sizes = []
        with in_background(write):
            for n in range(3):
                assert run(installation, "backup_data", "--output", tmp_path / f"{n}.json").code == 0
                counts = dict.fromkeys(("Company 0 twin", "Company 7 twin"), 0)
                with (tmp_path / f"{n}.json").open("rb") as stream:
                    file = check_backup(stream, SCHEMA)
                    assert file.counts == file.metadata.totals
                    for record in file.records(ATTENDANCE_RECORDS):
                        if record.key[0] in counts:
                            counts[record.key[0]] += 1
                assert len(set(counts.values())) == 1, counts
                sizes.append(counts["Company 0 twin"])
    assert sizes == sorted(set(sizes)), "nothing was written meanwhile: this proved nothing"


def test_readers_and_people_signing_in_do_not_wait_for_a_restore(
    installation: ScratchInstallation, files: Files
) -> None:
    """While a restore has written everything and not committed: readers see the old state, sign-in works."""
    filled(installation, 100)
    made = "from core.models import User; User.objects.create_user('meena', password='of no value', role='root')"
    installation.manage("shell", "--no-imports", "-c", made, check=True)
    before = inspection.content_of(installation)
    restore = injected(installation, at_phase("commit", UNTIL_TOLD), "restore_data", "--input", files.b)
    wait_for_phase(installation, "commit")
    assert inspection.content_of(installation) == before
    assert restore.poll() is None, "the restore was over before the look"
    sign_in = (
        "from django.test import Client; from django.urls import reverse; c = Client(headers={'host': 'localhost'});"
        "r = c.post(reverse('login'), {'username': 'meena', 'password': 'of no value'});"
        "print(r.status_code, 'sessionid' in r.cookies)"
    )
    done = installation.manage("shell", "--no-imports", "-c", sign_in)
    assert done.stdout.split() == ["302", "True"], done.stdout + done.stderr
    assert restore.poll() is None, "the restore was over before the sign-in"
    tell_to_go_on(installation)
    assert end(restore).code == 0
    assert inspection.content_of(installation) == files.content[files.b]


@pytest.mark.postgres
def test_an_exclusive_restore_waits_for_readers_and_locks_them_out(
    new_installation: NewInstallation, files: Files
) -> None:
    """Who reads when it begins hinders it, which it says. Afterwards every index and key is there again."""
    installation = new_installation("postgres")
    installation.env["LOCK_WAIT_SECONDS"] = "1"
    shape = "SELECT indexdef FROM pg_indexes UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint ORDER BY 1"
    restore = ("restore_data", "--input", files.a, "--exclusive")
    with psycopg.connect(installation.database_url, autocommit=True) as other:
        before, made = inspection.state_of(installation), other.execute(shape).fetchall()
        with other.transaction():
            other.execute("SELECT count(*) FROM core_attendancerecord")
            run(installation, *restore).assert_refused("another program is using it", "Nothing was changed")
        assert inspection.state_of(installation) == before
        held = injected(installation, at_phase("commit", UNTIL_TOLD), *restore)
        wait_for_phase(installation, "commit")
        other.execute("SET lock_timeout = 1")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("SELECT count(*) FROM core_attendancerecord")
        tell_to_go_on(installation)
        assert end(held).code == 0
        assert other.execute(shape).fetchall() == made
    assert inspection.content_of(installation) == files.content[files.a]


def test_the_register_is_held_by_nobody_known(new_installation: NewInstallation, files: Files) -> None:
    """Somebody holds the lock who left no operation: the sentence still says what to do."""
    installation = new_installation("sqlite")
    installation.env["LOCK_WAIT_SECONDS"] = "0"
    with installation.opened() as alias, locks.held("register", alias):
        ended = run(installation, "restore_data", "--input", files.a)
        ended.assert_refused("in use by another restore or import", "Nothing was changed", "Try again")
    assert run(installation, "backup_data").code == 0
    inspection.accounts(installation).assert_settled()


@pytest.mark.postgres
def test_a_process_that_is_alive_is_not_taken_for_dead(new_installation: NewInstallation, files: Files) -> None:
    installation = new_installation("postgres")
    restore = injected(installation, at_phase("commit", UNTIL_TOLD), "restore_data", "--input", files.a)
    wait_for_phase(installation, "commit")
    assert run(installation, "restore_data", "--input", files.a, "--preview").code == 0
    assert inspection.accounts(installation).outcomes.popitem()[1] == Operation.State.RUNNING
    tell_to_go_on(installation)
    assert end(restore).code == 0


def test_a_form_of_the_administration_that_is_sent_twice_saves_once(
    installation: ScratchInstallation, static_files: Path
) -> None:
    """Somebody clicks twice: the forms are both in order, and the second one's row is there already."""
    signed_in = installation.manage("shell", "--no-imports", "-c", SIGNED_IN, check=True)
    root = f"sessionid={signed_in.stdout.strip()}"
    day = {"ep_no": "E1", "date": "2026-11-20", "status": "P", "ep_name": "", "shift": "", "overtime": "0"}
    with installation.opened() as alias:
        company = str(Company.objects.using(alias).create(name="Northern Mill").pk)
    statuses: list[int] = []
    with serving(installation, static_files) as server, ThreadPoolExecutor(6) as people:
        for n in range(5):
            forms = [("company", {"name": f"Company {n}"})] * 3
            forms += [("attendancerecord", day | {"company": company, "ep_no": f"E{n}"})] * 3
            sent = [people.submit(server.form, f"/admin/core/{of}/add/", data, cookies=root) for of, data in forms]
            statuses += [one.result().status for one in sent]
    assert statuses.count(302) == 10, statuses
    assert set(statuses) <= {302, 200, 409}, statuses  # the form once more, or a page, with why
    with installation.opened() as alias:
        assert AttendanceRecord.objects.using(alias).count() == 5
        assert Company.objects.using(alias).count() == 6
