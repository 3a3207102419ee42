"""The run of an operation: who runs it, how far it is, how it ended, and its audit row.

The row of an operation lives in the jobs database, which can be written while a restore holds the register. A process
holds the lock of its operation as long as it works. The system releases the lock when the process dies.
"""

from __future__ import annotations

import logging
import os
import pwd
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import Error, IntegrityError, connections, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.models import JOBS, BackupLog, Kind, Operation, Phase, User
from core.operations.errors import (
    NOTHING_CHANGED,
    Cancelled,
    FileRefused,
    NotKnown,
    OperationFailed,
    as_failure,
    not_known,
    sentences,
)
from core.operations.recovery import existing_account, operation_lock, settle_accounts, settle_quietly
from core.operations.traits import UNAUDITED, traits_of
from core.register.database import Register
from recordsync.errors import CommitUnknown, LockLost
from recordsync.system import locks
from recordsync.system.progress import Progress, no_progress

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_WRITES = 1.0
_TRIES_TO_SAY_HOW_IT_ENDED = 3

CANCELLED_BEFORE = gettext_lazy("It was cancelled before it began.")


@dataclass(frozen=True)
class Actor:
    """The person who runs an operation: an account, or for commands the user of the operating system."""

    name: str
    user_id: int | None = None

    @classmethod
    def of(cls, user: User | None = None) -> Actor:
        if user is not None:
            return cls(user.get_username(), user.pk)
        try:
            return cls(pwd.getpwuid(os.getuid()).pw_name[:150])  # the environment could name anybody
        except KeyError:  # a user id without a name, as in some containers
            return cls(f"uid {os.getuid()}")


