"""What the engine's tests share: reading and changing a file's lines, and a store in memory."""

import datetime as dt
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import groupby
from typing import IO, Any, BinaryIO, cast

import orjson
from django.db.models import Q

from core.register.declared import SCHEMA
from recordsync.backupfile import BackupFile, Limits, check_backup
from recordsync.errors import FileError, InvalidFile, RegisterMoved
from recordsync.history.store import HistoryStore
from recordsync.history.trees import nodes
from recordsync.merge import Decide, Merged, Side
from recordsync.model.fields import TIMESTAMP
from recordsync.model.records import Key, Partition, Record
from recordsync.model.schema import Model, Schema
from recordsync.stores.places import Places
from recordsync.streams import Change
from recordsync.streams import lines as record_lines
from tests.builders.files import File, canonical
from tests.builders.records import Sections
from tests.running import databases


def opened(file: bytes | IO[bytes], limits: Limits | None = None, schema: Schema = SCHEMA) -> BackupFile:
    """The file, which is valid."""
    stream = io.BytesIO(file) if isinstance(file, bytes) else file
    return check_backup(cast(BinaryIO, stream), schema, limits)


@dataclass
class Checked:
    """What a check found: the file if it is valid, else what is wrong."""

    file: BackupFile | None = None
    errors: Sequence[FileError] = ()
    error_count: int = 0

    @property
    def valid(self) -> bool:
        return self.file is not None

    @property
    def digest(self) -> str:
        return self.file.digest if self.file else ""


def checked(file: bytes | IO[bytes], limits: Limits | None = None, schema: Schema = SCHEMA) -> Checked:
    """What is found by whoever checks the file."""
    try:
        return Checked(opened(file, limits, schema))
    except InvalidFile as invalid:
        return Checked(None, invalid.errors, invalid.count)


def the_error(file: bytes) -> FileError:
    """The one thing that is wrong with a file."""
    report = checked(file)
    assert report.error_count == 1, report.errors
    return report.errors[0]


def resealed(lines: Sequence[bytes], **trailer: Any) -> bytes:
    """The lines of a file with a trailer whose digest is that of what stands before it: only the digest cannot tell
    that the file was changed. The counts stay those of the old trailer, unless given."""
    before = b"".join(lines[:-1])
    old = orjson.loads(lines[-1].removeprefix(b'"trailer":').removesuffix(b"}\n"))
    new = old | {"sha256": hashlib.sha256(before).hexdigest()} | trailer
    return before + b'"trailer":' + orjson.dumps(new, option=orjson.OPT_SORT_KEYS) + b"}\n"


def lines_of(file: bytes) -> list[bytes]:
    return file.splitlines(keepends=True)


def edited(file: bytes, line: int, edit: Callable[[bytes], bytes], **trailer: Any) -> bytes:
    """The file with one line (counted from 1) edited, and resealed."""
    lines = lines_of(file)
    lines[line - 1] = edit(lines[line - 1])
    return resealed(lines, **trailer)


