"""A snapshot of some records of one model, which are listed on disk. It speaks about no other records.

Its records may have only some of the model's fields, and parts of units. A merge leaves the other fields as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO

import orjson

from recordsync.model.records import Record
from recordsync.model.schema import Model, Schema, Shape
from recordsync.streams import Deletion
from recordsync.streams.sort import stored


class Listing:
    """Some records of one model. Fits :class:`recordsync.plan.Source`."""

    is_complete = False
    tree = None
    root = None

    def __init__(self, schema: Schema, shape: Shape, records: Iterable[Record], lines: IO[bytes]) -> None:
        """``records``: checked, of this shape, in key order. They are written to ``lines``, an empty temporary file,
        which stays open and is the caller's."""
        self._shape = shape
        self._lines = lines
        digest = hashlib.sha256(orjson.dumps([shape.model.name, *shape.names]))
        count = 0
        for record in records:
            line = orjson.dumps(record.values, option=orjson.OPT_APPEND_NEWLINE)
            digest.update(line)
            lines.write(line)
            count += 1
        self._end = lines.tell()
        self.digest = digest.hexdigest()
        self.counts = {model.name: count if model is shape.model else 0 for model in schema}
        self.deleted = dict.fromkeys(self.counts, 0)
        self.repeated: Mapping[str, int] = {}

    def shape(self, model: Model) -> Shape:
        """The listed fields of the listed model. Other models have all fields and no records."""
        return self._shape if model is self._shape.model else model.shape()

    def alignment(self, model: Model) -> None:
        """None: the records mean exactly what they say."""

    @contextmanager
    def open(self) -> Iterator[Listing]:
        """This listing. Nobody else can open the temporary file, so a pass needs no check."""
        yield self

    def records(self, model: Model) -> Iterator[Record]:
        """The model's records, in key order."""
        if model is self._shape.model:
            for values in stored(self._lines, 0, self._end):
                yield self._shape.record(tuple(values))

    def unparsed(self, model: Model) -> None:
        """None: its lines cannot be compared with those of a register."""

    def blocks(self, model: Model) -> None:
        """None: nobody has cut it into blocks."""

    def deletions(self, model: Model) -> Iterator[Deletion]:
        """No deletions: the list says which records exist, not which were deleted."""
        return iter(())
