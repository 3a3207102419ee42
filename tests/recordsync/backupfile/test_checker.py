"""What a file can have wrong with it though its digest is right: each is refused, and the error says where and what."""

import hashlib
import json
from codecs import BOM_UTF8
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson
import pytest

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA
from recordsync.backupfile import Limits, scanner
from recordsync.errors import FileError, RecordSyncError
from recordsync.model.schema import Schema
from tests.builders.ancestry import header, says
from tests.builders.records import company, deletion, record, seal, sections, written
from tests.recordsync.support import (
    checked,
    drop_metadata,
    edited,
    lines_of,
    opened,
    resealed,
    row,
    set_metadata,
    the_error,
)

GONE = record("ABC", "E0")
FILE: Final = written(
    sections(
        [company("ABC"), company("Beta")],
        [record("ABC", "E1", in_time="09:00:00"), record("ABC", "E2"), record("Beta", "E1")],
        [deletion(COMPANIES, company("Gone"))],
        [deletion(ATTENDANCE_RECORDS, GONE)],
        [seal("ABC")],
    )
)
# Its lines, counted from 1:
METADATA, ABC, BETA, E1, E2, BETA_E1, SEAL, GONE_COMPANY, GONE_DAY, TRAILER = (
    number for number, line in enumerate(lines_of(FILE), 1) if line.startswith((b'{"', b'"trailer"'))
)
PLACES: Final = {
    **dict.fromkeys((ABC, BETA), ("companies", False)),
    **dict.fromkeys((E1, E2, BETA_E1), ("attendance_records", False)),
    SEAL: ("seals", False),
    GONE_COMPANY: ("companies", True),
    GONE_DAY: ("attendance_records", True),
}
"""The section of each row, and whether it is of what was deleted."""
KEY = {
    ABC: ("ABC",),
    BETA: ("Beta",),
    E1: ("ABC", "E1", "2026-11-20"),
    E2: ("ABC", "E2", "2026-11-20"),
    BETA_E1: ("Beta", "E1", "2026-11-20"),
    GONE_COMPANY: ("Gone",),
    GONE_DAY: ("ABC", "E0", "2026-11-20"),
}
TOO_LONG = 256 * "x"


def test_the_file_is_valid_as_it_is_and_after_resealing() -> None:
    assert checked(FILE).valid
    assert resealed(lines_of(FILE)) == FILE
    assert len(lines_of(FILE)) == TRAILER
    assert all(row(line, lambda found: None) == line for line in lines_of(FILE)[7:10])


# --- Values of a record


@dataclass(frozen=True)
class Value:
    """A value that a field must not have; ``shown`` is how the error keeps it."""

    line: int
    field: str
    value: Any
    expected: str
    shown: Any = ...
    checksums: bool = True


VALUES: Final = [
    Value(ABC, "name", "", "text of 1 to 255 characters"),
    Value(BETA, "name", TOO_LONG, "text of 1 to 255 characters", TOO_LONG[:200] + "…"),
    Value(BETA, "name", "x\0", "without NUL"),
    Value(ABC, "name", 5, "text of 1 to 255 characters"),
    Value(ABC, "name", None, "text of 1 to 255 characters"),
    Value(ABC, "name", ["ABC"], "text of 1 to 255 characters", '["ABC"]'),
    Value(ABC, "name", {"a": "ABC"}, "text of 1 to 255 characters", '{"a": "ABC"}'),
    Value(ABC, "created_at", "2026-11-20", "a moment YYYY-MM-DDTHH:MM:SS.ffffffZ"),
    Value(ABC, "created_at", None, "a moment"),
    Value(ABC, "created_at", 1732128000, "a moment"),
    Value(E1, "ep_no", "", "text of 1 to 50 characters"),
    Value(E1, "ep_no", "1" * 51, "text of 1 to 50 characters"),
    Value(E1, "company_name", None, "text of 1 to 255 characters"),
    Value(E1, "date", "2026-02-29", "a date YYYY-MM-DD"),
    Value(E1, "date", "20.11.2026", "a date YYYY-MM-DD"),
    Value(E1, "date", None, "a date YYYY-MM-DD"),
    Value(E1, "ep_name", None, "text of 0 to 255 characters"),
    Value(E1, "shift", "s" * 51, "text of 0 to 50 characters"),
    Value(E1, "status", "X", "one of P, A, PH, WO, PD, L, -0.5, -1"),
    Value(E1, "status", None, "one of P, A, PH, WO, PD, L, -0.5, -1"),
    Value(E1, "status", -1, "one of P, A, PH, WO, PD, L, -0.5, -1"),
    Value(E1, "in_time", "09:00", "a time HH:MM:SS or null"),
    Value(E1, "out_time_3", "24:00:00", "a time HH:MM:SS or null"),
    Value(E1, "in_time", False, "a time HH:MM:SS or null"),
    Value(E1, "overstay", "", "a duration HH:MM from 00:00 to 9999:59 or null"),
    Value(E1, "overtime", "10000:00", "a duration HH:MM from 00:00 to 9999:59 or null"),
    Value(E1, "overtime_to_mandays", 8.5, "a duration HH:MM from 00:00 to 9999:59 or null"),
    Value(SEAL, "month", "2026-10", "a date YYYY-MM-DD"),
    Value(SEAL, "closed_at", "2026-11-20", "a moment YYYY-MM-DDTHH:MM:SS.ffffffZ"),
    Value(SEAL, "closed_by", "", "text of 1 to 150 characters"),
    Value(SEAL, "digest", 63 * "0", "text of 64 to 64 characters"),
    Value(SEAL, "reopened_at", "", "a moment YYYY-MM-DDTHH:MM:SS.ffffffZ or null"),
    Value(GONE_COMPANY, "name", "", "text of 1 to 255 characters"),
    Value(GONE_COMPANY, "name", None, "text of 1 to 255 characters"),
    Value(GONE_DAY, "date", "2026-13-01", "a date YYYY-MM-DD"),
    Value(GONE_DAY, "checksum", "A" * 64, "64 lower-case hex digits", checksums=False),
    Value(GONE_DAY, "checksum", "a" * 63, "64 lower-case hex digits", checksums=False),
    Value(GONE_DAY, "checksum", None, "64 lower-case hex digits", checksums=False),
    Value(GONE_DAY, "checksum", 64, "64 lower-case hex digits", checksums=False),
]


