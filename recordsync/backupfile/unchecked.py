"""A 2.0 file that is checked while a plan is made of it, so that it is read only once.

A line that the register has byte for byte is right, so it is neither parsed nor checked. This works for files in which
nothing is wrong and no deletions are listed, as in most files. For any other file it raises
:class:`recordsync.errors.CheckNeeded`, and :func:`recordsync.backupfile.check_backup` must then check the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import BinaryIO, NoReturn

from recordsync.backupfile.layout import sections
from recordsync.backupfile.parsers import RecordParser
from recordsync.backupfile.reader import DescribedFile, opened
from recordsync.backupfile.scanner import Limits, Malformed, Scanner, SectionPart
from recordsync.errors import CheckNeeded, FileError, InvalidFile
from recordsync.model.records import Record
from recordsync.model.schema import Model, Schema
from recordsync.streams import Deletion, Unparsed
from recordsync.system.progress import EVERY


class UncheckedFile(DescribedFile):
    """A backup file before its check. Fits :class:`recordsync.plan.Source`. Its digest is known, and its counts are
    proven, when the file has been read whole.

    ``source`` is a seekable binary stream, plain or compressed. It stays open and is the caller's. Raises
    :class:`recordsync.errors.CheckNeeded`, and OSError if the file cannot be read. Touches no database.
    """

    def __init__(self, source: BinaryIO, schema: Schema, limits: Limits) -> None:
        self._source = source
        self._schema = schema
        self._limits = limits
        with _errors_need_check(), opened(source, schema, limits) as scanner:
            super().__init__(scanner.metadata())
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
        with _errors_need_check(), opened(self._source, self._schema, self._limits) as scanner:
            if scanner.metadata() != self.metadata:
                raise CheckNeeded
            reader = CheckingPass(scanner, self, self._schema)
            yield reader
            self.digest = reader.finish()

    def records(self, model: Model) -> NoReturn:
        """Raises CheckNeeded, because this would read the file a second time."""
        raise CheckNeeded

    def deletions(self, model: Model) -> Sequence[Deletion]:
        """No deletions: a file that lists some must be checked first."""
        return ()


class CheckingPass:
    """One pass through a file, which it checks on the way. Each method raises CheckNeeded where the file needs the
    check."""

    def __init__(self, scanner: Scanner, file: UncheckedFile, schema: Schema) -> None:
        self._scanner = scanner
        self._file = file
        self._parts = scanner.parts()
        if scanner.blocks is not None:
            raise CheckNeeded
        self._pending: SectionPart | None = None
        self._parsers = {
            section.model.name: RecordParser(section, file.shape(section.model))
            for section in sections(file.metadata.models(schema))
            if not section.deleted
        }
        self._counts = dict.fromkeys(self._parsers, 0)

    def unparsed(self, model: Model) -> Unparsed:
        """The lines of the next model's records."""
        parse = self._parsers[model.name].records

        def checked(rows: Sequence[bytes]) -> list[Record]:
            records = parse(rows)
            if records is None:
                raise CheckNeeded
            return records

        return Unparsed(self._rows(model), checked)

    def records(self, model: Model) -> Iterator[Record]:
        """The next model's records, each line checked."""
        rows, parse = self.unparsed(model)
        while batch := list(islice(rows, EVERY)):
            yield from parse(batch)

    def finish(self) -> str:
        """The digest of the file. Checks its counts and what follows the records."""
        if self._next_part() is not None or self._counts != self._file.counts:
            raise CheckNeeded
        return self._scanner.trailer({**self._counts, "deleted": 0}, _needs_check)

    def _rows(self, model: Model) -> Iterator[bytes]:
        with _errors_need_check():
            while (part := self._next_part()) is not None:
                if part.section.deleted or part.section.model is not model:
                    self._pending = part
                    return
                self._counts[model.name] += len(part.rows)
                yield from part.rows

    def _next_part(self) -> SectionPart | None:
        pending, self._pending = self._pending, None
        return next(self._parts, None) if pending is None else pending


def _needs_check(error: FileError) -> NoReturn:
    raise CheckNeeded


@contextmanager
def _errors_need_check() -> Iterator[None]:
    """Raises CheckNeeded in place of an error of the block: the check is to report what cannot be read."""
    try:
        yield
    except (Malformed, InvalidFile) as error:
        raise CheckNeeded from error
