"""One pass over the lines of a file. It knows the layout and not what a record is."""

from __future__ import annotations

import hashlib
import json
from codecs import BOM_UTF8
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO, NamedTuple, NoReturn

import msgspec
import orjson

from recordsync.backupfile.blocks import BlockEntry, BlockList, are_canonical
from recordsync.backupfile.layout import (
    AFTER_BASES,
    BASE_END,
    BASE_START,
    BASES_END,
    BASES_START,
    BLOCKS_START,
    END,
    METADATA_START,
    NO_BLOCKS,
    SECTIONS_END,
    TRAILER_START,
    Section,
    sections,
)
from recordsync.backupfile.messages import digest_start, kept, quoted, shown, value_at
from recordsync.backupfile.metadata import VERSION, Metadata, parse_metadata
from recordsync.errors import FileError
from recordsync.history.headers import Header
from recordsync.model.records import canonical_json
from recordsync.model.schema import Model, Schema
from recordsync.system.progress import EVERY

_PIECE = 1 << 18
"""Bytes that one read asks for."""


@dataclass(frozen=True)
class Limits:
    """Limits for a file: bytes of uncompressed content, bytes of one line, and the number of errors that are kept."""

    content: int = 8 << 30
    line: int = 16 << 20
    errors: int = 100


class Malformed(Exception):
    """A file cannot be read as a backup any further. ``error`` says why."""

    def __init__(self, error: FileError) -> None:
        super().__init__(str(error))
        self.error = error


class SectionPart(NamedTuple):
    """Consecutive lines of a section: the number of the first, and each without its comma and line end."""

    section: Section
    first: int
    rows: list[bytes]
    base: int | None = None
    """The position of the base whose section it is; None: it is the file's own."""

    def numbered(self) -> Iterator[tuple[int, bytes]]:
        """The lines with their numbers in the file."""
        return enumerate(self.rows, self.first)


