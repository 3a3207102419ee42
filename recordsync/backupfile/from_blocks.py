"""Writing a full 2.0 file of a snapshot, put together from the blocks of a history store."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import tee
from typing import IO, Final

from recordsync.backupfile.blocks import BlockEntry, BlockList
from recordsync.backupfile.layout import BLOCKS_START, METADATA_START, SECTIONS_END, Section, sections
from recordsync.backupfile.metadata import Metadata
from recordsync.backupfile.writer import Written, described, trailer_line
from recordsync.errors import HistoryDamaged, RecordSyncError, named
from recordsync.history.blocks import batches
from recordsync.history.store import SEPARATOR, HistoryStore, StoredBlock, StoredTree, pieces
from recordsync.model.records import Partition
from recordsync.model.schema import Model, Schema
from recordsync.system.files import FrameReader, FrameWriter, frame_of
from recordsync.system.progress import EVERY, Progress, no_progress

_TOGETHER: Final = 1 << 18
"""Bytes that are hashed and written at once."""


def write_from_blocks(
    out: IO[bytes], schema: Schema, metadata: Metadata, store: HistoryStore, progress: Progress = no_progress
) -> Written:
    """The digest and the counts of a full file, which is written to a binary stream.

    ``metadata`` have a snapshot, whose tree ``store`` has, and its ancestors. A :class:`FrameWriter` gets the frames as
    they are; then they are decompressed for the file's digest alone, and not compressed again. Of a block, pieces are
    in memory, beside its frame. Reads the history store and no register.

    Raises :class:`recordsync.errors.HistoryDamaged`, which names the node or the block and its partition, and
    :class:`RecordSyncError` if no reader would accept ``metadata``, or the blocks are not those of the snapshot.
    """
    description = described(metadata, schema)
    models = metadata.models(schema)
    for model in models:
        if metadata.fields[model.name] != list(model.names):
            raise RecordSyncError(f"Blocks have every field of {model.name}, and the file is to have others.")
    if metadata.snapshot is None:
        raise RecordSyncError("Only a file of a snapshot is put together from blocks.")
    tree = StoredTree(store, metadata.snapshot.says.tree, schema)
    if tree.totals() != metadata.totals:
        raise RecordSyncError(
            f"The history store does not have the snapshot as it was: it has {tree.totals()}, and the metadata say "
            f"{metadata.totals}."
        )
    with closing(BlockList()) as entries:
        for model in models:
            entries.extend(_entry(model, *placed) for placed in tree.blocks(model))
        file = _FileOfFrames(out) if isinstance(out, FrameWriter) else _FileOfPieces(out)
        file.text(METADATA_START + description + BLOCKS_START)
        _write_list(file, entries)
        _write_rows(file, sections(models), entries, store, sum(metadata.totals.values()), progress)
        return file.finish(metadata.totals)


def _entry(model: Model, partition: Partition, block: StoredBlock) -> BlockEntry:
    return BlockEntry(block.size, block.count, block.digest, model.name, list(partition), block.raw_sha256)


def _stored(entry: BlockEntry) -> StoredBlock:
    return StoredBlock(entry.digest, entry.raw_sha256, entry.bytes, entry.count)


def _write_list(file: _File, entries: BlockList) -> None:
    before = b"[\n"
    for lines in batches(entries.lines()):
        file.text(before + SEPARATOR.join(lines))
        before = SEPARATOR
    file.text(b"\n]" if before is SEPARATOR else b"[]")


def _write_rows(
    file: _File, ordered: Iterable[Section], entries: BlockList, store: HistoryStore, total: int, progress: Progress
) -> None:
    listed, asked = tee(entries)
    frames = store.frames(map(_stored, asked))
    entry = next(listed, None)
    done = 0
    progress("write", done, total)
    for section in ordered:
        file.text(section.opening)
        end = b"]"
        while entry is not None and not section.deleted and entry.model == section.model.name:
            if end == b"]":
                file.text(b"\n")
                end = b"\n]"
            else:
                file.separate()
            file.block(entry, next(frames))
            if done // EVERY < (done + entry.count) // EVERY:
                progress("write", done + entry.count, total)
            done += entry.count
            entry = next(listed, None)
        file.text(end)
    progress("write", done, total)


class _File(ABC):
    """A file that is written: texts, and blocks with what separates them."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self._reader = FrameReader()

    @abstractmethod
    def text(self, data: bytes) -> None:
        """Write what is no block."""

    @abstractmethod
    def separate(self) -> None:
        """Write what separates two blocks."""

    @abstractmethod
    def block(self, entry: BlockEntry, frame: bytes) -> None:
        """Write a block."""

    def hexdigest(self) -> str:
        """The digest of what was written."""
        return self.digest.hexdigest()

    @abstractmethod
    def end(self, trailer: bytes) -> None:
        """Write the last line, which is not hashed."""

    def finish(self, counts: Mapping[str, int]) -> Written:
        """Write the end. Returns what was written."""
        self.text(SECTIONS_END)
        digest = self.hexdigest()
        self.end(trailer_line(digest, counts, 0))
        return Written(digest, dict(counts), 0)

    def content(self, entry: BlockEntry, frame: bytes) -> Iterator[bytes]:
        """The lines of a block, in pieces. Raises HistoryDamaged, which names the partition."""
        try:
            yield from pieces(_stored(entry), frame, self._reader)
        except HistoryDamaged as damage:
            where = named(entry.model, entry.partition)
            raise HistoryDamaged(entry.digest, f"the block of {where} is not whole: {damage.what}") from damage


class _FileOfPieces(_File):
    """A file in a stream that takes any bytes."""

    def __init__(self, out: IO[bytes]) -> None:
        super().__init__()
        self._out = out
        self._pieces: list[bytes] = []
        self._size = 0

    def text(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= _TOGETHER:
            self._flush()

    def separate(self) -> None:
        self.text(SEPARATOR)

    def block(self, entry: BlockEntry, frame: bytes) -> None:
        for piece in self.content(entry, frame):
            self.text(piece)

    def hexdigest(self) -> str:
        self._flush()
        return self.digest.hexdigest()

    def end(self, trailer: bytes) -> None:
        self._out.write(trailer)

    def _flush(self) -> None:
        together = b"".join(self._pieces)
        self.digest.update(together)
        self._out.write(together)
        self._pieces.clear()
        self._size = 0


class _FileOfFrames(_File):
    """A file in a stream that takes frames as they are."""

    def __init__(self, out: FrameWriter) -> None:
        super().__init__()
        self._out = out
        self._separator = frame_of(SEPARATOR)

    def text(self, data: bytes) -> None:
        self.digest.update(data)
        self._out.write(data)

    def separate(self) -> None:
        self.digest.update(SEPARATOR)
        self._out.add_frames(self._separator)

    def block(self, entry: BlockEntry, frame: bytes) -> None:
        for piece in self.content(entry, frame):
            self.digest.update(piece)
        self._out.add_frames(frame)

    def end(self, trailer: bytes) -> None:
        self._out.write(trailer)
