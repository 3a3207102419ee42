"""The header of a snapshot: what it says, its parents, and the id that follows from both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from recordsync.model.digests import content_digest, snapshot_id
from recordsync.model.json_values import InstallationName, MomentText, Name, Positive, Sha256Text


class Rename(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A record of ``model`` that others refer to has another name since the snapshot's first parent."""

    model: str
    before: str
    after: str


class Ordinary(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="ordinary"):
    """What an ordinary snapshot says: its tree, who made it, where, when and why."""

    tree: Sha256Text
    installation: InstallationName
    number: Positive
    moment: MomentText
    author: Name
    cause: Annotated[str, msgspec.Meta(max_length=30)]
    message: Annotated[str, msgspec.Meta(max_length=1000)]
    renames: list[Rename]


class Merge(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="merge"):
    """What a merge says: its tree alone, so that both sides that merge alike make the same snapshot."""

    tree: Sha256Text


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A snapshot without its contents: its id, the ids of its parents, and what it says."""

    id: Sha256Text
    parents: list[Sha256Text]
    says: Ordinary | Merge


def header(says: Ordinary | Merge, parents: Sequence[str]) -> Header:
    """The header of a snapshot that says this and has these parents."""
    return Header(snapshot_id(content_digest(msgspec.to_builtins(says)), parents), list(parents), says)
