"""The check of a file, which reads all of it once and reports everything that is wrong."""

from __future__ import annotations

from typing import BinaryIO

from recordsync.backupfile.bases import check_bases
from recordsync.backupfile.block_check import BlockChecker
from recordsync.backupfile.blocks import errors_in
from recordsync.backupfile.layout import sections
from recordsync.backupfile.messages import bounded
from recordsync.backupfile.metadata import Metadata
from recordsync.backupfile.parsers import DeletionParser, Note, RecordParser
from recordsync.backupfile.reader import BackupFile, opened
from recordsync.backupfile.scanner import Limits, Malformed, Scanner, SectionPart
from recordsync.errors import FileError, InvalidFile, SourceChanged
from recordsync.model.records import Key
from recordsync.model.schema import Schema
from recordsync.streams import are_in_order, join
from recordsync.system.progress import Progress, no_progress


class Findings:
    """The errors of a file: the first ones, and the number of all."""

    def __init__(self, limits: Limits) -> None:
        self._most = limits.errors
        self.errors: list[FileError] = []
        self.count = 0

    def note(self, error: FileError) -> None:
        """Count an error, and keep it if it is one of the first."""
        self.count += 1
        if len(self.errors) < self._most:
            self.errors.append(bounded(error))

    def require_none(self) -> None:
        """Raises :class:`recordsync.errors.InvalidFile` if there is an error."""
        if self.count:
            raise InvalidFile(self.errors, self.count)


def check_backup(
    source: BinaryIO, schema: Schema, limits: Limits | None = None, progress: Progress = no_progress
) -> BackupFile:
    """A 2.0 file that was read whole and is valid.

    ``source`` is a seekable binary stream, plain or compressed. It stays open and is the caller's. Raises
    :class:`recordsync.errors.InvalidFile` with everything that is wrong with the content, and OSError if the file
    cannot be read. Touches no database.
    """
    limits = limits or Limits()
    findings = Findings(limits)
    file: BackupFile | None = None
    try:
        with opened(source, schema, limits) as scanner:
            file = _checked(source, scanner, schema, limits, findings.note, progress)
    except Malformed as malformed:
        findings.note(malformed.error)
    except InvalidFile as damaged:
        for error in damaged.errors:
            findings.note(error)
    findings.require_none()
    assert file is not None
    try:
        _check_deleted_apart(file, schema, findings.note)
    except SourceChanged:
        findings.note(FileError("the file changed while it was being checked"))
    findings.require_none()
    return file


def _checked(
    source: BinaryIO, scanner: Scanner, schema: Schema, limits: Limits, note: Note, progress: Progress
) -> BackupFile:
    """The file, which is valid if nothing is noted. Raises Malformed where it cannot be read any further."""
    metadata = scanner.metadata()
    models = metadata.models(schema)
    counts = {model.name: 0 for model in models}
    deleted = dict(counts)
    total = sum(metadata.totals.values())
    parsers = {
        section.place: DeletionParser(section)
        if section.deleted
        else RecordParser(section, section.model.shape(metadata.fields[section.model.name]))
        for section in sections(models)
    }
    last: dict[tuple[int | None, str], Key] = {}
    done = 0
    scanner.list_blocks()
    for error in errors_in(scanner.blocks, metadata, schema):
        note(error)
    blocks = BlockChecker(scanner.blocks or (), note)
    for part in scanner.parts():
        place = (part.base, part.section.place)
        if part.base is None:
            (deleted if part.section.deleted else counts)[part.section.model.name] += len(part.rows)
        parser, before = parsers[part.section.place], last.get(place)
        keys = parser.keys(part.rows)
        if keys is not None and are_in_order(keys if before is None else [before, *keys]):
            last[place] = keys[-1]
        elif (key := _check_each(part, parser, before, note)) is not None:
            last[place] = key
        if scanner.blocks is not None:
            blocks.take(part, keys)
        done += len(part.rows)
        progress("check", done, total)
    progress("check", done, total)
    _check_totals(metadata, counts, note)
    check_bases(metadata, scanner.bases, schema, note)
    digest = scanner.trailer({**counts, "deleted": sum(deleted.values())}, note)
    return BackupFile(
        source,
        schema,
        limits,
        pieces=scanner.pieces,
        metadata=metadata,
        digest=digest,
        counts=counts,
        deleted=deleted,
        bases=scanner.bases,
    )


def _check_totals(metadata: Metadata, counts: dict[str, int], note: Note) -> None:
    for name, count in counts.items():
        if count != metadata.totals[name]:
            text = f"the metadata say {metadata.totals[name]:,} {name}, and the file holds {count:,}"
            note(FileError(text, 1, field=f"total_{name}", value=metadata.totals[name], expected=count))


def _check_each(part: SectionPart, parser: RecordParser | DeletionParser, before: Key | None, note: Note) -> Key | None:
    """The last legal key of a part, or ``before`` if it has none. Checks each line, because one may be wrong."""
    model = part.section.model
    for line, row in part.numbered():
        key = parser.check(row, line, note)
        if key is not None:
            if before is not None and key <= before:
                is_repeated = key == before
                message = (
                    "it stands twice" if is_repeated else "it is out of order: the record before it belongs after it"
                )
                value = None if is_repeated else list(model.spelt(before))
                note(FileError(message, line, model.spelt(key), value=value, section=part.section.place))
            before = key
    return before


def _check_deleted_apart(file: BackupFile, schema: Schema, note: Note) -> None:
    """Note each key that stands both among the records and among the deletions. Raises SourceChanged."""
    for model in file.metadata.models(schema):
        if not file.deleted[model.name]:
            continue
        for record, deleted in join(file.records(model), file.numbered_deletions(model)):
            if record is not None and deleted is not None:
                message = "it stands among the records and among the deleted"
                note(FileError(message, deleted[2], model.spelt(record.key), section=model.name))
    if not file.bases:
        return
    with file.open() as of_records, file.open() as of_deletions:  # each goes through the file once
        for base in range(len(file.bases)):
            for model in file.metadata.models(schema):
                for record, deleted in join(of_records.records(model, base), of_deletions.deletions(model, base)):
                    if record is not None and deleted is not None:
                        message = "it stands among the records and among the deleted of a base"
                        note(FileError(message, deleted[2], model.spelt(record.key), section=model.name))
