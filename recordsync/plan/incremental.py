"""The tree of the snapshot of an incremental file: that of the snapshot that it continues, with the file's changes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import IO, Final

from recordsync.errors import RecordSyncError
from recordsync.history.changed import ChangedTree, TreeChanges
from recordsync.history.store import HistoryStore, StoredTree
from recordsync.model.records import Key, Partition
from recordsync.model.schema import Model
from recordsync.plan.source import Source
from recordsync.streams import join
from recordsync.streams.lines import Lines

_Change = tuple[Key, bytes | None]
"""A key, and the line that it has now (None: it is deleted)."""


_HELD: Final = 10_000
"""How many lines of a block are held in memory."""


class ChangesDoNotFit(RecordSyncError):
    """The changes in a file do not lead from the snapshot that it continues to its own."""


def tree_with(store: HistoryStore, parent: StoredTree, changes: Source, root: str, spool: IO[bytes]) -> ChangedTree:
    """The tree whose root has the digest ``root``: that of ``parent`` with the changes of a file, which was checked.

    Reads the history store, and writes ``spool``, an empty temporary file that stays open. Raises ChangesDoNotFit
    where the changes lead to another tree, and HistoryDamaged.
    """
    changed = TreeChanges(store, parent, spool)
    for model in parent.schema:
        placed = ((model.partition_of(change[0]), change) for change in _changes(changes, model))
        for partition, of_partition in groupby(placed, key=itemgetter(0)):
            changed.put(model, partition, _lines(parent, model, partition, [change for _name, change in of_partition]))
    tree = changed.tree()
    if tree.root != root:
        raise ChangesDoNotFit("The changes in the file do not lead from the snapshot that it continues to its own.")
    return tree


def _changes(changes: Source, model: Model) -> Iterator[_Change]:
    """What a file says of a model, in key order."""
    line = Lines(model.shape()).line
    for record, deletion in join(changes.records(model), changes.deletions(model)):
        if record is not None:
            yield record.key, line(record.values, record.created_at)
        else:
            yield deletion.key, None


def _lines(parent: StoredTree, model: Model, partition: Partition, changes: Sequence[_Change]) -> Iterable[bytes]:
    """The lines of a partition after these changes. Lines that do not change are as they are stored."""
    placed = list(parent.at(model, partition))
    if sum(block.count for _partition, block in placed) > _HELD:
        return _joined(parent.lines(placed), model, changes)
    lines = [line for some in parent.lines(placed) for line in some]
    keys = Lines(model.shape()).keys
    for key, line in changes:
        # A few keys are read to find each place, and not those of all lines.
        place = bisect_left(lines, key, key=lambda known: keys([known])[0])
        is_there = place < len(lines) and keys([lines[place]])[0] == key
        lines[place : place + is_there] = [] if line is None else [line]
    return lines


def _joined(parent: Iterable[list[bytes]], model: Model, changes: Iterable[_Change]) -> Iterator[bytes]:
    """As :func:`_lines`, of which few are held in memory."""
    keys = Lines(model.shape()).keys
    keyed = (pair for lines in parent for pair in zip(keys(lines), lines, strict=True))
    for before, change in join(keyed, changes):
        line = before[1] if change is None else change[1]
        if line is not None:
            yield line
