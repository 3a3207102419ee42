"""Checking and reading a 2.0 file.

A file is untrusted. :meth:`BackupFile.check` reads the whole of it once and says everything that is
wrong with it; only a file that it found whole can be read for use, and what is then read is hashed again
and must be what was checked.
"""

from __future__ import annotations

import hashlib
import json
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from operator import eq
from typing import Any, BinaryIO, NamedTuple, NoReturn

import msgspec
import orjson
from django.db import DataError

from recordsync.backupfile.layout import (
    END,
    METADATA_START,
    TRAILER_START,
    Section,
    deletion_names,
    row_names,
    sections,
)
from recordsync.backupfile.lines import Lines, are_legal, illegal
from recordsync.backupfile.metadata import VERSION, Metadata, parse_metadata
from recordsync.changes import Deletion, are_in_order, join
from recordsync.errors import FileError, InvalidFile, OutOfOrder, SourceChanged, digest_start, wrong_checksum
from recordsync.files import decompressed
from recordsync.progress import EVERY, Progress, no_progress
from recordsync.records import Key, Record, canonical_json, checksum
from recordsync.schema import Model, Schema, Shape

_SHA256_SHAPE = frozenset("0123456789abcdef")
_CHANGED = "The file has changed since it was checked: check it again."
_BLOCK = 1 << 18
"""Bytes that are read at a time."""
_SHOWN = 200
"""An error shows this many characters of a value."""
_KEY = 300
_MESSAGE = 2000


@dataclass(frozen=True)
class Limits:
    """What a file may cost us: uncompressed bytes, bytes of one line, and how many errors are kept."""

    content: int = 8 << 30
    line: int = 16 << 20
    errors: int = 100


@dataclass
class Report:
    """What a check found. ``errors`` are the first ones, ``error_count`` counts all of them; ``warnings``: what is odd
    and does no harm."""

    metadata: Metadata | None = None
    errors: list[FileError] = field(default_factory=list)
    error_count: int = 0
    warnings: list[str] = field(default_factory=list)
    digest: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    deleted: int = 0
    deleted_per_model: dict[str, int] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        return not self.error_count

    @property
    def valid_metadata(self) -> Metadata:
        """The metadata of a file that was checked and found valid. Raises :class:`InvalidFile` for any other."""
        if self.metadata is None or not self.valid:
            raise InvalidFile([FileError("the file has not been checked, or is not valid")])
        return self.metadata


class _Broken(Exception):
    """The file's structure ends here: what follows cannot be read."""

    def __init__(self, error: FileError) -> None:
        super().__init__(str(error))
        self.error = error


class _Run(NamedTuple):
    """Lines of a section that follow each other: the number of the first, and each without comma and line's end."""

    section: Section
    first: int
    rows: list[bytes]

    def numbered(self) -> Iterator[tuple[int, bytes]]:
        return enumerate(self.rows, self.first)


