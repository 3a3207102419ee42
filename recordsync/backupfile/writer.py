"""Writing a 2.0 file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import IO, Protocol

import msgspec
import orjson

from recordsync.backupfile.layout import BLOCKS_START, END, METADATA_START, NO_BLOCKS, sections
from recordsync.backupfile.metadata import Metadata, parse_metadata
from recordsync.errors import RecordSyncError
from recordsync.model.records import canonical_json
from recordsync.model.schema import Model, Schema, Shape
from recordsync.streams import Deletion, in_order
from recordsync.system.progress import EVERY, Progress, no_progress


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
    description = canonical_json(metadata.as_dict())
    try:
        parse_metadata(orjson.loads(description), schema)
    except msgspec.ValidationError as error:
        raise RecordSyncError(
            f"No reader would accept this description of the backup: {error}. None was written."
        ) from error
    digest = hashlib.sha256()

    def emit(data: bytes) -> None:
        digest.update(data)
        out.write(data)

    total = sum(metadata.totals.values())
    counts: dict[str, int] = {}
    deleted = 0
    done = 0
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
            done += len(batch)
            progress("write", done, total)
        emit(b"\n]" if count else b"]")
        if section.deleted:
            deleted += count
        else:
            counts[model.name] = count
    require_counted(counts, metadata)
    emit(END[: END.index(b"\n") + 1])
    trailer = {**counts, "deleted": deleted, "sha256": digest.hexdigest()}
    out.write(END[END.index(b"\n") + 1 :] + canonical_json(trailer) + b"}\n")
    return Written(digest.hexdigest(), counts, deleted)


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


def batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The lines in batches, each of which is written, and reported as progress, at once."""
    stream = iter(lines)
    while batch := list(islice(stream, EVERY)):
        yield batch