@pytest.mark.parametrize("case", VALUES, ids=lambda case: f"{case.field}={ascii(case.value)[:20]} in {case.line}")
def test_a_value_that_its_field_must_not_have(case: Value) -> None:
    file = edited(
        FILE,
        case.line,
        lambda line: row(line, lambda found: found.update({case.field: case.value}), checksums=case.checksums),
    )
    error = the_error(file)
    assert (error.line, error.field) == (case.line, case.field)
    assert error.value == (case.value if case.shown is ... else case.shown)
    assert case.expected in error.message
    assert error.message.startswith(f"{case.field} is ")
    key = orjson.loads(lines_of(file)[case.line - 1].rstrip(b",\n"))
    section, deleted = PLACES[case.line]
    model = SCHEMA[section]
    assert error.section == ("deleted." if deleted else "") + section
    expected_key = tuple(key[name] if isinstance(key[name], str) else "" for name in model.spelling or model.key_names)
    if all(isinstance(key[name], str | None) and len(key[name] or "") < 200 for name in model.key_names):
        assert error.key == expected_key


def test_every_illegal_value_of_a_record_is_named() -> None:
    bad = {"status": "X", "in_time": "9", "created_at": ""}
    report = checked(edited(FILE, E1, lambda line: row(line, lambda found: found.update(bad))))
    assert [(error.line, error.field, error.value) for error in report.errors] == [
        (E1, "in_time", "9"),
        (E1, "status", "X"),
        (E1, "created_at", ""),
    ]


@pytest.mark.parametrize("line", [ABC, E1])
@pytest.mark.parametrize("given", ["0" * 64, "", None, 5, {"a": 1}], ids=str)
def test_a_checksum_that_is_not_that_of_the_record(line: int, given: object) -> None:
    right = orjson.loads(lines_of(FILE)[line - 1].rstrip(b",\n"))["checksum"]
    file = edited(FILE, line, lambda text: row(text, lambda found: found.update(checksum=given), checksums=False))
    error = the_error(file)
    assert (error.line, error.key, error.field) == (line, KEY[line], "checksum")
    assert error.value == ('{"a": 1}' if isinstance(given, dict) else given)
    assert error.expected == right
    assert right[:12] in error.message
    assert right not in error.message, "a person compares the first few digits"


def test_a_record_changed_by_hand_does_not_have_its_checksum() -> None:
    file = edited(FILE, E1, lambda line: line.replace(b"09:00:00", b"08:00:00"))
    error = the_error(file)
    assert (error.line, error.key, error.field) == (E1, KEY[E1], "checksum")
    assert "damaged or was changed by hand" in error.message


# --- Names in a record


@pytest.mark.parametrize("name", ["status", "ep_no", "checksum", "created_at", "overtime"])
def test_a_missing_field_is_named(name: str) -> None:
    error = the_error(edited(FILE, E1, lambda line: row(line, lambda found: found.pop(name))))
    assert (error.line, error.field, error.value) == (E1, name, None)
    assert error.message.endswith(f"the field {name} is missing")
    assert error.key == tuple("" if part == "E1" and name == "ep_no" else part for part in KEY[E1])