class BackupFile:
    """A backup file opened for reading. Not thread-safe: two readings at once need two of them."""

    def __init__(self, source: BinaryIO, schema: Schema, limits: Limits | None = None) -> None:
        """``source``: a seekable binary stream, plain or compressed; it stays open and is the caller's."""
        self._source = source
        self._schema = schema
        self._limits = limits or Limits()
        self.report = Report()

    @property
    def metadata(self) -> Metadata:
        """The file's metadata. Only of a file that was checked and found valid."""
        return self.report.valid_metadata

    @property
    def is_complete(self) -> bool:
        """Whether the file speaks about every record: see :attr:`Metadata.is_complete`."""
        return self.metadata.is_complete

    def shape(self, model: Model) -> Shape:
        """The fields that this file's records of a model have."""
        return model.shape(self.metadata.fields[model.name])

    def check(self, progress: Progress = no_progress) -> Report:
        """Read and check the whole file. Never raises for what is wrong with the content: it reports it.

        Raises OSError where the file cannot be read at all.
        """
        self.report = report = Report()

        def note(error: FileError) -> None:
            report.error_count += 1
            if len(report.errors) < self._limits.errors:
                report.errors.append(_bounded(error))

        try:
            with self._reading() as reading:
                self._check_content(reading, report, note, progress)
        except _Broken as broken:
            note(broken.error)
        except InvalidFile as damaged:
            for error in damaged.errors:
                note(error)
        if report.valid and report.deleted:
            try:
                self._check_deleted_apart(report)
            except SourceChanged:
                note(FileError("the file changed while it was being checked"))
        return report

    def _check_content(
        self, reading: _Reading, report: Report, note: Callable[[FileError], None], progress: Progress
    ) -> None:
        metadata = report.metadata = reading.metadata()
        counts = {model.name: 0 for model in self._schema}
        deleted = dict(counts)
        total = sum(metadata.totals.values())
        parsers = {
            section.place: _DeletionParser(section)
            if section.deleted
            else _RecordParser(section, section.model.shape(metadata.fields[section.model.name]))
            for section in sections(self._schema)
        }
        last: dict[str, Key] = {}
        done = 0
        for run in reading.runs():
            place = run.section.place
            (deleted if run.section.deleted else counts)[run.section.model.name] += len(run.rows)
            parser, before = parsers[place], last.get(place)
            keys = parser.keys(run.rows)
            if keys is not None and are_in_order(keys if before is None else [before, *keys]):
                last[place] = keys[-1]
            elif (key := _check_each(run, parser, before, note)) is not None:
                last[place] = key
            done += len(run.rows)
            progress("check", done, total)
        progress("check", done, total)
        report.counts = counts
        report.deleted_per_model = deleted
        report.deleted = sum(deleted.values())
        for name, count in counts.items():
            if count != metadata.totals[name]:
                note(
                    FileError(
                        f"the metadata say {metadata.totals[name]:,} {name}, and the file holds {count:,}",
                        1,
                        field=f"total_{name}",
                        value=metadata.totals[name],
                        expected=count,
                    )
                )
        report.digest = reading.trailer({**counts, "deleted": report.deleted}, note)

    def _check_deleted_apart(self, report: Report) -> None:
        """No key stands both among the records and among the deletions."""
        errors: list[FileError] = []
        count = 0
        for model in self._schema:
            if not self.report.deleted_per_model[model.name]:
                continue
            with self.open() as reader:
                for record, deleted in join(reader.records(model), self._deletions(model)):
                    if record is not None and deleted is not None:
                        message = "it stands among the records and among the deleted"
                        count += 1
                        if count <= self._limits.errors:
                            errors.append(FileError(message, deleted[2], record.key, section=model.name))
        # Only now: a file with errors cannot be read for use.
        report.errors += errors
        report.error_count += count

    @contextmanager
    def open(self) -> Iterator[Reader]:
        """Read a valid file for use: see :class:`Reader`.

        Raises :class:`SourceChanged` also where the block fails over what a changed file gave it.
        """
        with self._reading() as reading:
            reader = Reader(reading, self)
            try:
                yield reader
            except (OutOfOrder, LookupError, TypeError, ValueError, DataError) as error:
                if self._has_changed():
                    raise SourceChanged(_CHANGED) from error
                raise

    def _has_changed(self) -> bool:
        with self._reading() as reading:
            try:
                Reader(reading, self).finish()
            except SourceChanged:
                return True
        return False

    def records(self, model: Model) -> Iterator[Record]:
        """A model's records in key order, read by themselves."""
        with self.open() as reader:
            yield from reader.records(model)
            reader.finish()

    def deletions(self, model: Model) -> Iterator[Deletion]:
        """What the file lists as deleted of a model, in key order, read by itself."""
        for _key, deletion, _line in self._deletions(model):
            yield deletion

    def _deletions(self, model: Model) -> Iterator[tuple[Key, Deletion, int]]:
        """The deletions with their lines."""
        if not self.report.deleted_per_model.get(model.name):
            return
        names = deletion_names(model)
        at = [names.index(name) for name in model.key_names]
        with self._reading() as reading, _trusted():
            reading.metadata()
            for run in reading.runs():
                if run.section.deleted and run.section.model is model:
                    for line, row in run.numbered():
                        values = tuple(orjson.loads(row).values())
                        deletion = Deletion(tuple(values[position] for position in at), values[names.index("checksum")])
                        yield deletion.key, deletion, line
            if reading.digest() != self.report.digest:
                raise SourceChanged(_CHANGED)

    @contextmanager
    def _reading(self) -> Iterator[_Reading]:
        with ExitStack() as stack:
            # Each reading has its own position, so that two can go on at once.
            source = stack.enter_context(_reopened(self._source))
            yield _Reading(stack.enter_context(decompressed(source, self._limits.content)), self._schema, self._limits)


