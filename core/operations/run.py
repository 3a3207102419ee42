"""Running an operation: who, how far, how it ended; and the truth about those whose process died.

The row lives in the jobs database, where it can be written while a restore holds the register. The
process holds the operation's lock for as long as it works; the system releases it when the process dies.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import pwd
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from django.db import Error, IntegrityError, connections, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from core import moments
from core.models import BackupLog, Kind, Operation, Phase, User
from core.operations.errors import (
    NOTHING_CHANGED,
    Cancelled,
    FileRefused,
    NotKnown,
    OperationFailed,
    RegisterBusy,
    Text,
    as_failure,
    not_known,
    sentences,
)
from core.operations.kinds import BACKUPS, BEFORE_THE_LOCK, UNAUDITED, WRITERS, traits_of
from core.operations.waiting import patience
from core.register.database import Register
from recordsync.errors import CommitUnknown, LockLost, LockTimeout
from recordsync.stores import Store
from recordsync.system import locks
from recordsync.system.progress import Progress, no_progress

logger = logging.getLogger(__name__)

JOBS = "jobs"
_SECONDS_BETWEEN_WRITES = 1.0
_SECONDS_BEFORE_A_WORKER_IS_MISSED = 20
_TRIES_TO_SAY_HOW_IT_ENDED = 3

TASK = "core.operations.queue.run_operation"
"""The queue's name of the one task that there is. Older programs had one for each kind of operation."""

_NEVER_BEGUN = gettext_lazy("The worker was killed before it began.")
_UPDATED = gettext_lazy("The program was updated before it began.")
CANCELLED_BEFORE = gettext_lazy("It was cancelled before it began.")


@dataclass(frozen=True)
class Actor:
    """Who does it: an account, or for commands the operating system's user."""

    name: str
    user_id: int | None = None

    @classmethod
    def of(cls, user: User | None = None) -> Actor:
        if user is not None:
            return cls(user.get_username(), user.pk)
        try:
            return cls(pwd.getpwuid(os.getuid()).pw_name[:150])  # not from the environment, where anyone is anyone
        except KeyError:  # a user id without a name, as in some containers
            return cls(f"uid {os.getuid()}")