def test_all_missing_fields_are_named() -> None:
    report = checked(edited(FILE, E1, lambda line: b"{},\n"))
    assert report.error_count == len(ATTENDANCE_RECORDS.names) + 2
    assert {error.line for error in report.errors} == {E1}


@pytest.mark.parametrize("line", [ABC, E1, GONE_COMPANY, GONE_DAY])
@pytest.mark.parametrize("name", ["id", "updated_at", "", "x" * 300], ids=lambda name: name[:12])
def test_an_unknown_field_is_named(line: int, name: str) -> None:
    shown = name if len(name) < 200 else name[:200] + "…"
    file = edited(FILE, line, lambda text: row(text, lambda found: found.update({name: "5"})))
    error = the_error(file)
    assert (error.line, error.key, error.field, error.value) == (line, KEY[line], shown, "5")
    assert error.message.endswith("is not known")


def test_a_deletion_lacks_its_checksum() -> None:
    error = the_error(edited(FILE, GONE_DAY, lambda line: row(line, lambda found: found.pop("checksum"))))
    assert (error.line, error.key, error.field) == (GONE_DAY, KEY[GONE_DAY], "checksum")


# --- How a line is written


def spread(line: bytes) -> bytes:
    return json.dumps(orjson.loads(line.rstrip(b",\n")), sort_keys=True).encode() + line[line.rindex(b"}") + 1 :]


def reordered(line: bytes) -> bytes:
    found = orjson.loads(line.rstrip(b",\n"))
    return orjson.dumps(dict(reversed(found.items()))) + line[line.rindex(b"}") + 1 :]


LAID_OUT: Final[dict[str, Callable[[bytes], bytes]]] = {
    "a name given twice, with the same value": lambda line: line.replace(b'"name"', b'"name":"ABC","name"').replace(
        b'"status"', b'"status":"P","status"'
    ),
    "a name given twice, with another value first": lambda line: line.replace(b'"name"', b'"name":"X","name"').replace(
        b'"status"', b'"status":"A","status"'
    ),
    "names in another order": reordered,
    "white space between tokens": spread,
    "white space at the start": lambda line: line.replace(b"{", b"{ ", 1),
    "white space at the end": lambda line: line.replace(b"},", b"} ,").replace(b"}\n", b"} \n"),
    "a tab at the end": lambda line: line.replace(b"},", b"}\t,").replace(b"}\n", b"}\t\n"),
    "CR LF": lambda line: line.replace(b"},\n", b"},\r\n").replace(b"}\n", b"}\r\n"),
    "an escape that is not needed": lambda line: line.replace(b'"2026', b'"\\u0032026'),
    "a slash escaped": lambda line: line.replace(b'"checksum"', b'"check\\u0073um"'),
}


@pytest.mark.parametrize("line", [ABC, E1, BETA_E1])
@pytest.mark.parametrize("layout", LAID_OUT)
def test_a_line_that_is_not_written_as_we_write_it(line: int, layout: str) -> None:
    file = edited(FILE, line, LAID_OUT[layout])
    assert file != FILE
    error = the_error(file) if "CR" not in layout or line == BETA_E1 else checked(file).errors[0]
    assert error.line in (line, line + 1)


NOT_JSON: Final[dict[str, bytes]] = {
    "cut": b'{"name":"ABC"',
    "1e400": b'{"name":1e400}',
    "NaN": b'{"name":NaN}',
    "Infinity": b'{"name":-Infinity}',
    "a lone surrogate": b'{"name":"\\ud800"}',
    "a low surrogate first": b'{"name":"\\udc00\\ud800"}',
    "invalid UTF-8": b'{"name":"\xff"}',
    "overlong UTF-8": b'{"name":"\xc0\x80"}',
    "a surrogate in UTF-8": b'{"name":"\xed\xa0\x80"}',
    "a NUL byte": b'{"name":"\x00"}',
    "a control character": b'{"name":"\x1f"}',
    "nested past the parser": b'{"name":' + 100_000 * b"[" + 100_000 * b"]" + b"}",
    "nothing after the brace": b"{",
    "two objects": b'{"name":"ABC"}{"name":"ABC"}',
    "a comment": b'{"name":"ABC"} // ABC',
    "single quotes": b"{'name':'ABC'}",
}


@pytest.mark.parametrize("line", [ABC, E1, GONE_COMPANY])
@pytest.mark.parametrize("text", NOT_JSON)
def test_a_line_that_is_not_json(line: int, text: str) -> None:
    def replaced(old: bytes) -> bytes:
        return NOT_JSON[text] + old[old.rindex(b"}") + 1 :]

    error = the_error(edited(FILE, line, replaced))
    assert error.line == line
    assert "is not JSON" in error.message
    assert len(str(error.value)) <= 201
    assert len(error.message) < 400


