"""A 2.0 file that is checked while a plan is made of it, so that it is read only once.

A line that the register has byte for byte is right, so it is neither parsed nor checked. A block that the register has
byte for byte is right as a whole. This works for files in which nothing is wrong and no deletions are listed, as in
most files. For any other file it raises
:class:`recordsync.errors.CheckNeeded`, and :func:`recordsync.backupfile.check_backup` must then check the file.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import dropwhile, islice, takewhile
from typing import BinaryIO, NoReturn, Protocol, TypeVar

from recordsync.backupfile.block_check import UnprovenBlock
from recordsync.backupfile.blocks import BlockEntry, errors_in
from recordsync.backupfile.layout import sections
from recordsync.backupfile.parsers import RecordParser
from recordsync.backupfile.reader import DescribedFile, opened
from recordsync.backupfile.scanner import Limits, Malformed, Scanner, SectionPart
from recordsync.errors import CheckNeeded, FileError, InvalidFile
from recordsync.history.blocks import BlockDigest
from recordsync.history.store import SEPARATOR, StoredBlock
from recordsync.model.records import Key, Partition, Record
from recordsync.model.schema import Model, Schema
from recordsync.streams import Deletion, Unparsed, are_in_order
from recordsync.system.progress import EVERY

_T = TypeVar("_T")


class ReceivedBlock(Protocol):
    """A block of a file that is being stored."""

    def add(self, lines: Sequence[bytes], /) -> None:
        """Add the next lines."""

    def close(self) -> None:
        """End the block, which has no more lines."""


class Receiver(Protocol):
    """What stores the blocks of a file that is read, such as :class:`recordsync.history.receiving.Receiving`.

    Until the whole file was read without an error, what it got may be false.
    """

    def begin(self, model: Model, partition: Partition) -> ReceivedBlock:
        """A block that is stored piece by piece. One that is not closed is not stored."""

    def put_node(self, digest: str, text: bytes, /) -> None:
        """Store a node."""


class UncheckedFile(DescribedFile):
    """A backup file before its check. Fits :class:`recordsync.plan.Source`. Its digest is known, and its counts are
    proven, when the file has been read whole.

    ``source`` is a seekable binary stream, plain or compressed. It stays open and is the caller's. Raises
    :class:`recordsync.errors.CheckNeeded`, and OSError if the file cannot be read. Touches no database.
    """

    def __init__(self, source: BinaryIO, schema: Schema, limits: Limits) -> None:
        self._source = source
        self._schema = schema
        self.limits = limits
        self.receiver: Receiver | None = None
        """Gets the nodes, and the blocks that are not passed over, of a file that lists its blocks."""
        with _errors_need_check(), opened(source, schema, limits) as scanner:
            super().__init__(scanner.metadata())
        if self.metadata.snapshot is not None and self.metadata.backup_type == "full":
            self.root = self.metadata.snapshot.says.tree  # a list of blocks that fits it is required
        self.digest = ""
        self.counts: dict[str, int] = dict(self.metadata.totals)
        self.deleted = dict.fromkeys(self.counts, 0)

    @property
    def is_whole(self) -> bool:
        """Whether its records have every field of their models."""
        return all(self.shape(model).is_whole for model in self._schema)

    @contextmanager
    def open(self) -> Iterator[CheckingPass]:
        """The only pass. When the block ends without an error, the file is valid."""
        with _errors_need_check(), opened(self._source, self._schema, self.limits, is_only=True) as scanner:
            if scanner.metadata() != self.metadata:
                raise CheckNeeded
            scanner.list_blocks()
            keep = (lambda digest, text: None) if self.receiver is None else self.receiver.put_node
            for error in errors_in(scanner.blocks, self.metadata, self._schema, keep):
                _needs_check(error)
            reader = (PassByLines if scanner.blocks is None else PassByBlocks)(scanner, self, self._schema)
            yield reader
            self.digest = reader.finish()

    def records(self, model: Model) -> NoReturn:
        """Raises CheckNeeded, because this would read the file a second time."""
        raise CheckNeeded

    def deletions(self, model: Model) -> Sequence[Deletion]:
        """No deletions: a file that lists some must be checked first."""
        return ()


class CheckingPass(ABC):
    """One pass through a file, which it checks on the way. Each method raises CheckNeeded where the file needs the
    check."""

    def __init__(self, scanner: Scanner, file: UncheckedFile, schema: Schema) -> None:
        self.scanner = scanner
        self.file = file
        self.parsers = {
            section.model.name: RecordParser(section, file.shape(section.model))
            for section in sections(file.metadata.models(schema))
            if not section.deleted
        }

    def unparsed(self, model: Model) -> Unparsed:
        """The lines of the next model's records."""
        return Unparsed(self.rows(model), partial(parsed, self.parsers[model.name]))

    def records(self, model: Model) -> Iterator[Record]:
        """The next model's records, each line checked."""
        rows, parse = self.unparsed(model)
        while batch := list(islice(rows, EVERY)):
            yield from parse(batch)

    def finish(self) -> str:
        """The digest of the file. Checks its counts and what follows the records."""
        if not self.is_read():
            raise CheckNeeded
        return self.scanner.trailer({**self.file.counts, "deleted": 0}, _needs_check)

    @abstractmethod
    def rows(self, model: Model) -> Iterator[bytes]:
        """The lines of the next model's records."""

    @abstractmethod
    def blocks(self, model: Model) -> Iterator[FileBlock] | None:
        """The blocks of the next model's records, of which each has to be read, one after the other; None: the file
        does not list its blocks."""

    @abstractmethod
    def is_read(self) -> bool:
        """Whether all records were read, and are as many as the metadata say."""