@dataclass
class Run:
    """A running operation. Call it to report progress: it is a :class:`Progress` that also cancels."""

    operation: Operation
    actor: Actor
    register: Register
    callback: Progress
    log: BackupLog
    """The audit row, to be completed by whoever works."""
    lock: locks.Lock
    """The operation's own: as long as somebody holds it, the operation is running."""
    started: float = field(default_factory=time.monotonic)
    past_return: bool = False
    """Whether the point of no return was passed."""
    committed: bool = False
    """Whether what was to be done is done, and can be read by others."""
    _bound: tuple[locks.Lock, ...] = ()
    _written: float = 0.0

    @property
    def phase(self) -> str:
        return self.operation.phase

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def __call__(self, phase: str, done: int, total: int | None, /) -> None:
        operation = self.operation
        changed = phase != operation.phase
        operation.phase, operation.done, operation.total = phase, done, total
        if changed:
            operation.phase_started_at = timezone.now()
        if changed or time.monotonic() - self._written >= _SECONDS_BETWEEN_WRITES:
            self._written = time.monotonic()
            self._save_progress()
        self.callback(phase, done, total)
        if operation.cancel_requested and not self.past_return:
            raise Cancelled(_("It was cancelled."), undone=NOTHING_CHANGED)
        self.past_return = self.past_return or phase == Phase.COMMIT

    def _save_progress(self) -> None:
        """Raises LockLost where somebody has taken this process for dead, and told people so."""
        operation = self.operation
        operation.heartbeat_at = timezone.now()
        rows = Operation.objects.using(JOBS).filter(pk=operation.pk)
        try:
            is_running = rows.filter(state=Operation.State.RUNNING).update(
                phase=operation.phase,
                done=operation.done,
                total=operation.total,
                phase_started_at=operation.phase_started_at,
                heartbeat_at=operation.heartbeat_at,
            )
            operation.cancel_requested = bool(rows.values_list("cancel_requested", flat=True).first())
        except Error:  # progress is a courtesy: the work goes on without it
            logger.warning("The progress of %s could not be saved", operation, exc_info=True)
            connections[JOBS].close_if_unusable_or_obsolete()
            return
        if not is_running:
            raise LockLost(_("It could not be seen any more that this was being done, so that it counted as failed."))

    def begin(self, *held: locks.Lock) -> None:
        """The first thing in the transaction that does the work: from here to its end nobody takes this process for
        dead, or gets the locks that it ``held``. Raises LockLost where somebody has."""
        self._bound = (self.lock, *held)
        for lock in self._bound:
            lock.bind(self.register.connection)
        self._save_progress()

    def complete(self, entries: int) -> None:
        """The last thing in that transaction: the audit row, and the point of no return. Raises LockLost."""
        for lock in self._bound:
            lock.confirm()
        self.save_log(success=True)
        self(Phase.COMMIT, entries, entries)

    def save_log(self, *, success: bool, error_message: str = "") -> None:
        """Write the audit row, in the current transaction if there is one. There is one for each operation, ever.

        Raises LockLost where somebody has taken this process for dead and written another.
        """
        self.log.pk, self.log._state.adding = None, True  # an earlier try was rolled back, its id may be another's
        self.log.success = success
        self.log.error_message = error_message
        self.log.duration = round(self.seconds, 3)
        try:
            with transaction.atomic(using=self.register.alias):
                self.log.save(using=self.register.alias)
        except IntegrityError as error:
            raise LockLost(_("Somebody has written into the audit trail already how this ended.")) from error
        self.operation.log_id = self.log.pk

    def finish(self, state: Operation.State, message: str = "") -> None:
        """Say how it ended, where people look for it."""
        operation = self.operation
        operation.state, operation.message, operation.finished_at = state, message, timezone.now()
        for left in reversed(range(_TRIES_TO_SAY_HOW_IT_ENDED)):
            connections[JOBS].close_if_unusable_or_obsolete()  # it may have been lost while this one worked
            try:
                operation.save(using=JOBS)
                return
            except Error:
                logger.warning("The end of %s could not be saved", operation, exc_info=True)
            if connections[JOBS].vendor != "postgresql":  # no connection that another one would take the place of
                return
            if left:
                time.sleep(_SECONDS_BETWEEN_WRITES)


@contextmanager
def running(
    kind: Kind,
    actor: Actor,
    register: Register,
    *,
    filename: str = "",
    callback: Progress | None = None,
    operation: Operation | None = None,
) -> Iterator[Run]:
    """Account for an operation: its row while it runs, its outcome, its audit row.

    Whatever the block raises is logged, written to the audit trail, and raised again as an
    :class:`OperationFailed`, which also says what such an operation leaves undone (KeyboardInterrupt as it is).
    ``operation``: the waiting one that this is the run of. The block itself calls :meth:`Run.complete` in its own
    transaction. Of what raises :class:`NotKnown` nothing is written: its audit row, if it is there when the database
    answers, says how it ended (:func:`settle_accounts`).
    """
    undone = traits_of(kind).undone
    with ExitStack() as stack:
        stack.callback(_settle_quietly)
        try:
            run = _started(stack, kind, actor, register, filename, callback, operation)
        except Exception as error:
            logger.error("%s by %s could not start", kind, actor.name, exc_info=True)
            raise as_failure(error, undone) from error
        try:
            yield run
        except Exception as error:
            failure = _failure(run, error)
            unforeseen = failure is not error and not isinstance(failure, FileRefused)
            logger.log(
                logging.ERROR if unforeseen else logging.WARNING,
                "%s by %s failed: %s",
                kind,
                actor.name,
                failure,
                exc_info=unforeseen,
            )
            if run.committed:
                run.finish(Operation.State.SUCCEEDED)
            elif not isinstance(failure, NotKnown) or kind in UNAUDITED:
                _account_for_failure(run, str(failure), cancelled=isinstance(failure, Cancelled))
            if failure is error:
                raise
            raise failure from error
        except BaseException:  # KeyboardInterrupt and its like
            logger.warning("%s by %s was interrupted", kind, actor.name)
            if not run.past_return:  # else only the database knows, and is asked when the lock is free
                _account_for_failure(run, sentences(_("It was interrupted."), undone), cancelled=True)
            raise
        run.finish(Operation.State.SUCCEEDED)
        logger.info("%s by %s finished in %.1f s", kind, actor.name, run.seconds)


