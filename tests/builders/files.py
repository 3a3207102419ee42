"""Backup files of version 2.0, written from the description of the format with Python's ``json`` alone."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import io
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import zstandard

from tests.builders.days import FIELDS, Content, Key
from tests.builders.registers import LONG_AGO, RegisterData

Line = dict[str, Any]

SECTIONS = ("companies", "attendance_records", "seals")
KEY_NAMES = {
    "companies": ("name",),
    "attendance_records": ("company_name", "date", "ep_no"),
    "seals": ("company_name", "month", "closed_at"),
}
SEAL_FIELDS = ("closed_as", "closed_at", "closed_by", "company_name", "digest", "month", "reopened_at", "reopened_by")

ELSEWHERE = uuid.UUID("0c9ff6a2-6a5a-4f0e-9d3e-5a1f7d0f3b11")
"""The installation that the files come from."""


def canonical(value: object) -> str:
    """RFC 8785 of an object whose names are ASCII, its values texts, nulls, whole numbers or such objects."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def checksum(content: Mapping[str, Any]) -> str:
    return sha256(canonical(dict(content)))


def moment(value: dt.datetime) -> str:
    return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def line_of(content: Mapping[str, Any], created_at: dt.datetime = LONG_AGO) -> Line:
    """A record as it stands in a file."""
    return {**content, "checksum": checksum(content), "created_at": moment(created_at)}


def _no_lines() -> dict[str, list[Line]]:
    return {section: [] for section in SECTIONS}


@dataclass
class File:
    """The parts of a file, which a test may change before it encodes them. ``counts``: false counts for the trailer."""

    metadata: dict[str, Any]
    records: dict[str, list[Line]] = field(default_factory=_no_lines)
    deleted: dict[str, list[Line]] = field(default_factory=_no_lines)
    blocks: list[Line] | None = None

    def body(self, replaced: Mapping[tuple[str, int], str] | None = None) -> str:
        """All text before the trailer. ``replaced``: lines to write instead of others, by section and position."""

        def listed(sections: Mapping[str, list[Line]]) -> list[str]:
            return [
                f'"{section}":[%s]'
                % _rows([(replaced or {}).get((section, at)) or canonical(line) for at, line in enumerate(lines)])
                for section, lines in sections.items()
            ]

        blocks = "null" if self.blocks is None else f"[{_rows(list(map(canonical, self.blocks)))}]"
        head = f'{{"metadata":{canonical(self.metadata)},\n"blocks":{blocks},\n'
        sections, deleted = ",\n".join(listed(self.records)), ",".join(listed(self.deleted))
        return f'{head}{sections},\n"deleted":{{{deleted}}},\n'

    @property
    def trailer(self) -> dict[str, Any]:
        """The trailer without its digest."""
        counts = {section: len(lines) for section, lines in self.records.items()}
        return {**counts, "deleted": sum(len(lines) for lines in self.deleted.values())}

    def encode(self, replaced: Mapping[tuple[str, int], str] | None = None) -> bytes:
        return sealed(self.body(replaced), self.trailer)

    def stream(self) -> io.BytesIO:
        return io.BytesIO(self.encode())

    def line_number(self, section: str, position: int) -> int:
        """The number of a record's line in the file, counted from 1."""
        number = 4  # the metadata, the blocks, the start of the first section, its first record
        number += len(self.blocks) + 1 if self.blocks else 0
        for name in SECTIONS:
            if name == section:
                return number + position
            number += len(self.records[name]) + (2 if self.records[name] else 1)
        raise KeyError(section)

    @property
    def size(self) -> int:
        """The number of entries in the file."""
        return sum(len(lines) for lines in (*self.records.values(), *self.deleted.values()))


def sealed(body: str, trailer: Mapping[str, Any]) -> bytes:
    """A body with its trailer, whose digest is right whatever the body is."""
    return f'{body}"trailer":{canonical({**trailer, "sha256": sha256(body)})}}}\n'.encode()


def _rows(lines: list[str]) -> str:
    return "\n" + ",\n".join(lines) + "\n" if lines else ""