class Reader:
    """One pass through a valid file. The models are read in the file's order."""

    def __init__(self, reading: _Reading, file: BackupFile) -> None:
        self._reading = reading
        self._file = file
        with _trusted():
            if reading.metadata() != file.metadata:
                raise SourceChanged(_CHANGED)
        self._runs = reading.runs()
        self._pending: _Run | None = None

    def records(self, model: Model) -> Iterator[Record]:
        """The next model's records, in key order. Those of models before it are passed over."""
        shape = self._file.shape(model)
        parts, record = Lines(shape).parts, shape.record
        with _trusted():
            for run in self._next_runs():
                if run.section.deleted or run.section.model is not model:
                    if not run.section.deleted and self._is_before(run.section.model, model):
                        continue
                    self._pending = run
                    return
                for row in run.rows:
                    *values, _checksum, created_at = parts(row)
                    yield record(tuple(values), created_at)

    def finish(self) -> None:
        """Read on to the end, and make sure that what was read is what was checked.

        Raises :class:`SourceChanged`.
        """
        with _trusted():
            for _run in self._next_runs():
                pass
            if self._reading.digest() != self._file.report.digest:
                raise SourceChanged(_CHANGED)

    def _next_runs(self) -> Iterator[_Run]:
        """The runs from here on. Not ``yield from``: closing this iterator must not close the reading."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            yield pending
        while (run := next(self._runs, None)) is not None:
            yield run

    def _is_before(self, one: Model, other: Model) -> bool:
        order = self._file._schema.models
        return order.index(one) < order.index(other)


@contextmanager
def _trusted() -> Iterator[None]:
    """Around reading what a check found valid: if it cannot be read now, it was changed."""
    try:
        yield
    except (_Broken, InvalidFile, ValueError, msgspec.MsgspecError, IndexError, AttributeError) as error:
        raise SourceChanged(_CHANGED) from error


@contextmanager
def _reopened(source: BinaryIO) -> Iterator[BinaryIO]:
    """A stream over the same content with a position of its own."""
    yield _Positioned(source)  # type: ignore[misc]


class _Positioned:
    """A view of a seekable stream that keeps its own position, so that several can be read in turns."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        self._source.seek(self._at)
        data = self._source.read(size)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        self._source.seek(self._at)
        self._at = self._source.seek(offset, whence)
        return self._at


