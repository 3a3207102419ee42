"""What people change by hand: each in a short transaction, which does not wait long for restores and imports."""

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
    """A short transaction that writes these models' tables; it waits for a restore or import as long as it may.

    ``undone``: a sentence that says what is not done if it fails. ``alone``: nobody else changes these tables
    meanwhile. Raises :class:`RegisterBusy`, which says who holds the register where that is known, NotKnown and
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
        told = failure(error, register, undone)
        logger.warning("A change by hand failed: %s", told, exc_info=not isinstance(told, RegisterBusy))
        raise told from error


@contextmanager
def changing_catalogue(register: Register, undone: LazyText) -> Iterator[None]:
    """As :func:`changing`, of the catalogue of backups, under the register's lock: no backup begins meanwhile, which
    would continue another one as it was."""
    try:
        with ExitStack() as stack:
            with patience(lambda: _holder(register) is not None) as seconds:
                # Whoever looks whether the lock is free holds it for a moment.
                stack.enter_context(register.lock(max(seconds, _MOMENT)))
            stack.enter_context(changing(register, [Backup], undone))
            yield
    except LockTimeout as error:
        raise holding.busy(_holder(register), undone) from error


def failure(error: Exception, register: Register, undone: LazyText) -> OperationFailed:
    """An error as a failure for people: where the register is locked, with who holds it."""
    holder = _holder(register) if is_locked(error) else None
    return holding.busy(holder, undone) if holder else as_failure(error, undone)


def _holder(register: Register) -> Operation | None:
    """The restore or import that holds the register, where that can be told."""
    try:
        return holding.current(register)
    except Error:
        logger.warning("Who holds the register cannot be told", exc_info=True)
        return None