class PassByLines(CheckingPass):
    """A pass through a file that does not list its blocks."""

    def __init__(self, scanner: Scanner, file: UncheckedFile, schema: Schema) -> None:
        super().__init__(scanner, file, schema)
        self._parts = scanner.parts()
        self._pending: SectionPart | None = None
        self._counts = dict.fromkeys(self.parsers, 0)

    def blocks(self, model: Model) -> None:
        """None."""

    def is_read(self) -> bool:
        return self._next_part() is None and self._counts == self.file.counts

    def rows(self, model: Model) -> Iterator[bytes]:
        with _errors_need_check():
            while (part := self._next_part()) is not None:
                if part.base is not None or part.section.deleted or part.section.model is not model:
                    self._pending = part
                    return
                self._counts[model.name] += len(part.rows)
                yield from part.rows

    def _next_part(self) -> SectionPart | None:
        pending, self._pending = self._pending, None
        return next(self._parts, None) if pending is None else pending


class PassByBlocks(CheckingPass):
    """A pass through a file that lists its blocks. What the list says of a block is proven when the block is read."""

    def __init__(self, scanner: Scanner, file: UncheckedFile, schema: Schema) -> None:
        super().__init__(scanner, file, schema)
        self._in_turn = scanner.blocks_in_turn()

    def blocks(self, model: Model) -> Iterator[FileBlock]:
        if not self.file.counts.get(model.name):
            return  # the list is long, and is not looked through for nothing
        entries = dropwhile(lambda entry: entry.model != model.name, self.scanner.blocks or ())
        for entry in takewhile(lambda entry: entry.model == model.name, entries):
            yield FileBlock(self, model, entry)

    def is_read(self) -> bool:
        with _errors_need_check():
            return next(self._in_turn, None) is None

    def rows(self, model: Model) -> Iterator[bytes]:
        for block in self.blocks(model):
            for rows in block.batches():
                yield from rows

    def require_short(self, line: bytes) -> None:
        """Raises CheckNeeded for the start of a line that is too long."""
        if len(line) > self.file.limits.line:
            raise CheckNeeded

    def bytes_of(self, entry: BlockEntry) -> Iterator[memoryview]:
        """The bytes of a block, which is the next one, in pieces."""
        with _errors_need_check():
            if next(self._in_turn, None) != entry:
                raise CheckNeeded
            yield from self.scanner.take(entry.bytes)


