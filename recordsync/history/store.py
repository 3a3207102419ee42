"""The history store: blocks and nodes, known by the digests of their content, in a database of their own.

It is written once and shared by all snapshots. A block is the lines of its records, joined by commas and line ends, as
a frame of zstd (RFC 8878) with a checksum of its content: level 1 and no dictionary. A node is its text. What is there
already is not written again, so a block has the bytes that were stored first.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Protocol

import zstandard
from django.db import Error, connections

from recordsync.errors import CommitUnknown, HistoryDamaged, HistoryUnusable
from recordsync.history.blocks import BlockDigest, batches
from recordsync.history.by_digest import put, rows_with
from recordsync.history.trees import EMPTY, blocks_of, children_of
from recordsync.model.records import Partition
from recordsync.model.schema import Model, Schema
from recordsync.models import Block, Node
from recordsync.streams.lines import checksums_of
from recordsync.system.files import FrameReader
from recordsync.system.transactions import writing

SEPARATOR: Final = b",\n"
"""What stands between the lines of a block, and in a file between blocks."""

SMALL: Final = 10_000
"""How many records a block has at most whose lines are held in memory together."""
_LEVEL: Final = 1
_TOGETHER: Final = 300
"""How many digests one query names. Old versions of SQLite take 999 parameters."""
_BYTES_TOGETHER: Final = 8 << 20
"""Bytes of blocks, as they are joined, that are read or written together."""
_OF_A_ROW: Final = 500
"""About how many bytes a row takes in memory beside its text."""
_EMPTY: Final = hashlib.sha256(EMPTY).hexdigest()
_BLOCKS: Final = Block._meta.db_table
_NODES: Final = Node._meta.db_table
_OF_A_BLOCK: Final = {
    "digest": "text",
    "raw_sha256": "text",
    "size": "bigint",
    "count": "bigint",
    "crc32": "bigint",
    "data": "bytea",
}
_SAID: Final = list(_OF_A_BLOCK)[:-1]
_OF_A_NODE: Final = {"digest": "text", "body": "bytea"}


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A block in the store, without its data. ``size``: the bytes of its lines as they are joined, of which
    ``raw_sha256`` is the SHA-256."""

    digest: str
    raw_sha256: str
    size: int
    count: int

    @property
    def crc32(self) -> int:
        """The checksum of all this, by which the store knows that it is what was stored. What a frame has is proven by
        a checksum of its own."""
        return zlib.crc32(f"{self.digest} {self.raw_sha256} {self.size} {self.count}".encode())


