"""A tree that is another one with some blocks replaced, which are in a temporary file until somebody stores them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Final, NamedTuple

from recordsync.history.blocks import BlockDigest, batches
from recordsync.history.receiving import Receiving
from recordsync.history.store import HistoryStore, StoredTree
from recordsync.history.trees import Path, TreeNode, changed, node_of
from recordsync.model.records import Partition
from recordsync.model.schema import Model
from recordsync.streams.lines import checksums_of

_PIECE: Final = 1 << 20
"""Bytes of the temporary file that are read at once."""


class SpooledPlace(NamedTuple):
    """Where the lines of a block are in the temporary file."""

    start: int
    end: int


class TreeChanges:
    """The changes to a tree, block by block. Reads that tree, and writes to the end of ``spool``, a temporary file,
    which stays open and is the caller's. ``places``: where blocks are in it, by digest, if several trees share it."""

    def __init__(
        self, store: HistoryStore, below: StoredTree, spool: IO[bytes], places: dict[str, SpooledPlace] | None = None
    ) -> None:
        self._store = store
        self._below = below
        self._spool = spool
        self._changes: dict[str, dict[Partition, BlockDigest | None]] = {model.name: {} for model in below.schema}
        self._places: dict[str, SpooledPlace] = {} if places is None else places

    def put(self, model: Model, partition: Partition, lines: Iterable[bytes]) -> None:
        """Replace the block of a partition by one that has these lines, which are known to be right and in order. If
        there are none, it has no records afterwards."""
        start = self._spool.seek(0, io.SEEK_END)
        digest, count = hashlib.sha256(), 0
        for batch in batches(lines):
            self._spool.seek(0, io.SEEK_END)  # the lines may come from it
            self._spool.write(b"\n".join((*batch, b"")))
            digest.update(b"".join(checksums_of(batch)))
            count += len(batch)
        block = BlockDigest(digest.hexdigest(), count)
        self._changes[model.name][partition] = block if count else None
        self._places[block.digest] = SpooledPlace(start, self._spool.seek(0, io.SEEK_END))

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
        return ChangedTree(self._store, root.digest, self._below, made, self._spool, self._places)


class ChangedTree(StoredTree):
    """A tree of which some nodes and blocks are not in the history store, made by :class:`TreeChanges`."""

    def __init__(
        self,
        store: HistoryStore,
        root: str,
        below: StoredTree,
        made: Mapping[str, bytes],
        spool: IO[bytes],
        places: Mapping[str, SpooledPlace],
    ) -> None:
        self._below = below
        self._made = made
        self._spool = spool
        self._places = places
        super().__init__(store, root, below.schema)

    def nodes(self, digests: Sequence[str]) -> Mapping[str, bytes]:
        stored = self._below.nodes([digest for digest in digests if digest not in self._made])
        return {digest: self._made.get(digest) or stored[digest] for digest in dict.fromkeys(digests)}

    def lines(self, placed: Iterable[tuple[Partition, BlockDigest]]) -> Iterator[list[bytes]]:
        for partition, block in placed:
            place = self._places.get(block.digest)
            if place is None:
                yield from self._below.lines([(partition, block)])
            else:
                yield from self._read(place)

    def lines_of(self, placed: Iterable[tuple[Partition, BlockDigest]]) -> Iterator[list[bytes]]:
        wanted = list(placed)
        below = self._below.lines_of([one for one in wanted if one[1].digest not in self._places])
        for _partition, block in wanted:
            place = self._places.get(block.digest)
            yield next(below) if place is None else [line for some in self._read(place) for line in some]

    def _read(self, place: SpooledPlace) -> Iterator[list[bytes]]:
        position, rest = place.start, b""
        while position < place.end:
            self._spool.seek(position)
            piece = self._spool.read(min(_PIECE, place.end - position))
            position += len(piece)
            *lines, rest = (rest + piece).split(b"\n")
            if lines:
                yield lines

    def store(self, into: Receiving) -> None:
        """Store what is not stored yet."""
        for digest, text in self._made.items():
            into.put_node(digest, text)
        for model in self.schema:
            for partition, block in self.digests(model):
                if block.digest in self._places:
                    stored = into.begin(model, partition)
                    for lines in self.lines([(partition, block)]):
                        stored.add(lines)
                    stored.close()
