"""What a block is known by: the digest of its content, and how many records it has.

The digest is the SHA-256 of the records' checksums in key order, each in its 64 hex digits, with nothing between. So it
depends on content alone: not on when a record was created, on the database, or on how a file writes a line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from recordsync.streams.lines import checksums_of
from recordsync.system.progress import EVERY


@dataclass(frozen=True, slots=True)
class BlockDigest:
    """A block, by its digest and the number of its records."""

    digest: str
    count: int


def block_of(lines: Iterable[bytes]) -> BlockDigest:
    """The block that has these lines, which are known to be right. They are read once and not kept."""
    digest, count = hashlib.sha256(), 0
    for batch in batches(lines):
        digest.update(b"".join(checksums_of(batch)))
        count += len(batch)
    return BlockDigest(digest.hexdigest(), count)


def batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The lines, up to :data:`EVERY` together."""
    stream = iter(lines)
    while batch := list(islice(stream, EVERY)):
        yield batch
