"""Reading a 2.0 file that was checked.

Each piece that is read is compared with the one that was checked, so that nothing is used of a file that somebody has
written to since.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import BinaryIO, cast

from recordsync.backupfile.metadata import Metadata
from recordsync.backupfile.parsers import read_deletion
from recordsync.backupfile.scanner import Limits, Malformed, Scanner, SectionPart
from recordsync.errors import InvalidFile, SourceChanged
from recordsync.history.headers import Header
from recordsync.model.records import Key, Record
from recordsync.model.schema import Model, Schema, Shape
from recordsync.streams import Deletion
from recordsync.streams.lines import Lines
from recordsync.system.files import decompressed

_CHANGED = "The file has changed since it was checked: check it again."


class DescribedFile:
    """What the metadata of a 2.0 file say of its records."""

    tree = None
    root: str | None = None

    def __init__(self, metadata: Metadata) -> None:
        self.metadata = metadata
        self.repeated: Mapping[str, int] = {}
        self.warnings: list[str] = []
        """What is odd about the file and does no harm. In this version there is nothing."""

    @property
    def is_complete(self) -> bool:
        """Whether the file speaks about every record: see :attr:`Metadata.is_complete`."""
        return self.metadata.is_complete

    def shape(self, model: Model) -> Shape:
        """The fields that this file's records of a model have; all, if it does not speak about the model."""
        return model.shape(self.metadata.fields.get(model.name))

    def alignment(self, model: Model) -> None:
        """None: the records mean exactly what they say."""


class BackupFile(DescribedFile):
    """A valid backup file, made by :func:`recordsync.backupfile.check_backup`. Fits :class:`recordsync.plan.Source`.

    Not thread-safe: two threads need two of these.
    """

    def __init__(
        self,
        source: BinaryIO,
        schema: Schema,
        limits: Limits,
        *,
        pieces: Sequence[bytes],
        metadata: Metadata,
        digest: str,
        counts: dict[str, int],
        deleted: dict[str, int],
        bases: Sequence[Header] = (),
    ) -> None:
        """``bases``: the snapshots of its bases, in the order in which each leads to the next (:mod:`.bases`)."""
        super().__init__(metadata)
        self._source = source
        self._schema = schema
        self._limits = limits
        self._pieces = pieces
        self.digest = digest
        self.counts = counts
        self.deleted = deleted
        self.bases = bases

    @contextmanager
    def open(self) -> Iterator[Reader]:
        """A :class:`Reader` of the whole file."""
        with opened(self._source, self._schema, self._limits, self._pieces) as scanner:
            yield Reader(scanner, self)

    def records(self, model: Model) -> Iterator[Record]:
        """A model's records in key order, read by themselves. Raises :class:`recordsync.errors.SourceChanged`."""
        with self.open() as reader:
            yield from reader.records(model)

    def deletions(self, model: Model) -> Iterator[Deletion]:
        """The deletions of a model in key order, read by themselves. Raises
        :class:`recordsync.errors.SourceChanged`."""
        for _key, deletion, _line in self.numbered_deletions(model):
            yield deletion

    def numbered_deletions(self, model: Model) -> Iterator[tuple[Key, Deletion, int]]:
        """The deletions of a model, each with its key and line number, read by themselves; none where the file does not
        have the model."""
        if not self.deleted.get(model.name):
            return
        with self.open() as reader:
            yield from reader.deletions(model)

    def precedes(self, first: Model, second: Model) -> bool:
        """Whether the records of ``first`` stand before those of ``second``."""
        return self._schema.models.index(first) < self._schema.models.index(second)


class Reader:
    """One pass through a valid file: first the records, then the deletions, each model by model in the file's order;
    then the same of each base.

    Raises :class:`recordsync.errors.SourceChanged` if the file is not the one that was checked.
    """

    def __init__(self, scanner: Scanner, file: BackupFile) -> None:
        self._file = file
        with _change_reported():
            scanner.metadata()
            scanner.list_blocks()
            self._parts = scanner.parts()
        self._pending: SectionPart | None = None

    def records(self, model: Model, base: int | None = None) -> Iterator[Record]:
        """The records of a model in key order. Models before it are skipped. ``base``: the position of a base whose
        rows are read."""
        shape = self._file.shape(model)
        record, read_line = shape.record, Lines(shape).parts
        with _change_reported():
            for part in self._parts_of(model, base, deleted=False):
                for row in part.rows:
                    *values, _checksum, created_at = read_line(row)
                    yield record(tuple(values), created_at)

    def unparsed(self, model: Model) -> None:
        """None: what was checked is read as records."""

    def blocks(self, model: Model) -> None:
        """None: as :meth:`unparsed`."""

    def deletions(self, model: Model, base: int | None = None) -> Iterator[tuple[Key, Deletion, int]]:
        """The deletions of a model in key order, each with its key and line number. What is before them is skipped.
        ``base``: as of :meth:`records`."""
        with _change_reported():
            for part in self._parts_of(model, base, deleted=True):
                for line, row in part.numbered():
                    deletion = read_deletion(model, row)
                    yield deletion.key, deletion, line

    def _parts_of(self, model: Model, base: int | None, *, deleted: bool) -> Iterator[SectionPart]:
        """The parts of one section. Sections before it are skipped."""
        for part in self._next_parts():
            if part.base == base and part.section.model is model and part.section.deleted is deleted:
                yield part
            elif not self._is_before(part, model, base, deleted=deleted):
                self._pending = part
                return

    def _is_before(self, part: SectionPart, model: Model, base: int | None, *, deleted: bool) -> bool:
        if part.base != base:
            return part.base is None or (base is not None and part.base < base)
        if part.section.deleted is not deleted:
            return deleted
        return self._file.precedes(part.section.model, model)

    def _next_parts(self) -> Iterator[SectionPart]:
        """The parts from here on. Not ``yield from``: closing this iterator must not close the scanner."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            yield pending
        while (part := next(self._parts, None)) is not None:
            yield part


@contextmanager
def opened(
    source: BinaryIO,
    schema: Schema,
    limits: Limits,
    checked: Sequence[bytes] | None = None,
    *,
    is_only: bool = False,
) -> Iterator[Scanner]:
    """A scanner at the start of a file, plain or compressed. Others may read ``source`` in turns.

    ``checked``, ``is_only``: see :class:`Scanner`. Reading raises :class:`recordsync.errors.InvalidFile` where the
    compression is damaged.
    """
    positioned = cast(BinaryIO, _Positioned(source))  # all it takes is read and seek
    with (
        decompressed(positioned, limits.content) as content,
        closing(Scanner(content, schema, limits, checked, is_only=is_only)) as scanner,
    ):
        yield scanner


@contextmanager
def _change_reported() -> Iterator[None]:
    """Raises SourceChanged where the block finds an error: the file was valid when it was checked."""
    try:
        yield
    except (Malformed, InvalidFile) as error:
        raise SourceChanged(_CHANGED) from error


class _Positioned:
    """A view of a seekable stream with a position of its own, so that several views can be read in turns."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        self._source.seek(self._position)
        data = self._source.read(size)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        self._source.seek(self._position)
        self._position = self._source.seek(offset, whence)
        return self._position