def _failure(run: Run, error: Exception) -> OperationFailed:
    """What to tell people."""
    traits = traits_of(run.operation.kind)
    if run.committed:
        why = as_failure(error).args[0].strip()
        return OperationFailed(_("It is done, but something failed afterwards: %(why)s") % {"why": why})
    if isinstance(error, CommitUnknown) and traits.perhaps:
        return not_known(traits.perhaps, traits.look)
    return as_failure(error, traits.undone)


def _started(
    stack: ExitStack,
    kind: Kind,
    actor: Actor,
    register: Register,
    filename: str,
    callback: Progress | None,
    operation: Operation | None,
) -> Run:
    """A run with its row, its lock held until the stack is closed."""
    settle_accounts()
    if operation is None:
        operation = Operation(
            kind=kind, database=register.alias, actor_id=actor.user_id, actor_name=actor.name, filename=filename
        )
        lock = stack.enter_context(locks.held(_lock_name(operation.pk), JOBS))  # before anyone can see the row
        operation.save(using=JOBS, force_insert=True)
    else:
        lock = stack.enter_context(locks.held(_lock_name(operation.pk), JOBS))
        _begin(operation)
        filename = operation.filename or filename
    log = BackupLog(
        user_id=actor.user_id, actor_name=actor.name, operation=kind, operation_id=operation.pk, filename=filename
    )
    logger.info("%s by %s started (%s)", kind, actor.name, operation.pk)
    return Run(operation, actor, register, callback or no_progress, log, lock)


def _begin(operation: Operation) -> None:
    """From waiting to running. Raises Cancelled where somebody was quicker."""
    now = timezone.now()
    begun = {"state": Operation.State.RUNNING, "heartbeat_at": now, "started_at": now}
    waiting = Operation.objects.using(JOBS).filter(pk=operation.pk, state=Operation.State.WAITING)
    if not waiting.update(**begun):
        raise Cancelled(CANCELLED_BEFORE, undone=NOTHING_CHANGED)
    operation.state, operation.heartbeat_at, operation.started_at = Operation.State.RUNNING, now, now


def _account_for_failure(run: Run, sentence: str, *, cancelled: bool) -> None:
    """Write the audit row of a failure, unless somebody holds the register: then it is written when they are done."""
    run.operation.log_id = None  # what a rolled-back transaction wrote is gone
    try:
        if traits_of(run.operation.kind).is_audited and run.register.is_free():
            run.save_log(success=False, error_message=sentence)
    except (Error, LockLost):
        logger.error("The failure of %s could not be written to the audit trail", run.operation, exc_info=True)
    run.finish(Operation.State.CANCELLED if cancelled else Operation.State.FAILED, sentence)


_UNFINISHED = Q(state__in=[Operation.State.RUNNING, Operation.State.WAITING])
_ENDED = (Operation.State.FAILED, Operation.State.CANCELLED)
_UNLOGGED = Q(state__in=_ENDED, log_id=None) & ~Q(kind__in=UNAUDITED)


def settle_accounts() -> None:
    """Say the truth about operations whose process died, and write the audit rows that could not be written before.

    Called when operations start and end, and by whoever shows them.
    """
    open_ = list(Operation.objects.using(JOBS).filter(_UNFINISHED | _UNLOGGED))
    running = {_lock_name(one.pk) for one in open_ if one.state == Operation.State.RUNNING}
    abandoned = locks.abandoned(running, JOBS)
    lost = _lost_tasks(one.task_id for one in open_ if one.state == Operation.State.WAITING)
    for operation in open_:
        try:
            if operation.state == Operation.State.RUNNING and _lock_name(operation.pk) in abandoned:
                _close_abandoned(operation)
            elif operation.state == Operation.State.WAITING and operation.task_id in lost:
                _close_forgotten(operation)
            if operation.state in _ENDED and operation.log_id is None and traits_of(operation.kind).is_audited:
                _log_late(operation)
        except (Error, CommitUnknown):  # its register does not answer now; the others' may
            logger.warning("The account of %s could not be settled", operation, exc_info=True)


