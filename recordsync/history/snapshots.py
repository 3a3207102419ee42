"""Taking snapshots: what is dirty is read, its blocks and the nodes above them are stored, and the head moves.

The order of writing is Git's: first blocks and nodes, in the history store, and then the header, the leaves, the head
and its move, in one transaction of the register's database. Where the process dies between the two, or the second is
rolled back, what was stored is reachable from nothing and is collected later.

A mark that is set while a snapshot reads must survive it. On SQLite a short transaction first raises the generation of
the marks, and the snapshot clears older ones only. On PostgreSQL one transaction in REPEATABLE READ reads and clears,
so that it clears exactly what it saw.
"""

from __future__ import annotations

import datetime as dt
import logging
import tempfile
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from typing import IO, Any, Final, cast

import msgspec
import orjson
from django.db import OperationalError, connections
from django.db.models import Max
from django.db.models.functions import Coalesce
from django.utils import timezone

from recordsync.errors import HistoryDamaged, RecordSyncError
from recordsync.history import leaves, marks
from recordsync.history.ancestry import Ancestry, Known, known_ancestry
from recordsync.history.blocks import BlockDigest
from recordsync.history.headers import Header, Merge, Ordinary, Rename, header
from recordsync.history.leaves import PlacedBlock
from recordsync.history.lineage import Lineage, after_change
from recordsync.history.places import Place
from recordsync.history.state import RegisterState, read_state
from recordsync.history.store import BlockWriter, HistoryStore
from recordsync.history.trees import Child, Path, TreeNode, changed, children_of, node_of, nodes
from recordsync.model.digests import content_digest
from recordsync.model.fields import TIMESTAMP
from recordsync.model.json_values import InstallationName
from recordsync.model.records import Partition
from recordsync.model.schema import Model, Schema
from recordsync.models import Head, HeadMove, Snapshot
from recordsync.stores import Store
from recordsync.streams.sort import stored
from recordsync.system import locks
from recordsync.system.progress import EVERY, Progress, no_progress
from recordsync.system.transactions import committed, reading, writing

logger = logging.getLogger(__name__)

_LOCK: Final = "history"
"""The name of the lock under which the head moves."""
_TOGETHER: Final = 300
"""How many headers are asked for or written together. Old versions of SQLite take 999 parameters."""
_TRIES: Final = 3
_TO_REPAIR: Final = 2.0
"""The seconds to wait for who uses the register's tables, to make triggers anew: everybody else waits meanwhile."""
PHASE: Final = "snapshot"
"""The phase in which a snapshot is taken, for progress."""


class HeadMoved(RecordSyncError):
    """The head is not where it was when the snapshot began to read, or another snapshot was taken since."""


@dataclass(frozen=True)
class Occasion:
    """Why a snapshot is taken, where, and by whom: what an ordinary snapshot says beside its tree, its number and its
    moment."""

    installation: InstallationName
    author: str
    cause: str
    message: str = ""
    operation: uuid.UUID | None = None
    renames: Sequence[Rename] = ()


@dataclass(frozen=True)
class TakenSnapshot:
    """The snapshot that the register is at. ``notes``: sentences that say why all of the register was read."""

    snapshot: Snapshot
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReceivedSnapshot:
    """A snapshot that came in a file: its header, and its ancestors, each after its parents."""

    header: Header
    ancestors: Sequence[Known]


AdoptedBlocks = Callable[[Model], Iterable[tuple[Partition, BlockDigest]]]
"""A function that gives the blocks of a model, in key order, which are in the history store already."""


@dataclass
class _Made:
    """What a snapshot will have: its tree, and the leaves that are other than at the head."""

    root: TreeNode
    gone: dict[str, frozenset[Place] | None]
    """For each model the places whose leaves go (None: all)."""
    files: dict[str, IO[bytes]] = field(default_factory=dict)
    """For each model the new leaves, in a temporary file."""

    def leaves(self, model: Model) -> Iterator[PlacedBlock]:
        file = self.files[model.name]
        for parent, slice_, names, digest, count in stored(file, 0, file.tell()):
            yield PlacedBlock(Place(parent, slice_), tuple(names), BlockDigest(digest, count))


