"""The list of blocks that a 2.0 file can have before its rows.

A block is the records of one model and partition, in key order. In a file it is a stretch of rows, joined by commas and
line ends; what separates it from the next block belongs to neither. :mod:`.block_check` checks the rows against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import msgspec

from recordsync.backupfile.metadata import Metadata
from recordsync.errors import FileError
from recordsync.history.blocks import BlockDigest
from recordsync.history.trees import nodes
from recordsync.model.json_values import Positive, Sha256Text
from recordsync.model.schema import Schema

LINE: Final = 2
"""The number of the line on which the list begins. The first block is on the next one."""


class BlockEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the list. ``digest`` is of the records' checksums, ``raw_sha256`` of the block's ``bytes`` bytes."""

    model: str
    partition: Annotated[list[str], msgspec.Meta(max_length=8)]
    count: Positive
    bytes: Positive
    digest: Sha256Text
    raw_sha256: Sha256Text


def errors_in(blocks: Sequence[BlockEntry] | None, metadata: Metadata, schema: Schema) -> Iterator[FileError]:
    """What is wrong with a file's list of blocks beside its metadata. A full file with a snapshot has one."""
    is_whole = metadata.snapshot is not None and metadata.backup_type == "full"
    if (blocks is not None) != is_whole:
        expected = "a list of blocks is" if is_whole else "blocks are null, except in a full file with a snapshot, as"
        yield FileError(f"{expected} expected here", LINE, field="blocks")
        return
    if blocks is None or metadata.snapshot is None:
        return
    models = {model.name: model for model in metadata.models(schema)}
    order = {name: position for position, name in enumerate(models)}
    before: tuple[int, list[str]] = (-1, [])
    for line, block in enumerate(blocks, LINE + 1):
        model = models.get(block.model)
        if model is None:
            yield FileError(f"there is no section {block.model} for this block", line, field="model")
            return
        if len(block.partition) != model.levels:
            yield FileError("the partition has another number of parts", line, field="partition")
            return
        place = (order[block.model], block.partition)
        if place <= before:
            yield FileError("the block is out of order, or stands twice", line, field="partition")
            return
        before = place
    for name, total in metadata.totals.items():
        count = sum(block.count for block in blocks if block.model == name)
        if count != total:
            text = f"the blocks of {name} have {count:,} records, and the metadata say {total:,}"
            yield FileError(text, LINE, field="count", value=count, expected=total)
    placed = (((block.model, *block.partition), BlockDigest(block.digest, block.count)) for block in blocks)
    *_others, root = nodes(placed)
    if root.digest != metadata.snapshot.says.tree:
        text = "the blocks are not those of the tree that the snapshot says"
        yield FileError(text, LINE, field="blocks", value=root.digest, expected=metadata.snapshot.says.tree)