def _lost_tasks(waited_for: Iterable[uuid.UUID | None]) -> set[uuid.UUID | None]:
    """Those of these tasks that no worker will begin any more: gone, an older program's, or of a worker that died. None
    is no task."""
    asked = set(waited_for)
    known = DBTaskResult.objects.using(JOBS).filter(task_path=TASK)
    tasks = known.in_bulk([pk for pk in asked if pk is not None])
    taken = {pk: task for pk, task in tasks.items() if task.status == TaskResultStatus.RUNNING}
    workers_of = {pk: {worker_lock(worker) for worker in task.worker_ids} for pk, task in taken.items()}
    dead = locks.abandoned({name for names in workers_of.values() for name in names}, JOBS)
    waiting = {pk for pk, task in tasks.items() if task.status == TaskResultStatus.READY}
    return asked - waiting - {pk for pk, names in workers_of.items() if not names <= dead}


def is_overdue(task_id: uuid.UUID | None) -> bool:
    """Whether no worker has taken a task for so long that there may be none."""
    before = timezone.now() - dt.timedelta(seconds=_SECONDS_BEFORE_A_WORKER_IS_MISSED)
    waiting = DBTaskResult.objects.using(JOBS).filter(status=TaskResultStatus.READY, enqueued_at__lt=before)
    return task_id is not None and waiting.filter(pk=task_id).exists()


def _settle_quietly() -> None:
    """For others, whose failure could not be written while this operation held the register."""
    try:
        settle_accounts()
    except Exception:
        logger.warning("The accounts of other operations could not be settled", exc_info=True)


def _close_abandoned(operation: Operation) -> None:
    """A running one whose process died: done if its audit row, which is written with its work, says so; else failed.

    Not as long as its transaction is open, nor if it has reported progress since it was looked at: it lives.
    """
    if not locks.is_free(_lock_name(operation.pk), operation.database):
        return
    log = Register(operation.database).rows(BackupLog).filter(operation_id=operation.pk, success=True).first()
    is_backup = operation.kind in BACKUPS.values()
    as_it_was = Operation.objects.using(JOBS).filter(
        pk=operation.pk, state=Operation.State.RUNNING, heartbeat_at=operation.heartbeat_at
    )
    closed = as_it_was.update(
        state=Operation.State.SUCCEEDED if log else Operation.State.FAILED,
        message="" if log else sentences(_why_it_stopped(operation), traits_of(operation.kind).undone_if_killed),
        log_id=log and log.pk,
        result=operation.result | ({"id": str(log.backup_id)} if log and is_backup else {}),
        finished_at=operation.heartbeat_at,
    )
    operation.refresh_from_db(using=JOBS)
    if closed:
        logger.warning("%s by %s was found dead", operation.kind, operation.actor_name)


def _why_it_stopped(operation: Operation) -> Text:
    if operation.phase == Phase.COMMIT:
        return _("The process was killed before it finished, or it lost the database.")
    return _("The process was killed before it finished.")


def _close_forgotten(operation: Operation) -> None:
    """A waiting one that no worker will take any more, or whose worker died before it began, has failed."""
    is_old = DBTaskResult.objects.using(JOBS).filter(pk__in=[operation.task_id]).exclude(task_path=TASK).exists()
    Operation.objects.using(JOBS).filter(pk=operation.pk, state=Operation.State.WAITING).update(
        state=Operation.State.FAILED,
        message=sentences(_UPDATED if is_old else _NEVER_BEGUN, NOTHING_CHANGED),
        finished_at=timezone.now(),
    )
    operation.refresh_from_db(using=JOBS)


def worker_lock(worker_id: str) -> str:
    return f"worker-{worker_id}"


