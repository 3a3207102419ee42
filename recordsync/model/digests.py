"""What snapshots are known by: digests of canonical texts
(docs/decisions/0056-what-blocks-and-snapshots-are-known-by.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson


def content_digest(content: Any) -> str:
    """The SHA-256, in hex, of a value in canonical JSON. Its names are ASCII."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def snapshot_id(said: str, parents: Sequence[str]) -> str:
    """The id of a snapshot: of the digest of what it says, and the ids of its parents in their order."""
    return content_digest([said, parents])
