"""A record, and the checksum that stands for its content.

A record's content is a JSON object of strings and nulls. Its checksum is the SHA-256 of that object
in canonical JSON (RFC 8785, JSON Canonicalization Scheme): names sorted, no white space, only the
escapes that JSON requires. For the names used here (ASCII) and values (strings and nulls) orjson's
sorted output is exactly that; a property test compares it with the RFC's rules written out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import orjson

Key = tuple[str, ...]
"""A natural key's values, in the model's sort order. Compared as Python compares strings: by code point."""

Values = tuple[str | None, ...]
"""A record's content, in the order of its shape's field names."""


class Record(NamedTuple):
    """One row as content: its natural key and its values (which include the key's).

    ``created_at`` (text, see :class:`recordsync.model.fields.Timestamp`) travels beside the content, so
    that an added row keeps it; it is not compared. No database id, nothing else.
    """

    key: Key
    values: Values
    created_at: str | None = None


def canonical_json(content: Mapping[str, object]) -> bytes:
    """RFC 8785 of an object whose names are ASCII and whose values are strings, nulls, or such objects.

    Raises TypeError (orjson) for text that has no UTF-8, such as an unpaired surrogate.
    """
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def checksum(content: Mapping[str, str | None]) -> str:
    """SHA-256 (64 lower-case hex digits) of a record's content, all its fields present."""
    return hashlib.sha256(canonical_json(content)).hexdigest()