class _Reading:
    """One pass over the lines of a file. Knows the layout, not what a record is."""

    def __init__(self, stream: BinaryIO, schema: Schema, limits: Limits) -> None:
        self._stream = stream
        self._schema = schema
        self._limits = limits
        self._hash = hashlib.sha256()
        self._number = 0
        self._line = b""
        # Read by blocks: what of them is not used yet, and the start of a line whose end is not read yet.
        self._ahead: list[bytes] = []
        self._rest = b""

    def _advance(self, place: str) -> None:
        """Read the next line and add it to the digest."""
        self._read_line(place)
        self._hash.update(self._line)

    def _read_line(self, place: str) -> None:
        self._number += 1
        if not self._look_ahead():
            if self._number == 1:
                self._refuse_foreign(self._rest)
            why = "is cut short or was not written whole" if self._rest or self._number > 1 else "is empty or cut short"
            self._break(f"the file ends in {place}: it {why}")
        self._line = self._ahead.pop(0)
        if len(self._line) > self._limits.line:
            self._break_too_long()

    def _look_ahead(self) -> bool:
        """Have whole lines ahead; False at the end of the file (``_rest`` is then a line without an end)."""
        while not self._ahead:
            if len(self._rest) > self._limits.line:
                self._break_too_long()
            block = self._stream.read(_BLOCK)
            if not block:
                return False
            self._ahead = BytesIO(self._rest + block).readlines()
            self._rest = b"" if self._ahead[-1].endswith(b"\n") else self._ahead.pop()
        return True

    def _break_too_long(self) -> NoReturn:
        if self._number == 1:
            self._refuse_foreign(self._rest or self._line)
        self._break(f"a line is longer than the limit of {self._limits.line:,} bytes")

    def _break(self, message: str, **details: Any) -> NoReturn:
        raise _Broken(FileError(message, self._number, **details))

    def metadata(self) -> Metadata:
        """The first line."""
        self._advance("the metadata")
        self._refuse_foreign(self._line)
        content = self._object(self._line[len(METADATA_START) : -2], "metadata")
        try:
            return parse_metadata(content, self._schema)
        except msgspec.ValidationError as error:
            message, _, path = str(error).partition(" - at ")
            where = path.rpartition("$.")[2].rstrip("`").replace("[...]", "") or _quoted(message)
            self._break(f"metadata {where}: {message}", field=where, value=_kept(_at(content, where)))

    def _refuse_foreign(self, line: bytes) -> None:
        """Break at a first line that no file of ours has; one without an end may be the start of ours, cut short."""
        if not line.startswith(METADATA_START) and not METADATA_START.startswith(line):
            self._refuse_other_format(line)
        try:
            text = line.removeprefix(METADATA_START).decode(errors="replace").lstrip()  # it may be cut in a character
            content, end = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError):  # whoever reads on says what is wrong with it
            return
        version = content.get("version") if isinstance(content, dict) else VERSION
        if version != VERSION:
            self._break(
                f"this is a file of version {_shown(version)}; this program reads version {VERSION}",
                field="version",
                value=_kept(version),
            )
        if not ",\n".startswith(text[end:]):
            self._refuse_other_format(line)

    def _refuse_other_format(self, line: bytes) -> NoReturn:
        if line.removeprefix(BOM_UTF8).lstrip().startswith(b"{"):
            self._break(
                "this is not a backup file of version 2.0 as Muster writes it: its first line is not "
                '{"metadata":{…}, alone. If it is one that another program has laid out anew, use the original'
            )
        self._break("this is not a backup file")

    def runs(self) -> Iterator[_Run]:
        """Every line that holds a record or a deletion, in the file's order; then the trailer is next."""
        line, position = self._line, len(self._line) - 2
        for section in sections(self._schema):
            line, position = self._expect(line, position, section.opening, section.place)
            if line[position:] == b"\n":
                more = True
                while more:
                    run = self._run(section.place)
                    first = self._number + 1
                    self._number += len(run)
                    self._hash.update(b"".join(run))
                    more = run[-1].endswith(b",\n")
                    last = run[-1][: -2 if more else -1]
                    yield _Run(section, first, [line[:-2] for line in run[:-1]] + [last])
                self._advance(section.place)
                line, position = self._line, 0
            line, position = self._expect(line, position, b"]", section.place)
        self._expect(line, position, END, "the end of the records")

    def _run(self, place: str) -> list[bytes]:
        """The lines at hand that hold rows: at least one, and the section's last only at the end."""
        longest = self._limits.line
        if self._look_ahead():
            lines = self._ahead
            others = (n for n, line in enumerate(lines) if line[:1] != b"{" or len(line) > longest)
            ends = (n + 1 for n, line in enumerate(lines) if line[-2:] != b",\n")
            length = min(next(others, len(lines)), next(ends, len(lines)), EVERY)
            if length:
                run, self._ahead = lines[:length], lines[length:]
                return run
        self._advance(place)
        return self._break(f"a record of {place} was expected, and there is {_shown(self._line)}")

    def _expect(self, line: bytes, position: int, text: bytes, place: str) -> tuple[bytes, int]:
        """Read on over ``text``, which may go on in the next line; the trailer line is not hashed."""
        for part in text.splitlines(keepends=True):
            if not line.startswith(part, position):
                self._break(f"in {place}, {part.decode()!r} was expected, and there is {_shown(line[position:])}")
            position += len(part)
            if part.endswith(b"\n"):
                if text is END:
                    self._read_line("the trailer")
                else:
                    self._advance(place)
                line, position = self._line, 0
        return line, position

    def digest(self) -> str:
        """SHA-256 of everything before the trailer line. Once the rows have been read."""
        return self._hash.hexdigest()

    def trailer(self, counts: dict[str, int], note: Callable[[FileError], None]) -> str:
        """Check the last line, and that nothing follows it; the digest."""
        line = self._line
        if not line.endswith(b"}\n"):
            self._break("the trailer does not end with a brace and the line's end")
        content = self._object(line[len(TRAILER_START) : -2], "trailer")
        if self._ahead or self._rest or self._stream.read(1):
            self._number += 1
            self._break("something follows the trailer")
        expected = {**counts, "sha256": self.digest()}
        for name, value in expected.items():
            if name not in content or type(content[name]) is not type(value):
                self._break(f"the trailer has no {name}", field=name)
            if content[name] != value:
                message = f"the trailer says {name} {content[name]}, and the file holds {value}"
                if name == "sha256":
                    said, found = digest_start(content[name]), digest_start(value)
                    message = (
                        f"the trailer says sha256 {said}, and the content's is {found}: the file is damaged or was "
                        "changed by hand"
                    )
                note(FileError(message, self._number, field=name, value=content[name], expected=value))
        if len(content) != len(expected):
            self._break("the trailer has fields that are not known")
        return self.digest()

    def _object(self, text: bytes, what: str) -> dict[str, Any]:
        """A JSON object that is written as we write it. Anything else breaks the file."""
        try:
            content = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            self._break(f"the {what} are not JSON: {error}")
        if not isinstance(content, dict):
            self._break(f"the {what} are not an object")
        if not _is_canonical(content, text):
            self._break(f"the {what} are not in canonical form (a name given twice, other order or spacing)")
        return content


