"""Snapshots of the register around what an operation does.

The history never stands in the way of the register's own work. Where a snapshot cannot be taken (a record that no file
could hold, a history store that does not answer), the operation goes on, and says that it is in no history.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from django.conf import settings
from django.db import Error
from django.utils.translation import gettext_lazy

from core.models import Installation, Phase
from core.operations.errors import OperationFailed, explain
from core.operations.run import Run
from core.operations.traits import traits_of
from core.register.database import Register
from recordsync.errors import CommitUnknown, HistoryDamaged, HistoryUnusable, InvalidRecord
from recordsync.history import collect
from recordsync.history.headers import Rename
from recordsync.history.snapshots import Adopted, Occasion, TakenSnapshot
from recordsync.model.json_values import InstallationName

logger = logging.getLogger(__name__)

_NO_SNAPSHOT: Final = gettext_lazy("So no snapshot was taken, and this is in no history until that is mended.")
_MESSAGE: Final = 1000
"""How many characters the message of a snapshot has at most."""
_NOT_IN_THE_WAY: Final = (HistoryUnusable, HistoryDamaged, InvalidRecord)
"""Why a snapshot cannot be taken, while the register itself works."""


class Keeper:
    """Takes the snapshots before and after what an operation that writes does."""

    def __init__(self, run: Run, wait: float) -> None:
        self._run = run
        self._history = run.register.history
        self._wait = wait
        self.renames: list[Rename] = []
        """Which records got other names."""
        self.adopted: Adopted | None = None
        """The blocks that the register has after the operation, where they are known and stored already."""

    def before(self) -> None:
        """Take the snapshot before, in transactions of its own."""
        occasion = _occasion(self._run, f"before_{self._run.operation.kind}")
        _taken(self._run, lambda: self._history.take(occasion, self._wait, self._run))

    def begin(self) -> None:
        """Take into a snapshot what was written since, in the transaction that is about to write."""
        occasion = _occasion(self._run, f"before_{self._run.operation.kind}")
        _taken(self._run, lambda: self._history.take_within(occasion, self._wait, self._run, is_counted=False))

    def after(self) -> None:
        """Take the snapshot after, in the transaction that wrote."""
        occasion = _occasion(self._run, self._run.operation.kind, self.renames)
        _taken(
            self._run,
            lambda: self._history.take_within(occasion, self._wait, self._run, is_counted=False, adopted=self.adopted),
        )


@contextmanager
def around(run: Run, wait: float) -> Iterator[Keeper]:
    """The keeper of an operation that writes, in whose block nobody else takes snapshots. The snapshot before is taken.

    Raises LockTimeout where somebody else takes one.
    """
    with run.register.history.alone(wait, lambda: run(Phase.WAIT, 0, None)):
        keeper = Keeper(run, wait)
        keeper.before()
        yield keeper


def take(run: Run, wait: float) -> TakenSnapshot | None:
    """The snapshot of the register as it is now, for an operation that only reads it; None where none can be taken.

    Once a day this also removes what no snapshot that is kept has. Raises LockTimeout.
    """
    history = run.register.history
    with history.alone(wait, lambda: run(Phase.WAIT, 0, None)):
        taken = _taken(run, lambda: history.take(_occasion(run, run.operation.kind), wait, run))
        if taken is not None and collect.is_due(history):
            tidy(run.register, wait)
    return taken


def tidy(register: Register, wait: float) -> None:
    """Remove what no snapshot that is kept has. Called under the lock of the history. A failure is logged."""
    try:
        collected = collect.collect(register.history, settings.HISTORY_KEEP, wait)
        logger.info("The history was tidied: %s", collected)
    except (Error, HistoryUnusable):
        logger.warning("The history could not be tidied", exc_info=True)


def _occasion(run: Run, cause: str, renames: Sequence[Rename] = ()) -> Occasion:
    installation = Installation.current(run.register.alias)
    return Occasion(
        InstallationName(str(installation.id), installation.name),
        author=run.actor.name,
        cause=cause,
        message=run.operation.filename[:_MESSAGE],
        operation=run.operation.pk,
        renames=renames,
    )


def _taken(run: Run, take: Callable[[], TakenSnapshot]) -> TakenSnapshot | None:
    """The snapshot that is taken; None where the history is in the way, which the run then says."""
    try:
        taken = take()
    except CommitUnknown as error:  # of a snapshot alone: what the operation is to do has not begun
        raise OperationFailed(str(error), undone=traits_of(run.operation.kind).undone) from error
    except _NOT_IN_THE_WAY as error:
        logger.warning("No snapshot was taken for %s", run.operation, exc_info=True)
        run.warn(f"{explain(error)} {_NO_SNAPSHOT}")
        return None
    for note in taken.notes:
        run.warn(note)
    return taken