@pytest.mark.parametrize("depth", [250, 300, 900, 1000, 1020])
@pytest.mark.parametrize("place", ["a field", "a key", "an unknown field", "the metadata", "the trailer"])
def test_deep_nesting_is_refused_without_falling_over(depth: int, place: str) -> None:
    deep = depth * b"[" + depth * b"]"
    file = {
        "a field": lambda: edited(FILE, E1, lambda line: line.replace(b'"09:00:00"', deep)),
        "a key": lambda: edited(FILE, E1, lambda line: line.replace(b'"E1"', deep)),
        "an unknown field": lambda: edited(FILE, E1, lambda line: line.replace(b'{"', b'{"a":' + deep + b',"', 1)),
        "the metadata": lambda: edited(
            FILE, METADATA, lambda line: line.replace(b'"selection":null', b'"selection":' + deep)
        ),
        "the trailer": lambda: FILE.replace(b'"deleted":2', b'"deleted":' + deep),
    }[place]()
    report = checked(file)
    assert not report.valid
    assert all(len(error.message) < 800 and len(str(error.value)) <= 201 for error in report.errors)


def test_something_that_is_not_an_object_where_a_record_belongs() -> None:
    for text in (b"[]", b'"ABC"', b"null", b"5", b"x", b""):
        error = the_error(edited(FILE, ABC, lambda line, text=text: text + b",\n"))  # type: ignore[misc]
        assert error.line == ABC
        assert "a record of companies was expected" in error.message


# --- Keys


def moved(line: int, to: int) -> bytes:
    lines = lines_of(FILE)
    lines.insert(to - 1, lines.pop(line - 1))
    return resealed(
        [text if text[:1] != b"{" or b"metadata" in text else text.rstrip(b",\n") + b",\n" for text in lines]
    )


def test_records_out_of_order() -> None:
    lines = lines_of(FILE)
    lines[E1 - 1], lines[E2 - 1] = lines[E2 - 1], lines[E1 - 1]
    error = the_error(resealed(lines))
    assert (error.line, error.key) == (E2, KEY[E1])
    assert error.message == "it is out of order: the record before it belongs after it"
    assert error.value == ["ABC", "E2", "2026-11-20"]


@pytest.mark.parametrize("other", [False, True], ids=["identical", "different"])
def test_two_records_with_one_key(other: bool) -> None:
    def twice(line: bytes) -> bytes:
        return line + (row(line, lambda found: found.update(status="A")) if other else line)

    file = edited(FILE, E1, twice)
    report = checked(file)
    first = report.errors[0]
    assert (first.line, first.key) == (E1 + 1, KEY[E1])
    assert str(first) == f"line {E1 + 1}, attendance_records ABC · E1 · 2026-11-20: it stands twice"
    assert [error.field for error in report.errors[1:]] == ["total_attendance_records", "attendance_records"]