def _check_each(
    run: _Run, parser: _RecordParser | _DeletionParser, before: Key | None, note: Callable[[FileError], None]
) -> Key | None:
    """Look at each line of a run in which something is wrong, or may be; the last legal key, or ``before``."""
    for line, row in run.numbered():
        key = parser.check(row, line, note)
        if key is not None:
            if before is not None and key <= before:
                twice = key == before
                what = "it stands twice" if twice else "it is out of order: the record before it belongs after it"
                value = None if twice else list(before)
                note(FileError(what, line, key, value=value, section=run.section.place))
            before = key
    return before


class _RecordParser:
    """Checks the lines of one model's records."""

    def __init__(self, section: Section, shape: Shape) -> None:
        self._section = section
        self._shape = shape
        self._names = row_names(shape.names)
        self._lines = Lines(shape)

    def keys(self, rows: Sequence[bytes]) -> list[Key] | None:
        """The records' keys, if nothing is wrong with any of these lines.

        A line that we would write for legal values is right in everything: layout, names, checksum.
        """
        try:
            parts = list(map(self._lines.parts, rows))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        contents = [part[:-2] for part in parts]
        moments = [part[-1] for part in parts]
        if not are_legal(self._shape, contents, moments):
            return None
        written = map(self._lines.line, contents, moments)
        return list(map(self._shape.key, contents)) if all(map(eq, written, rows)) else None

    def check(self, row: bytes, line: int, note: Callable[[FileError], None]) -> Key | None:
        """The record's key, where it has a legal one; everything wrong with the line goes to ``note``."""
        keys = self.keys([row])
        return self._find_wrong(row, line, note) if keys is None else keys[0]

    def _find_wrong(self, row: bytes, line: int, note: Callable[[FileError], None]) -> Key | None:
        """As :meth:`check`, for a line that is not right."""
        content = _parse_row(self._section, row, line, self._names, note)
        if content is None:
            return None
        given = content.pop("checksum")
        created_at = content.pop("created_at")
        values = tuple(content.values())
        key_names = self._shape.model.key_names
        key = tuple(content[name] for name in key_names)
        wrong: set[str] = set()
        for name, value, expected in illegal(self._shape, values, created_at):
            wrong.add(name)
            note(_illegal(self._section, line, key, name, value, expected))
        if not wrong and given != (right := checksum(content)):
            message = wrong_checksum(given, right)
            note(FileError(message, line, key, "checksum", _kept(given), self._section.place, expected=right))
        return None if wrong.intersection(key_names) else key


