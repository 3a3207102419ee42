"""The check of a 1.0 file. It is parsed as a stream, checked, and copied in key order to a temporary file that nobody
else can open. That copy is merged, so what is merged was checked.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
import uuid
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import InvalidOperation
from operator import itemgetter
from typing import IO, Any, BinaryIO, Final, cast

import ijson
import orjson

from core.formats.v1_0 import MISSING, MODELS, VERSION, V1File, canonical, checksum_v1_0, id_v1_0, moment_v1_0
from core.models import TIME_FIELDS, Phase
from core.operations.wording import SECTIONS, shown_key
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, NOT_CONTENT
from recordsync.backupfile import Findings, InstallationName, Limits, Metadata
from recordsync.backupfile.messages import wrong_checksum
from recordsync.backupfile.metadata import Application
from recordsync.errors import FileError, InvalidFile
from recordsync.model.schema import Model
from recordsync.streams.sort import sorted_on_disk, stored
from recordsync.system.files import decompressed
from recordsync.system.progress import EVERY, Progress, no_progress

_HEAD: Final = 1 << 16
_REQUIRED: Final = {
    COMPANIES.name: {"name", "checksum"},
    ATTENDANCE_RECORDS.name: {"ep_no", "ep_name", "company_name", "date", "status", "checksum"},
}
_KNOWN: Final = {model.name: {*model.names, *NOT_CONTENT} for model in MODELS}
_METADATA: Final = {"version", "created_at", "backup_type", "total_companies", "total_attendance_records"}
_SHOWN: Final = 200
_MOST_NAMES: Final = 64
_MOST_DIGITS: Final = 600
_DIGITS: Final = re.compile(rb"[0-9]{%d}" % (_MOST_DIGITS + 1))
_START: Final = re.compile(rb'\s*\{\s*("companies"|"attendance_records"|"metadata"\s*:\s*\{[^{}]*\})')
"""How a 1.0 file begins, whatever is wrong in it. The metadata of other versions holds objects."""


def is_v1_0(source: BinaryIO, limits: Limits) -> bool:
    """Whether a seekable stream looks like a 1.0 file. Raises InvalidFile for damaged compression."""
    with decompressed(source, limits.content) as content:
        head = content.read(_HEAD)
    return _START.match(head.removeprefix(BOM_UTF8)) is not None


class _Broken(Exception):
    """The rest of the file cannot be read."""


class _OtherVersion(Exception):
    """The file says that it is of another version than 1.0, so that what else is in it cannot be judged. The text of
    the exception is that version."""


class _Bounded:
    """A stream for the parser. It hashes what it reads, and raises _Broken where one object has more bytes than a line
    may have.

    It also raises _Broken before the parser gets a number that Python might not convert to an integer (one with more
    digits than ``sys.set_int_max_str_digits`` allows, 640 or more): that would leave ijson's C code in a state that can
    kill the process.
    """

    def __init__(self, stream: BinaryIO, most: int) -> None:
        self._stream, self._most = stream, most
        self._before = b""
        self.since_object = 0
        self._at_start = True
        self.hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.hash.update(data)
        self.since_object += len(data)
        if self._at_start and data:  # the parser first reads 0 bytes, to see what type it gets
            self._at_start = False
            data = data.removeprefix(BOM_UTF8)
        if self.since_object > self._most:
            raise _Broken(f"a record is longer than {self._most:,} bytes")
        seen = self._before + data
        if _DIGITS.search(seen):
            raise _Broken(f"a number or a text has more than {_MOST_DIGITS} digits in a row")
        self._before = seen[-_MOST_DIGITS:]
        return data


@contextmanager
def check_v1_0(source: BinaryIO, limits: Limits | None = None, progress: Progress = no_progress) -> Iterator[V1File]:
    """A 1.0 file that was read whole and found valid, until the block ends.

    ``source``: a seekable binary stream, plain or compressed; it stays open and is the caller's. Its records are
    sorted into a temporary file. Raises :class:`recordsync.errors.InvalidFile` with everything that is wrong. Touches
    no database.
    """
    with tempfile.TemporaryFile() as copy:
        yield _Checker(source, limits or Limits(), copy, progress).check()


class _Checker:
    """Reads one whole file, checks everything in it, and makes the sorted copy."""

    def __init__(self, source: BinaryIO, limits: Limits, copy: IO[bytes], progress: Progress) -> None:
        self._source = source
        self._limits = limits
        self._copy = copy
        self._progress = progress
        self._findings = Findings(limits)
        self._warnings: list[str] = []
        self._bounds: dict[str, tuple[int, int]] = {}
        self._given: dict[str, int] = {}
        self._counts = {model.name: 0 for model in MODELS}
        self._repeated = {model.name: 0 for model in MODELS}
        self._done = 0

    def check(self) -> V1File:
        """The file. Raises InvalidFile."""
        with ExitStack() as stack:
            files: dict[str, IO[bytes]] = {
                model.name: stack.enter_context(tempfile.TemporaryFile()) for model in MODELS
            }
            content = stack.enter_context(decompressed(self._source, self._limits.content))
            try:
                stream = _Bounded(content, self._limits.line)
                described = self._read(stream, files)
            except (ijson.JSONError, UnicodeDecodeError, InvalidOperation, _Broken) as error:
                what = str(error).partition("\n")[0][:_SHOWN]  # in the lines below, the parser shows the place
                if isinstance(error, InvalidOperation):
                    what = "a number has an exponent that is too large"
                self._findings.note(FileError(f"the file is not a 1.0 backup, or not whole: {what}"))
                self._findings.require_none()
            except _OtherVersion as other:
                text = f'this is a file of version {other}; this program reads version "{VERSION}" in this layout'
                raise InvalidFile([FileError(text, field="version", value=str(other))]) from None
            for model in MODELS:
                self._sort(model, files[model.name])
        if (more := sum(self._repeated.values()) - len(self._warnings)) > 0:
            self._warnings.append(f"{more:,} more records are in the file twice; the second is skipped")
        digest = stream.hash.hexdigest()
        metadata = self._metadata(described, digest)
        return V1File(metadata, digest, self._copy, self._bounds, self._counts, self._repeated, self._warnings)

    def _read(self, stream: _Bounded, files: dict[str, IO[bytes]]) -> dict[str, Any]:
        """The metadata object. Reads the file once, and checks its records."""
        events = ijson.basic_parse(stream)
        self._stream = stream
        metadata: dict[str, Any] | None = None
        seen: set[str] = set()
        if next(events, None) != ("start_map", None):
            raise _Broken("it does not start with an object")
        for event, name in events:
            if event == "end_map":
                break
            if name in seen:
                raise _Broken(f"the name {name!r} is given twice")
            seen.add(name)
            kind, _ = next(events)
            if name == "metadata" and kind == "start_map":
                metadata = self._object(events, "metadata")
                if (version := metadata.get("version", VERSION)) != VERSION:
                    raise _OtherVersion(json.dumps(version, default=float)[:_SHOWN])
            elif name in files and kind == "start_array":
                model = next(model for model in MODELS if model.name == name)
                count = 0
                for inner, _value in events:
                    if inner == "end_array":
                        break
                    if inner != "start_map":
                        raise _Broken(f"{name}: something else is where a record is expected")
                    count += 1
                    self._record(model, self._object(events, f"{name}, record {count}"), count, files[name])
                self._given[name] = count
            else:
                raise _Broken(f"{str(name)[:_SHOWN]!r} is not known here, or is not of the right kind")
        for _rest in events:
            raise _Broken("something follows the end")
        for missing in sorted({"metadata", *files} - seen):
            self._findings.note(FileError(f"the file has no {missing}", field=missing))
        return metadata or {}

    def _object(self, events: Iterator[tuple[str, Any]], place: str) -> dict[str, Any]:
        """The members of a flat object, whose start has been read."""
        members: dict[str, Any] = {}
        name = ""
        for event, value in events:
            if event == "end_map":
                self._stream.since_object = 0
                break
            if event == "map_key":
                name = value
                if name in members:
                    raise _Broken(f"{place}: the name {name[:_SHOWN]!r} is given twice")
                if len(members) >= _MOST_NAMES:
                    raise _Broken(f"{place}: more than {_MOST_NAMES} names")
            elif event in ("start_map", "start_array"):
                raise _Broken(f"{place}: {name[:_SHOWN]} is an object or a list")
            else:
                members[name] = value
        return members

    def _record(self, model: Model, record: dict[str, Any], position: int, out: IO[bytes]) -> None:
        """Check one record, and keep it in its canonical form if it is right."""
        values: list[Any] = [canonical(name, record[name]) if name in record else MISSING for name in model.names]
        created_at, updated_at = record.get("created_at"), record.get("updated_at")
        moment = moment_v1_0(created_at)
        right = (
            record.keys() <= _KNOWN[model.name]
            and record.keys() >= _REQUIRED[model.name]
            and model.shape().are_valid([values])
            and (moment is not None or created_at is None)
            and (updated_at is None or moment_v1_0(updated_at) is not None)
            and record["checksum"] == checksum_v1_0(model, record)
        )
        # A record that lacks only fields that it may lack is right too.
        if right or self._nothing_wrong(model, record, position):
            item = [model.shape().key(values), values, moment, position]
            out.write(orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE))
        self._done += 1
        if self._done % EVERY == 0:
            self._progress(Phase.CHECK, self._done, None)

    def _nothing_wrong(self, model: Model, record: dict[str, Any], position: int) -> bool:
        """Whether nothing is wrong with a record. Looks at it name by name, and notes everything that is wrong."""
        key = model.spelt([str(record.get(name, ""))[:_SHOWN] for name in model.key_names])
        before = self._findings.count

        def wrong(field: str, what: str, value: Any = None, expected: Any = None) -> None:
            shown = None if value is None else str(value)[:_SHOWN]
            self._findings.note(FileError(what, None, key, field[:_SHOWN], shown, model.name, position, expected))

        for name in sorted(_REQUIRED[model.name] - record.keys()):
            wrong(name, f"the field {name} is missing")
        for name in record.keys() - _KNOWN[model.name]:
            wrong(name, f"the field {name[:_SHOWN]!r} is not known", record[name])
        for name, field in model.all_fields.items():
            if name in record and field.type.error(canonical(name, record[name])) is not None:
                expected = "a time HH:MM or null" if name in TIME_FIELDS else field.type.expectation()
                wrong(name, f"{name} is {str(record[name])[:_SHOWN]!r}, where {expected} is expected", record[name])
        for name in ("created_at", "updated_at"):
            if record.get(name) is not None and moment_v1_0(record[name]) is None:
                wrong(name, f"{name} is {str(record[name])[:_SHOWN]!r}, where a moment is expected", record[name])
        if self._findings.count == before and record["checksum"] != (right := checksum_v1_0(model, record)):
            wrong("checksum", wrong_checksum(record["checksum"], right), record["checksum"], right)
        return self._findings.count == before

    def _sort(self, model: Model, unsorted: IO[bytes]) -> None:
        """Copy a model's records in key order, each key once. Notes repeated records and different ones of one key."""
        start = self._copy.seek(0, 2)
        last: list[Any] | None = None
        items = stored(unsorted, 0, unsorted.tell())
        with tempfile.TemporaryFile() as spill:
            for item in sorted_on_disk(items, spill, itemgetter(0, 3)):
                if last is not None and item[0] == last[0]:
                    which = f"records {last[3]} and {item[3]}"
                    if item[1] == last[1]:
                        self._repeated[model.name] += 1
                        if len(self._warnings) < self._limits.errors:
                            place = f"{SECTIONS[model.name]}, {shown_key(model.spelt(item[0]))}, {which}"
                            self._warnings.append(f"{place}: the same record twice; the second is skipped")
                    else:
                        text = f"{which} are two different records with one key"
                        self._findings.note(FileError(text, key=model.spelt(item[0]), section=model.name))
                    continue
                self._copy.write(orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE))
                self._counts[model.name] += 1
                last = item
        self._copy.flush()
        self._bounds[model.name] = (start, self._copy.tell())

    def _metadata(self, described: dict[str, Any], digest: str) -> Metadata:
        """The checked metadata as the engine has it. ``described``: the file's metadata object. Raises InvalidFile with
        everything that is wrong with the file."""
        for name in sorted(_METADATA - described.keys()):
            self._findings.note(FileError(f"metadata: the field {name} is missing", field=name))
        for model in MODELS:
            name = f"total_{model.name}"
            count = self._given.get(model.name, 0)
            if name in described and (type(described[name]) is not int or described[name] != count):
                text = f"metadata: {name} is {str(described[name])[:_SHOWN]}, but there are {count}"
                self._findings.note(FileError(text, field=name, value=str(described[name])[:_SHOWN]))
        created, since = moment_v1_0(described.get("created_at")), moment_v1_0(described.get("since_date"))
        kind = described.get("backup_type")
        right = {
            "backup_type": kind in ("full", "incremental"),
            "created_at": created is not None,
            "since_date": described.get("since_date") is None or since is not None,
        }
        for name in (name for name, is_right in right.items() if not is_right and name in described):
            text = f"metadata: {name} is {str(described[name])[:_SHOWN]!r}, which a 1.0 file cannot say"
            self._findings.note(FileError(text, field=name, value=str(described[name])[:_SHOWN]))
        self._findings.require_none()
        return Metadata(
            version=cast(Any, VERSION),
            id=id_v1_0(digest, cast(str, created)),
            installation=InstallationName(id=str(uuid.UUID(int=0)), name=""),
            parent=None,
            backup_type=cast(Any, kind),
            since_date=since,
            selection=None,
            deletions="unknown",
            created_at=cast(str, created),
            created_by="",
            fields={model.name: list(model.names) for model in MODELS},
            application=Application("", ""),
            totals=dict(self._given),
        )
