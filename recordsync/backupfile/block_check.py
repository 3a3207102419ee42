"""The check of a file's rows against its list of blocks, while they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from recordsync.backupfile.blocks import LINE, BlockEntry
from recordsync.backupfile.messages import digest_start
from recordsync.backupfile.parsers import Note
from recordsync.backupfile.scanner import SectionPart
from recordsync.errors import FileError
from recordsync.model.records import Key
from recordsync.model.schema import Model
from recordsync.streams.lines import checksums_of


class BlockChecker:
    """Compares rows, which come in the file's order, with the blocks of its list. ``note`` gets what is false."""

    def __init__(self, blocks: Iterable[BlockEntry], note: Note) -> None:
        self._waiting = enumerate(blocks, LINE + 1)
        self._next = next(self._waiting, None)
        self._note = note
        self._open: UnprovenBlock | None = None

    def take(self, part: SectionPart, keys: Sequence[Key] | None) -> None:
        """Compare the next rows. ``keys``: theirs, if all of them are right and in order."""
        if part.section.deleted:
            return
        model, start = part.section.model, 0
        while start < len(part.rows):
            if self._open is None or self._open.block.model != model.name:
                if self._next is None or self._next[1].model != model.name:
                    return  # the counts are wrong, and somebody has noted it
                self._open = UnprovenBlock(*self._next)
                self._next = next(self._waiting, None)
            end = start + self._open.left
            if keys is None:
                self._open.has_wrong_rows = True
            self._open.add(part.rows[start:end], keys[start:end] if keys else (), model)
            start = end
            if not self._open.left:
                self._open.compare(self._note)
                self._open = None


class UnprovenBlock:
    """A block of which rows are read, and compared with what the list says of it. ``line``: of the list."""

    def __init__(self, line: int, block: BlockEntry) -> None:
        self._line = line
        self.block = block
        self.left = block.count
        self._bytes = 0
        self._raw = hashlib.sha256()
        self._digest = hashlib.sha256()
        self._is_foreign = False
        self.has_wrong_rows = False
        """Whether somebody has noted what is wrong with rows of it, so that what is said of the block is false, too."""

    def add(self, rows: Sequence[bytes], keys: Sequence[Key], model: Model) -> None:
        """Read rows. ``keys``: theirs, or those of the first and the last one. A partition is a stretch of the key
        order, so its ends tell where it is."""
        separator = b",\n"
        raw = separator.join(rows) if self.left == self.block.count else separator + separator.join(rows)
        self._raw.update(raw)
        self._bytes += len(raw)
        self._digest.update(b"".join(checksums_of(rows)))
        self.left -= len(rows)
        partition = tuple(self.block.partition)
        self._is_foreign |= any(model.partition_of(key) != partition for key in (*keys[:1], *keys[-1:]))

    def compare(self, note: Note) -> None:
        """Note what the list says falsely of the block, when all of its rows are read."""
        if self.has_wrong_rows:
            return
        block, key = self.block, tuple(self.block.partition) or None
        if self._is_foreign:
            text = "not all records of this block are of its partition"
            note(FileError(text, self._line, key, "partition", section=block.model))
        own = {"bytes": self._bytes, "digest": self._digest.hexdigest(), "raw_sha256": self._raw.hexdigest()}
        for name, right in own.items():
            given = getattr(block, name)
            if given != right:
                text = f"the list of blocks says {name} {digest_start(given)}, and this block has {digest_start(right)}"
                note(FileError(text, self._line, key, name, given, block.model, expected=right))