class _DeletionParser:
    """Checks the lines of one model's deletions."""

    def __init__(self, section: Section) -> None:
        self._section = section
        self._model = section.model
        self._names = deletion_names(section.model)

    def keys(self, rows: Sequence[bytes]) -> None:
        """As :meth:`_RecordParser.keys`. Deletions are few: each is looked at."""

    def check(self, row: bytes, line: int, note: Callable[[FileError], None]) -> Key | None:
        """As :meth:`_RecordParser.check`."""
        content = _parse_row(self._section, row, line, self._names, note)
        if content is None:
            return None
        key = tuple(content[name] for name in self._model.key_names)
        problems = [
            (f.name, content[f.name], expected)
            for f in self._model.key
            if (expected := f.type.error(content[f.name])) is not None
        ]
        digest = content["checksum"]
        if type(digest) is not str or len(digest) != 64 or not _SHA256_SHAPE.issuperset(digest):
            problems.append(("checksum", digest, "64 lower-case hex digits"))
        wrong = {name for name, _value, _expected in problems}
        for name, value, expected in problems:
            note(_illegal(self._section, line, key, name, value, expected))
        return None if wrong.intersection(self._model.key_names) else key


def _parse_row(
    section: Section, row: bytes, line: int, names: Sequence[str], note: Callable[[FileError], None]
) -> dict[str, Any] | None:
    """The line's object if it has exactly these names, written as we write them."""
    place = section.place
    try:
        content: dict[str, Any] = orjson.loads(row)  # the line starts with a brace
    except orjson.JSONDecodeError as error:
        note(FileError(f"the line is not JSON: {error}", line, value=_shown(row), section=place))
        return None
    if set(content) != set(names):
        key_names = section.model.key_names
        key = tuple(content.get(name) for name in key_names)
        for name in names:
            if name not in content:
                note(FileError(f"the field {name} is missing", line, _text_key(key), name, section=place))
        for name in content:
            if name not in names:
                message = f"the field {_shown(name)} is not known"
                note(FileError(message, line, _text_key(key), _kept(name), _kept(content[name]), place))
        return None
    if not _is_canonical(content, row):
        key = tuple(content[name] for name in section.model.key_names)
        message = "the line is not in canonical form (a name given twice, other order or spacing)"
        note(FileError(message, line, _text_key(key), section=place))
        return None
    return content


def _is_canonical(content: dict[str, Any], text: bytes) -> bool:
    """Whether the text is how we would write the object. So no name is given twice, which parsers accept."""
    try:
        return canonical_json(content) == text
    except TypeError:  # nested deeper than anything we write
        return False


def _illegal(section: Section, line: int, key: Sequence[Any], name: str, value: Any, expected: str) -> FileError:
    """A value that cannot stand in a field."""
    message = f"{name} is {_shown(value)}, where {expected} is expected"
    return FileError(message, line, _text_key(key), name, _kept(value), section.place)


def _shown(value: Any) -> str:
    """A value in an error message: as JSON, or the start of a text; never more than a line."""
    text = value.decode("utf-8", "backslashreplace").rstrip("\n") if isinstance(value, bytes) else _as_json(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _kept(value: Any) -> Any:
    """A value that an error carries: itself, unless it is long or deep."""
    return value if value is None or isinstance(value, int | float) else _cut(value)


def _cut(value: Any, length: int = _SHOWN) -> str:
    text = value if isinstance(value, str) else _as_json(value)
    return text if len(text) <= length else text[:length] + "…"


def _as_json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "(a value nested too deeply)"


def _bounded(error: FileError) -> FileError:
    """The error with nothing in it that is longer than a person reads: a file may hold names of megabytes."""
    return replace(
        error,
        message=_cut(error.message, _MESSAGE),
        key=error.key and tuple(_cut(part, _KEY) for part in error.key),
        field=error.field and _cut(error.field),
    )


def _text_key(key: Sequence[Any]) -> tuple[str, ...]:
    return tuple(_cut(part, _KEY) if part is not None else "" for part in key)


def _quoted(message: str) -> str:
    """The name that a validation message quotes last."""
    parts = message.split("`")
    return parts[-2] if len(parts) > 2 else ""


def _at(content: Any, path: str) -> Any:
    """The value at a dotted path, or None."""
    for name in path.split("."):
        if not isinstance(content, dict) or name not in content:
            return None
        content = content[name]
    return content