def file(
    register: RegisterData,
    *,
    deleted: Iterable[tuple[str, Content]] = (),
    list_companies: bool = True,
    fields: Iterable[str] = FIELDS,
    **metadata: Any,
) -> File:
    """A valid file with this content: a full backup of another installation, unless ``metadata`` says otherwise.

    ``deleted``: sections and the content that was deleted. ``list_companies``: False leaves the companies' section
    empty. ``fields``: the records' content fields, where the file does not have them all.
    """
    names = sorted(fields)
    records = {
        "companies": [
            line_of({"name": name}, register.company_stamp(name).created_at)
            for name in sorted(register.companies)
            if list_companies
        ],
        "attendance_records": [
            line_of({name: content[name] for name in names}, register.record_stamp(key).created_at)
            for key, content in sorted(register.records.items())
        ],
        "seals": [line_of(content) for content in sorted(register.seals, key=lambda seal: key_in("seals", seal))],
    }
    gone = _no_lines()
    for section, content in deleted:
        part = {name: content[name] for name in names} if section == "attendance_records" else content
        key = {name: content[name] for name in KEY_NAMES[section]}
        gone[section].append({**key, "checksum": checksum(part)})
    for section, lines in gone.items():
        lines.sort(key=lambda line, section=section: key_in(section, line))  # type: ignore[misc]
    described = {
        "version": "2.0",
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, canonical(records))),
        "installation": {"id": str(ELSEWHERE), "name": "Site A"},
        "snapshot": None,
        "ancestors": None,
        "parent": None,
        "backup_type": "full",
        "since_date": None,
        "selection": None,
        "deletions": "unknown" if metadata.get("since_date") else "complete",
        "created_at": moment(dt.datetime(2026, 11, 20, 18, 40, tzinfo=dt.UTC)),
        "created_by": "meena",
        "fields": {"attendance_records": names, "companies": ["name"], "seals": list(SEAL_FIELDS)},
        "checksum": {"algorithm": "sha256", "canonicalization": "RFC 8785"},
        "application": {"name": "muster", "version": "0.1.0"},
        **{f"total_{section}": len(lines) for section, lines in records.items()},
    }
    return File({**described, **metadata}, records, gone)


def lacking(of: File, *names: str) -> bytes:
    """The file without these sections, as it is written where nobody knows them."""
    kept = [name for name in of.records if name not in names]
    metadata = {name: value for name, value in of.metadata.items() if name.removeprefix("total_") not in names}
    metadata["fields"] = {name: of.metadata["fields"][name] for name in kept}
    blocks = None if of.blocks is None else [block for block in of.blocks if block["model"] in kept]
    records, deleted = ({name: rows[name] for name in kept} for rows in (of.records, of.deleted))
    return File(metadata, records, deleted, blocks).encode()


def key_in(section: str, line: Mapping[str, Any]) -> Any:
    """A line's natural key, in sort order."""
    return tuple(line[name] for name in KEY_NAMES[section])


def unpacked(data: bytes, compression: str | None) -> bytes:
    """The content of a compressed file, decompressed by the libraries themselves."""
    if compression == "gzip":
        return gzip.decompress(data)
    if compression == "zstd":
        with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as content:
            return content.read()
    return data


def parsed(data: bytes) -> dict[str, Any]:
    """The file as a JSON document."""
    return dict(json.loads(data))


def contents(document: Mapping[str, Any]) -> dict[Key, Content]:
    """The content of the attendance records of a parsed file, by key. Asserts that each is there once."""
    found: dict[Key, Content] = {}
    for line in document["attendance_records"]:
        key = key_in("attendance_records", line)
        assert key not in found
        found[key] = {name: value for name, value in line.items() if name not in ("checksum", "created_at")}
    return found


Everything = Mapping[str, Mapping[tuple[str, ...], Content]]
"""The content of a register, by section and key."""


def applied(content: Everything, changes: Mapping[str, Any]) -> Everything:
    """The content after the rows and deletions of a parsed file. Asserts that each changes something, and that what is
    deleted is what was there."""
    after = {section: dict(records) for section, records in content.items()}
    for section in SECTIONS:
        for line in changes["deleted"][section]:
            assert checksum(after[section].pop(key_in(section, line))) == line["checksum"]
    for section in SECTIONS:
        for line in changes[section]:
            known = {name: value for name, value in line.items() if name not in ("checksum", "created_at")}
            key = key_in(section, line)
            assert checksum(known) == line["checksum"]
            assert content[section].get(key) != known
            after[section][key] = known
    return after
