"""The JSON Schema (2020-12) of a 2.0 file, made from the types that check one.

It describes the objects of a file. It cannot say, and :mod:`.checker` checks, that the file has one record a line in
canonical form, that records are in key order and no key stands twice, that counts, checksums and the digest are right,
and that records have the fields that ``metadata.fields`` names.
"""

from __future__ import annotations

from typing import Any

import msgspec

from recordsync.backupfile.blocks import BlockEntry
from recordsync.backupfile.layout import deletion_names
from recordsync.backupfile.metadata import Metadata
from recordsync.model.fields import TIMESTAMP, whole_pattern
from recordsync.model.json_values import Count
from recordsync.model.schema import Model, Schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_SHA256 = {"type": "string", "pattern": whole_pattern("[0-9a-f]{64}"), "description": "SHA-256, lower-case hex."}
_COUNT = msgspec.json.schema(Count)


def file_schema(schema: Schema) -> dict[str, Any]:
    """The JSON Schema of an application's files."""
    types = [Metadata, BlockEntry, *([schema.selection] if schema.selection else [])]
    _refs, definitions = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    definitions["Metadata"] = _metadata(definitions["Metadata"], schema)
    for model in schema:
        definitions[model.name] = _record(model)
        definitions[f"deleted_{model.name}"] = _deletion(model)
    sections = {model.name: _list_of(model.name) for model in schema}
    deleted = {model.name: _list_of(f"deleted_{model.name}") for model in schema}
    blocks = {"anyOf": [_list_of("BlockEntry"), {"type": "null"}]}
    trailer = {**{model.name: _COUNT for model in schema}, "deleted": _COUNT, "sha256": _SHA256, "bases": _COUNT}
    parts = {"metadata": _ref("Metadata"), "blocks": blocks, **sections, "deleted": _object(deleted, required=set())}
    base = {"snapshot": _ref("Header"), **sections, "deleted": _object(deleted, required=set())}
    definitions["Base"] = _object(base, required={"snapshot", "deleted"}) | {
        "title": "Base",
        "description": "An ancestor of the file's snapshot, and the changes that lead to it.",
    }
    parts["bases"] = _list_of("Base") | {"minItems": 1}
    parts["trailer"] = _object(trailer, required={"deleted", "sha256"})
    return {
        "$schema": DIALECT,
        "title": "Muster backup file, version 2.0",
        "description": "One JSON document, one record a line; see docs/file-format.md for what no schema can say.",
        **_object(parts, required=set(parts) - set(sections) - {"bases"}),
        "allOf": [_section_where_named(model) for model in schema],
        "$defs": dict(sorted(definitions.items())),
    }


def _section_where_named(model: Model) -> dict[str, Any]:
    """The rule that a file has a model's section, deletions and counts if ``metadata.fields`` names it, else none."""
    places = ("deleted", "trailer")
    return {
        "if": {"properties": {"metadata": {"properties": {"fields": {"required": [model.name]}}}}},
        "then": {"required": [model.name], "properties": {place: {"required": [model.name]} for place in places}},
        "else": {"properties": {model.name: False, **{place: {"properties": {model.name: False}} for place in places}}},
    }


def _metadata(made: dict[str, Any], schema: Schema) -> dict[str, Any]:
    """The schema of the metadata as they stand in a file: with one total for each model, and with every member."""
    properties = {name: value for name, value in made["properties"].items() if name != "totals"}
    for value in properties.values():
        value.pop("default", None)
    if schema.selection is not None:
        properties["selection"] = {"anyOf": [_ref(schema.selection.__name__), {"type": "null"}]}
    properties["fields"] = _object({model.name: _fields(model) for model in schema}, required=set()) | {
        "minProperties": 1
    }
    totals = {f"total_{model.name}": _COUNT for model in schema}
    return {
        "title": "Metadata",
        "description": "What the file says about itself.",
        **_object(properties | totals, required=set(properties)),
        "allOf": [_total_where_named(model) for model in schema],
    }


def _total_where_named(model: Model) -> dict[str, Any]:
    """The rule that the metadata have a model's total if ``fields`` names it, else none."""
    total = f"total_{model.name}"
    return {
        "if": {"properties": {"fields": {"required": [model.name]}}},
        "then": {"required": [total]},
        "else": {"properties": {total: False}},
    }


def _fields(model: Model) -> dict[str, Any]:
    """The schema of the content fields that records can have: the required ones, and each unit whole or not at all."""
    units = [[{"contains": {"const": name}} for name in names] for names in model.units.values()]
    return {
        "type": "array",
        "items": {"enum": list(model.names)},
        "uniqueItems": True,
        "allOf": [
            *({"contains": {"const": name}} for name in sorted(model.required)),
            *({"anyOf": [{"allOf": unit}, {"not": {"anyOf": unit}}]} for unit in units if len(unit) > 1),
        ],
    }


def _record(model: Model) -> dict[str, Any]:
    properties = {name: field.type.json_schema(null=not field.later) for name, field in model.all_fields.items()}
    properties |= {"checksum": _SHA256, "created_at": TIMESTAMP.json_schema()}
    return _object(properties, required={*model.required, "checksum", "created_at"})


def _deletion(model: Model) -> dict[str, Any]:
    properties = {field.name: field.type.json_schema() for field in model.key} | {"checksum": _SHA256}
    return _object({name: properties[name] for name in deletion_names(model)})


def _object(properties: dict[str, Any], required: set[str] | None = None) -> dict[str, Any]:
    """The schema of an object with these members and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties if required is None else required),
        "additionalProperties": False,
    }


def _list_of(name: str) -> dict[str, Any]:
    return {"type": "array", "items": _ref(name)}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}
