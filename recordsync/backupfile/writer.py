"""Writing a 2.0 file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Protocol

import msgspec
import orjson

from recordsync.backupfile.layout import (
    BASE_END,
    BASE_START,
    BASES_END,
    BASES_START,
    BLOCKS_START,
    METADATA_START,
    NO_BLOCKS,
    SECTIONS_END,
    TRAILER_START,
    Section,
    sections,
)
from recordsync.backupfile.metadata import Metadata, parse_metadata
from recordsync.errors import RecordSyncError
from recordsync.history.blocks import batches
from recordsync.history.headers import Header
from recordsync.model.records import canonical_json
from recordsync.model.schema import Model, Schema, Shape
from recordsync.streams import Deletion, in_order
from recordsync.system.progress import Progress, no_progress


class Rows(Protocol):
    """The content of a file, in key order."""

    def lines(self, shape: Shape) -> Iterable[bytes]:
        """The line (:mod:`recordsync.streams.lines`) of each record of the shape's model, with the shape's fields.

        Raises :class:`recordsync.errors.InvalidRecord` for a record that no reader would accept.
        """

    def deletions(self, model: Model) -> Iterable[Deletion]:
        """The deletions of the model."""


@dataclass(frozen=True)
class Written:
    """A file that was written: the digest of its content, and the number of its records and deletions."""

    digest: str
    counts: dict[str, int]
    deleted: int


def write_backup(
    out: IO[bytes],
    schema: Schema,
    metadata: Metadata,
    rows: Rows,
    progress: Progress = no_progress,
    bases: Iterable[tuple[Header, Rows]] = (),
) -> Written:
    """The digest and the counts of a file, which is written to a binary stream.

    ``bases``: ancestors of the file's snapshot, each with the changes that lead to it: to the first from the file's
    snapshot, to another one from that before it. Each is used before the next one is asked for. The records have the
    fields that ``metadata.fields`` names.

    Raises :class:`recordsync.errors.InvalidRecord` for a record that no reader would accept,
    :class:`recordsync.errors.OutOfOrder`, and :class:`RecordSyncError` if no reader would accept ``metadata`` or its
    totals are not the number of the records.
    """
    description = described(metadata, schema)
    digest = hashlib.sha256()

    def emit(data: bytes) -> None:
        digest.update(data)
        out.write(data)

    total = sum(metadata.totals.values())
    counts: dict[str, int] = {}
    deleted = 0
    done = 0
    progress("write", done, total)
    ordered = sections(metadata.models(schema))

    def write_rows(section: Section, of: Rows) -> int:
        """How many rows the section has, which are written."""
        model, count = section.model, 0
        lines: Iterator[bytes]
        if section.deleted:
            lines = (_deletion_line(model, item) for item in in_order(of.deletions(model)))
        else:
            lines = iter(of.lines(model.shape(metadata.fields[model.name])))
        emit(section.opening)
        for batch in batches(lines):
            emit((b",\n" if count else b"\n") + b",\n".join(batch))
            count += len(batch)
            # The total is of the records that the file brings.
            progress("write", done + count if of is rows and not section.deleted else done, total)
        emit(b"\n]" if count else b"]")
        return count

    emit(METADATA_START + description + BLOCKS_START + NO_BLOCKS)
    for section in ordered:
        count = write_rows(section, rows)
        if section.deleted:
            deleted += count
        else:
            counts[section.model.name] = count
            done += count
    require_counted(counts, metadata)
    emit(SECTIONS_END)
    written = 0
    for base, of_base in bases:
        emit((b",\n" if written else BASES_START) + BASE_START + canonical_json(msgspec.to_builtins(base)))
        for section in ordered:
            write_rows(section, of_base)
        emit(BASE_END)
        written += 1
    if written:
        emit(BASES_END + b",\n")
    out.write(trailer_line(digest.hexdigest(), counts, deleted, written))
    return Written(digest.hexdigest(), counts, deleted)


def described(metadata: Metadata, schema: Schema) -> bytes:
    """The metadata as they stand in a file. Raises :class:`RecordSyncError` if no reader would accept them."""
    description = canonical_json(metadata.as_dict())
    try:
        parse_metadata(orjson.loads(description), schema)
    except msgspec.ValidationError as error:
        raise RecordSyncError(
            f"No reader would accept this description of the backup: {error}. None was written."
        ) from error
    return description


def trailer_line(digest: str, counts: Mapping[str, int], deleted: int, bases: int = 0) -> bytes:
    """The last line of a file. ``digest``: of everything before it. ``bases``: how many bases the file has."""
    known = {**counts, "deleted": deleted, "sha256": digest}
    return TRAILER_START + canonical_json(known | {"bases": bases} if bases else known) + b"}\n"


def _deletion_line(model: Model, deletion: Deletion) -> bytes:
    key = dict(zip(model.key_names, deletion.key, strict=True))
    return canonical_json({**key, "checksum": deletion.checksum})


def require_counted(counts: dict[str, int], metadata: Metadata) -> None:
    """Raises :class:`RecordSyncError` unless the metadata have the number of records that were written."""
    if counts != metadata.totals:
        raise RecordSyncError(
            f"The database gave {counts} records after it had counted {dict(metadata.totals)}. "
            "The backup was not kept; try again, and report this if it happens again."
        )