class Scanner:
    """One pass over the lines of a file.

    The first pass checks the file and keeps the digest of each piece of the content (``pieces``). A later pass gets
    these digests and raises Malformed at a piece that has another one, so that nothing is used that was not checked.
    """

    def __init__(
        self,
        stream: BinaryIO,
        schema: Schema,
        limits: Limits,
        checked: Sequence[bytes] | None = None,
        *,
        is_only: bool = False,
    ) -> None:
        """``checked``: the ``pieces`` of the pass that checked the file; None: this pass checks it. ``is_only``: there
        is no later pass, and nothing is kept for one."""
        self.pieces: list[bytes] = []
        self.bases: list[Header] = []
        """The snapshots of the bases that :meth:`parts` has passed."""
        self.blocks: BlockList | None = None
        """The file's list of blocks, in the pass that checks, after :meth:`list_blocks`."""
        self._checked = checked
        self._is_only = is_only
        self._stream = stream
        self._schema = schema
        self._limits = limits
        self._hash = hashlib.sha256()
        self._number = 0
        self._line = b""
        self._models: tuple[Model, ...] = ()
        self._begin = (b"", 0)
        """The line and position where the sections begin, after the list of blocks."""
        # The lines that are read and not used yet, and what follows them: the start of a line whose end is not read
        # yet. After bytes were taken, what follows from a position on may be any bytes.
        self._ahead: list[bytes] = []
        self._rest = b""
        self._taken: int | None = None

    def _advance(self, place: str) -> None:
        """Read the next line and add it to the digest."""
        self._read_line(place)
        self._add_to_digest(self._line)

    def _add_to_digest(self, data: bytes) -> None:
        if self._checked is None:
            self._hash.update(data)

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
        """Whether there are whole lines ahead. At the end of the file there are none, and ``_rest`` is what follows the
        last one."""
        if self._taken is not None:
            rest, self._rest, self._taken = self._rest[self._taken :], b"", None
            self._split(rest)
        while not self._ahead:
            if len(self._rest) > self._limits.line:
                self._break_too_long()
            piece = self._read_piece()
            if not piece:
                return False
            self._split(self._rest + piece)
        return True

    def _split(self, data: bytes) -> None:
        self._ahead = BytesIO(data).readlines()
        self._rest = self._ahead.pop() if self._ahead and not self._ahead[-1].endswith(b"\n") else b""

    def _read_piece(self) -> bytes:
        piece = self._stream.read(_PIECE)
        if piece and not self._is_only:
            self._compare(piece)
        return piece

    def take(self, size: int) -> Iterator[memoryview]:
        """The next bytes, so many, in pieces. They are added to the digest."""
        if self._taken is None:
            self._rest, self._ahead, self._taken = b"".join((*self._ahead, self._rest)), [], 0
        while size:
            if self._taken == len(self._rest):
                self._rest, self._taken = self._read_piece(), 0
                if not self._rest:
                    self._break("the file ends in a block: it is cut short")
            piece = memoryview(self._rest)[self._taken : self._taken + size]
            self._taken += len(piece)
            size -= len(piece)
            self._hash.update(piece)
            yield piece

    def _compare(self, piece: bytes) -> None:
        """Keep the piece's digest, and in a later pass compare it with the one that was kept."""
        digest = hashlib.sha256(piece).digest()
        if self._checked is not None and self._checked[len(self.pieces) : len(self.pieces) + 1] != [digest]:
            self._break("this is not what was checked")
        self.pieces.append(digest)

    def _break_too_long(self) -> NoReturn:
        if self._number == 1:
            self._refuse_foreign(self._rest or self._line)
        self._break(f"a line is longer than the limit of {self._limits.line:,} bytes")

    def _break(self, message: str, **details: Any) -> NoReturn:
        raise Malformed(FileError(message, self._number, **details))

    def metadata(self) -> Metadata:
        """The metadata in the first line. Raises Malformed."""
        self._advance("the metadata")
        self._refuse_foreign(self._line)
        content = self._object(self._line[len(METADATA_START) : -2], "metadata")
        try:
            metadata = parse_metadata(content, self._schema)
        except msgspec.ValidationError as error:
            self._break_invalid("metadata", content, error)
        self._models = metadata.models(self._schema)
        return metadata

    def _refuse_foreign(self, line: bytes) -> None:
        """Raises Malformed for a first line of another format or version. One without an end may be cut short."""
        if not line.startswith(METADATA_START) and not METADATA_START.startswith(line):
            self._refuse_other_format(line)
        try:
            text = line.removeprefix(METADATA_START).decode(errors="replace").lstrip()  # a character may be cut
            content, end = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError):  # reading on finds what is wrong
            return
        version = content.get("version") if isinstance(content, dict) else VERSION
        if version != VERSION:
            self._break(
                f"this is a file of version {shown(version)}; this program reads version {VERSION}",
                field="version",
                value=kept(version),
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

    def list_blocks(self) -> None:
        """Read the list of blocks, and keep it in ``blocks``. Raises Malformed."""
        self._begin = self._after_blocks()

    def parts(self) -> Iterator[SectionPart]:
        """All lines of records and deletions, in the file's order, after :meth:`list_blocks`. After them the trailer is
        next. Those of bases come last. Raises Malformed."""
        line, position = yield from self._section_parts(*self._begin, None)
        if not (self._look_ahead() and self._ahead[0] == BASES_START):
            self._expect(line, position, END, "the end of the records")
            return
        place = "the bases"
        line, position = self._expect(line, position, SECTIONS_END + BASES_START, place)
        while True:
            self._expect(line, position, BASE_START, place)
            self.bases.append(self._base(line[len(BASE_START) : -2]))
            line, position = yield from self._section_parts(line, len(line) - 2, len(self.bases) - 1)
            line, position = self._expect(line, position, BASE_END, place)
            if not line.startswith(b",\n", position):
                break
            line, position = self._expect(line, position, b",\n", place)
        line, position = self._expect(line, position, BASES_END, place)
        self._expect(line, position, AFTER_BASES, place)

    def _base(self, text: bytes) -> Header:
        """The snapshot of a base."""
        content = self._object(text, "base")
        try:
            return msgspec.convert(content, Header)
        except msgspec.ValidationError as error:
            self._break_invalid("base", content, error)

    def _section_parts(
        self, line: bytes, position: int, base: int | None
    ) -> Generator[SectionPart, None, tuple[bytes, int]]:
        """The lines of all sections of the file, or of a base. Returns the line and position after them."""
        for section in sections(self._models):
            line, position = self._expect(line, position, section.opening, section.place)
            if line[position:] == b"\n":
                more = True
                while more:
                    rows, more = self._rows(section.place, f"a record of {section.place}")
                    yield SectionPart(section, self._number - len(rows) + 1, rows, base)
                self._advance(section.place)
                line, position = self._line, 0
            line, position = self._expect(line, position, b"]", section.place)
        return line, position

    def blocks_in_turn(self) -> Iterator[BlockEntry]:
        """Each block of the list, after :meth:`list_blocks`, as :meth:`parts`. Before the next one is asked for, the
        caller has to :meth:`take` its bytes. Raises Malformed also where a block ends at another place, and where the
        file has rows that are in no block, as those of deletions."""
        line, position = self._begin
        entries = iter(self.blocks or ())
        entry = next(entries, None)
        for section in sections(self._models):
            line, position = self._expect(line, position, section.opening, section.place)
            if entry is not None and entry.model == section.model.name and not section.deleted:
                if line[position:] != b"\n":
                    self._break("a section has blocks, and is empty")
                before = b""
                while entry is not None and entry.model == section.model.name:
                    self._take_exactly(before)
                    yield entry
                    entry, before = next(entries, None), b",\n"
                self._take_exactly(b"\n")
                self._advance(section.place)
                line, position = self._line, 0
            line, position = self._expect(line, position, b"]", section.place)
        self._expect(line, position, END, "the end of the records")

    def _take_exactly(self, text: bytes) -> None:
        if b"".join(self.take(len(text))) != text:
            self._break("a block does not end where the list says")

    def _after_blocks(self) -> tuple[bytes, int]:
        """The line and position after the list of blocks."""
        place = "the blocks"
        line, position = self._expect(self._line, len(self._line) - 2, BLOCKS_START, place)
        if line.startswith(NO_BLOCKS, position):
            return line, position + len(NO_BLOCKS)
        line, position = self._expect(line, position, b"[", place)
        if self._checked is None:
            self.blocks = BlockList()
        if line[position:] == b"\n":
            more = True
            while more:
                rows, more = self._rows(place, "a block")
                if self.blocks is not None:
                    if not are_canonical(rows):
                        self._check_blocks(rows)
                    self.blocks.add_lines(rows)
            self._advance(place)
            line, position = self._line, 0
        return self._expect(line, position, b"]", place)

    def _check_blocks(self, rows: Sequence[bytes]) -> None:
        """Raises Malformed unless each of these lines, which were read last, names a block."""
        self._number -= len(rows)
        for row in rows:
            self._number += 1
            content = self._object(row, "block")
            try:
                msgspec.convert(content, BlockEntry)
            except msgspec.ValidationError as error:
                self._break_invalid("block", content, error)

    def _break_invalid(self, what: str, content: dict[str, Any], error: msgspec.ValidationError) -> NoReturn:
        """Raises Malformed for an object that its type refuses, naming the place in it."""
        message, _, path = str(error).partition(" - at ")
        where = path.rpartition("$.")[2].rstrip("`").replace("[...]", "") or quoted(message)
        self._break(f"{what} {where}: {message}", field=where, value=kept(value_at(content, where)))

    def _rows(self, place: str, what: str) -> tuple[list[bytes], bool]:
        """The next rows, without their commas and line ends, and whether the list goes on."""
        lines = self._next_rows(place, what)
        self._number += len(lines)
        self._add_to_digest(b"".join(lines))
        more = lines[-1].endswith(b",\n")
        return [line[:-2] for line in lines[:-1]] + [lines[-1][: -2 if more else -1]], more

    def _next_rows(self, place: str, what: str) -> list[bytes]:
        """The next lines of rows, at least one. The section's last one can only be the last of them."""
        longest = self._limits.line
        if self._look_ahead():
            lines = self._ahead
            wrong = (index for index, line in enumerate(lines) if line[:1] != b"{" or len(line) > longest)
            ends = (index + 1 for index, line in enumerate(lines) if line[-2:] != b",\n")
            count = min(next(wrong, len(lines)), next(ends, len(lines)), EVERY)
            if count:
                rows, self._ahead = lines[:count], lines[count:]
                return rows
        self._advance(place)
        return self._break(f"{what} was expected, and there is {shown(self._line)}")

    def _expect(self, line: bytes, position: int, text: bytes, place: str) -> tuple[bytes, int]:
        """The line and position after ``text``, which may reach into the next line. The trailer is not hashed."""
        for part in text.splitlines(keepends=True):
            if not line.startswith(part, position):
                self._break(f"in {place}, {part.decode()!r} was expected, and there is {shown(line[position:])}")
            position += len(part)
            if part.endswith(b"\n"):
                if text.endswith(TRAILER_START):
                    self._read_line("the trailer")
                else:
                    self._advance(place)
                line, position = self._line, 0
        return line, position

    def digest(self) -> str:
        """The SHA-256 of everything before the trailer line, in the pass that checks, when the rows are read."""
        return self._hash.hexdigest()

    def trailer(self, counts: dict[str, int], note: Callable[[FileError], None]) -> str:
        """The digest. Checks the trailer line, and that nothing follows it. Raises Malformed."""
        line = self._line
        if not line.endswith(b"}\n"):
            self._break("the trailer does not end with a brace and the line's end")
        content = self._object(line[len(TRAILER_START) : -2], "trailer")
        if self._ahead or self._rest or self._stream.read(1):
            self._number += 1
            self._break("something follows the trailer")
        expected = {**counts, "sha256": self.digest()}
        if self.bases:
            expected["bases"] = len(self.bases)
        for name, value in expected.items():
            if name not in content or type(content[name]) is not type(value):
                self._break(f"the trailer has no {name}", field=name)
            if content[name] != value:
                message = f"the trailer says {name} {content[name]}, and the file holds {value}"
                if name == "sha256":
                    message = (
                        f"the trailer says sha256 {digest_start(content[name])}, and the content's is "
                        f"{digest_start(value)}: the file is damaged or was changed by hand"
                    )
                note(FileError(message, self._number, field=name, value=content[name], expected=value))
        if len(content) != len(expected):
            self._break("the trailer has fields that are not known")
        return self.digest()

    def close(self) -> None:
        """Remove what is kept on disk."""
        if self.blocks is not None:
            self.blocks.close()

    def _object(self, text: bytes, what: str) -> dict[str, Any]:
        """The JSON object in a text in canonical form. Raises Malformed for anything else."""
        verb = "are" if what == "metadata" else "is"
        try:
            content = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            self._break(f"the {what} {verb} not JSON: {error}")
        if not isinstance(content, dict):
            self._break(f"the {what} {verb} not an object")
        if not is_canonical(content, text):
            self._break(f"the {what} {verb} not in canonical form (a name given twice, other order or spacing)")
        return content


def is_canonical(content: dict[str, Any], text: bytes) -> bool:
    """Whether the text is the object in canonical JSON. This also refuses a name given twice, which parsers accept."""
    try:
        return canonical_json(content) == text
    except TypeError:  # nested deeper than anything we write
        return False
