"""The 1.0 file of older installations (docs/file-format.md), as a snapshot that the engine can merge.

It is ordinary JSON in any layout and order, without ancestry. :mod:`.v1_0_checker` reads it; this module says what its
values mean.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final, cast

import msgspec

from core.models import TIME_FIELDS
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, NOT_CONTENT
from recordsync.backupfile import Metadata
from recordsync.model.fields import TIMESTAMP
from recordsync.model.records import Record
from recordsync.model.schema import Model, Shape
from recordsync.plan import Align
from recordsync.streams import Deletion
from recordsync.streams.sort import stored

VERSION: Final = "1.0"
MISSING: Final = 0
"""Stands in the sorted copy for a field that a record does not have. No value is a number."""
_TIMES: Final = {f"{n // 60:02}:{n % 60:02}": f"{n // 60:02}:{n % 60:02}:00" for n in range(24 * 60)}
"""Every time of a day as a 1.0 file spells it, and as the engine does."""
MODELS: Final = (COMPANIES, ATTENDANCE_RECORDS)
"""The models about which a 1.0 file speaks."""

_TIME_POSITIONS: Final = tuple(ATTENDANCE_RECORDS.names.index(name) for name in TIME_FIELDS)
_OVERSTAY: Final = re.compile(r"([0-9]{1,4}):([0-5][0-9])")
_encode: Final = json.JSONEncoder(sort_keys=True).encode  # as json.dumps, which would make an encoder for every record


def checksum_v1_0(model: Model, record: dict[str, Any]) -> str:
    """SHA-256 (hex) of a 1.0 record's content. The content of a company is its name."""
    names = {"name"} if model is COMPANIES else record.keys() - NOT_CONTENT
    return sha256(content_v1_0({name: record[name] for name in names}))


def content_v1_0(content: dict[str, Any]) -> str:
    """The text whose SHA-256 is a 1.0 checksum: what Python's ``json.dumps`` writes, with sorted names."""
    return _encode(content)


def sha256(text: str) -> str:
    """SHA-256 (hex) of an ASCII text."""
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def id_v1_0(digest: str, created_at: str) -> str:
    """The id of a 1.0 file, which holds none: a UUID made of its digest and its moment, so that every installation gets
    the same one."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, digest + created_at))


def as_described(metadata: Metadata, digest: str) -> Metadata:
    """The metadata of a backup that was written as a 1.0 file with this digest, without what the file cannot say."""
    return msgspec.structs.replace(
        metadata,
        version=cast(Any, VERSION),
        id=id_v1_0(digest, metadata.created_at),
        parent=None,
        deletions="unknown",
    )


class V1File:
    """A 1.0 file that was found valid, made by :func:`check_v1_0`. Fits :class:`recordsync.plan.Source`."""

    tree = None
    root = None
    is_complete = False
    """A record that a 1.0 file does not list is not known to be deleted."""

    def __init__(
        self,
        metadata: Metadata,
        digest: str,
        copy: IO[bytes],
        bounds: dict[str, tuple[int, int]],
        counts: dict[str, int],
        repeated: dict[str, int],
        warnings: list[str],
    ) -> None:
        """``copy``: a file that holds each model's records in key order, between its ``bounds``."""
        self.metadata = metadata
        """What the file says about itself. What it does not say is blank."""
        self.digest = digest
        self.counts = counts
        self.deleted = dict.fromkeys(counts, 0)
        self.repeated = repeated
        self.warnings = warnings
        """What is odd about the file and does no harm."""
        self._copy = copy
        self._bounds = bounds

    def shape(self, model: Model) -> Shape:
        return model.shape()

    def alignment(self, model: Model) -> Align:
        """How a record is read beside ours: a time that equals ours to the minute is ours with its seconds, and a field
        that the record does not have is ours, or blank."""
        whole = model.shape()
        blank = tuple(kind.blank for kind in whole.types)
        times = _TIME_POSITIONS if model is ATTENDANCE_RECORDS else ()

        def align(theirs: Record, ours: Record | None) -> Record:
            our_values = blank if ours is None else ours.values
            given: tuple[Any, ...] = theirs.values
            values = [our if value == MISSING else value for value, our in zip(given, our_values, strict=True)]
            for position in times:
                value, our = values[position], our_values[position]
                if value and our and value[:5] == our[:5]:
                    values[position] = our
            return Record(theirs.key, tuple(values), theirs.created_at)

        return align

    @contextmanager
    def open(self) -> Iterator[V1File]:
        """This file. Nobody else can open the copy, so reading it needs no check."""
        yield self

    def unparsed(self, model: Model) -> None:
        """None: its lines cannot be compared with those of a register."""

    def blocks(self, model: Model) -> None:
        """None: a 1.0 file has no blocks."""

    def deletions(self, model: Model) -> tuple[Deletion, ...]:
        """None: a 1.0 file does not say what was deleted."""
        return ()

    def records(self, model: Model) -> Iterator[Record]:
        """The model's records in key order, to be read through :meth:`alignment`."""
        for key, values, created_at, _position in stored(self._copy, *self._bounds[model.name]):
            yield Record(tuple(key), tuple(values), created_at)


def canonical(name: str, value: Any) -> Any:
    """A 1.0 value as the engine spells it. A value that is not right becomes one that its type refuses."""
    if name in TIME_FIELDS and isinstance(value, str):
        return _TIMES.get(value, "not a time of a 1.0 file")
    if name == "overstay" and isinstance(value, str):
        if value in ("", "-"):
            return None
        if match := _OVERSTAY.fullmatch(value):
            return f"{int(match[1]):02}:{match[2]}"
    return value


def moment_v1_0(value: Any) -> str | None:
    """A moment of a 1.0 file (a naive one is in UTC) as the engine spells it; None where the value is no moment."""
    if not isinstance(value, str):
        return None
    spelt = f"{value.removesuffix('+00:00')}Z"
    if TIMESTAMP.error(spelt) is None:  # as this program writes it
        return spelt
    try:
        moment = dt.datetime.fromisoformat(value)
        text = TIMESTAMP.to_text(moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC))
    except (ValueError, OverflowError):
        return None
    return text if TIMESTAMP.error(text) is None else None