@dataclass
class Run:
    """A running operation. Call it to report progress; it raises Cancelled if somebody asked for that."""

    operation: Operation
    actor: Actor
    register: Register
    callback: Progress
    log: BackupLog
    """The audit row, which the code that works completes."""
    lock: locks.Lock
    """The lock of the operation. As long as it is held, the operation is running."""
    started: float = field(default_factory=time.monotonic)
    past_return: bool = False
    """Whether the point of no return was passed."""
    committed: bool = False
    """Whether the work is committed, so that others can read it."""
    warnings: list[str] = field(default_factory=list)
    """Sentences about what is odd and does no harm."""
    before_commit: Callable[[], None] | None = None
    """What is done at the end of the transaction that does the work, before its audit row is written."""
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
        """Save the progress, and read whether to cancel. Raises LockLost if the operation was closed as dead."""
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
        """Bind the locks to the transaction that does the work. Call it first in that transaction.

        Until its end nobody can close the operation as dead or get the locks that it ``held``. Raises LockLost if
        somebody has.
        """
        self._bound = (self.lock, *held)
        for lock in self._bound:
            lock.bind(self.register.connection)
        self._save_progress()

    def warn(self, sentence: str) -> None:
        """Note something that is odd and does no harm, once."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def complete(self, entries: int) -> None:
        """Write the audit row, and pass the point of no return. Call it last in that transaction. Raises LockLost."""
        if self.before_commit is not None:
            self.before_commit()
        for lock in self._bound:
            lock.confirm()
        self.save_log(success=True)
        self(Phase.COMMIT, entries, entries)

    def save_log(self, *, success: bool, error_message: str = "") -> None:
        """Write the audit row, in the current transaction if there is one. An operation never has more than one.

        Raises LockLost if somebody has closed the operation as dead and written another.
        """
        self.log.pk, self.log._state.adding = (
            None,
            True,
        )  # an earlier try was rolled back, and its id may belong to another row
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
        """Save the outcome of the operation in the jobs database."""
        operation = self.operation
        operation.state, operation.message, operation.finished_at = state, message, timezone.now()
        if self.warnings:
            earlier = operation.result.get("warnings", [])
            operation.result = {**operation.result, "warnings": [*earlier, *self.warnings]}
        for left in reversed(range(_TRIES_TO_SAY_HOW_IT_ENDED)):
            connections[JOBS].close_if_unusable_or_obsolete()  # it may have been lost during the work
            try:
                operation.save(using=JOBS)
                return
            except Error:
                logger.warning("The end of %s could not be saved", operation, exc_info=True)
            if connections[JOBS].vendor != "postgresql":  # SQLite has no connection to replace
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
    parameters: dict[str, Any] | None = None,
) -> Iterator[Run]:
    """A run whose progress, outcome and audit row are written.

    An error in the block is logged, written to the audit trail, and raised again as an :class:`OperationFailed`, which
    also says what the operation leaves undone (a KeyboardInterrupt stays as it is). ``operation``: the waiting
    operation to run, or None for a new one, which gets these ``parameters``. The block itself calls
    :meth:`Run.complete` in its own transaction. After a :class:`NotKnown` nothing is written: when the database answers
    again, the audit row says how it ended (:func:`settle_accounts`).
    """
    undone = traits_of(kind).undone
    with ExitStack() as stack:
        stack.callback(settle_quietly)
        try:
            run = _started(stack, kind, actor, register, filename, callback, operation, parameters)
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
            if not run.past_return:  # otherwise only the database knows, which is asked when the lock is free
                _account_for_failure(run, sentences(_("It was interrupted."), undone), cancelled=True)
            raise
        run.finish(Operation.State.SUCCEEDED)
        logger.info("%s by %s finished in %.1f s", kind, actor.name, run.seconds)


def _failure(run: Run, error: Exception) -> OperationFailed:
    """The error as a failure for people."""
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
    parameters: dict[str, Any] | None,
) -> Run:
    """A new run with its row. Its lock is held until the stack is closed."""
    settle_accounts()
    if operation is None:
        operation = Operation(
            kind=kind,
            database=register.alias,
            actor_id=actor.user_id,
            actor_name=actor.name,
            filename=filename,
            parameters=parameters or {},
        )
        lock = stack.enter_context(locks.held(operation_lock(operation.pk), JOBS))  # before anyone can see the row
        operation.save(using=JOBS, force_insert=True)
    else:
        lock = stack.enter_context(locks.held(operation_lock(operation.pk), JOBS))
        _begin(operation)
        filename = operation.filename or filename
    log = BackupLog(
        user_id=actor.user_id, actor_name=actor.name, operation=kind, operation_id=operation.pk, filename=filename
    )
    logger.info("%s by %s started (%s)", kind, actor.name, operation.pk)
    return Run(operation, actor, register, callback or no_progress, log, lock)


def _begin(operation: Operation) -> None:
    """Set a waiting operation to running. Raises Cancelled if somebody has cancelled it."""
    now = timezone.now()
    begun = {"state": Operation.State.RUNNING, "heartbeat_at": now, "started_at": now}
    waiting = Operation.objects.using(JOBS).filter(pk=operation.pk, state=Operation.State.WAITING)
    if not waiting.update(**begun):
        raise Cancelled(CANCELLED_BEFORE, undone=NOTHING_CHANGED)
    operation.state, operation.heartbeat_at, operation.started_at = Operation.State.RUNNING, now, now


def _account_for_failure(run: Run, sentence: str, *, cancelled: bool) -> None:
    """Write the audit row of a failure. If somebody holds the register, it is written when they are done."""
    run.operation.log_id = None  # the transaction that wrote it was rolled back
    try:
        if traits_of(run.operation.kind).is_audited and run.register.is_free():
            run.save_log(success=False, error_message=sentence)
    except (Error, LockLost):
        logger.error("The failure of %s could not be written to the audit trail", run.operation, exc_info=True)
    run.finish(Operation.State.CANCELLED if cancelled else Operation.State.FAILED, sentence)


def actor_of(operation: Operation) -> Actor:
    """The person who asked for the operation; without an account's id if the account was deleted."""
    return Actor(operation.actor_name, existing_account(operation.actor_id, Register(operation.database)))
