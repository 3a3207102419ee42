"""The tree of the snapshot of an incremental file: that of the snapshot that it continues, with the file's changes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import IO, Final, Protocol

from recordsync.backupfile import BackupFile
from recordsync.errors import RecordSyncError
from recordsync.history.changed import ChangedTree, TreeChanges
from recordsync.history.store import SMALL, HistoryStore, StoredTree
from recordsync.model.records import Key, Partition, Record
from recordsync.model.schema import Model
from recordsync.streams import Deletion, join
from recordsync.streams.lines import Lines

_Change = tuple[Key, bytes | None]
"""A key, and the line that it has now (None: it is deleted)."""


_TOGETHER: Final = 1_000
"""How many partitions and changes are worked on together."""


class ChangesDoNotFit(RecordSyncError):
    """The changes in a file do not lead from the snapshot that it continues to its own."""


class ListedChanges(Protocol):
    """What changed from one snapshot to another."""

    def records(self, model: Model) -> Iterable[Record]:
        """The records that were added or changed, as they are after, in key order."""

    def deletions(self, model: Model) -> Iterable[Deletion]:
        """The records that were deleted, in key order."""


class CarriedBases:
    """The trees of the snapshots that a file brings so that they can be bases. Each is the one before with its changes,
    and the first that of the file's own snapshot. Raises what :func:`tree_with` raises."""

    def __init__(self, store: HistoryStore, file: BackupFile, tree: StoredTree, spool: IO[bytes]) -> None:
        """``tree``: of the file's own snapshot. ``spool``: a temporary file, which stays open and is the caller's."""
        self._store = store
        self._file = file
        self._spool = spool
        self._trees = [tree]

    def tree(self, snapshot: str) -> StoredTree | None:
        """The tree of the snapshot with this id; None: the file does not bring it."""
        ids = [header.id for header in self._file.bases]
        if snapshot not in ids:
            return None
        wanted = ids.index(snapshot) + 1
        while len(self._trees) <= wanted:
            position = len(self._trees) - 1
            changes = _ChangesOfBase(self._file, position)
            root = self._file.bases[position].says.tree
            self._trees.append(tree_with(self._store, self._trees[-1], changes, root, self._spool))
        return self._trees[wanted]


class _ChangesOfBase:
    """The changes that lead to one of a file's bases."""

    def __init__(self, file: BackupFile, position: int) -> None:
        self._file = file
        self._position = position

    def records(self, model: Model) -> Iterator[Record]:
        with self._file.open() as reader:
            yield from reader.records(model, self._position)

    def deletions(self, model: Model) -> Iterator[Deletion]:
        with self._file.open() as reader:
            for _key, deletion, _line in reader.deletions(model, self._position):
                yield deletion


def tree_with(
    store: HistoryStore, parent: StoredTree, changes: ListedChanges, root: str, spool: IO[bytes]
) -> ChangedTree:
    """The tree whose root has the digest ``root``: that of ``parent`` with the changes of a file, which was checked.

    Reads the history store, and writes to the end of ``spool``, a temporary file that stays open. Raises
    ChangesDoNotFit where the changes lead to another tree, and HistoryDamaged.
    """
    changed = TreeChanges(store, parent, spool)
    for model in parent.schema:
        placed = ((model.partition_of(change[0]), change) for change in _changes(changes, model))
        groups = ((name, [change for _name, change in of]) for name, of in groupby(placed, key=itemgetter(0)))
        while some := list(_few(groups)):
            blocks = [next(parent.at(model, partition), None) for partition, _changes in some]
            small = parent.lines_of([block for block in blocks if block is not None and block[1].count <= SMALL])
            for (partition, of_partition), block in zip(some, blocks, strict=True):
                if block is not None and block[1].count > SMALL:
                    changed.put(model, partition, _joined(parent.lines([block]), model, of_partition))
                else:
                    changed.put(model, partition, _with([] if block is None else next(small), model, of_partition))
    tree = changed.tree()
    if tree.root != root:
        raise ChangesDoNotFit("The changes in the file do not lead from the snapshot that it continues to its own.")
    return tree


def _changes(changes: ListedChanges, model: Model) -> Iterator[_Change]:
    """What a file says of a model, in key order."""
    line = Lines(model.shape()).line
    for record, deletion in join(changes.records(model), changes.deletions(model)):
        if record is not None:
            yield record.key, line(record.values, record.created_at)
        else:
            yield deletion.key, None


def _few(groups: Iterator[tuple[Partition, list[_Change]]]) -> Iterator[tuple[Partition, list[_Change]]]:
    """The next partitions with their changes: one, or some that have few changes together."""
    count = 0
    while count < _TOGETHER and (group := next(groups, None)) is not None:
        count += 1 + len(group[1])
        yield group


def _with(lines: list[bytes], model: Model, changes: Sequence[_Change]) -> list[bytes]:
    """The lines of a small block after these changes. Lines that do not change are as they are stored."""
    keys = Lines(model.shape()).keys
    for key, line in changes:
        # A few keys are read to find each place, and not those of all lines.
        place = bisect_left(lines, key, key=lambda known: keys([known])[0])
        is_there = place < len(lines) and keys([lines[place]])[0] == key
        lines[place : place + is_there] = [] if line is None else [line]
    return lines


def _joined(parent: Iterable[list[bytes]], model: Model, changes: Iterable[_Change]) -> Iterator[bytes]:
    """As :func:`_with`, of a large block, of which few lines are held in memory."""
    keys = Lines(model.shape()).keys
    keyed = (pair for lines in parent for pair in zip(keys(lines), lines, strict=True))
    for before, change in join(keyed, changes):
        line = before[1] if change is None else change[1]
        if line is not None:
            yield line
