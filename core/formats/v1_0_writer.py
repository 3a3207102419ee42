"""Writing a 1.0 file (docs/file-format.md), for installations that read no other. What it cannot hold is left out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import IO, Any, Final, Protocol

from core.formats.v1_0 import MODELS, VERSION, content_v1_0, sha256
from core.models import TIME_FIELDS, Phase
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES
from recordsync.backupfile import Metadata, Written
from recordsync.backupfile.writer import require_counted
from recordsync.errors import InvalidRecord
from recordsync.history.blocks import batches
from recordsync.model.fields import TIMESTAMP
from recordsync.model.records import Record
from recordsync.model.schema import Model
from recordsync.streams.lines import legal
from recordsync.system.progress import Progress, no_progress

_MINUTE: Final = len("HH:MM")


class DatedRecords(Protocol):
    """What goes into the file: each model's records in key order, and when each attendance record was last changed."""

    def records(self, model: Model) -> Iterable[Record]: ...

    def updated(self, model: Model) -> Iterable[str | None]: ...


def write_v1_0(out: IO[bytes], metadata: Metadata, dated: DatedRecords, progress: Progress = no_progress) -> Written:
    """The digest of all bytes of the file, and how many records it has. Writes it to a binary stream, a record a line,
    in ASCII.

    The file holds only type, moments and totals of ``metadata``. Raises
    :class:`recordsync.errors.InvalidRecord` for a record that could not be read back,
    :class:`recordsync.errors.OutOfOrder`, and :class:`recordsync.errors.RecordSyncError` where the records are not as
    many as ``metadata`` says.
    """
    digest = hashlib.sha256()

    def emit(data: bytes) -> None:
        digest.update(data)
        out.write(data)

    total = sum(metadata.totals.values())
    counts: dict[str, int] = {}
    emit(b'{"metadata": ' + json.dumps(_description(metadata)).encode("ascii"))
    for model, lines in ((COMPANIES, _companies(dated)), (ATTENDANCE_RECORDS, _records(dated))):
        emit(b',\n"%s": [' % model.name.encode("ascii"))
        count = 0
        for batch in batches(lines):
            emit((b",\n" if count else b"\n") + b",\n".join(batch))
            count += len(batch)
            progress(Phase.WRITE, sum(counts.values()) + count, total)
        emit(b"\n]" if count else b"]")
        counts[model.name] = count
    require_counted(counts, metadata)
    emit(b"}\n")
    return Written(digest.hexdigest(), counts, 0)


def _description(metadata: Metadata) -> dict[str, Any]:
    since = {"since_date": _moment(metadata.since_date)} if metadata.since_date else {}
    totals = {f"total_{model.name}": metadata.totals[model.name] for model in MODELS}
    always = {"version": VERSION, "created_at": _moment(metadata.created_at), "backup_type": metadata.backup_type}
    return {**always, **since, **totals}


def _companies(dated: DatedRecords) -> Iterator[bytes]:
    """A line for each company. ``id`` is its position in the file, because our own ids mean nothing elsewhere."""
    for number, record in enumerate(legal(COMPANIES.shape(), dated.records(COMPANIES)), 1):
        (name,) = record.values
        yield _line({"name": name}, f'"id": {number}', _stamp("created_at", record.created_at))


def _records(dated: DatedRecords) -> Iterator[bytes]:
    model = ATTENDANCE_RECORDS
    names = model.names
    times = [names.index(name) for name in TIME_FIELDS]
    overstay = names.index("overstay")
    later = model.later  # an older installation refuses a name that it does not know
    records = legal(model.shape(), dated.records(model))
    for record, updated_at in zip(records, dated.updated(model), strict=True):
        if TIMESTAMP.error(updated_at):
            raise InvalidRecord(model.name, model.spelt(record.key), "updated_at", updated_at, TIMESTAMP.expected)
        values = list(record.values)
        for position in times:
            value = values[position]
            if value is not None:
                values[position] = value[:_MINUTE]
        values[overstay] = values[overstay] or ""
        stamps = _stamp("created_at", record.created_at), _stamp("updated_at", updated_at)
        content = dict(zip(names, values, strict=True))
        if later:
            content = {name: value for name, value in content.items() if value is not None or name not in later}
        yield _line(content, *stamps)


def _line(content: dict[str, Any], *rest: str) -> bytes:
    """The line of a record: its content, whose SHA-256 is the checksum, followed by the members that are not
    content."""
    text = content_v1_0(content)
    members = (text[:-1], *rest, f'"checksum": "{sha256(text)}"}}')
    return ", ".join(members).encode("ascii")


def _stamp(name: str, moment: str | None) -> str:
    return f'"{name}": "{_moment(moment)}"'


def _moment(text: str | None) -> str:
    """A moment in the form that every version of Python can read."""
    return f"{str(text).removesuffix('Z')}+00:00"
