"""Snapshots of the register around what an operation does.

The history never stands in the way of the register's own work. Where a snapshot cannot be taken (a record that no file
could hold, a history store that does not answer), the operation goes on, and says that it is in no history.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from django.conf import settings
from django.db import Error
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.models import Installation, Phase
from core.operations.errors import NOTHING_CHANGED, OperationFailed, explain
from core.operations.run import Run
from core.operations.traits import name_of, traits_of
from core.register.database import Register
from recordsync.errors import CommitUnknown, HistoryDamaged, HistoryUnusable, InvalidRecord, RegisterMoved
from recordsync.history import collect
from recordsync.history.current import Current, read_current
from recordsync.history.headers import Rename
from recordsync.history.lineage import Lineage
from recordsync.history.receiving import Receiving
from recordsync.history.snapshots import AdoptedBlocks, Occasion, ReceivedSnapshot, TakenSnapshot
from recordsync.model.json_values import InstallationName
from recordsync.stores import Store

logger = logging.getLogger(__name__)

_NO_SNAPSHOT: Final = gettext_lazy("So no snapshot was taken, and this is in no history until that is mended.")
_REQUIRED: Final = gettext_lazy(
    "Only a snapshot, which could not be taken, can say that this is no change like any other: without it, your next "
    "backup would carry it to other installations."
)
_OTHER_TREE: Final = gettext_lazy("The register would be %(is)s afterwards, and what is restored is %(wanted)s.")
_MESSAGE: Final = 1000
"""How many characters the message of a snapshot has at most."""
_NOT_IN_THE_WAY: Final = (HistoryUnusable, HistoryDamaged, InvalidRecord)
"""Why a snapshot cannot be taken, while the register itself works."""


class Keeper:
    """Takes the snapshots before and after what an operation that writes does."""

    def __init__(self, run: Run, wait: float, stack: ExitStack) -> None:
        """``stack``: closes what is opened."""
        self._run = run
        self._stack = stack
        self._history = run.register.history
        self._wait = wait
        self.renames: list[Rename] = []
        """Which records got other names."""
        self.lineage: Lineage | None = None
        """What the snapshot after descends from; None: from the head."""
        self.expected: str | None = None
        """The digest of the tree that the snapshot after must have; None: any."""
        self.is_required = False
        """Whether nothing may be done without the snapshot after."""
        self._adopted: AdoptedBlocks | None = None
        self.was_empty = False
        """Whether the register had nothing before."""

    def before(self) -> None:
        """Take the snapshot before, in transactions of its own."""
        if not self._is_new():
            occasion = _occasion(self._run, f"before_{self._run.operation.kind}")
            _taken(self._run, lambda: self._history.take(occasion, self._wait, self._run))

    def begin(self, store: Store) -> None:
        """Take into a snapshot what was written since, in the transaction that is about to write. ``store``: of it."""
        self.was_empty = _is_empty(store)
        if self.was_empty and self._history.head() is None:
            return
        occasion = _occasion(self._run, f"before_{self._run.operation.kind}")
        _taken(self._run, lambda: self._history.take_within(occasion, self._wait, self._run, is_counted=False))

    def _is_new(self) -> bool:
        """Whether the register has no records and no history, so that it becomes whatever comes first."""
        if self._history.head() is not None:
            return False
        with self._run.register.read() as store:
            return _is_empty(store)

    def ours(self, store: Store) -> Current | None:
        """The register's blocks as the current transaction sees them; None: all of it must be read."""
        return our_blocks(self._run.register, store, is_counted=False)[0]

    def receiving(self) -> Receiving:
        """What stores the blocks of a snapshot that comes. It is to be kept by :meth:`take_in`."""
        return Receiving(self._history.store, self._wait, self._stack)

    def take_in(
        self, received: ReceivedSnapshot | None, lineage: Lineage, receiving: Receiving | None, added: Mapping[str, int]
    ) -> None:
        """Keep a snapshot that came (None: it is known here), so that the snapshot after descends as ``lineage`` says.
        Writes headers.

        ``receiving``: has stored its blocks; None: they are stored already. ``added``: for each model of which every
        record of it was added, how many there were: a register that was empty has exactly its blocks then.
        """
        if receiving is not None and not receiving.keep():
            if receiving.failure is not None:
                self._run.warn(f"{explain(receiving.failure)} {_NO_SNAPSHOT}")
            return
        if received is not None:
            self._history.know(received)
        self.lineage = lineage
        if receiving is not None and self.was_empty and receiving.has_exactly(added):
            self._adopted = receiving.blocks

    def after(self) -> None:
        """Take the snapshot after, in the transaction that wrote. Raises OperationFailed where one is required and none
        can be taken, RegisterMoved where the register is not what it should be then."""
        renames = sorted(self.renames, key=lambda rename: (rename.model, rename.before))
        occasion = _occasion(self._run, self._run.operation.kind, renames)
        taken = _taken(
            self._run,
            lambda: self._history.take_within(
                occasion, self._wait, self._run, is_counted=False, adopted=self._adopted, lineage=self.lineage
            ),
            is_required=self.is_required,
        )
        if taken is not None and self.expected not in (None, taken.snapshot.tree):
            raise RegisterMoved(_OTHER_TREE % {"is": taken.snapshot.tree[:10], "wanted": self.expected[:10]})


