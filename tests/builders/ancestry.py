"""Snapshots and their ancestries as files have them, made from the description of the format with Python alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.builders.files import ELSEWHERE, canonical, sha256

TREE = sha256("[]")
"""The tree of an empty register."""


def says(number: int = 1, tree: str = TREE, **changed: Any) -> dict[str, Any]:
    """What an ordinary snapshot says."""
    return {
        "kind": "ordinary",
        "tree": tree,
        "installation": {"id": str(ELSEWHERE), "name": "Site A"},
        "number": number,
        "moment": "2026-11-20T18:40:00.000000Z",
        "author": "meena",
        "cause": "backup",
        "message": "",
        "renames": [],
        **changed,
    }


def merge(tree: str = TREE) -> dict[str, Any]:
    """What a merge says."""
    return {"kind": "merge", "tree": tree}


def digest(said: Mapping[str, Any] | str) -> str:
    """The digest of what a snapshot says, which may be given as such."""
    return said if isinstance(said, str) else sha256(canonical(said))


def snapshot_id(said: Mapping[str, Any] | str, parents: Sequence[str]) -> str:
    return sha256(canonical([digest(said), list(parents)]))


def header(said: Mapping[str, Any], *parents: str) -> dict[str, Any]:
    """A snapshot with these parents."""
    return {"id": snapshot_id(said, parents), "parents": list(parents), "says": dict(said)}
