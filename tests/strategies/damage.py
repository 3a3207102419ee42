"""Files that are damaged in one place, and what their refusal must name."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from tests.builders.ancestry import header, says
from tests.builders.days import MINUTES, TIMES
from tests.builders.files import File, canonical, checksum, sealed, sha256


@dataclass(frozen=True)
class Damaged:
    """A file that breaks the rules in one place. The parts that are not None must be named by an error."""

    data: bytes
    what: str
    line: int | None = None
    field: str | None = None
    key: tuple[str, ...] | None = None
    value: Any = None


_NOT_TEXT: tuple[Any, ...] = (0, 1, -3, True, False, [], ["a"], {}, {"a": "b"})
_WRONG: dict[str, tuple[Any, ...]] = {
    "name": ("", "x" * 256, "a\0b", None),
    "company_name": ("", "x" * 256, "a\0b", None),
    "ep_no": ("", "x" * 51, "\0", None),
    "ep_name": ("x" * 256, "\0", None),
    "shift": ("x" * 51, "a\0", None),
    "date": (
        "", "2026-02-30", "2026-13-01", "0000-01-01", "2026-1-5", "20260105", "2026-W01-1", "05/01/2026",
        "2026-01-05T00:00:00", " 2026-01-05", "2026-01-05\n", "2026-01-0१", None,
    ),
    "status": ("", "p", "X", "P ", "-2", "Present", None),
    "checksum": ("", "0" * 64, "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855", "0" * 63, None),
    "created_at": (
        "", "2026-01-15", "2026-01-15T08:00:00Z", "2026-01-15 08:00:00.000000Z", "2026-02-30T08:00:00.000000Z",
        "2026-01-15T24:00:00.000000Z", "2026-01-15T08:00:00.000000", "2026-01-15T08:00:00.000000+00:00", None,
    ),
    **dict.fromkeys(
        TIMES, ("", "24:00:00", "9:00:00", "09:00", "09:60:00", "09:00:60", "09:00:00.5", "09:00:00Z", "09:00:00\n")
    ),
    **dict.fromkeys(MINUTES, ("", "-", "0", "1:30", "00:60", "-01:00", "012:00", "10000:00", "01:30:00", "01:30\n")),
}  # fmt: skip
"""Values that a field must not have, as the format says, beside everything that is not text."""


@st.composite
def with_one_wrong_field(draw: st.DrawFn, file: File) -> Damaged:
    """A field missing, or of a wrong type or value, in one record of a file that has records."""
    sections = [(section, lines) for section, lines in file.records.items() if lines]
    section, lines = draw(st.sampled_from(sections))
    at = draw(st.integers(0, len(lines) - 1))
    name = draw(st.sampled_from(sorted(lines[at])))
    line = dict(lines[at])
    key_names = ("name",) if section == "companies" else ("company_name", "ep_no", "date")
    if draw(st.integers(0, 3)) == 0:
        del line[name]
        what, value = "missing", None
    else:
        value = draw(st.sampled_from([*_NOT_TEXT, *_WRONG[name]]))
        what = "wrong"
        line[name] = value
        if name not in ("checksum", "created_at"):
            # The checksum is that of the record as it stands: nothing but this field is wrong.
            line["checksum"] = checksum({k: v for k, v in line.items() if k not in ("checksum", "created_at")})
    shown = tuple(_text(line.get(part)) for part in key_names)
    data = file.encode({(section, at): canonical(line)})
    return Damaged(data, what, file.line_number(section, at), name, shown, None if value is None else _kept(value))


def _text(value: Any) -> str:
    kept = _kept(value)
    return "" if kept is None else kept if isinstance(kept, str) else json.dumps(kept)


def _kept(value: Any) -> Any:
    """A value as an error carries it: long ones cut, deep ones as text."""
    if value is None or isinstance(value, int):
        return value
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 200 else text[:200] + "…"


_METADATA_WRONG: dict[str, tuple[Any, ...]] = {
    "version": ("1.0", "3.0", 2, None),
    "id": ("", "x", "9B2F0E2A-0000-4000-8000-000000000000", 7, None),
    "installation": (None, "Site A", {}, {"id": "x", "name": "y"}),
    "snapshot": ({}, "x" * 64, header(says()), header(says()) | {"id": "0" * 64}),
    "ancestors": ([], "x", {}, [["0" * 64, [0]]]),
    "parent": ("", "x", 0, "0" * 64, "9b2f0e2a-0000-4000-8000-000000000000"),
    "backup_type": ("", "partial", None, 1),
    "since_date": ("", "2026-11-01", "2026-02-30T00:00:00.000000Z", 5),
    "selection": ("all", [], {"companies": "all"}, {"other": None}, {"date_from": "1.1.2026"}),
    "deletions": ("", "some", None),
    "created_at": ("", "2026-11-20", None, 0),
    "created_by": (None, 5, []),
    "fields": (None, {}, [], {"companies": ["name"]}),
    "checksum": (None, "sha256", {"algorithm": "md5", "canonicalization": "RFC 8785"}),
    "application": (None, "muster", {"name": "muster"}),
    "total_companies": (-1, 10**6, "1", None, 1.5),
    "total_attendance_records": (-1, 10**6, "1", None, 1.5),
    "total_seals": (-1, 10**6, "1", None, 1.5),
}


@st.composite
def with_wrong_metadata(draw: st.DrawFn, file: File) -> Damaged:
    """One member of the metadata missing, unknown, or wrong."""
    name = draw(st.sampled_from(sorted(file.metadata)))
    metadata = dict(file.metadata)
    how = draw(st.sampled_from(["missing", "wrong", "wrong", "unknown", "fields"]))
    if how == "missing":
        del metadata[name]
    elif how == "wrong":
        metadata[name] = draw(st.sampled_from([value for value in _METADATA_WRONG[name] if value != metadata[name]]))
    elif how == "unknown":
        name = draw(st.sampled_from(["other", "totals", "Version", "total_users"]))
        metadata[name] = draw(st.sampled_from([None, 1, "x", {}]))
    else:
        name = "fields"
        known = list(metadata["fields"]["attendance_records"])
        wrong = draw(
            st.sampled_from([
                [*known, "zzz"], [*known, known[-1]], known[::-1], [n for n in known if n != "status"],
                [n for n in known if n != "ep_no"], [n for n in known if n != "in_time_2"],
                [n for n in known if n != "date"],
            ])
        )  # fmt: skip
        metadata["fields"] = {**metadata["fields"], "attendance_records": wrong}
    # A missing or unknown member is named by the metadata's line and in the message.
    return Damaged(replace(file, metadata=metadata).encode(), f"metadata {how} {name}", 1, name)


@st.composite
def with_broken_structure(draw: st.DrawFn, file: File) -> Damaged:
    """Lines out of order, repeated, respelled or gone; the trailer wrong; the end cut off; something behind it."""
    section, lines = draw(st.sampled_from([(section, lines) for section, lines in file.records.items() if lines]))
    how = draw(st.sampled_from([one for one in _STRUCTURE if len(lines) > 1 or one != "out of order"]))
    at = draw(st.integers(0, len(lines) - 1))
    line, number = lines[at], file.line_number(section, at)
    last = file.encode().count(b"\n")
    if how == "unknown field":
        name = draw(st.sampled_from(["id", "updated_at", "a", "zz", "Status"]))
        return Damaged(file.encode({(section, at): canonical({**line, name: "x"})}), how, number, name)
    if how == "name given twice":
        name = min(line)
        text = f'{{"{name}":{canonical(line[name])},{canonical(line)[1:]}'
        return Damaged(file.encode({(section, at): text}), how, number)
    if how == "other spacing":
        return Damaged(file.encode({(section, at): canonical(line).replace('":', '": ', 1)}), how, number)
    if how == "other order of names":
        text = "{" + ",".join(f'"{name}":{canonical(line[name])}' for name in sorted(line, reverse=True)) + "}"
        return Damaged(file.encode({(section, at): text}), how, number)
    if how == "not an object":
        text = draw(st.sampled_from(["[]", "1", "null", '"x"', "{", "{}}", "nonsense", '{"a":"\\ud800"}']))
        return Damaged(file.encode({(section, at): text}), how, number)
    if how == "line twice":
        twice = replace(
            file, records={**file.records, section: [*lines[: at + 1], *lines[at:]]}, metadata=dict(file.metadata)
        )
        twice.metadata[f"total_{section}"] += 1
        return Damaged(twice.encode(), how, number + 1)
    if how == "out of order":
        at = min(at, len(lines) - 2)
        swapped = [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]
        wrong = replace(file, records={**file.records, section: swapped})
        return Damaged(wrong.encode(), how, file.line_number(section, at + 1))
    if how == "line gone":
        wrong = replace(file, records={**file.records, section: lines[:at] + lines[at + 1 :]})
        return Damaged(wrong.encode(), how, 1, f"total_{section}")
    if how == "both there and deleted":
        key_names = ("name",) if section == "companies" else ("company_name", "ep_no", "date")
        gone = {**{name: line[name] for name in key_names}, "checksum": line["checksum"]}
        wrong = replace(file, deleted={**{name: [] for name in file.records}, section: [gone]})
        return Damaged(wrong.encode(), how, key=tuple(line[name] for name in key_names))
    if how == "trailer count":
        name = draw(st.sampled_from(["companies", "attendance_records", "deleted"]))
        value = draw(st.sampled_from([file.trailer[name] + 1, -1, "1", None, 1.5]))
        return Damaged(sealed(file.body(), {**file.trailer, name: value}), how, last, name)
    if how == "trailer lacks":
        name = draw(st.sampled_from(["companies", "attendance_records", "deleted"]))
        return Damaged(sealed(file.body(), {k: v for k, v in file.trailer.items() if k != name}), how, last, name)
    if how == "trailer says more":
        return Damaged(sealed(file.body(), {**file.trailer, "other": 1}), how, last)
    whole = file.encode()
    if how == "digest":
        head, quoted, digest = whole.rpartition(b'"sha256":"')
        flipped = bytes([digest[0] ^ 1]) if digest[:1] not in b"9a" else b"b"
        return Damaged(head + quoted + flipped + digest[1:], how, last, "sha256")
    if how == "cut":
        return Damaged(whole[: draw(st.integers(0, len(whole) - 1))], how)
    return Damaged(whole + draw(st.sampled_from([b"\n", b" ", b"x", b"{}", whole])), how, last + 1)


_STRUCTURE = (
    "unknown field", "name given twice", "other spacing", "other order of names", "not an object", "line twice",
    "out of order", "line gone", "both there and deleted", "trailer count", "trailer lacks", "trailer says more",
    "digest", "cut", "something behind",
)  # fmt: skip


@st.composite
def with_a_false_list(draw: st.DrawFn, file: File) -> Damaged:
    """A list of blocks, of a file that has some, which is false in one place: a value, an entry that is missing, stands
    twice, stands elsewhere, or tells of two stretches as if they were cut at another place."""
    blocks = list(file.blocks or [])
    at = draw(st.integers(0, len(blocks) - 1))
    how = draw(st.sampled_from(["value", "digit", "gone", "twice", "swapped", "cut"]))
    if how == "value":
        name = draw(st.sampled_from(sorted(blocks[at])))
        value = blocks[at][name]
        others: list[Any] = [value + 1, value - 1] if isinstance(value, int) else [sha256(str(value))]
        false = [*value, "x"] if isinstance(value, list) else draw(st.sampled_from(others))
        blocks[at] = blocks[at] | {name: false}
    elif how == "digit":
        name = draw(st.sampled_from(["digest", "raw_sha256"]))
        spot, digest = draw(st.integers(0, 63)), blocks[at][name]
        digit = draw(st.sampled_from([digit for digit in "0123456789abcdef" if digit != digest[spot]]))
        blocks[at] = blocks[at] | {name: digest[:spot] + digit + digest[spot + 1 :]}
    elif how == "gone":
        del blocks[at]
    elif how == "twice":
        blocks.insert(draw(st.integers(0, len(blocks))), blocks[at])
    else:
        other = draw(st.integers(0, len(blocks) - 1).filter(lambda other: other != at or len(blocks) == 1))
        if how == "swapped":
            blocks[at], blocks[other] = blocks[other], blocks[at]
        else:
            blocks[at] = blocks[at] | {"count": blocks[at]["count"] + 1, "bytes": blocks[at]["bytes"] + 1}
            blocks[other] = blocks[other] | {"count": blocks[other]["count"] - 1, "bytes": blocks[other]["bytes"] - 1}
    return Damaged(replace(file, blocks=blocks).encode(), f"list {how}")


@st.composite
def damaged(draw: st.DrawFn, file: File) -> Damaged:
    """The file, broken in one place of any kind."""
    kinds = [
        with_one_wrong_field(file),
        with_wrong_metadata(file),
        with_broken_structure(file),
        with_a_wrong_byte(file),
        *([with_a_false_list(file)] if file.blocks else []),
    ]
    return draw(st.one_of(kinds))


@st.composite
def with_a_wrong_byte(draw: st.DrawFn, file: File) -> Damaged:
    """One byte changed, whatever it is."""
    data = bytearray(file.encode())
    at = draw(st.integers(0, len(data) - 1))
    data[at] ^= draw(st.integers(1, 255))
    return Damaged(bytes(data), f"byte {at}")