def row(line: bytes, edit: Callable[[dict[str, Any]], object], *, checksums: bool = True) -> bytes:
    """A record's line with its object edited, in canonical form and (unless not wanted) with the right checksum."""
    end = b",\n" if line.endswith(b",\n") else b"\n"
    found = orjson.loads(line.removesuffix(end))
    edit(found)
    if checksums and "checksum" in found:
        plain = {name: value for name, value in found.items() if name not in ("checksum", "created_at")}
        found["checksum"] = hashlib.sha256(orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return orjson.dumps(found, option=orjson.OPT_SORT_KEYS) + end


def set_metadata(line: bytes, **changed: Any) -> bytes:
    """The metadata's line with these values; ``None`` as a type removes nothing: use :func:`drop_metadata`."""
    found = orjson.loads(line.removeprefix(b'{"metadata":').removesuffix(b",\n"))
    found |= changed
    return b'{"metadata":' + orjson.dumps(found, option=orjson.OPT_SORT_KEYS) + b",\n"


def drop_metadata(line: bytes, name: str) -> bytes:
    found = orjson.loads(line.removeprefix(b'{"metadata":').removesuffix(b",\n"))
    del found[name]
    return b'{"metadata":' + orjson.dumps(found, option=orjson.OPT_SORT_KEYS) + b",\n"


def stored(of: File, alias: str) -> HistoryStore:
    """A history store in the database ``alias`` that has the blocks of a file and their tree, and nothing else."""
    databases.empty(alias)
    store = HistoryStore(alias)
    with store.writing(databases.LONG) as writer:
        placed = []
        for model in SCHEMA:
            rows = [canonical(line).encode() for line in of.records[model.name]]
            for block in of.blocks or []:
                if block["model"] == model.name:
                    lines, rows = rows[: block["count"]], rows[block["count"] :]
                    placed.append(((model.name, *block["partition"]), writer.put(lines)))
        for _node in nodes(placed, keep=writer.put_node):
            pass
    return store


def always(side: Side) -> Decide:
    def decide(model: Model, merged: Merged, unit: str) -> Side:
        return side

    return decide


def _named(model: Model, field: str, names: Mapping[str | None, str], records: Iterable[Record]) -> dict[Key, Record]:
    """These records by key, with other names in a field."""
    shape, at = model.shape(), model.names.index(field)
    renamed = (
        shape.record((*of.values[:at], names.get(of.values[at], of.values[at]), *of.values[at + 1 :]), of.created_at)
        for of in records
    )
    return {record.key: record for record in renamed}


class MemoryStore:
    """A store in dictionaries. ``written`` lists the batches that it was given."""

    def __init__(self, of: Sections, references: Mapping[str, int] | None = None, schema: Schema = SCHEMA) -> None:
        self.schema = schema
        self.rows: dict[str, dict[Key, Record]] = {
            model.name: {record.key: record for record in of.records(model)} for model in schema
        }
        self.accounts = dict(references or {})
        """Per company, references from what is not declared."""
        self.written: list[tuple[str, list[Change]]] = []
        self._read: list[str] = []

    def count(self, model: Model, where: Q | None = None) -> int:
        return len(self.rows[model.name])

    def has_more_than(self, model: Model, number: int) -> bool:
        return len(self.rows[model.name]) > number

    def records(self, model: Model, where: Q | None = None) -> Iterator[Record]:
        self._read.append(model.name)
        try:
            yield from (self.rows[model.name][key] for key in sorted(self.rows[model.name]))
        finally:
            self._read.remove(model.name)

    def lines(self, model: Model, where: Q | None = None) -> Iterator[bytes]:
        return record_lines.lines_of(model.shape(), self.records(model, where))

    def blocks(self, model: Model, where: Q | None = None) -> Iterator[tuple[Partition, Iterator[bytes]]]:
        for partition, records in groupby(self.records(model, where), lambda record: model.partition_of(record.key)):
            yield partition, record_lines.lines_of(model.shape(), records)

    def partition(self, model: Model, partition: Partition) -> Iterator[bytes]:
        for found, lines in self.blocks(model):
            if found == partition:
                yield from lines

    def places(self, model: Model) -> Places:
        cut = [part for part in model.references if part.name in model.partition]
        rows = [sorted(self.rows[str(part.references)]) for part in cut]
        return Places(model, [{name: str(pk) for pk, (name,) in enumerate(keys)} for keys in rows])

    def updated(self, model: Model, where: Q | None = None) -> Iterator[str | None]:
        yield from (record.created_at for record in self.records(model, where))

    def lookup(self, model: Model, keys: Iterable[Key]) -> Iterator[Record]:
        yield from (self.rows[model.name][key] for key in keys if key in self.rows[model.name])

    def filling(self, most: int, *, alone: bool = False) -> AbstractContextManager[None]:
        return nullcontext()

    def references(self, model: Model, key: Key) -> int:
        naming = sum(
            found[position] == key[0]
            for other in self.schema
            for position, part in enumerate(other.key)
            if part.references == model.name
            for found in self.rows[other.name]
        )
        return naming + self.accounts.get(key[0], 0)

    def add(self, model: Model, records: Sequence[Record], now: dt.datetime) -> None:
        self.write(model, [Change(record.key, None, record) for record in records], now)

    def write(self, model: Model, changes: Sequence[Change], now: dt.datetime) -> None:
        assert model.name not in self._read, "written while it is read"
        rows = self.rows[model.name]
        self.written.append((model.name, list(changes)))
        for change in changes:
            if rows.get(change.key) != change.before:
                raise RegisterMoved(str(change.key))
            if change.after is None:
                if model.name in self.schema.referred:
                    assert not self.references(model, change.key), "deleted while something refers to it"
                del rows[change.key]
            else:
                for part, name in zip(model.references, model.names_in(change.key), strict=False):
                    assert (name,) in self.rows[str(part.references)], "written before what it refers to"
                created_at = change.after.created_at or TIMESTAMP.to_text(now)
                rows[change.key] = change.after._replace(created_at=created_at)

    def rename(self, model: Model, changes: Sequence[Change], now: dt.datetime) -> None:
        rows, names = self.rows[model.name], dict[str | None, str]()
        for change in changes:
            if rows.get(change.key) != change.before:
                raise RegisterMoved(str(change.key))
            assert change.after is not None
            names[change.key[0]] = change.after.key[0]
        for change in changes:
            del rows[change.key]
        rows.update({change.after.key: change.after for change in changes if change.after is not None})
        for other in self.schema:
            for part in other.references:
                if part.references == model.name:
                    self.rows[other.name] = _named(other, part.name, names, self.rows[other.name].values())

    def content(self) -> dict[str, list[Record]]:
        return {model.name: list(self.records(model)) for model in self.schema}
