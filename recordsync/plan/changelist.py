"""Lists of changes in files, so that a changeset can be read by people, applied and undone.

A list is compressed by gzip, one JSON object a line: the model, the kind of change, the record before and after with
every field of the model, and its ``created_at``. The file ends with an empty member of gzip, whose header has the
number of changes and the SHA-256 of every byte before. Programs that unpack the list pass over this member, and it
shows whether the list was cut or changed anywhere.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import groupby, islice
from operator import or_
from typing import IO, Any, Final, Literal

import msgspec

from recordsync.errors import ListDamaged
from recordsync.model.records import Record
from recordsync.model.schema import Model, Schema
from recordsync.plan.apply import Batch
from recordsync.streams import Change
from recordsync.system.progress import EVERY

_BLOCK: Final = 1 << 20
_LEVEL: Final = 3
_DAMAGED: Final = "The list of changes is not as it was written: it was cut or changed since."
_GZIP: Final = 31
"""The ``wbits`` of zlib for a whole member of gzip."""


class _ModelLines:
    """The lines of one model's changes, and how they are made and read."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._shape = model.shape()
        content = msgspec.defstruct(
            "Content", [(name, str | None) for name in model.names], gc=False, forbid_unknown_fields=True
        )
        self._content: Any = content
        fields = [
            ("change", Literal["add", "update", "delete"]),
            ("before", content | None),
            ("after", content | None),
            ("created_at", str | None),
        ]
        self.line: Any = msgspec.defstruct(
            "Line", fields, tag_field="model", tag=model.name, gc=False, forbid_unknown_fields=True
        )

    def lines(self, changes: Iterable[Change]) -> list[Any]:
        """The lines of these changes. A record's ``created_at`` is the same before and after."""
        return [self._line_of(change.kind, change.before, change.after) for change in changes]

    def _line_of(self, kind: str, before: Record | None, after: Record | None) -> Any:
        record = before or after
        return self.line(
            kind,
            None if before is None else self._content(*before.values),
            None if after is None else self._content(*after.values),
            None if record is None else record.created_at,
        )

    def changes(self, lines: Iterable[Any]) -> list[Change]:
        """The changes in these lines."""
        changes = []
        for line in lines:
            before, after = self._record(line.before, line), self._record(line.after, line)
            record = before or after
            assert record is not None  # list_changes writes no change without either
            changes.append(Change(record.key, before, after))
        return changes

    def _record(self, content: Any, line: Any) -> Record | None:
        return None if content is None else self._shape.record(msgspec.structs.astuple(content), line.created_at)


def list_changes(out: IO[bytes], schema: Schema, batches: Iterable[Batch]) -> None:
    """Write the changes to ``out``, an empty file, as a list."""
    lines_of = {model.name: _ModelLines(model) for model in schema}
    encode = msgspec.json.Encoder().encode_lines
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP)
    digest = hashlib.sha256()
    count = 0

    def put(part: bytes) -> None:
        digest.update(part)
        out.write(part)

    waiting: list[Any] = []
    for model, changes in batches:
        waiting += lines_of[model.name].lines(changes)
        count += len(changes)
        if len(waiting) >= EVERY:
            put(packer.compress(encode(waiting)))
            waiting.clear()
    put(packer.compress(encode(waiting)) + packer.flush())
    out.write(_end(count, digest))


class ChangeList:
    """A list of changes in a file, which is whole and as it was written."""

    def __init__(self, stream: IO[bytes], schema: Schema) -> None:
        """``stream``: a seekable file with the list. It stays open and is the caller's, and each use reads it from its
        start. Raises ListDamaged where the list was cut or changed."""
        self._stream = stream
        self._schema = schema
        size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        digest = hashlib.sha256()
        left = size - len(_end(0, digest))
        while left > 0 and (block := stream.read(min(_BLOCK, left))):
            digest.update(block)
            left -= len(block)
        end = stream.read()
        written = re.search(rb"([0-9]{12,}) changes", end)
        self.count = int(written[1]) if written else 0
        if end != _end(self.count, digest):
            raise ListDamaged(_DAMAGED)

    def batches(self) -> Iterator[Batch]:
        """The changes in the order in which they were written. Changes of one model and kind that follow each other are
        in one batch, if they are read at once. Raises ListDamaged for changes of another schema, and where the list is
        not any more what it was when it was opened."""
        by_type = {of_model.line: of_model for of_model in map(_ModelLines, self._schema)}
        decode = msgspec.json.Decoder(reduce(or_, by_type)).decode_lines
        count = 0
        for text in self._blocks():
            try:
                lines = decode(text)
            except msgspec.MsgspecError as error:
                raise ListDamaged(f"The list of changes is of other models or fields: {error}.") from error
            count += len(lines)
            for (line_type, _kind), together in groupby(lines, key=lambda line: (type(line), line.change)):
                of_model = by_type[line_type]
                yield of_model.model, of_model.changes(together)
        if count != self.count:
            raise ListDamaged(_DAMAGED)

    def _blocks(self) -> Iterator[bytes]:
        """The lines, unpacked, :data:`EVERY` together."""
        self._stream.seek(0)
        try:
            with gzip.GzipFile(fileobj=self._stream, mode="rb") as unpacked:
                while text := b"".join(islice(unpacked, EVERY)):
                    yield text
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ListDamaged(_DAMAGED) from error


def _end(count: int, before: hashlib._Hash) -> bytes:
    """The end of a list (RFC 1952): a member without content, whose comment has the number of changes and the digest of
    every byte before it. ``before``: the digest of the other members."""
    head = b"\x1f\x8b\x08\x10\0\0\0\0\0\xff" + f"{count:012} changes, SHA-256 ".encode()
    digest = before.copy()
    digest.update(head)
    return head + digest.hexdigest().encode() + b"\0" + b"\x03\0" + bytes(8)
