"""A record, and the checksum of its content.

A record's content is a JSON object of strings and nulls. Its checksum is the SHA-256 of that object in canonical JSON
(RFC 8785, JSON Canonicalization Scheme): names sorted, no white space, only the escapes that JSON requires. For names
in ASCII and values that are strings or nulls, orjson's sorted output is exactly that. A property test compares it with
the rules of the RFC.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import NamedTuple

import orjson

Key = tuple[str, ...]
"""The values of a natural key, in the model's sort order. Compared by code point, as Python compares strings."""

Partition = tuple[str, ...]
"""What a block has in common, a text for each level of a tree: names that the keys refer to, a month, a slice of it.
Partitions that are sorted as they are stand in key order."""

Values = tuple[str | None, ...]
"""The values of a record's content, in the order of its shape's field names."""


class Record(NamedTuple):
    """One row as content: its natural key and its values (which include the key's).

    ``created_at`` (a text, see :class:`recordsync.model.fields.Timestamp`) goes along so that an added row keeps it. It
    is not content and is not compared.
    """

    key: Key
    values: Values
    created_at: str | None = None


def canonical_json(content: Mapping[str, object]) -> bytes:
    """The canonical JSON (RFC 8785) of an object. Its names are ASCII, its values strings, nulls or such objects.

    Raises TypeError (orjson) for text that UTF-8 cannot encode, such as an unpaired surrogate.
    """
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def checksum(content: Mapping[str, str | None], later: Collection[str] = ()) -> str:
    """The SHA-256, in 64 lower-case hex digits, of a record's content with all its fields.

    ``later``: those that are left out while they are null (:attr:`recordsync.model.schema.Field.later`).
    """
    if later:
        content = {name: value for name, value in content.items() if value is not None or name not in later}
    return hashlib.sha256(canonical_json(content)).hexdigest()
