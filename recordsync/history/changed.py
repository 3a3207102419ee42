"""A tree that is another one with some blocks replaced, which are in a temporary file until somebody stores them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, NamedTuple

from recordsync.history.blocks import BlockDigest
from recordsync.history.receiving import Receiving
from recordsync.history.store import HistoryStore, OpenBlock, StoredBlock, StoredTree, lines_in, new_compressor
from recordsync.history.trees import Path, TreeNode, changed, node_of
from recordsync.model.records import Partition
from recordsync.model.schema import Model
from recordsync.system.files import FrameReader


class SpooledFrame(NamedTuple):
    """A block whose frame is in the temporary file, at a position."""

    block: StoredBlock
    start: int
    size: int


class TreeChanges:
    """The changes to a tree, block by block. Reads that tree, and writes to the end of ``spool``, a temporary file,
    which stays open and is the caller's. ``frames``: those in it, by digest, if several trees share it."""

    def __init__(
        self, store: HistoryStore, below: StoredTree, spool: IO[bytes], frames: dict[str, SpooledFrame] | None = None
    ) -> None:
        self._store = store
        self._below = below
        self._spool = spool
        self._changes: dict[str, dict[Partition, BlockDigest | None]] = {model.name: {} for model in below.schema}
        self._frames: dict[str, SpooledFrame] = {} if frames is None else frames
        self._compressor = new_compressor()

    def put(self, model: Model, partition: Partition, lines: Iterable[bytes]) -> None:
        """Replace the block of a partition by one that has these lines, which are known to be right and in order. If
        there are none, it has no records afterwards."""
        block = OpenBlock(self._compressor, self._spool_frame).written(lines)
        self._changes[model.name][partition] = block if block.count else None

    def _spool_frame(self, block: StoredBlock, frame: bytes) -> None:
        self._frames[block.digest] = SpooledFrame(block, self._spool.seek(0, io.SEEK_END), len(frame))
        self._spool.write(frame)

    def tree(self) -> ChangedTree:
        """The tree after all changes. Reads the nodes that lead to them."""
        made: dict[str, bytes] = {}
        children = []
        totals = self._below.totals()
        for model in self._below.schema:
            before, changes = self._below.model(model), self._changes[model.name]
            if not changes:
                node = None if before is None else TreeNode((model.name,), before, totals[model.name])
            elif not model.levels:
                block = changes[()]
                node = None if block is None else TreeNode((model.name,), block.digest, block.count)
            else:
                placed: dict[Path, BlockDigest | None] = {
                    (model.name, *partition): block for partition, block in changes.items()
                }
                node = changed(self._below.nodes, before, placed.items(), made.__setitem__, (model.name,))
            if node is not None and node.count:
                children.append((model.name, node.digest, node.count))
        root = node_of((), children, made.__setitem__)
        return ChangedTree(self._store, root.digest, self._below, made, self._changes, self._spool, self._frames)


class ChangedTree(StoredTree):
    """A tree of which some nodes and blocks are not in the history store, made by :class:`TreeChanges`."""

    def __init__(
        self,
        store: HistoryStore,
        root: str,
        below: StoredTree,
        made: Mapping[str, bytes],
        changes: Mapping[str, Mapping[Partition, BlockDigest | None]],
        spool: IO[bytes],
        frames: Mapping[str, SpooledFrame],
    ) -> None:
        self._below = below
        self._made = made
        self._changes = changes
        self._spool = spool
        self._frames = frames
        self._reader = FrameReader()
        super().__init__(store, root, below.schema)

    def nodes(self, digests: Sequence[str]) -> Mapping[str, bytes]:
        stored = self._below.nodes([digest for digest in digests if digest not in self._made])
        return {digest: self._made.get(digest) or stored[digest] for digest in dict.fromkeys(digests)}

    def lines(self, placed: Iterable[tuple[Partition, BlockDigest]]) -> Iterator[list[bytes]]:
        for partition, block in placed:
            spooled = self._frames.get(block.digest)
            if spooled is None:
                yield from self._below.lines([(partition, block)])
            else:
                yield from self._read(spooled)

    def lines_of(self, placed: Iterable[tuple[Partition, BlockDigest]]) -> Iterator[list[bytes]]:
        wanted = list(placed)
        below = self._below.lines_of([one for one in wanted if one[1].digest not in self._frames])
        for _partition, block in wanted:
            spooled = self._frames.get(block.digest)
            yield next(below) if spooled is None else [line for some in self._read(spooled) for line in some]

    def _read(self, spooled: SpooledFrame) -> Iterator[list[bytes]]:
        return lines_in(spooled.block, self._frame(spooled), self._reader)

    def _frame(self, spooled: SpooledFrame) -> bytes:
        self._spool.seek(spooled.start)
        return self._spool.read(spooled.size)

    def store(self, into: Receiving) -> None:
        """Store what is not stored yet."""
        for digest, text in self._made.items():
            into.put_node(digest, text)
        for model in self.schema:
            for partition, block in sorted(self._changes[model.name].items()):
                if block is not None:
                    spooled = self._frames[block.digest]
                    into.put_frame(model, partition, spooled.block, self._frame(spooled))