class FileBlock:
    """A block of a file that is read. One of the methods is called that read it. Each raises CheckNeeded where the file
    needs the check."""

    def __init__(self, reader: PassByBlocks, model: Model, entry: BlockEntry) -> None:
        self._reader = reader
        self._model = model
        self._entry = entry
        self._parser = reader.parsers[model.name]
        self.partition: Partition = tuple(entry.partition)
        self.content = BlockDigest(entry.digest, entry.count)

    def is_as(self, stored: StoredBlock) -> bool:
        """Whether the list says that it has the very bytes of a stored block."""
        entry = self._entry
        return (entry.digest, entry.raw_sha256, entry.bytes, entry.count) == (
            stored.digest,
            stored.raw_sha256,
            stored.size,
            stored.count,
        )

    def pass_over(self) -> None:
        """Read a block whose bytes are, as the list says, those of a block of the same partition that is known. They
        are compared by their digest, and nothing is parsed."""
        digest = hashlib.sha256()
        for piece in self._reader.bytes_of(self._entry):
            digest.update(piece)
        if digest.hexdigest() != self._entry.raw_sha256:
            raise CheckNeeded

    def check(self) -> None:
        """Read a block, and check all of it."""
        unproven, last = UnprovenBlock(0, self._entry), list[Key]()
        for rows in self._rows():
            keys = _known(self._parser.keys(rows))
            last = _keys_in_order(last, keys)
            unproven.add(rows, keys, self._model)
        _require_proven(unproven)

    def verified(self) -> Iterator[list[Record]]:
        """Its records, in order, some together. What the list says of the block is proven when they have been read."""
        unproven, last = UnprovenBlock(0, self._entry), list[Key]()
        for rows in self._rows():
            records = parsed(self._parser, rows)
            keys = [record.key for record in records]
            last = _keys_in_order(last, keys)
            unproven.add(rows, keys, self._model)
            yield records
        _require_proven(unproven)

    def unparsed(self) -> Unparsed:
        """The lines of its records."""
        rows = (row for batch in self.batches() for row in batch)
        return Unparsed(rows, partial(parsed, self._parser))

    def batches(self) -> Iterator[list[bytes]]:
        """The same lines, those together that are read together. What the list says of the block is proven when they
        have been read and are right and in order."""
        unproven = UnprovenBlock(0, self._entry)
        for rows in self._rows():
            ends = [rows[0], rows[-1]] if len(rows) > 1 else rows
            unproven.add(rows, _known(self._parser.keys(ends)), self._model)
            yield rows
        _require_proven(unproven)

    def _rows(self) -> Iterator[list[bytes]]:
        """The same lines, of which nothing is known. Those of a small block are together."""
        receiver = self._reader.file.receiver
        if receiver is None:
            yield from self._split()
            return
        received = receiver.begin(self._model, self.partition)
        for rows in self._split():
            yield rows
            received.add(rows)
        received.close()

    def _split(self) -> Iterator[list[bytes]]:
        rows, rest = list[bytes](), b""
        for piece in map(bytes, self._reader.bytes_of(self._entry)):
            *more, rest = (rest + piece).split(SEPARATOR)
            if not more:
                self._reader.require_short(rest)
                continue
            if rows:
                yield rows
            rows = more
        yield [*rows, rest]


def parsed(parser: RecordParser, rows: Sequence[bytes]) -> list[Record]:
    """The records in lines. Raises CheckNeeded if something is wrong with one of them."""
    return _known(parser.records(rows))


def _known(found: list[_T] | None) -> list[_T]:
    """What a parser found in lines. Raises CheckNeeded if something is wrong with one of them."""
    if found is None:
        raise CheckNeeded
    return found


def _keys_in_order(last: list[Key], keys: list[Key]) -> list[Key]:
    """The last of these keys. Raises CheckNeeded if they are not in order after ``last``."""
    if not are_in_order([*last, *keys]):
        raise CheckNeeded
    return keys[-1:]


def _require_proven(unproven: UnprovenBlock) -> None:
    """Raises CheckNeeded unless the block, all of which was read, is as the list says."""
    if unproven.left:
        raise CheckNeeded
    unproven.compare(_needs_check)


def _needs_check(error: FileError) -> NoReturn:
    raise CheckNeeded


@contextmanager
def _errors_need_check() -> Iterator[None]:
    """Raises CheckNeeded in place of an error of the block: the check is to report what cannot be read."""
    try:
        yield
    except (Malformed, InvalidFile) as error:
        raise CheckNeeded from error
