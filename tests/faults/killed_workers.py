"""Rounds of work in the background whose worker is killed, played in one process: restores at random moments, and every
kind of operation in the middle.

Each worker is the real command in a forked process of its own, so that a round costs its work and no start of Python.
Run by :mod:`tests.faults.test_worker_killed` inside an installation; prints what each round came to.
"""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from django.core.files.base import ContentFile
from django.core.management import call_command
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils.html import strip_tags

from core.attendance import records
from core.backups import jobs as backup_jobs
from core.backups.jobs import BackupRequest
from core.models import JOBS, AttendanceRecord, Backup, Kind, Operation, Phase, UploadLog, User
from core.operations import recovery
from core.operations.run import Actor, Run
from core.preview import stored as stored_preview
from core.register.database import DEFAULT
from core.restores import jobs as restore_jobs
from core.restores import verification
from core.restores.incoming import BaseChoice
from core.restores.undo import undo_of, undoable
from core.sheets import export_jobs, uploads
from recordsync.merge import Strategy
from tests.running import commands, inspection

ACTOR = Actor("Meena")
SHEET = "EP NO,EP NAME,COMPANY NAME,DATE,SHIFT,OVERSTAY,STATUS\nE1,Meena,Asha Builders,2026-11-20,GS,,P\n"


@dataclass(frozen=True)
class Round:
    """How a worker that was killed ``after`` so many seconds ended, and what was found afterwards."""

    after: float
    killed: bool
    before: str
    state: str
    content: str
    target: str
    outcome: str
    page: str


def main(files: Sequence[str], contents: Sequence[str], rounds: int) -> None:
    """Restore each of two files in turn over the other, ``rounds`` times with a worker that is killed."""
    User.objects.create_user("meena", password=None, role="root")
    moments = commands.Moments(f"killed worker on {connections['default'].vendor}")
    _worked(_submit(files[0]))
    seconds = _worked(_submit(files[1]))
    now = 1
    for _ in range(rounds):
        target = 1 - now
        before = inspection.state("default")
        operation = _submit(files[target])
        after = moments.within(seconds)
        killed = _killed(operation, after)
        _settled(operation)
        state, outcome, page = inspection.state("default"), _outcome(operation), _page(operation)
        found = Round(after, killed, before, state, inspection.content("default"), contents[target], outcome, page)
        print("ROUND", json.dumps(asdict(found)), flush=True)
        if state == before:
            _worked(_again(operation))
            assert inspection.content("default") == contents[target], "trying again did not do it"
        now = target


Asked = tuple[Callable[[], Operation], Phase, Callable[[Operation], Operation] | None]
"""What asks for an operation, the phase in which it is killed, and what asks for it again, unless the first does."""


@dataclass(frozen=True)
class Middle:
    """How one kind of operation ended whose worker was killed in the middle, and how the next one did."""

    kind: str
    state: str
    page: str
    is_as_before: bool
    again: str


def every_kind(file: str, other: str) -> None:
    """Each kind of operation that a worker does, killed in the middle of its work and asked for again. ``file`` is
    restored, and ``other`` over it."""
    root = User.objects.create_user("meena", password=None, role="root")
    _worked(_submit(file))  # something to back up
    asked: tuple[Asked, ...] = (
        (lambda: backup_jobs.submit_backup(ACTOR, BackupRequest()), Phase.WRITE, None),
        (lambda: backup_jobs.submit_backup(ACTOR, BackupRequest("incremental")), Phase.WRITE, None),
        (lambda: verification.submit_verify(ACTOR, Backup.objects.all()[0]), Phase.CHECK, None),
        (lambda: _asked_to_check(other), Phase.COMPARE, None),
        (lambda: _submit(other), Phase.LIST, _again),
        (lambda: export_jobs.submit_export(root, "", AttendanceRecord.objects.all()), Phase.WRITE, None),
        (lambda: uploads.receive(root, ContentFile(SHEET.encode(), "a.csv")).operation, Phase.CHECK, _tried_again),
        (lambda: _decided(UploadLog.objects.get()), Phase.APPLY, _tried_again),
        (lambda: records.submit_delete_all(root), Phase.DELETE, None),
        (_undo, Phase.LIST, _again),
    )
    for ask, phase, again in asked:
        operation, before = ask(), inspection.content("default")
        os.waitpid(_worker(wait=False, until=phase), 0)
        _settled(operation)
        state, page, is_as_before = _outcome(operation), _page(operation), inspection.content("default") == before
        repeated = again(operation) if again else ask()
        _worked(repeated)
        found = Middle(operation.kind, state, page, is_as_before, _outcome(repeated))
        print("ROUND", json.dumps(asdict(found)), flush=True)


