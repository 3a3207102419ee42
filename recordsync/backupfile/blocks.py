"""The list of blocks that a 2.0 file can have before its rows.

A block is the records of one model and partition, in key order. In a file it is a stretch of rows, joined by commas and
line ends; what separates it from the next block belongs to neither.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from recordsync.backupfile.values import Positive, Sha256Text


class Block(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the list. ``digest`` is of the records' checksums, ``raw_sha256`` of the block's ``bytes`` bytes."""

    model: str
    partition: Annotated[list[str], msgspec.Meta(max_length=8)]
    count: Positive
    bytes: Positive
    digest: Sha256Text
    raw_sha256: Sha256Text