class History:
    """The history of the register in the database ``using``, whose blocks are in ``store``. Making one reads nothing.

    ``open_store``: makes a store of the register for the current transaction.
    """

    def __init__(self, using: str, schema: Schema, store: HistoryStore, open_store: Callable[[], Store]) -> None:
        self.using = using
        self.schema = schema
        self.store = store
        self._open_store = open_store

    def head(self) -> Snapshot | None:
        """The snapshot that the register is at; None before the first one. Reads one row."""
        found = Head.objects.using(self.using).select_related("snapshot").first()
        return None if found is None else found.snapshot

    def state(self, *, is_counted: bool = True) -> RegisterState:
        """The state of the register as the current transaction sees it."""
        return read_state(self.using, self.schema, self.store, is_counted=is_counted)

    def alone(self, wait: float, while_waiting: Callable[[], None] | None = None) -> AbstractContextManager[locks.Lock]:
        """The lock of the history, in whose block nobody else takes snapshots. Who also takes the register's lock takes
        that first. Raises LockTimeout."""
        return locks.held(_LOCK, self.using, wait=wait, while_waiting=while_waiting)

    def take(self, occasion: Occasion, wait: float, progress: Progress = no_progress) -> TakenSnapshot:
        """The snapshot of the register as it is now. Reads what is dirty, in transactions of its own.

        Called under the lock of the history (:meth:`alone`). ``wait``: the seconds to wait for others who write. Raises
        :class:`recordsync.errors.InvalidRecord` for a record that no file could hold,
        :class:`recordsync.errors.HistoryUnusable`, and Error where the register's database fails.
        """
        for left in reversed(range(_TRIES)):
            with reading(self.using):
                state = self.state()
            if state.is_clean and state.head is not None:
                return TakenSnapshot(state.head)
            if state.notes:
                self._repair(state.notes)
            try:
                if connections[self.using].vendor == "sqlite":
                    return self._take_on_sqlite(state, occasion, wait, progress)
                return self._take_in_one(state, occasion, wait, progress)
            except HeadMoved:  # somebody wrote without the lock
                if not left:
                    raise
            except HistoryDamaged as damage:
                if not left:
                    raise
                self.mend(damage, wait)
        raise AssertionError

    def mend(self, damage: HistoryDamaged, wait: float) -> None:
        """Delete what is damaged, and mark everything: the next snapshot makes it anew, if the register
        still has it. Writes both databases, in transactions of its own. Raises HistoryUnusable."""
        logger.warning("%s It is made anew from the register", damage)
        self.store.forget(damage.digest, wait)
        with writing(self.using, [Head], wait):
            marks.mark_all(self.using, self.schema)

    def take_within(
        self,
        occasion: Occasion,
        wait: float,
        progress: Progress = no_progress,
        *,
        is_counted: bool = True,
        adopted: AdoptedBlocks | None = None,
        lineage: Lineage | None = None,
    ) -> TakenSnapshot:
        """As :meth:`take`, in the current transaction, in which nobody else writes the register.

        ``is_counted``: see :func:`recordsync.history.state.read_state`. ``adopted``: where everything is dirty and the
        register has exactly these blocks, they need not be read. ``lineage``: what the snapshot descends from; None:
        from the head.
        """
        state = self.state(is_counted=is_counted)
        if state.is_clean and state.head is not None and lineage is None:
            return TakenSnapshot(state.head)
        with ExitStack() as files:
            try:
                made = self._make(files, state, wait, progress, adopted)
            except HistoryDamaged as damage:
                logger.warning("%s It is made anew from the register", damage)
                self.store.forget(damage.digest, wait)
                made = self._make(files, replace(state, dirty=dict.fromkeys(state.dirty)), wait, progress)
            return self._record(state, made, occasion, None, lineage)

    def is_unmarked(self) -> bool:
        """Whether nothing marks the register as written to since its head. Does not need the history store."""
        known = [*marks.faults(self.using, self.schema), *marks.ways_past(self.using, self.schema)]
        return not known and next(iter(marks.read(self.using)), None) is None

    def ancestry(self) -> Ancestry:
        """All snapshots that the register knows, with their parents. Reads headers."""
        return known_ancestry(self.using)

    def know(self, received: ReceivedSnapshot) -> None:
        """Keep the headers of a snapshot that came in a file, whose tree is in the history store, and of its ancestors,
        in the current transaction. Its tree is then kept."""
        self._keep_ancestors(received.ancestors)
        self._keep_header(received.header)
        rows = Snapshot.objects.using(self.using).filter(pk=received.header.id)
        rows.update(received_at=Coalesce("received_at", timezone.now()), is_kept=True)

    def note_left(self, snapshot: str) -> None:
        """Note that a snapshot left in a file, in the current transaction. Its tree is then kept."""
        rows = Snapshot.objects.using(self.using).filter(pk=snapshot)
        rows.update(left_at=Coalesce("left_at", timezone.now()), is_kept=True)

    def _take_on_sqlite(
        self, seen: RegisterState, occasion: Occasion, wait: float, progress: Progress
    ) -> TakenSnapshot:
        with writing(self.using, [Head], wait):
            generation = marks.raise_generation(self.using)
        with ExitStack() as files:
            with reading(self.using):
                state = self._state_after(seen)
                made = self._make(files, state, wait, progress)
            with writing(self.using, [Head], wait):
                return self._record(state, made, occasion, generation)

    def _take_in_one(self, seen: RegisterState, occasion: Occasion, wait: float, progress: Progress) -> TakenSnapshot:
        with ExitStack() as files, committed(self.using, wait):
            with connections[self.using].cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            generation = marks.raise_generation(self.using)
            state = self._state_after(seen)
            made = self._make(files, state, wait, progress)
            return self._record(state, made, occasion, generation)

    def _state_after(self, seen: RegisterState) -> RegisterState:
        """The state in the current transaction, where the records were counted just before."""
        state = self.state(is_counted=False)
        if not seen.notes:
            return state
        notes = tuple(dict.fromkeys((*seen.notes, *state.notes)))
        return replace(state, dirty=dict.fromkeys(state.dirty), notes=notes)

    def _repair(self, notes: Sequence[str]) -> None:
        """Make the triggers anew, which marks everything, where something is wrong with them and that is allowed. Does
        without while somebody uses the tables for long."""
        logger.warning("All of the register is read: %s", " ".join(notes))
        if marks.faults(self.using, self.schema):
            try:
                with writing(self.using, [Head], _TO_REPAIR):
                    marks.install(self.using, self.schema)
            except (RecordSyncError, OperationalError):
                logger.warning("The triggers that set marks could not be made anew", exc_info=True)

    def _make(
        self,
        files: ExitStack,
        state: RegisterState,
        wait: float,
        progress: Progress,
        adopted: AdoptedBlocks | None = None,
    ) -> _Made:
        """What the snapshot will have. Reads what is dirty, and writes blocks and nodes. ``files`` keeps the temporary
        files open."""
        before: dict[str, Child] = {}
        if state.head is not None and any(dirty is not None for dirty in state.dirty.values()):
            before = {child[0]: child for child in children_of(self.store.nodes, state.head.tree)}
        store = self._open_store()
        with self.store.writing(wait) as writer:
            making = _Making(store, self.store, writer, files, progress)
            making.total = sum(_dirty_records(store, state, model) for model in self.schema)
            if making.total:
                progress(PHASE, 0, making.total)
            children = [making.child(model, before.get(model.name), state, adopted) for model in self.schema]
            root = node_of((), filter(None, children), writer.put_node)
        gone = {name: places for name, places in state.dirty.items() if places is None or places}
        return _Made(root, gone, making.spills)

    def _record(
        self,
        state: RegisterState,
        made: _Made,
        occasion: Occasion,
        generation: int | None,
        lineage: Lineage | None = None,
    ) -> TakenSnapshot:
        """The snapshot, which is the head once the current transaction is committed. ``generation``: of the marks whose
        places were read, for :func:`recordsync.history.marks.clear`. Raises HeadMoved."""
        before = self.head()
        if (before and before.pk) != (state.head and state.head.pk):
            raise HeadMoved("The head of the register moved while a snapshot was taken.")
        if generation is None:
            marks.raise_generation(self.using)  # whoever takes a snapshot without the lock, reads again
        elif not marks.is_last(self.using, generation):
            raise HeadMoved("Another snapshot was taken meanwhile.")
        for model in self.schema:
            if model.name in made.gone:
                leaves.replace(self.using, model, made.gone[model.name], made.leaves(model))
        marks.clear(self.using, generation)
        moment = timezone.now()
        after = self._after(
            made.root.digest, lineage or after_change(None if before is None else before.pk), occasion, moment
        )
        if not after.is_kept:  # known as an ancestor of others until now
            Snapshot.objects.using(self.using).filter(pk=after.pk).update(is_kept=True)
        if before is not None and before.pk == after.pk:
            return TakenSnapshot(before, notes=state.notes)
        Head.objects.using(self.using).update_or_create(id=1, defaults={"snapshot": after})
        HeadMove.objects.using(self.using).create(
            before=before,
            after=after,
            operation=occasion.operation,
            cause=occasion.cause,
            actor=occasion.author,
            moment=moment,
        )
        return TakenSnapshot(after, notes=state.notes)

    def _after(self, tree: str, lineage: Lineage, occasion: Occasion, moment: dt.datetime) -> Snapshot:
        """The snapshot of a register that has this tree and descends so."""
        rows = Snapshot.objects.using(self.using)
        for pk in lineage.instead:
            if (known := rows.get(pk=pk)).tree == tree:
                return known
        if lineage.is_merge:
            return self._keep_header(header(Merge(tree), lineage.parents))
        says = Ordinary(
            tree=tree,
            installation=occasion.installation,
            number=self._next_number(occasion.installation.id),
            moment=cast(str, TIMESTAMP.to_text(moment)),
            author=occasion.author,
            cause=occasion.cause,
            message=occasion.message,
            renames=list(occasion.renames),
        )
        return self._keep_header(header(says, lineage.parents))

    def _next_number(self, installation: str) -> int:
        own = Snapshot.objects.using(self.using).filter(installation=installation)
        return (own.aggregate(number=Max("number"))["number"] or 0) + 1

    def _keep_header(self, of: Header) -> Snapshot:
        """The row of a header, which is written unless it is there, and completed where only its digest was known."""
        rows = Snapshot.objects.using(self.using)
        said = content_digest(msgspec.to_builtins(of.says))
        row, _is_new = rows.get_or_create(
            id=of.id, defaults={**_columns(said, of.parents, of.says), "order": self._last_order() + 1}
        )
        if row.says is None:
            rows.filter(pk=of.id).update(**_columns(said, of.parents, of.says))
            row.refresh_from_db()
        return row

    def _keep_ancestors(self, ancestors: Sequence[Known]) -> None:
        """Write the headers of ancestors, each after its parents, that are not there. Their trees are not here."""
        rows = Snapshot.objects.using(self.using)
        there: set[str] = set()
        for start in range(0, len(ancestors), _TOGETHER):
            some = [of.id for of in ancestors[start : start + _TOGETHER]]
            there.update(rows.filter(pk__in=some).values_list("id", flat=True))
        new = [of for of in ancestors if of.id not in there]
        first = self._last_order() + 1
        rows.bulk_create(
            [
                Snapshot(id=of.id, **_columns(of.said, of.parents, of.says), order=order, is_kept=False)
                for order, of in enumerate(new, first)
            ],
            batch_size=_TOGETHER,
        )

    def _last_order(self) -> int:
        return Snapshot.objects.using(self.using).aggregate(order=Max("order"))["order"] or 0