def _is_empty(store: Store) -> bool:
    return not any(store.has_more_than(model, 0) for model in store.schema)


@contextmanager
def around(run: Run, wait: float) -> Iterator[Keeper]:
    """The keeper of an operation that writes, in whose block nobody else takes snapshots. The snapshot before is taken.

    Raises LockTimeout where somebody else takes one.
    """
    with run.register.history.alone(wait, lambda: run(Phase.WAIT, 0, None)), ExitStack() as stack:
        keeper = Keeper(run, wait, stack)
        keeper.before()
        yield keeper


def our_blocks(register: Register, store: Store, *, is_counted: bool = True) -> tuple[Current | None, Sequence[str]]:
    """The register's blocks as the current transaction sees them (None: all of it must be read), and sentences that say
    why all must be read. Reads what is dirty, and writes nothing."""
    history = register.history
    try:
        state = history.state(is_counted=is_counted)
        return read_current(store, register.alias, history.store, state), state.notes
    except _NOT_IN_THE_WAY:
        logger.warning("The register is read, because its blocks are not known", exc_info=True)
        return None, ()


def take(run: Run, wait: float) -> TakenSnapshot | None:
    """The snapshot of the register as it is now, for an operation that only reads it; None where none can be taken.

    Once an hour this also removes what no snapshot that is kept has. Raises LockTimeout.
    """
    history = run.register.history
    with history.alone(wait, lambda: run(Phase.WAIT, 0, None)):
        taken = _taken(run, lambda: history.take(_occasion(run, run.operation.kind), wait, run))
        if taken is not None:
            tidy(run.register, wait)
    return taken


def tidy(register: Register, wait: float) -> None:
    """Remove what no snapshot that is kept has, once an hour. Called under the lock of the history. A failure is
    logged."""
    try:
        if not collect.is_due(register.history):
            return
        found = collect.collect(register.history, settings.HISTORY_KEEP, wait)
        logger.info(
            "The history was tidied: %s blocks and %s nodes are gone, %s more will be",
            found.blocks,
            found.nodes,
            found.marked,
        )
        if found.damaged:
            logger.warning(
                "%s nodes of the history are missing or damaged: manage.py history verify names the snapshots",
                found.damaged,
            )
    except (Error, HistoryUnusable):
        logger.warning("The history could not be tidied", exc_info=True)


def _occasion(run: Run, cause: str, renames: Sequence[Rename] = ()) -> Occasion:
    installation = Installation.current(run.register.alias)
    return Occasion(
        InstallationName(str(installation.id), installation.name),
        author=run.actor.name,
        cause=cause,
        message=name_of(run.operation.kind, run.operation.filename)[:_MESSAGE],  # it travels
        operation=run.operation.pk,
        renames=renames,
    )


def _taken(run: Run, take: Callable[[], TakenSnapshot], *, is_required: bool = False) -> TakenSnapshot | None:
    """The snapshot that is taken; None where the history is in the way, which the run then says. Raises OperationFailed
    in its place where one ``is_required``."""
    try:
        taken = take()
    except CommitUnknown as error:  # of a snapshot alone: what the operation is to do has not begun
        raise OperationFailed(str(error), undone=traits_of(run.operation.kind).undone) from error
    except _NOT_IN_THE_WAY as error:
        logger.warning("No snapshot was taken for %s", run.operation, exc_info=True)
        if is_required:
            raise OperationFailed(
                f"{explain(error)} {_REQUIRED}",
                undone=NOTHING_CHANGED,
                then=_("Mend the history first. Or undo it everywhere."),
            ) from error
        run.warn(f"{explain(error)} {_NO_SNAPSHOT}")
        return None
    for note in taken.notes:
        run.warn(note)
    return taken
