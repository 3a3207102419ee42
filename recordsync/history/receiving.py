"""Storing the blocks and nodes of a snapshot that comes in a file, while the file is read.

So theirs can be the base of a later merge, and the snapshot of a register that they fill need not read them back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from io import SEEK_END
from tempfile import TemporaryFile

import orjson

from recordsync.errors import HistoryUnusable
from recordsync.history.blocks import BlockDigest
from recordsync.history.store import BlockWriter, HistoryStore, OpenBlock, StoredBlock
from recordsync.model.records import Partition
from recordsync.model.schema import Model
from recordsync.streams.sort import stored


class Receiving:
    """Blocks and nodes that are being stored, in a transaction of the history store.

    Where the store fails, nothing more is stored, and ``failure`` says why: the register is restored all the same.
    """

    def __init__(self, store: HistoryStore, wait: float, stack: ExitStack) -> None:
        """``wait``: the seconds to wait for others who write the store. ``stack`` closes what this opens; what was not
        kept until then is rolled back."""
        self.failure: HistoryUnusable | None = None
        self.counts: Counter[str] = Counter()
        """How many records of each model were stored."""
        self._listed = stack.enter_context(TemporaryFile())  # noqa: SIM115 - the stack closes it
        self._transaction = ExitStack()
        stack.callback(self._drop)
        self._writer: BlockWriter | None = None
        self._open = partial(store.writing, wait)

    def begin(self, model: Model, partition: Partition) -> IncomingBlock:
        """A block that is stored piece by piece. One that is not closed is not stored."""
        writer = self._opened()
        return IncomingBlock(self, model, partition, None if writer is None else writer.begin())

    def put_frame(self, model: Model, partition: Partition, block: StoredBlock, frame: bytes) -> None:
        """Store a block whose frame is made."""
        if (writer := self._opened()) is not None:
            try:
                writer.put_frame(block, frame)
            except HistoryUnusable as error:
                self.failure = error
            else:
                self.note(model, partition, BlockDigest(block.digest, block.count))

    def put_node(self, digest: str, text: bytes) -> None:
        """Store a node. Fits :data:`recordsync.history.trees.Keep`."""
        if (writer := self._opened()) is not None:
            try:
                writer.put_node(digest, text)
            except HistoryUnusable as error:
                self.failure = error

    def _opened(self) -> BlockWriter | None:
        """The writer; None where the store fails."""
        if self._writer is None and self.failure is None:
            try:
                self._writer = self._transaction.enter_context(self._open())
            except HistoryUnusable as error:
                self.failure = error
        return None if self.failure else self._writer

    def note(self, model: Model, partition: Partition, block: BlockDigest) -> None:
        """Note a block that was stored."""
        self.counts[model.name] += block.count
        entry = [model.name, partition, block.digest, block.count]
        self._listed.write(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))

    def keep(self) -> bool:
        """Whether all blocks are stored. This commits them."""
        if self.failure is None:
            try:
                self._transaction.close()
            except HistoryUnusable as error:
                self.failure = error
        return self.failure is None

    def has_exactly(self, counts: Mapping[str, int]) -> bool:
        """Whether as many records of each model are stored."""
        return {name: count for name, count in counts.items() if count} == dict(self.counts)

    def _drop(self) -> None:
        """Roll back what was not kept."""
        with suppress(_Dropped), self._transaction:
            raise _Dropped

    def blocks(self, model: Model) -> Iterator[tuple[Partition, BlockDigest]]:
        """The blocks of a model, each with its partition, in the order in which they were stored."""
        end = self._listed.seek(0, SEEK_END)  # whoever read before may not have read to the end
        for name, partition, digest, count in stored(self._listed, 0, end):
            if name == model.name:
                yield tuple(partition), BlockDigest(digest, count)


class _Dropped(Exception):
    """Ends a transaction that is to be rolled back."""


class IncomingBlock:
    """A block that is being stored; None: it is not, because the store fails."""

    def __init__(self, receiving: Receiving, model: Model, partition: Partition, block: OpenBlock | None) -> None:
        self._receiving = receiving
        self._model = model
        self._partition = partition
        self._block = block

    def add(self, lines: Sequence[bytes]) -> None:
        """Add the next lines, which are known to be right."""
        if self._block is not None:
            self._block.add(lines)

    def close(self) -> None:
        """End the block, which has no more lines."""
        if self._block is None:
            return
        try:
            block = self._block.close()
        except HistoryUnusable as error:
            self._receiving.failure = error
        else:
            self._receiving.note(self._model, self._partition, block)