class HistoryStore:
    """The history store in the database of this alias. Making one reads nothing."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._reader = FrameReader()

    def has_node(self, digest: str) -> bool:
        """Whether there is a node with this digest. Raises HistoryUnusable."""
        with answering(self.alias):
            return digest == _EMPTY or Node.objects.using(self.alias).filter(digest=digest).exists()

    def known_nodes(self, digests: Iterable[str]) -> set[str]:
        """Those of these digests of which there are nodes, or need not be any. Raises HistoryUnusable."""
        wanted = set(digests)
        found = {digest for some in _cut(list(wanted)) for (digest,) in self._rows(_NODES, ["digest"], some)}
        return found | (wanted & {_EMPTY})

    def nodes(self, digests: Sequence[str]) -> Mapping[str, bytes]:
        """The texts of the nodes with these digests, in their order, each read once and compared with its digest.

        Raises HistoryDamaged where one is missing or has another text, and HistoryUnusable.
        """
        unique = list(dict.fromkeys(digests))
        found = {_EMPTY: EMPTY}  # what an empty register was needs no store
        for some in _cut([digest for digest in unique if digest != _EMPTY]):
            found |= dict(self._rows(_NODES, ["digest", "body"], some))
        for digest in unique:
            if digest not in found:
                raise HistoryDamaged(digest, "a node of a tree is missing")
            if hashlib.sha256(found[digest]).hexdigest() != digest:
                raise HistoryDamaged(digest, "a node of a tree is damaged")
        return {digest: found[digest] for digest in unique}

    def described(self, digests: Collection[str]) -> dict[str, StoredBlock]:
        """The blocks with these digests, by digest; those that are missing, or of which something false is said, are
        not in it. Raises HistoryUnusable."""
        found: dict[str, StoredBlock] = {}
        for some in _cut(list(digests)):
            for *said, crc32 in self._rows(_BLOCKS, _SAID, some):
                block = StoredBlock(*said)
                if block.crc32 == crc32:
                    found[block.digest] = block
        return found

    def _rows(self, table: str, columns: Sequence[str], digests: Sequence[str]) -> list[tuple[Any, ...]]:
        """Some columns of the rows with these digests. Raises HistoryUnusable."""
        with answering(self.alias):
            return rows_with(connections[self.alias], table, columns, digests)

    def frames(self, blocks: Iterable[StoredBlock]) -> Iterator[bytes]:
        """The frame of each of these blocks, in their order. Few are in memory at once. Raises HistoryDamaged where one
        is missing, and HistoryUnusable."""
        stream, ahead = iter(blocks), list[StoredBlock]()
        while True:
            size = sum(block.size for block in ahead)
            while size < _BYTES_TOGETHER and len(ahead) < _TOGETHER and (block := next(stream, None)) is not None:
                ahead.append(block)
                size += block.size
            if not ahead:
                return
            # The last one may be large: it comes by itself.
            some = ahead if size <= _BYTES_TOGETHER or len(ahead) == 1 else ahead[:-1]
            ahead = ahead[len(some) :]
            found = dict(self._rows(_BLOCKS, ["digest", "data"], [block.digest for block in some]))
            for block in some:
                if block.digest not in found:
                    raise HistoryDamaged(block.digest, "a block is missing")
                yield found[block.digest]

    def lines(self, blocks: Iterable[BlockDigest]) -> Iterator[list[bytes] | None]:
        """The lines of each of these small blocks, in their order; None for one that is not here. Some are read
        together. Raises HistoryDamaged, HistoryUnusable."""
        stream = iter(blocks)
        while some := _few(stream):
            digests = list({block.digest for block in some})
            rows = {row[0]: row for row in self._rows(_BLOCKS, list(_OF_A_BLOCK), digests)}
            for block in some:
                *said, crc32, data = rows.get(block.digest, (block.digest, "", 0, 0, None, b""))
                stored = StoredBlock(*said)
                if stored.crc32 != crc32 or stored.count != block.count:
                    yield None
                else:
                    yield _lines_in(b"".join(pieces(stored, data, self._reader)))

    @contextmanager
    def writing(self, wait: float) -> Iterator[BlockWriter]:
        """A writer in a transaction of the store's own, which is committed when the block ends without an error.

        ``wait``: the seconds to wait for others who write. Raises HistoryUnusable where the store cannot be written.
        """
        with ExitStack() as stack:
            with answering(self.alias):
                stack.enter_context(writing(self.alias, [Block], wait, alone=False))
            writer = BlockWriter(self)
            yield writer
            with answering(self.alias):
                writer.flush()
                stack.close()

    def forget(self, digest: str, wait: float) -> None:
        """Delete the node or block with this digest, because it is damaged. Raises HistoryUnusable."""
        with answering(self.alias), writing(self.alias, [Block], wait, alone=False):
            for table in (Node, Block):
                table._default_manager.using(self.alias).filter(digest=digest).delete()


class BlockWriter:
    """Writes blocks and nodes in the transaction that :meth:`HistoryStore.writing` has opened."""

    def __init__(self, store: HistoryStore) -> None:
        self._store = store
        self._blocks: dict[str, tuple[str, str, int, int, int, bytes]] = {}
        self._nodes: dict[str, bytes] = {}
        self._waiting = 0
        self._compressor = new_compressor()

    def put(self, lines: Iterable[bytes]) -> BlockDigest:
        """The block that has these lines, which are known to be right. It is in the store afterwards, unless it has no
        lines. The lines are read once and not kept."""
        return self.begin().written(lines)

    def begin(self) -> OpenBlock:
        """A block that is written piece by piece. It is closed before the next one begins."""
        return OpenBlock(self._compressor, self.put_frame)

    def put_node(self, digest: str, text: bytes) -> None:
        """Write a node."""
        self._nodes[digest] = bytes(memoryview(text))  # a copy: what orjson gives takes 4 KB, however short it is
        self._wait_for(len(text))

    def put_frame(self, block: StoredBlock, frame: bytes) -> None:
        """Write a block whose frame is made."""
        said = (block.digest, block.raw_sha256, block.size, block.count, block.crc32)
        self._blocks[block.digest] = (*said, frame)
        self._wait_for(len(frame))

    def _wait_for(self, size: int) -> None:
        self._waiting += size + _OF_A_ROW
        if self._waiting >= _BYTES_TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        with answering(self._store.alias):
            for table, types, rows in (
                (_BLOCKS, _OF_A_BLOCK, list(self._blocks.values())),
                (_NODES, _OF_A_NODE, list(self._nodes.items())),
            ):
                if rows:
                    put(connections[self._store.alias], table, types, rows)
        self._blocks.clear()
        self._nodes.clear()
        self._waiting = 0


def new_compressor() -> zstandard.ZstdCompressor:
    """What makes the frames of blocks: one for many, because to make it takes as long as to compress a small block."""
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)


class OpenBlock:
    """A block that is being written."""

    def __init__(self, compressor: zstandard.ZstdCompressor, put: _Put) -> None:
        """``put``: is called with the block and its frame, unless it has no lines."""
        self._compressor = compressor
        self._put = put
        self._packer: zstandard.ZstdCompressionObj | None = None
        self._first = b""  # what is added at once is compressed at once, which takes two thirds of the time
        self._frame: list[bytes] = []
        self._raw = hashlib.sha256()
        self._digest = hashlib.sha256()
        self._size = self._count = 0

    def add(self, lines: Sequence[bytes]) -> None:
        """Add the next lines of the block, which are known to be right."""
        if not lines:
            return
        text = SEPARATOR.join(lines) if not self._count else SEPARATOR + SEPARATOR.join(lines)
        self._raw.update(text)
        if not self._count:
            self._first = text
        else:
            if self._packer is None:
                self._packer = self._compressor.compressobj()
                self._frame.append(self._packer.compress(self._first))
                self._first = b""
            self._frame.append(self._packer.compress(text))
        self._digest.update(b"".join(checksums_of(lines)))
        self._size += len(text)
        self._count += len(lines)

    def written(self, lines: Iterable[bytes]) -> BlockDigest:
        """The block, which has these lines and no more. See :meth:`add`, :meth:`close`."""
        for batch in batches(lines):
            self.add(batch)
        return self.close()

    def close(self) -> BlockDigest:
        """The block, which has no more lines. It is written, unless it has none."""
        block = BlockDigest(self._digest.hexdigest(), self._count)
        if self._count:
            self._frame.append(self._compressor.compress(self._first) if self._packer is None else self._packer.flush())
            stored = StoredBlock(block.digest, self._raw.hexdigest(), self._size, self._count)
            self._put(stored, b"".join(self._frame))
        return block


class _Put(Protocol):
    def __call__(self, block: StoredBlock, frame: bytes, /) -> None: ...


def pieces(block: StoredBlock, frame: bytes, reader: FrameReader | None = None) -> Iterator[bytes]:
    """The bytes of a block's lines as they are joined, in pieces. Raises HistoryDamaged where its frame is damaged.

    ``reader``: one for many blocks, because to make one takes as long as to read a small block.
    """
    # The number of lines is that of the tree. To count them takes as long as to decompress them.
    size = 0
    try:
        for piece in (reader or FrameReader()).content(frame, block.size):
            size += len(piece)
            if size > block.size:
                break
            yield piece
    except ValueError as error:
        raise HistoryDamaged(block.digest, f"a block of {block.count:,} records is damaged: {error}") from error
    if size != block.size:
        why = f"it has {size:,} bytes, and {block.size:,} were stored"
        raise HistoryDamaged(block.digest, f"a block of {block.count:,} records is damaged: {why}")


@contextmanager
def answering(alias: str) -> Iterator[None]:
    """Raises HistoryUnusable in place of an error of the database of this alias."""
    try:
        yield
    except (Error, CommitUnknown) as error:
        raise HistoryUnusable(alias, error) from error


def lines_in(block: StoredBlock, frame: bytes, reader: FrameReader) -> Iterator[list[bytes]]:
    """The lines of a block, in batches: one, if it is small. Raises HistoryDamaged where its frame is damaged."""
    if block.count <= SMALL:
        yield _lines_in(b"".join(pieces(block, frame, reader)))
        return
    rest = b""
    for piece in pieces(block, frame, reader):
        *lines, rest = (rest + piece).split(SEPARATOR)
        if lines:
            yield lines
    yield [rest]


def _lines_in(text: bytes) -> list[bytes]:
    """The lines of a block. To split at one character and cut off the other takes half of the time."""
    lines = text.split(SEPARATOR[-1:])
    return [*[line[:-1] for line in lines[:-1]], lines[-1]]


def _few(blocks: Iterator[BlockDigest]) -> list[BlockDigest]:
    """The next blocks: one, or as many as have :data:`SMALL` records together at the most, or a few more."""
    some: list[BlockDigest] = []
    records = 0
    while len(some) < _TOGETHER and records < SMALL and (block := next(blocks, None)) is not None:
        some.append(block)
        records += block.count
    return some


def _missing(block: BlockDigest) -> HistoryDamaged:
    return HistoryDamaged(block.digest, f"a block of {block.count:,} records is missing or damaged")


def _cut(digests: Sequence[str]) -> Iterator[list[str]]:
    stream = iter(digests)
    while some := list(islice(stream, _TOGETHER)):
        yield some


class StoredTree:
    """A tree in the history store, by the digest of its root (None: one without records). Reads the store, when it is
    asked."""

    def __init__(self, store: HistoryStore, root: str | None, schema: Schema) -> None:
        self._store = store
        self.schema = schema
        self.root = root or _EMPTY
        # A tree has a child for each model that has records.
        children = children_of(self.nodes, root) if root else []
        self._models = {name: (digest, count) for name, digest, count in children}
        self._remembered: dict[int, tuple[str, Mapping[str, tuple[str, int]]]] = {}

    def nodes(self, digests: Sequence[str]) -> Mapping[str, bytes]:
        """The texts of the nodes with these digests. Fits :data:`recordsync.history.trees.Read`. Raises
        HistoryDamaged."""
        return self._store.nodes(digests)

    def model(self, model: Model) -> str | None:
        """The digest of the node or the block that has the records of a model; None: there are none."""
        return self._models[model.name][0] if model.name in self._models else None

    def totals(self) -> dict[str, int]:
        """The number of records of each model of the schema."""
        return {model.name: self._models.get(model.name, ("", 0))[1] for model in self.schema}

    def digests(self, model: Model) -> Iterator[tuple[Partition, BlockDigest]]:
        """The blocks of a model, each with its partition, in key order. Raises HistoryDamaged."""
        if model.name in self._models:
            digest, count = self._models[model.name]
            if not model.levels:
                yield (), BlockDigest(digest, count)
            else:
                yield from blocks_of(self.nodes, digest, model.levels)

    def blocks(self, model: Model) -> Iterator[tuple[Partition, StoredBlock]]:
        """As :meth:`digests`, with what the store has of each. Raises HistoryDamaged where one is missing, or
        something false is said of it."""
        stream = self.digests(model)
        while some := list(islice(stream, _TOGETHER)):
            yield from zip((partition for partition, _block in some), self._described(some), strict=True)

    def _described(self, placed: Sequence[tuple[Partition, BlockDigest]]) -> list[StoredBlock]:
        described = self._store.described([block.digest for _partition, block in placed])
        found = []
        for _partition, block in placed:
            stored = described.get(block.digest)
            if stored is None or stored.count != block.count:
                raise _missing(block)
            found.append(stored)
        return found

    def at(self, model: Model, partition: Partition) -> Iterator[tuple[Partition, BlockDigest]]:
        """The block of one partition, as :meth:`digests` gives it; nothing if it has no records. Reads the nodes that
        lead to it. Raises HistoryDamaged."""
        if not partition:
            yield from self.digests(model)
        elif model.name in self._models:
            digest, count = self._models[model.name]
            for depth, name in enumerate(partition):
                children = self._children(depth, digest)
                if name not in children:
                    return
                digest, count = children[name]
            yield partition, BlockDigest(digest, count)

    def _children(self, depth: int, digest: str) -> Mapping[str, tuple[str, int]]:
        """The children of a node, by name. The last one of each depth is remembered, because partitions that are asked
        for one after the other mostly have the same nodes above them."""
        known = self._remembered.get(depth)
        if known is None or known[0] != digest:
            children = {name: (below, count) for name, below, count in children_of(self.nodes, digest)}
            known = self._remembered[depth] = digest, children
        return known[1]

    def lines(self, placed: Iterable[tuple[Partition, BlockDigest]]) -> Iterator[list[bytes]]:
        """The lines of these blocks, one after the other, those together that are read together. Raises HistoryDamaged
        where a block is missing or damaged."""
        stream = iter(placed)
        while some := list(islice(stream, _TOGETHER)):
            if len(some) == 1 and some[0][1].count <= SMALL:
                yield from self.lines_of(some)
                continue
            reader, described = FrameReader(), self._described(some)
            for block, frame in zip(described, self._store.frames(described), strict=True):
                yield from lines_in(block, frame, reader)

    def lines_of(self, placed: Iterable[tuple[Partition, BlockDigest]]) -> Iterator[list[bytes]]:
        """The lines of each of these small blocks, in their order. Some are read together. Raises HistoryDamaged where
        one is missing or damaged."""
        blocks = [block for _partition, block in placed]
        for block, lines in zip(blocks, self._store.lines(blocks), strict=True):
            if lines is None:
                raise _missing(block)
            yield lines
