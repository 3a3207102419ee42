"""Changes that people make by hand. Each is a short transaction, which does not wait long for restores and imports."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from django.db import Error, IntegrityError
from django.db.models import Model

from core.models import Backup, Operation
from core.operations import holding
from core.operations.errors import LazyText, OperationFailed, RegisterBusy, as_failure, is_locked
from core.operations.waiting import patience
from core.register.database import Register
from recordsync.errors import CommitUnknown, LockTimeout

logger = logging.getLogger(__name__)

_MOMENT = 0.5


@contextmanager
def changing(
    register: Register, models: Sequence[type[Model]], undone: LazyText, *, alone: bool = False
) -> Iterator[None]:
    """A short transaction that writes the tables of these models. It waits for a restore or import as long as it may.

    ``undone``: a sentence that says what a failure leaves undone. ``alone``: whether others must not change these
    tables meanwhile. Raises :class:`RegisterBusy`, which says who holds the register if that is known, NotKnown or
    OperationFailed; an IntegrityError passes.
    """
    try:
        with ExitStack() as stack:
            with patience(lambda: _holder(register) is not None) as seconds:
                stack.enter_context(register.change(models, seconds, alone=alone))
            yield
    except IntegrityError:
        raise
    except (Error, CommitUnknown) as error:
        failed = failure(error, register, undone)
        logger.warning("A change by hand failed: %s", failed, exc_info=not isinstance(failed, RegisterBusy))
        raise failed from error


@contextmanager
def changing_catalogue(register: Register, undone: LazyText) -> Iterator[None]:
    """As :func:`changing`, for the catalogue of backups, under the register's lock.

    So no backup begins meanwhile that would continue an entry that changes.
    """
    try:
        with ExitStack() as stack:
            with patience(lambda: _holder(register) is not None) as seconds:
                # A process that checks whether the lock is free holds it for a moment.
                stack.enter_context(register.lock(max(seconds, _MOMENT)))
            stack.enter_context(changing(register, [Backup], undone))
            yield
    except LockTimeout as error:
        raise holding.busy(_holder(register), undone) from error


def failure(error: Exception, register: Register, undone: LazyText) -> OperationFailed:
    """The error as a failure for people. If the register is locked, it says who holds it."""
    holder = _holder(register) if is_locked(error) else None
    return holding.busy(holder, undone) if holder else as_failure(error, undone)


def _holder(register: Register) -> Operation | None:
    """The restore or import that holds the register; None if that is not known."""
    try:
        return holding.current(register)
    except Error:
        logger.warning("It is not known who holds the register", exc_info=True)
        return None
