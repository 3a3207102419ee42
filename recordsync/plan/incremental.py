"""The tree of the snapshot of an incremental file: that of the snapshot that it continues, with the file's changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import IO

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
            listed = (change for _partition, change in of_partition)
            changed.put(model, partition, _lines(parent, model, partition, listed))
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


def _lines(parent: StoredTree, model: Model, partition: Partition, changes: Iterable[_Change]) -> Iterator[bytes]:
    """The lines of a partition after these changes. Lines that do not change are as they are stored."""
    for before, change in join(_keyed(parent, model, partition), changes):
        line = before[1] if change is None else change[1]
        if line is not None:
            yield line


def _keyed(parent: StoredTree, model: Model, partition: Partition) -> Iterator[tuple[Key, bytes]]:
    parse = Lines(model.shape()).records
    for lines in parent.lines(parent.at(model, partition)):
        yield from zip((record.key for record in parse(lines)), lines, strict=True)
