"""The metadata of a 2.0 file, which its first line holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from recordsync.backupfile.ancestry import Ancestor, check_ancestry
from recordsync.history.headers import Header
from recordsync.model.fields import TIMESTAMP, UUID_SHAPE, whole_pattern
from recordsync.model.json_values import (
    LARGEST,
    SHA256_SHAPE,
    Count,
    InstallationName,
    MomentText,
    Name,
    UuidText,
)
from recordsync.model.schema import Model, Schema

VERSION = "2.0"

BackupType = Literal["full", "incremental"]
Deletions = Literal["complete", "unknown"]
ParentText = Annotated[
    str,
    msgspec.Meta(
        pattern=whole_pattern(f"({UUID_SHAPE}|{SHA256_SHAPE})"), description="The id of a backup, or of a snapshot."
    ),
]


class Checksums(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the records' checksums were made."""

    algorithm: Literal["sha256"]
    canonicalization: Literal["RFC 8785"]


class Application(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The program that wrote the file."""

    name: Name
    version: Name


class Metadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The metadata of a 2.0 file. In the file, ``totals`` is one member ``total_<model>`` for each of them.

    ``parent`` is what an incremental one continues: the snapshot from which its changes lead, or the backup since whose
    moment they were made. ``ancestors`` are the ancestors of ``snapshot``: see :mod:`.ancestry`. ``fields`` has the
    content fields of the records of each model that the file speaks about. ``selection`` is the part that the
    application chose (None: everything).
    """

    version: Literal["2.0"] = "2.0"
    id: UuidText
    installation: InstallationName
    snapshot: Header | None = None
    ancestors: list[Ancestor] | None = None
    parent: ParentText | None
    backup_type: BackupType
    since_date: MomentText | None
    selection: dict[str, Any] | None
    deletions: Deletions
    created_at: MomentText
    created_by: Name
    fields: dict[str, list[str]]
    checksum: Checksums = Checksums("sha256", "RFC 8785")
    application: Application
    totals: dict[str, Count]

    @property
    def is_complete(self) -> bool:
        """Whether the file speaks about every record: a full, unselected backup that knows what was deleted."""
        return self.backup_type == "full" and self.selection is None and self.deletions == "complete"

    def models(self, schema: Schema) -> tuple[Model, ...]:
        """The models of which the file has sections. It does not speak about others."""
        return tuple(model for model in schema if model.name in self.fields)

    @property
    def parent_backup(self) -> str | None:
        """The id of the backup that this one continues; None if it continues none, or a snapshot."""
        return self.parent if self.parent is not None and "-" in self.parent else None

    @property
    def parent_snapshot(self) -> str | None:
        """The id of the snapshot that this one continues; None if it continues none, or a backup."""
        return None if self.parent_backup is not None else self.parent

    def as_dict(self) -> dict[str, Any]:
        """The metadata as they stand in a file."""
        content: dict[str, Any] = msgspec.to_builtins(self)
        totals = content.pop("totals")
        return content | {f"total_{model}": count for model, count in totals.items()}


def parse_metadata(content: Mapping[str, Any], schema: Schema) -> Metadata:
    """The metadata that a file's object holds. Raises :class:`msgspec.ValidationError`, whose text names the place."""
    rest = dict(content)
    rest.setdefault("checksum", None)  # it has a default here, but a file must have it
    rest.setdefault("version", None)
    for name in ("snapshot", "ancestors"):
        if name not in rest:
            raise msgspec.ValidationError(f"Object missing required field `{name}`")
    if "totals" in rest:
        raise msgspec.ValidationError("Object contains unknown field `totals`")
    _refuse_nul(content, "$")
    fields = rest.get("fields")
    totals = rest["totals"] = {}
    for model in schema:
        name = f"total_{model.name}"
        if isinstance(fields, dict) and model.name not in fields:
            if name in rest:
                raise msgspec.ValidationError(
                    f"Expected the content fields of {model.name}, which has a total - at `$.fields`"
                )
            continue
        if name not in rest:
            raise msgspec.ValidationError(f"Object missing required field `{name}`")
        if type(rest[name]) is not int or not 0 <= rest[name] <= LARGEST:
            raise msgspec.ValidationError(f"Expected `int` from 0 to {LARGEST} - at `$.{name}`")
        totals[model.name] = rest.pop(name)
    metadata = msgspec.convert(rest, Metadata)
    for path, text in (("created_at", metadata.created_at), ("since_date", metadata.since_date)):
        if text is not None and TIMESTAMP.error(text):
            raise msgspec.ValidationError(f"Expected {TIMESTAMP.expected} - at `$.{path}`")
    _check_kind(metadata)
    if metadata.snapshot is not None and metadata.ancestors is not None:
        check_ancestry(metadata.snapshot, metadata.ancestors, metadata.parent, schema)
    _check_fields(metadata, schema)
    if metadata.selection is not None and schema.selection is not None:
        try:
            msgspec.convert(metadata.selection, schema.selection)
        except msgspec.ValidationError as error:
            text = str(error)
            place = re.sub(r"`\$", "`$.selection", text) if "`$" in text else f"{text} - at `$.selection`"
            raise msgspec.ValidationError(place) from None
    return metadata


def _refuse_nul(value: Any, path: str) -> None:
    """Raises ValidationError if a text has a NUL, which databases do not store."""
    if isinstance(value, str):
        if "\0" in value:
            raise msgspec.ValidationError(f"Expected text without NUL - at `{path}`")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            _refuse_nul(name, path)
            _refuse_nul(item, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            _refuse_nul(item, f"{path}[...]")


def _check_kind(metadata: Metadata) -> None:
    """Raises ValidationError if what a backup says of its kind contradicts itself."""
    is_full, is_since = metadata.backup_type == "full", metadata.since_date is not None
    if metadata.parent == metadata.id:
        raise msgspec.ValidationError("Expected another backup's id - at `$.parent`")
    if is_full and is_since:
        raise msgspec.ValidationError("Expected null in a full file - at `$.since_date`")
    if is_full and metadata.parent is not None:
        raise msgspec.ValidationError("Expected null in a full file - at `$.parent`")
    continues_snapshot = metadata.parent_snapshot is not None
    if not is_full and is_since == continues_snapshot:
        raise msgspec.ValidationError("Expected a moment unless the file continues a snapshot - at `$.since_date`")
    if (metadata.deletions == "unknown") != is_since:
        raise msgspec.ValidationError("Expected `complete`, or `unknown` with a since_date - at `$.deletions`")
    if (metadata.snapshot is None) != (metadata.ancestors is None):
        raise msgspec.ValidationError("Expected ancestors with a snapshot, else null - at `$.ancestors`")
    if metadata.snapshot is None and continues_snapshot:
        raise msgspec.ValidationError("Expected the snapshot that continues the parent - at `$.snapshot`")
    if metadata.snapshot is not None and (is_since or metadata.selection is not None):
        raise msgspec.ValidationError("Expected null with a since_date or a selection - at `$.snapshot`")


def _check_fields(metadata: Metadata, schema: Schema) -> None:
    """Raises ValidationError unless the fields are known, in order, and complete: what is required, and whole units."""
    if not metadata.fields or list(metadata.fields) != sorted(model.name for model in metadata.models(schema)):
        raise msgspec.ValidationError("Expected the content fields of known models - at `$.fields`")
    for model in metadata.models(schema):
        names = metadata.fields[model.name]
        place = f"at `$.fields.{model.name}`"
        if names != sorted(set(names)):
            raise msgspec.ValidationError(f"Expected names in order, each once - {place}")
        for name in names:
            if name not in model.all_fields:
                raise msgspec.ValidationError(f"Unknown field `{name}` - {place}")
        for name in sorted(model.required):
            if name not in names:
                raise msgspec.ValidationError(f"Required field `{name}` is missing - {place}")
        for unit, members in model.units.items():
            present = [name for name in members if name in names]
            if present and len(present) < len(members):
                lacking = next(name for name in members if name not in names)
                raise msgspec.ValidationError(
                    f"Field `{lacking}` is missing, which merges whole with `{present[0]}` ({unit}) - {place}"
                )
