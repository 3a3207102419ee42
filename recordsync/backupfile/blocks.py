"""The list of blocks that a 2.0 file can have before its rows.

A block is the records of one model and partition, in key order. In a file it is a stretch of rows, joined by commas and
line ends; what separates it from the next block belongs to neither. :mod:`.block_check` checks the rows against it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Annotated, Final

import msgspec

from recordsync.backupfile.metadata import Metadata
from recordsync.errors import FileError
from recordsync.history.blocks import BlockDigest
from recordsync.history.trees import Keep, Path, nodes
from recordsync.model.json_values import Positive, Sha256Text
from recordsync.model.schema import Model, Schema
from recordsync.streams.spool import SpooledLines
from recordsync.system.progress import EVERY

LINE: Final = 2
"""The number of the line on which the list begins. The first block is on the next one."""


class BlockEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the list. ``digest`` is of the records' checksums, ``raw_sha256`` of the block's ``bytes`` bytes."""

    # In the order of the names in canonical JSON.
    bytes: Positive
    count: Positive
    digest: Sha256Text
    model: str
    partition: Annotated[list[str], msgspec.Meta(max_length=8)]
    raw_sha256: Sha256Text

    @property
    def path(self) -> Path:
        """Its place in the tree."""
        return (self.model, *self.partition)


class BlockList(SpooledLines):
    """The list of blocks of one file, on disk where it is long. It can be read several times, and in turns."""

    def extend(self, entries: Iterable[BlockEntry]) -> None:
        """Add entries."""
        stream = iter(entries)
        while batch := list(islice(stream, EVERY)):
            self.add_text(_encoder.encode_lines(batch))

    def __iter__(self) -> Iterator[BlockEntry]:
        return map(decode_entry, self.lines())


decode_entry: Final = msgspec.json.Decoder(BlockEntry).decode
"""The entry in a line. Raises :class:`msgspec.MsgspecError`."""
_encoder: Final = msgspec.json.Encoder()


def are_canonical(lines: Sequence[bytes]) -> bool:
    """Whether each line is an entry in canonical JSON."""
    try:
        entries = list(map(decode_entry, lines))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return _encoder.encode_lines(entries) == b"\n".join((*lines, b""))


def errors_in(
    blocks: Iterable[BlockEntry] | None, metadata: Metadata, schema: Schema, keep: Keep = lambda digest, text: None
) -> Iterator[FileError]:
    """What is wrong with a file's list of blocks beside its metadata. A full file with a snapshot has one. It is read
    once. ``keep`` gets the nodes above the blocks."""
    is_whole = metadata.snapshot is not None and metadata.backup_type == "full"
    if (blocks is not None) != is_whole:
        expected = "a list of blocks is" if is_whole else "blocks are null, except in a full file with a snapshot, as"
        yield FileError(f"{expected} expected here", LINE, field="blocks")
        return
    if blocks is None or metadata.snapshot is None:
        return
    placed = _Placed(blocks, metadata.models(schema))
    (root,) = deque(nodes(placed, keep=keep), maxlen=1)
    if placed.error is not None:
        yield placed.error
        return
    for name, total in metadata.totals.items():
        count = placed.counts[name]
        if count != total:
            text = f"the blocks of {name} have {count:,} records, and the metadata say {total:,}"
            yield FileError(text, LINE, field="count", value=count, expected=total)
    if root.digest != metadata.snapshot.says.tree:
        text = "the blocks are not those of the tree that the snapshot says"
        yield FileError(text, LINE, field="blocks", value=root.digest, expected=metadata.snapshot.says.tree)


class _Placed:
    """The blocks of a list, each with its place in the tree, up to the first that is out of place."""

    def __init__(self, blocks: Iterable[BlockEntry], models: Iterable[Model]) -> None:
        self._blocks = blocks
        self._models = {model.name: (order, model) for order, model in enumerate(models)}
        self.counts = dict.fromkeys(self._models, 0)
        """The records of each model."""
        self.error: FileError | None = None

    def __iter__(self) -> Iterator[tuple[Path, BlockDigest]]:
        before: tuple[int, list[str]] = (-1, [])
        for line, block in enumerate(self._blocks, LINE + 1):
            order, model = self._models.get(block.model, (0, None))
            if model is None:
                self.error = FileError(f"there is no section {block.model} for this block", line, field="model")
                return
            if len(block.partition) != model.levels:
                self.error = FileError("the partition has another number of parts", line, field="partition")
                return
            place = (order, block.partition)
            if place <= before:
                self.error = FileError("the block is out of order, or stands twice", line, field="partition")
                return
            before = place
            self.counts[block.model] += block.count
            yield block.path, BlockDigest(block.digest, block.count)
