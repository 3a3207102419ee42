"""The rows of an incremental 2.0 file: what leads from one tree of a history store to another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Final

import orjson

from recordsync.history.changes import line_changes
from recordsync.history.store import HistoryStore, StoredTree
from recordsync.model.schema import Model, Schema, Shape
from recordsync.streams import Deletion
from recordsync.streams.lines import checksum_of
from recordsync.streams.spool import SpooledLines
from recordsync.system.progress import EVERY, Progress, no_progress

PHASE: Final = "compare"
"""The phase in which trees are compared, for progress."""


class ChangedRows:
    """The changes that lead from one tree to another, on disk where they are many. Fits
    :class:`recordsync.backupfile.Rows`.

    Making one reads the blocks in which the trees differ, and no register. Raises
    :class:`recordsync.errors.HistoryDamaged` and HistoryUnusable. :meth:`close` removes what is on disk.
    """

    def __init__(
        self,
        store: HistoryStore,
        schema: Schema,
        before: StoredTree,
        after: StoredTree,
        progress: Progress = no_progress,
    ) -> None:
        self._stack = ExitStack()
        self._rows: dict[str, SpooledLines] = {}
        self._deletions: dict[str, SpooledLines] = {}
        self.totals: dict[str, int] = {}
        """How many rows of each model there are."""
        self.deleted: dict[str, int] = {}
        """How many deletions of each model there are."""
        with ExitStack() as failed:
            failed.callback(self.close)
            done = 0
            for model in schema:
                done = self._compare(store, model, before, after, progress, done)
            failed.pop_all()

    def _compare(
        self, store: HistoryStore, model: Model, before: StoredTree, after: StoredTree, progress: Progress, done: int
    ) -> int:
        """How many changes were found so far. ``done``: in models before this one."""
        rows, deletions = (self._spool(of, model) for of in (self._rows, self._deletions))
        counts: Counter[bool] = Counter()
        stream = line_changes(store, model, before, after)
        while batch := list(islice(stream, EVERY)):
            rows.add_lines([change.after for change in batch if change.after is not None])
            gone = [(change.key, change.before) for change in batch if change.after is None and change.before]
            deletions.add_lines([orjson.dumps([*key, checksum_of(line).decode()]) for key, line in gone])
            counts.update({True: len(gone), False: len(batch) - len(gone)})
            done += len(batch)
            progress(PHASE, done, None)
        self.totals[model.name], self.deleted[model.name] = counts[False], counts[True]
        return done

    def _spool(self, of: dict[str, SpooledLines], model: Model) -> SpooledLines:
        spool = of[model.name] = SpooledLines()
        self._stack.callback(spool.close)
        return spool

    def lines(self, shape: Shape) -> Iterator[bytes]:
        """The line of each record that is other or new after, with all its fields."""
        return self._rows[shape.model.name].lines()

    def deletions(self, model: Model) -> Iterator[Deletion]:
        """What is not there any more after, with the checksums from before."""
        for line in self._deletions[model.name].lines():
            *key, checksum = orjson.loads(line)
            yield Deletion(tuple(key), checksum)

    def close(self) -> None:
        """Remove what is on disk."""
        self._stack.close()
