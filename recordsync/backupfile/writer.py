"""Writing a 2.0 file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Protocol

import msgspec
import orjson

from recordsync.backupfile.layout import (
    BLOCKS_START,
    METADATA_START,
    NO_BLOCKS,
    SECTIONS_END,
    TRAILER_START,
    sections,
)
from recordsync.backupfile.metadata import Metadata, parse_metadata
from recordsync.errors import RecordSyncError
from recordsync.history.blocks import batches
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
    out: IO[bytes], schema: Schema, metadata: Metadata, rows: Rows, progress: Progress = no_progress
) -> Written:
    """The digest and the counts of a file, which is written to a binary stream.

    The records have the fields that ``metadata.fields`` names. Raises :class:`recordsync.errors.InvalidRecord` for a
    record that no reader would accept, :class:`recordsync.errors.OutOfOrder`, and :class:`RecordSyncError` if no reader
    would accept ``metadata`` or its totals are not the number of the records.
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
    emit(METADATA_START + description + BLOCKS_START + NO_BLOCKS)
    for section in sections(metadata.models(schema)):
        model = section.model
        lines: Iterator[bytes]
        if section.deleted:
            lines = (_deletion_line(model, item) for item in in_order(rows.deletions(model)))
        else:
            lines = iter(rows.lines(model.shape(metadata.fields[model.name])))
        count = 0
        emit(section.opening)
        for batch in batches(lines):
            emit((b",\n" if count else b"\n") + b",\n".join(batch))
            count += len(batch)
            done += 0 if section.deleted else len(batch)  # the total is of records
            progress("write", done, total)
        emit(b"\n]" if count else b"]")
        if section.deleted:
            deleted += count
        else:
            counts[model.name] = count
    require_counted(counts, metadata)
    emit(SECTIONS_END)
    out.write(trailer_line(digest.hexdigest(), counts, deleted))
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


def trailer_line(digest: str, counts: Mapping[str, int], deleted: int) -> bytes:
    """The last line of a file. ``digest``: of everything before it."""
    return TRAILER_START + canonical_json({**counts, "deleted": deleted, "sha256": digest}) + b"}\n"


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