def _columns(said: str, parents: Sequence[str], says: Ordinary | Merge | None) -> dict[str, Any]:
    """The columns of a header. ``said``: the digest of what it says; ``says``: None: only that is known."""
    return {
        "parents": list(parents),
        "said": said,
        "says": None if says is None else msgspec.to_builtins(says),
        "is_merge": isinstance(says, Merge),
        "bears_renames": isinstance(says, Ordinary) and bool(says.renames),
        "tree": "" if says is None else says.tree,
        "installation": says.installation.id if isinstance(says, Ordinary) else None,
        "number": says.number if isinstance(says, Ordinary) else None,
    }


def _dirty_records(store: Store, state: RegisterState, model: Model) -> int:
    """About how many records are read."""
    if state.dirty[model.name] is None:
        return store.count(model)
    return sum(leaf.block.count for leaf in state.leaves[model.name])


def header_of(snapshot: Snapshot) -> Header:
    """The header in a row. Raises :class:`msgspec.ValidationError` where only its digest is known."""
    says: Ordinary | Merge = msgspec.convert(snapshot.says, Ordinary | Merge)
    return Header(snapshot.pk, list(snapshot.parents), says)


class _Making:
    """The blocks, nodes and leaves of a snapshot that is being made."""

    def __init__(
        self, store: Store, history: HistoryStore, writer: BlockWriter, files: ExitStack, progress: Progress
    ) -> None:
        self._store = store
        self._history = history
        self._writer = writer
        self._files = files
        self._progress = progress
        self._done = 0
        self.total = 0
        self.spills: dict[str, IO[bytes]] = {}

    def child(
        self, model: Model, before: Child | None, state: RegisterState, adopted: AdoptedBlocks | None
    ) -> Child | None:
        """The child of the root that has the model's blocks; None if there are no records. ``before``: that of the
        head's root."""
        dirty = state.dirty[model.name]
        if dirty is not None and not dirty:
            return before
        self.spills[model.name] = self._files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
        if dirty is None or not model.levels:
            blocks = self._all(model) if adopted is None or dirty is not None else adopted(model)
            placed = (((model.name, *partition), block) for partition, block in self._noted(model, blocks))
            if not model.levels:
                return next(((model.name, block.digest, block.count) for _path, block in placed), None)
            (node,) = deque(nodes(placed, (model.name,), self._writer.put_node), maxlen=1)
        else:
            changes: dict[Path, BlockDigest | None] = {
                (model.name, *leaf.partition(model)): None for leaf in state.leaves[model.name]
            }
            changes |= {
                (model.name, *partition): block for partition, block in self._noted(model, self._some(model, dirty))
            }
            digest = None if before is None else before[1]
            node = changed(self._history.nodes, digest, changes.items(), self._writer.put_node, (model.name,))
        return (model.name, node.digest, node.count) if node.count else None

    def _all(self, model: Model) -> Iterator[tuple[Partition, BlockDigest]]:
        for partition, lines in self._store.blocks(model):
            yield partition, self._writer.put(lines)

    def _some(self, model: Model, dirty: frozenset[Place]) -> Iterator[tuple[Partition, BlockDigest]]:
        """The blocks that these places have now."""
        for partition in sorted(filter(None, map(self._store.places(model).partition, dirty))):
            block = self._writer.put(self._store.partition(model, partition))
            if block.count:
                yield partition, block

    def _noted(
        self, model: Model, blocks: Iterable[tuple[Partition, BlockDigest]]
    ) -> Iterator[tuple[Partition, BlockDigest]]:
        """The same blocks, which are noted as leaves."""
        places, spill = self._store.places(model), self.spills[model.name]
        for partition, block in blocks:
            place = places.place(partition)
            assert place is not None  # its parents were just read
            leaf = [*place, model.parents_in(partition), block.digest, block.count]
            spill.write(orjson.dumps(leaf, option=orjson.OPT_APPEND_NEWLINE))
            if self._done // EVERY < (self._done + block.count) // EVERY:
                self._progress(PHASE, self._done + block.count, max(self.total, self._done + block.count))
            self._done += block.count
            yield partition, block