@pytest.mark.parametrize("block", [64, 300])
def test_order_is_checked_across_the_pieces_that_a_file_is_read_by(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(scanner, "_PIECE", block)
    assert checked(FILE).valid
    test_records_out_of_order()
    test_two_records_with_one_key(False)
    test_two_deletions_of_one_key()


def test_two_deletions_of_one_key() -> None:
    def twice(line: bytes) -> bytes:
        return line.rstrip(b"\n") + b",\n" + line

    report = checked(edited(FILE, GONE_DAY, twice, deleted=3))
    assert [(error.line, error.key) for error in report.errors] == [(GONE_DAY + 1, KEY[GONE_DAY])]
    assert (report.errors[0].section, report.errors[0].message) == ("deleted.attendance_records", "it stands twice")


def test_one_key_among_the_records_and_among_the_deleted() -> None:
    file = written(
        sections(
            [company("ABC"), company("Beta")],
            [record("ABC", "E1"), record("ABC", "E2")],
            [deletion(COMPANIES, company("ABC"))],
            [
                deletion(ATTENDANCE_RECORDS, record("ABC", "E0")),
                deletion(ATTENDANCE_RECORDS, record("ABC", "E2")),
            ],
        )
    )
    report = checked(file)
    assert [(error.line, error.key) for error in report.errors] == [(13, ("ABC",)), (16, ("ABC", "E2", "2026-11-20"))]
    assert "stands among the records and among the deleted" in report.errors[0].message


# --- Counts, digest, trailer


def test_a_count_in_the_metadata_that_is_wrong() -> None:
    file = edited(FILE, METADATA, lambda line: set_metadata(line, total_attendance_records=4))
    error = the_error(file)
    assert (error.line, error.field, error.value) == (1, "total_attendance_records", 4)
    assert error.message == "the metadata say 4 attendance_records, and the file holds 3"


@pytest.mark.parametrize("name", ["companies", "attendance_records", "deleted"])
def test_a_count_in_the_trailer_that_is_wrong(name: str) -> None:
    error = the_error(resealed(lines_of(FILE), **{name: 7}))
    assert (error.line, error.field, error.value) == (TRAILER, name, 7)
    assert "the trailer says" in error.message


@pytest.mark.parametrize("digest", ["0" * 64, "", "é"])
def test_a_digest_in_the_trailer_that_is_wrong(digest: str) -> None:
    error = the_error(resealed(lines_of(FILE), sha256=digest))
    assert (error.line, error.field, error.value) == (TRAILER, "sha256", digest)
    assert error.expected == hashlib.sha256(b"".join(lines_of(FILE)[:-1])).hexdigest()
    assert f"the content's is {error.expected[:12]}…: the file is damaged" in error.message


def test_a_digest_in_upper_case_is_wrong() -> None:
    digest = hashlib.sha256(b"".join(lines_of(FILE)[:-1])).hexdigest()
    assert the_error(resealed(lines_of(FILE), sha256=digest.upper())).field == "sha256"


@pytest.mark.parametrize(
    ("trailer", "field", "message"),
    [
        (b"{}", "companies", "the trailer has no companies"),
        (b'{"attendance_records":"3"}', "companies", "the trailer has no companies"),
        (b"[]", None, "the trailer is not an object"),
        (b"{", None, "the trailer is not JSON"),
        (b'{"a": 1}', None, "the trailer is not in canonical form"),
    ],
)
def test_a_trailer_that_is_none(trailer: bytes, field: str | None, message: str) -> None:
    lines = lines_of(FILE)
    error = the_error(b"".join(lines[:-1]) + b'"trailer":' + trailer + b"}\n")
    assert (error.line, error.field) == (TRAILER, field)
    assert message in error.message


@pytest.mark.parametrize("wrong", [True, 3.0, "3", None, [3]], ids=str)
def test_a_trailer_whose_count_is_no_number(wrong: object) -> None:
    error = the_error(resealed(lines_of(FILE), attendance_records=wrong))
    assert (error.line, error.field) == (TRAILER, "attendance_records")


def test_a_trailer_that_says_more() -> None:
    error = the_error(resealed(lines_of(FILE), more=1))
    assert error == FileError("the trailer has fields that are not known", TRAILER)


# --- Metadata


MISSING = [
    "ancestors", "application", "backup_type", "checksum", "created_at", "created_by", "deletions",
    "fields", "id", "installation", "parent", "selection", "since_date", "snapshot",
    "total_attendance_records", "total_companies", "total_seals",
]  # fmt: skip


def test_the_metadata_that_can_be_missing_are_all_of_them() -> None:
    found = orjson.loads(lines_of(FILE)[0].removeprefix(b'{"metadata":').removesuffix(b",\n"))
    assert sorted([*MISSING, "version"]) == sorted(found)


@pytest.mark.parametrize("name", MISSING)
def test_missing_metadata_are_named(name: str) -> None:
    error = the_error(edited(FILE, METADATA, lambda line: drop_metadata(line, name)))
    assert (error.line, error.field) == (1, name)


def test_a_file_without_a_version() -> None:
    error = the_error(edited(FILE, METADATA, lambda line: drop_metadata(line, "version")))
    assert (error.line, error.field, error.value) == (1, "version", None)


@pytest.mark.parametrize("version", ["1.0", "2.1", "3.0", "2", 2.0, 2, None, ["2.0"]], ids=str)
def test_an_unknown_version(version: object) -> None:
    error = the_error(edited(FILE, METADATA, lambda line: set_metadata(line, version=version)))
    assert (error.line, error.field) == (1, "version")
    assert "this program reads version 2.0" in error.message


UUID_LIKE = "0190f3a2-7c11-7e5d-8a44-4be7a1c0ffee"
WRONG_METADATA: Final[list[tuple[str, Any, str]]] = [
    ("id", "5", "id"),
    ("id", UUID_LIKE.upper(), "id"),
    ("id", UUID_LIKE + "\n", "id"),
    ("id", f"{{{UUID_LIKE}}}", "id"),
    ("id", None, "id"),
    ("installation", "here", "installation"),
    ("installation", {"id": UUID_LIKE}, "installation"),
    ("installation", {"id": "x", "name": "here"}, "installation.id"),
    ("installation", {"id": UUID_LIKE, "name": 5}, "installation.name"),
    ("installation", {"id": UUID_LIKE, "name": "a\0b"}, "installation.name"),
    ("installation", {"id": UUID_LIKE, "name": "here", "place": "x"}, "installation"),
    ("parent", "x", "parent"),
    ("parent", [], "parent"),
    ("merged", {}, "merged"),
    ("backup_type", "differential", "backup_type"),
    ("since_date", "2026-11-20", "since_date"),
    ("since_date", "2026-02-30T00:00:00.000000Z", "since_date"),
    ("created_at", "2026-02-30T00:00:00.000000Z", "created_at"),
    ("created_at", "2026-11-20T00:00:00.000000Z\n", "created_at"),
    ("created_at", None, "created_at"),
    ("selection", [], "selection"),
    ("selection", {"company": ["ABC"]}, "selection"),
    ("selection", {"companies": "ABC"}, "selection.companies"),
    ("selection", {"companies": [5]}, "selection.companies"),
    ("selection", {"companies": ["A\0"]}, "selection.companies"),
    ("selection", {"date_from": "yesterday"}, "selection.date_from"),
    ("selection", {"date_to": "2026-11-20\n"}, "selection.date_to"),
    ("deletions", "some", "deletions"),
    ("created_by", 5, "created_by"),
    ("created_by", "\0", "created_by"),
    ("checksum", {"algorithm": "md5", "canonicalization": "RFC 8785"}, "checksum.algorithm"),
    ("checksum", {"algorithm": "sha256", "canonicalization": "none"}, "checksum.canonicalization"),
    ("checksum", {}, "checksum"),
    ("application", {"name": "Muster"}, "application"),
    ("total_companies", -1, "total_companies"),
    ("total_companies", "2", "total_companies"),
    ("total_companies", None, "total_companies"),
    ("total_companies", 2.0, "total_companies"),
    ("total_companies", 2**53, "total_companies"),
    ("total_people", 1, "total_people"),
    ("totals", {"companies": 2, "attendance_records": 3}, "totals"),
    ("comment", "", "comment"),
]


@pytest.mark.parametrize(
    ("name", "value", "place"), WRONG_METADATA, ids=[f"{name}={ascii(value)[:40]}" for name, value, _ in WRONG_METADATA]
)
def test_metadata_that_are_wrong(name: str, value: object, place: str) -> None:
    error = the_error(edited(FILE, METADATA, lambda line: set_metadata(line, **{name: value})))
    assert error.line == 1
    assert error.field is not None
    assert error.field.startswith(place), error


FIELDS = {model.name: list(model.names) for model in sorted(SCHEMA, key=lambda model: model.name)}


def without(*names: str) -> dict[str, list[str]]:
    return FIELDS | {"attendance_records": [name for name in ATTENDANCE_RECORDS.names if name not in names]}


WRONG_FIELDS: Final[list[tuple[str, Any, str, str]]] = [
    ("none", {}, "fields", "the content fields of"),
    ("one model lacks", {"companies": ["name"]}, "fields", "the content fields of"),
    ("a model too many", FIELDS | {"people": []}, "fields", "the content fields of"),
    ("no list", FIELDS | {"companies": "name"}, "fields", "Expected"),
    (
        "required",
        without("status", *ATTENDANCE_RECORDS.units["day"]),
        "fields.attendance_records",
        "`status` is missing",
    ),
    ("required, the key", without("ep_no"), "fields.attendance_records", "`ep_no` is missing"),
    ("required, of companies", FIELDS | {"companies": []}, "fields.companies", "`name` is missing"),
    ("part of a unit", without("in_time_2"), "fields.attendance_records", "`in_time_2` is missing, which merges whole"),
    ("part of a unit", without("overtime"), "fields.attendance_records", "`overtime` is missing, which merges whole"),
    ("unknown", FIELDS | {"companies": ["city", "name"]}, "fields.companies", "Unknown field `city`"),
    (
        "out of order",
        FIELDS | {"attendance_records": list(reversed(ATTENDANCE_RECORDS.names))},
        "fields.att",
        "in order",
    ),
    ("twice", FIELDS | {"companies": ["name", "name"]}, "fields.companies", "each once"),
]


@pytest.mark.parametrize(("what", "value", "place", "message"), WRONG_FIELDS, ids=[case[0] for case in WRONG_FIELDS])
def test_fields_that_a_file_cannot_have(what: str, value: object, place: str, message: str) -> None:
    error = the_error(edited(FILE, METADATA, lambda line: set_metadata(line, fields=value)))
    assert error.line == 1
    assert error.field is not None
    assert error.field.startswith(place), error
    assert message in error.message


def test_a_file_may_lack_whole_units() -> None:
    narrow = without("ep_name", "overtime", "overtime_to_mandays")
    shape = ATTENDANCE_RECORDS.shape(narrow["attendance_records"])
    records = [shape.project(record("ABC", "E1", ep_name="x"), ATTENDANCE_RECORDS.shape())]
    file = opened(written(sections([company("ABC")], records), fields=narrow))
    assert file.counts
    assert list(file.records(ATTENDANCE_RECORDS)) == records


@pytest.mark.parametrize(
    "edit",
    [
        lambda line: line.replace(b'"parent":null', b'"parent":null,"parent":null'),
        lambda line: line.replace(b'{"metadata":{', b'{"metadata":{ '),
        lambda line: line.replace(b",\n", b" ,\n"),
        lambda line: line.replace(b",\n", b",\r\n"),
        lambda line: line.replace(b",\n", b"\n"),
        lambda line: b"\xef\xbb\xbf" + line,
        lambda line: b" " + line,
        lambda line: b"\n" + line,
        lambda line: b'{"metadata":[],\n',
        lambda line: b'{"metadata":null,\n',
        lambda line: b'{"metadata":{"version":"2.0"\n',
        lambda line: b'{"metadata":1e400,\n',
        lambda line: b'{"companies":[],\n',
        lambda line: b"PK\x03\x04\n",
    ],
)
def test_a_first_line_that_is_not_written_as_we_write_it(edit: Callable[[bytes], bytes]) -> None:
    report = checked(edited(FILE, METADATA, edit))
    assert not report.valid
    assert report.errors[0].line == 1


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_file_of_another_kind_is_told_so(end: bytes) -> None:
    for other in (b"PK\x03\x04", b"ep_no;date", b"\x89PNG\r", b"<html>", b"[]", b"null"):
        assert the_error(other + end).message == "this is not a backup file"
    for other in (b"{}", b'{"users":[{"a":1}]}', b'{"metadata" :{', b'\xef\xbb\xbf{"metadata":{'):
        assert the_error(other + end).message.startswith("this is not a backup file")
    for other in (
        b'{"metadata":{"version":"3.0","users":{}}}',
        b'{"metadata":{"version":"3.0","users":{}},"users":[]}',
    ):
        assert the_error(other + end).message.startswith('this is a file of version "3.0"; this program reads')


def test_the_start_of_a_file_is_cut_short_and_nothing_else() -> None:
    first = lines_of(FILE)[0]
    for length in range(len(first)):
        assert the_error(first[:length]).message.startswith("the file ends in the metadata: it is "), length


def test_a_file_of_another_kind_in_one_long_line_is_told_so() -> None:
    rows = b',"users":["' + "ü".encode() * scanner._PIECE + b'"]}'
    for start, told in (
        (b'{"a":1', "this is not a backup file of"),
        (b'{"metadata":{}', "this is a file of version null"),
        (b'{"metadata":{"version":"2.0"}', "this is not a backup file of"),
    ):
        (error,) = checked(start + rows, Limits(line=1000)).errors
        assert error.message.startswith(told)


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_file_laid_out_anew_is_told_so(end: bytes) -> None:
    anew = [
        json.dumps(json.loads(FILE), **layout).encode() for layout in ({"indent": 2}, {}, {"separators": (",", ":")})
    ]
    for file in (*anew, BOM_UTF8 + FILE):
        error = the_error(file + end)
        assert (error.line, "laid out anew" in error.message) == (1, True)


# --- The layout of the whole


def test_extra_lines_and_tokens_are_refused_wherever_they_stand() -> None:
    lines = lines_of(FILE)
    for at in range(len(lines) + 1):
        for extra in (b"\n", b" \n", b"{},\n", b"],\n", b'"more":[],\n', b"null,\n"):
            report = checked(b"".join([*lines[:at], extra, *lines[at:]]))
            assert not report.valid
            # One "]" too many may close what is open; the next one is then the one too many.
            assert report.errors[0].line == (at + 2 if extra == b"],\n" and at in (BETA, BETA_E1, SEAL) else at + 1)


def test_missing_and_swapped_lines_are_refused() -> None:
    lines = lines_of(FILE)
    for at in range(len(lines) - 1):
        assert not checked(resealed([*lines[:at], *lines[at + 1 :]])).valid
        if lines[at].rstrip(b",\n") != lines[at + 1].rstrip(b",\n"):
            swapped = [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]
            assert not checked(b"".join(swapped)).valid


def test_crlf_throughout() -> None:
    assert the_error(FILE.replace(b"\n", b"\r\n")).line == 1


@pytest.mark.parametrize("end", [b"", b"\n\n", b" \n", b"\n ", b"\r\n", b"\n\0", b"\n{}"])
def test_an_end_that_is_not_one_newline(end: bytes) -> None:
    error = the_error(FILE[:-1] + end)
    assert error.line in (TRAILER, TRAILER + 1)


def test_what_stands_between_brackets_of_an_empty_section() -> None:
    empty = written(sections())
    for text in (b'"companies":[ ]', b'"companies":[\n]', b'"companies":[null]', b'"companies":{}'):
        assert not checked(resealed(lines_of(empty.replace(b'"companies":[]', text, 1)))).valid


# --- Limits


def test_a_line_longer_than_the_limit() -> None:
    longest = max(len(line) for line in lines_of(FILE))
    assert checked(FILE, Limits(line=longest + 1)).valid
    assert checked(FILE, Limits(line=longest)).valid
    report = checked(FILE, Limits(line=longest - 1))
    assert report.errors[0].message == f"a line is longer than the limit of {longest - 1:,} bytes"
    assert report.errors[0].line == 1 + [len(line) for line in lines_of(FILE)].index(longest)


def test_content_larger_than_the_limit() -> None:
    assert checked(FILE, Limits(content=len(FILE))).valid
    report = checked(FILE, Limits(content=len(FILE) - 1))
    assert report.errors[-1].message == f"the file holds more than the limit of {len(FILE) - 1:,} bytes"


def test_the_first_hundred_errors_are_kept_and_the_rest_counted() -> None:
    days = [record("ABC", f"E{number:03}") for number in range(150)]
    lines = lines_of(written(sections([company("ABC")], days)))
    for at, line in enumerate(lines):
        if b'"ep_no"' in line and at:
            lines[at] = row(line, lambda found: found.update(status="?"))
    report = checked(resealed(lines))
    assert report.error_count == 150
    assert [error.key for error in report.errors] == [("ABC", f"E{number:03}", "2026-11-20") for number in range(100)]
    assert len(checked(resealed(lines), Limits(errors=3)).errors) == 3


def test_structure_that_breaks_ends_the_errors() -> None:
    lines = lines_of(FILE)
    lines[E1 - 1] = row(lines[E1 - 1], lambda found: found.update(status="?"))
    report = checked(b"".join(lines[:E2]))
    assert [(error.line, error.field) for error in report.errors] == [(E1, "status"), (E2 + 1, None)]
    assert "cut short" in report.errors[1].message


def test_an_error_as_a_dictionary_has_what_is_known() -> None:
    error = the_error(edited(FILE, E1, lambda line: row(line, lambda found: found.update(status="?"))))
    assert error.as_dict() == {
        "message": error.message,
        "line": E1,
        "key": KEY[E1],
        "field": "status",
        "value": "?",
        "section": "attendance_records",
    }
    assert str(error) == f"line {E1}, attendance_records ABC · E1 · 2026-11-20: {error.message}"
    assert str(FileError("no line")) == "no line"
    assert FileError("no line").as_dict() == {"message": "no line"}


def test_a_schema_without_a_selection_of_its_own_takes_any() -> None:
    free = Schema(SCHEMA.models)
    file = written(sections(), free, selection={"anything": ["goes", 5]})
    assert checked(file, schema=free).valid
    assert not checked(file).valid


def test_a_selection_is_what_the_application_says() -> None:
    class Nothing(msgspec.Struct, forbid_unknown_fields=True):
        pass

    strict = Schema(SCHEMA.models, Nothing)
    assert checked(written(sections(), strict, selection={}), schema=strict).valid
    file = written(sections(), Schema(SCHEMA.models), selection={"a": 1})
    assert not checked(file, schema=strict).valid
    with pytest.raises(RecordSyncError, match=r"selection.*None was written"):
        written(sections(), strict, selection={"a": 1})


# --- What contradicts itself, and what would cost us

SINCE: Final = {"backup_type": "incremental", "since_date": "2026-11-20T18:40:00.000000Z", "deletions": "unknown"}

STATED = json.loads(lines_of(FILE)[0][len(b'{"metadata":') : -2])


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"parent": STATED["id"]}, "parent"),
        ({"since_date": "2026-11-20T18:40:00.000000Z"}, "since_date"),
        ({"backup_type": "incremental"}, "since_date"),
        ({"parent": UUID_LIKE.replace("0190", "0191")}, "parent"),
        ({"parent": "0" * 64}, "parent"),
        ({"deletions": "unknown"}, "deletions"),
        ({"ancestors": []}, "ancestors"),
        ({"snapshot": header(says())}, "ancestors"),
        ({"backup_type": "incremental", "parent": "0" * 64}, "snapshot"),
        ({"selection": {}, "snapshot": header(says()), "ancestors": []}, "snapshot"),
        (SINCE | {"deletions": "complete"}, "deletions"),
        (SINCE | {"parent": "0" * 64}, "since_date"),
        (SINCE | {"snapshot": header(says()), "ancestors": []}, "snapshot"),
        ({"created_by": "x" * 151}, "created_by"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_metadata_that_contradict_themselves(changed: dict[str, Any], field: str) -> None:
    error = the_error(edited(FILE, METADATA, lambda line: set_metadata(line, **changed)))
    assert (error.line, error.field) == (METADATA, field)


def test_errors_stay_small_whatever_the_file_holds() -> None:
    """Names and values of megabytes are not kept, nor shown."""
    long = "x" * 1_000_000
    for line, edit in (
        (METADATA, lambda text: set_metadata(text, **{long: long})),
        (E1, lambda text: row(text, lambda found: found.update(ep_no=long))),
        (E2, lambda text: row(text, lambda found: found.update({long: long}))),
    ):
        report = checked(edited(FILE, line, edit))
        assert report.error_count
        assert all(len(json.dumps(error.as_dict())) < 5_000 for error in report.errors)
