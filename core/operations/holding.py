"""The lock of the register: who holds it, and what to say to people who wait for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.db.models import Q
from django.utils.translation import gettext as _

from core import moments
from core.models import JOBS, Operation, Phase
from core.operations import snapshots
from core.operations.errors import LazyText, RegisterBusy
from core.operations.recovery import settle_accounts
from core.operations.run import Run
from core.operations.traits import BEFORE_THE_LOCK, WRITERS, traits_of
from core.operations.waiting import patience
from core.register.database import Register, usual_wait
from recordsync.errors import LockTimeout
from recordsync.history.snapshots import TakenSnapshot
from recordsync.stores import Store
from recordsync.system import locks


@contextmanager
def register_lock(run: Run, wait: float | None = None, undone: LazyText | None = None) -> Iterator[locks.Lock]:
    """The one lock of the register, held in the block after a wait of ``wait`` seconds (None: ``LOCK_WAIT_SECONDS``).

    Raises :class:`RegisterBusy`, which says who holds it and what is ``undone`` (None: the sentence of its kind).
    """
    with ExitStack() as stack:
        try:
            lock = stack.enter_context(run.register.lock(wait, lambda: run(Phase.WAIT, 0, None)))
        except LockTimeout as error:
            left = traits_of(run.operation.kind).undone if undone is None else undone
            raise busy(current(run.register), left) from error
        yield lock


@contextmanager
def holding_register(run: Run) -> Iterator[tuple[Store, snapshots.Keeper]]:
    """A store of the register under its lock, in a transaction in which nobody else can write, and the keeper of the
    snapshots before and after.

    It waits as long as it may. The block must end with :meth:`Run.complete`. Raises :class:`RegisterBusy`,
    OperationalError, CommitUnknown, LockLost.
    """
    with ExitStack() as stack:
        with patience(lambda: current(run.register) is not None) as seconds:
            lock = stack.enter_context(register_lock(run, seconds))
            try:
                keeper = stack.enter_context(snapshots.around(run, seconds))
            except LockTimeout as error:
                raise busy(current(run.register), traits_of(run.operation.kind).undone) from error
            store = stack.enter_context(run.register.write(seconds))
        run.begin(lock)
        keeper.begin(store)
        run.before_commit = keeper.after
        yield store, keeper
    run.committed = run.past_return


def snapshot(run: Run) -> TakenSnapshot | None:
    """The snapshot of the register as it is now, for an operation that only reads it; None where none can be taken,
    which the run then says. Raises :class:`RegisterBusy` where somebody else takes one for long."""
    try:
        return snapshots.take(run, usual_wait())
    except LockTimeout as error:
        raise busy(current(run.register), traits_of(run.operation.kind).undone) from error


def busy(holder: Operation | None, undone: LazyText) -> RegisterBusy:
    """The failure for a person whom ``holder`` keeps waiting: a restore or the like, None if it is not known.

    ``undone``: a sentence that says what was not done.
    """
    if holder is None:
        who, then = _("The register is in use by another restore or import."), _("Try again later.")
    else:
        who, then = who_runs(holder), _("Try again when it has finished.")
    return RegisterBusy(who, undone=undone, then=then)


def who_runs(operation: Operation) -> str:
    """A sentence that says who runs what, since when and how far it is, or that it waits for the worker."""
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
    """The restore or import that holds this register now, or who takes a snapshot; None if nobody is known. Reads the
    jobs database."""
    settle_accounts()
    return (
        Operation.objects.using(JOBS)
        .filter(
            state=Operation.State.RUNNING,
            database=register.alias,
        )
        .filter(Q(kind__in=WRITERS) & ~Q(phase__in=BEFORE_THE_LOCK) | Q(phase=Phase.SNAPSHOT))
        .first()
    )