def _decided(upload: UploadLog) -> Operation:
    uploads.decide(upload, User.objects.get())
    return upload.operation


def _tried_again(operation: Operation) -> Operation:
    """A sheet is checked anew, and imported if it was to be."""
    upload = UploadLog.objects.get(operation=operation)
    uploads.try_again(upload, User.objects.get())
    if operation.kind == Kind.CHECK_SHEET:
        return upload.operation
    _worked(upload.operation)
    return _decided(UploadLog.objects.get(pk=upload.pk))


def _submit(file: str) -> Operation:
    return _applied(_asked_to_check(file))


def _undo() -> Operation:
    """The undo of what was done last, asked for."""
    undo = undo_of(undoable(DEFAULT), DEFAULT)
    return _applied(restore_jobs.submit_check(ACTOR, Strategy.BACKUP_WINS, undo=undo))


def _applied(check: Operation) -> Operation:
    _worker(wait=True)
    with stored_preview.opened(check.pk) as preview:
        return restore_jobs.submit_apply(ACTOR, preview)


def _asked_to_check(file: str) -> Operation:
    with Path(file).open("rb") as stream:
        pk = restore_jobs.receive([stream.read()], 1 << 30)
    # Without a base, so that an older file brings its values back.
    return restore_jobs.submit_check(ACTOR, Strategy.BACKUP_WINS, uploaded=pk, name="a.json", base=BaseChoice.NONE)


def _again(operation: Operation) -> Operation:
    with stored_preview.opened(uuid.UUID(operation.parameters["preview"])) as preview:
        restore_jobs.free_if_ended(preview)
        return restore_jobs.submit_apply(ACTOR, preview)


def _worker(*, wait: bool, until: Phase | None = None) -> int:
    """A worker that does what is in the queue, in a process of its own; its id, unless its end was waited for.

    ``until``: it is killed when the operation has told that it is in this phase.
    """
    connections.close_all()
    pid = os.fork()
    if not pid:
        try:
            if until is not None:
                _kill_at(until)
            call_command("db_worker", reload=False, batch=True, startup_delay=False, verbosity=0)
        finally:
            connections.close_all()
            os._exit(0)
    if wait:
        os.waitpid(pid, 0)
        return 0
    return pid


def _kill_at(phase: Phase) -> None:
    report = Run.__call__

    def killed(run: Run, now: str, done: int, total: int | None, /) -> None:
        report(run, now, done, total)
        if now == phase:
            os.kill(os.getpid(), signal.SIGKILL)

    Run.__call__ = killed  # type: ignore[method-assign] # in a process of its own, which is killed


def _worked(operation: Operation) -> float:
    """Have it done undisturbed; the seconds that it took from its beginning."""
    pid = _worker(wait=False)
    while _outcome(operation) == Operation.State.WAITING:
        time.sleep(0.005)
    started = time.monotonic()
    os.waitpid(pid, 0)
    assert _outcome(operation) == Operation.State.SUCCEEDED, _page(operation)
    return time.monotonic() - started


def _killed(operation: Operation, after: float) -> bool:
    """Have it begun, and kill the worker so many seconds later; False: it was quicker."""
    pid = _worker(wait=False)
    while _outcome(operation) == Operation.State.WAITING:
        time.sleep(0.005)
    time.sleep(after)
    os.kill(pid, signal.SIGKILL)  # a process that has ended keeps its id until it is waited for
    _pid, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


def _settled(operation: Operation) -> None:
    """A database server needs a moment to notice that its client is gone; until then the worker counts as alive."""
    deadline = time.monotonic() + 30
    while _outcome(operation) == Operation.State.RUNNING:
        assert time.monotonic() < deadline, "it is shown as running although nobody runs it"
        recovery.settle_accounts()
        time.sleep(0.02)


def _outcome(operation: Operation) -> str:
    return Operation.objects.using(JOBS).get(pk=operation.pk).state


def _page(operation: Operation) -> str:
    """What its page says, as text."""
    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.get())
    answer = client.get(reverse("operation", kwargs={"pk": operation.pk}), headers={"HX-Request": "true"})
    assert answer.status_code == 200, answer.status_code
    return " ".join(strip_tags(answer.content.decode()).split())