def _log_late(operation: Operation) -> None:
    """Write the audit row of a failure that could not be written when it failed; not while the register is held."""
    register = Register(operation.database)
    if not register.is_free():
        return
    with register.change([BackupLog], 0):  # whoever reads a page waits for nobody
        log, _created = register.rows(BackupLog).get_or_create(
            operation_id=operation.pk,
            defaults={
                "user_id": _existing(operation.actor_id, register),
                "actor_name": operation.actor_name,
                "operation": operation.kind,
                "filename": operation.filename,
                "created_at": operation.started_at,
                "success": False,
                "error_message": operation.message,
                "duration": max(0.0, (operation.heartbeat_at - operation.started_at).total_seconds()),
            },
        )
    truth = {"state": Operation.State.SUCCEEDED, "message": ""} if log.success else {}  # it went with the data
    Operation.objects.using(JOBS).filter(pk=operation.pk).update(log_id=log.pk, **truth)


@contextmanager
def register_lock(run: Run, wait: float | None = None, undone: Text | None = None) -> Iterator[locks.Lock]:
    """Hold the one lock of the register; wait for it for ``wait`` seconds (None: ``LOCK_WAIT_SECONDS``).

    Raises :class:`RegisterBusy`, which says who holds it, and what is ``undone`` (None: what its kind says).
    """
    with ExitStack() as stack:
        try:
            lock = stack.enter_context(run.register.lock(wait, lambda: run(Phase.WAIT, 0, None)))
        except LockTimeout as error:
            left = traits_of(run.operation.kind).undone if undone is None else undone
            raise busy(current(run.register), left) from error
        yield lock


@contextmanager
def holding_register(run: Run) -> Iterator[Store]:
    """A store, under the register's lock, in a transaction in which nobody else writes to it; waits as long as it may.

    The block's last is :meth:`Run.complete`. Raises :class:`RegisterBusy`, OperationalError, CommitUnknown, LockLost.
    """
    with ExitStack() as stack:
        with patience(lambda: current(run.register) is not None) as seconds:
            lock = stack.enter_context(register_lock(run, seconds))
            store = stack.enter_context(run.register.write(seconds))
        run.begin(lock)
        yield store
    run.committed = run.past_return


def busy(holder: Operation | None, undone: Text) -> RegisterBusy:
    """What to tell somebody whom ``holder``, a restore or its like, keeps waiting (None: it is not known which), with
    what is ``undone``, a sentence."""
    if holder is None:
        who, then = _("The register is in use by another restore or import."), _("Try again later.")
    else:
        who, then = who_runs(holder), _("Try again when it has finished.")
    return RegisterBusy(who, undone=undone, then=then)


def who_runs(operation: Operation) -> str:
    """Who is running what, since when and how far, or waits to: a sentence."""
    if operation.state == Operation.State.WAITING:
        if operation.filename:
            text = _("%(who)s asked for %(what)s of %(file)s at %(time)s, which waits for the worker.")
        else:
            text = _("%(who)s asked for %(what)s at %(time)s, which waits for the worker.")
    else:
        text = _("%(who)s has been running %(what)s since %(time)s (%(phase)s, %(done)s done).")
    return text % {
        "who": operation.actor_name,
        "what": traits_of(operation.kind).in_a_sentence,
        "file": operation.filename,
        "time": moments.moment(operation.started_at),
        "phase": operation.phase,
        "done": f"{operation.done:,}",
    }


def current(register: Register) -> Operation | None:
    """The restore or import that holds this register now, if it is known."""
    settle_accounts()
    return (
        Operation.objects.using(JOBS)
        .filter(
            state=Operation.State.RUNNING,
            database=register.alias,
            kind__in=WRITERS,
        )
        .exclude(phase__in=BEFORE_THE_LOCK)
        .first()
    )


def _existing(user_id: int | None, register: Register) -> int | None:
    """The account's id, if there still is one."""
    return user_id if user_id and register.rows(User).filter(pk=user_id).exists() else None


def actor_of(operation: Operation) -> Actor:
    """Who asked for it; without the account's id where the account is gone."""
    return Actor(operation.actor_name, _existing(operation.actor_id, Register(operation.database)))


def _lock_name(pk: uuid.UUID) -> str:
    return f"operation-{pk}"
