"""The properties (numbered as in the plan) for a 1.0 file, at its precision: times to the minute, no seconds."""

from __future__ import annotations

import copy
import datetime as dt
import io
import json
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from core.formats.v1_0 import checksum_v1_0
from core.models import BackupLog
from core.operations.errors import FileRefused
from core.register.database import Register
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES
from core.restores.restore_service import RestoreService
from recordsync.errors import FileError
from tests.builders.days import TIMES, Content, Key, key_of
from tests.builders.old_files import SPELLINGS, STAMPS, old_document, old_file, old_record, parsed_moment, signed
from tests.builders.registers import RegisterData, Row, everything, put, rows
from tests.conftest import sqlite_suffices
from tests.properties.laws import for_some
from tests.properties.test_checksums import _blank, _keys
from tests.running.services import backup_bytes, restore
from tests.strategies.registers import changed, contents, deciding, pairs, registers

Old = dict[str, Any]
_NOT_CONTENT = ("checksum", "created_at", "updated_at", "id")


def precise(content: Content) -> Content:
    """A record as a 1.0 file says it."""
    return {name: f"{value[:5]}:00" if name in TIMES and value else value for name, value in content.items()}


def aligned(theirs: Content, ours: Content) -> Content:
    """A record of a 1.0 file as it means beside ours: what is ours to the minute is ours."""
    return {name: ours[name] if precise(ours)[name] == value else value for name, value in precise(theirs).items()}


@st.composite
def spelled(draw: st.DrawFn, content: Content) -> Old:
    """A record as some older installation may have written it."""
    record = old_record(content, created_at=draw(st.sampled_from(STAMPS)))
    overstay = content["overstay"]
    if overstay is None:
        written = draw(st.sampled_from(SPELLINGS))
    else:
        written = draw(st.sampled_from([overstay, overstay.lstrip("0") if overstay[1] != ":" else overstay]))
        written = f"0{written}" if written.startswith(":") else written
    bare = {name: value for name, value in record.items() if name not in _NOT_CONTENT} | {"overstay": written}
    return signed(bare) | {name: record[name] for name in ("created_at", "updated_at")}


@st.composite
def old_records(draw: st.DrawFn, register: RegisterData) -> list[Old]:
    """A register's records in any order."""
    found = [draw(spelled(content)) for content in register.records.values()]
    return draw(st.permutations(found))


@sqlite_suffices
@for_some(register=registers(stamped=True), strategy=deciding)
def test_property_02_03_05_what_is_written_is_the_register_and_restoring_it_skips_everything(
    alias: str, register: RegisterData, strategy: str
) -> None:
    """For all databases, a backup as 1.0 is what the format's description gives for them, and counts it; restored
    onto the data that it was taken of it skips every entry and writes nothing: not a second, not a timestamp."""
    put(alias, register)
    data, result = backup_bytes(alias, file_format="1.0")
    document = json.loads(data)
    expected = old_document([old_record(c) for _key, c in sorted(register.records.items())], sorted(register.companies))
    assert without_moments(document["attendance_records"]) == without_moments(expected["attendance_records"])
    assert [c["name"] for c in document["companies"]] == [c["name"] for c in expected["companies"]]
    assert [c["checksum"] for c in document["companies"]] == [c["checksum"] for c in expected["companies"]]
    for record in document["attendance_records"]:
        stamps = register.record_stamp(key_of(record))
        assert parsed_moment(record["created_at"]) == stamps.created_at
        assert parsed_moment(record["updated_at"]) == stamps.updated_at
    assert document["metadata"]["total_companies"] == result.companies == len(register.companies)
    assert document["metadata"]["total_attendance_records"] == result.records == len(register.records)
    before = everything(alias)
    outcome = restore(alias, data, strategy)
    assert everything(alias) == before
    for counts in (outcome.companies, outcome.records):
        assert (counts.read, counts.conflicts, counts.created) == (counts.skipped, 0, 0)
    assert outcome.records.read == len(register.records)


def without_moments(records: list[Old]) -> list[Old]:
    return [{name: value for name, value in one.items() if name not in ("created_at", "updated_at")} for one in records]


@sqlite_suffices
@for_some(sides=pairs(min_records=1), strategy=deciding, data=st.data())
def test_property_06_07_08_what_is_new_is_inserted_what_differs_updated_and_everything_counted(
    alias: str, sides: tuple[RegisterData, RegisterData], strategy: str, data: st.DataObject
) -> None:
    """For all files, in any order and with repeats: a record whose key is absent is inserted to the minute; one whose
    content differs to the minute is updated (backup_wins) or kept, and what is equal in it keeps its seconds; the
    others are not touched. The counts are what happened, and add up to the entries read."""
    ours, theirs = sides
    put(alias, ours)
    listed = data.draw(old_records(theirs))
    repeats = [one for one in listed if data.draw(st.sampled_from([False, False, False, True]))]
    before, start = rows(alias), dt.datetime.now(dt.UTC)
    outcome = restore(alias, old_file([*listed, *repeats], sorted(theirs.companies)), strategy)
    after = rows(alias)
    created = {key_of(one): parsed_moment(one["created_at"]) for one in listed}
    found = {"added": 0, "updated": 0, "kept": 0, "skipped": len(repeats)}
    for key, content in theirs.records.items():
        row, was = after.records[key], before.records.get(key)
        found[_check_row(row, was, content, strategy, start)] += 1
        assert was is not None or row.created_at == created[key]
    for key in set(before.records) - set(theirs.records):
        assert after.records[key] == before.records[key]
    assert set(after.records) == {*before.records, *theirs.records}
    assert set(after.companies) == {*before.companies, *theirs.companies}
    records = outcome.records
    counted = {name: getattr(records, name) for name in found}
    assert counted == found
    assert records.read == sum(found.values()) == len(listed) + len(repeats)
    assert (records.deleted, records.absent_deleted) == (0, 0)
    assert records.conflicts == records.updated + records.kept
    log = BackupLog.objects.using(alias).get(pk=outcome.log_id)
    said = (log.records_count, log.records_added, log.records_updated, log.records_kept, log.records_skipped)
    assert said == (records.read, *found.values())
    event(", ".join(name for name, count in found.items() if count))


def _check_row(row: Row, was: Row | None, theirs: Content, strategy: str, start: dt.datetime) -> str:
    """What became of one record of the file."""
    if was is None:
        assert row.content == precise(theirs)
        assert row.updated_at >= start
        return "added"
    means = aligned(theirs, was.content)
    if means == was.content:
        assert row == was
        return "skipped"
    if strategy == "database_wins":
        assert row == was
        return "kept"
    assert row.content == means
    assert (row.pk, row.created_at) == (was.pk, was.created_at)
    assert row.updated_at >= start
    return "updated"


@sqlite_suffices
@for_some(one=_keys, other=_keys, same=st.booleans(), alike=st.booleans())
def test_property_09_equal_keys_mean_one_record_and_only_then(
    alias: str, one: Key, other: Key, same: bool, alike: bool
) -> None:
    """For all pairs of records in one file: equal keys and contents are one record, and a warning; equal keys and
    different contents refuse the file, naming both; different keys are two records."""
    other = one if same else other
    first = _blank(one)
    second = {**_blank(other), "shift": "" if alike else "N"}
    data = old_file([old_record(first), old_record(second)])
    if one == other and not alike:
        with pytest.raises(FileRefused) as refused:
            restore(alias, data)
        (error,) = refused.value.errors
        assert error.key == (one[0], one[2], one[1])  # as people read it
        assert "records 1 and 2" in error.message
        assert rows(alias).records == {}
        event("equal and different")
        return
    outcome = restore(alias, data)
    assert set(rows(alias).records) == {one, other}
    assert outcome.records.added == len({one, other})
    assert outcome.records.skipped == (one == other)
    event("equal" if one == other else "different keys")


@sqlite_suffices
@for_some(content=contents, data=st.data())
def test_property_10_different_content_is_another_checksum_and_a_detected_change(
    alias: str, content: Content, data: st.DataObject
) -> None:
    """For all pairs of records with one key, checksums are equal if and only if the contents are to the minute, and a
    preview finds something to update if and only if they are not."""
    other = data.draw(st.one_of(st.just(dict(content)), changed(content), st.just(precise(content))))
    differs = precise(other) != precise(content)
    old, new = old_record(content), old_record(other)
    assert (checksum_v1_0(ATTENDANCE_RECORDS, old) != checksum_v1_0(ATTENDANCE_RECORDS, new)) is differs
    assert checksum_v1_0(ATTENDANCE_RECORDS, {**new, "id": 7, "updated_at": "x"}) == new["checksum"]
    put(alias, RegisterData().having({key_of(content): content}))
    with RestoreService(register=Register(alias)).preview_changes(io.BytesIO(old_file([new]))) as preview:
        assert (preview.records.updated, preview.records.skipped) == ((1, 0) if differs else (0, 1))
    event("different" if differs else "equal")


@sqlite_suffices
@for_some(register=registers(), data=st.data(), listed=st.booleans())
def test_property_15_a_register_restored_and_written_again_is_the_same_record_for_record(
    alias: str, register: RegisterData, data: st.DataObject, listed: bool
) -> None:
    """For all 1.0 files: restored into an empty database they give their content (11: with the companies, listed or
    not); written as 1.0 again, the same records with the same checksums, blank spellings of overstay aside."""
    records = data.draw(old_records(register))
    names = sorted(register.companies) if listed else []
    outcome = restore(alias, old_file(records, names))
    needed = {key[0] for key in register.records}
    assert outcome.companies.created == (0 if listed else len(needed))
    first = rows(alias)
    assert first.contents == {key: precise(content) for key, content in register.records.items()}
    assert set(first.companies) == needed | set(names)
    written, _result = backup_bytes(alias, file_format="1.0")
    document = json.loads(written)
    there = {key_of(one): one for one in document["attendance_records"]}
    assert list(there) == sorted(there)
    assert len(document["attendance_records"]) == len(records)
    for record in records:
        assert _canonical(there[key_of(record)]) == _canonical(record)
    assert {one["name"]: one["checksum"] for one in document["companies"]} == {
        name: signed({"name": name})["checksum"] for name in first.companies
    }


def _canonical(record: Mapping[str, Any]) -> Old:
    """A record without what a restore does not keep: when it was changed, and how a blank or short overstay is
    spelled (and so its checksum, then)."""
    one = {name: value for name, value in record.items() if name != "updated_at"}
    one["created_at"] = parsed_moment(one["created_at"])
    overstay = record["overstay"] or "-"
    spelling = "" if overstay == "-" else overstay.rjust(5, "0")
    if spelling != record["overstay"]:
        bare = {name: value for name, value in record.items() if name not in _NOT_CONTENT} | {"overstay": spelling}
        one |= {"overstay": spelling, "checksum": signed(bare)["checksum"]}
    return one


# Damage: one place that is wrong, and what the refusal must name.

_NOT_TEXT: tuple[Any, ...] = (0, 1, -3, 1.5, 10**400, True, False)
_WRONG: dict[str, tuple[Any, ...]] = {
    "name": ("", "x" * 256, "a\0b", None),
    "company_name": ("", "x" * 256, "a\0b", None),
    "ep_no": ("", "x" * 51, "\0", None),
    "ep_name": ("x" * 256, "\0", None),
    "shift": ("x" * 51, "a\0", None),
    "date": ("", "2026-02-30", "2026-1-5", "20260105", "2026-01-05T00:00:00", "2026-01-05\n", "2026-01-0१", None),
    "status": ("", "p", "X", "P ", "Present", None),
    "checksum": ("", "0" * 64, None),
    "created_at": ("", "yesterday", "2026-02-30T08:00:00", "0001-01-01", "2026-01-15T25:00:00"),
    "updated_at": ("", "yesterday"),
    **dict.fromkeys(TIMES, ("", "-", "24:00", "9:00", "09:60", "09:00:00", "09:00Z", "09:00\n", "०9:00")),
    "overstay": ("0", "00:60", "-01:00", "10000:00", "01:30:00", "01:30\n", " ", "--", ":30"),
    "overtime": ("", "-", "0", "1:30", "00:60", "-01:00", "10000:00"),
    "overtime_to_mandays": ("", "-", "0", "1:30"),
}  # fmt: skip
_REQUIRED = {"name", "checksum", "ep_no", "ep_name", "company_name", "date", "status"}
_METADATA: dict[str, tuple[Any, ...]] = {
    "version": ("2.0", "1", 1, None),
    "created_at": ("", "soon", None, 5),
    "backup_type": ("", "partial", None, 1, True),
    "total_companies": (-1, 10**6, "1", None, 1.5, True),
    "total_attendance_records": (-1, 10**6, "1", None, 1.5, 10**400),
    "since_date": ("soon", 5, True),
}


_GONE: Any = object()
"""A field that is taken away."""

_CASES: list[tuple[str, str, Any]] = [
    *(("metadata", name, value) for name, values in _METADATA.items() for value in values),
    *(("metadata", name, _GONE) for name in _METADATA if name != "since_date"),
    *(("companies", name, value) for name in ("name", "checksum") for value in (*_WRONG[name], *_NOT_TEXT, _GONE)),
    *(("companies", name, "P") for name in ("Name", "ep_no")),
    *(("attendance_records", n, v) for n, vs in _WRONG.items() if n != "name" for v in (*vs, *_NOT_TEXT)),
    *(("attendance_records", name, _GONE) for name in _REQUIRED if name != "name"),
    *(("attendance_records", name, "P") for name in ("Status", "in_time_4", "name")),
]


def _checked(document: Any) -> list[FileError]:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    result = RestoreService().validate_backup(io.BytesIO(data))
    assert not result.valid, document
    assert result.error_count >= len(result.errors) > 0
    return result.errors


_documents = registers(min_records=1).map(
    lambda register: old_document([old_record(c) for c in register.records.values()], sorted(register.companies))
)


@given(_documents, st.randoms(use_true_random=True))
def test_property_14_a_file_with_one_wrong_field_is_refused_naming_it(document: Old, chosen: Random) -> None:
    """For all fields of all records and of the metadata, missing, unknown, of another type or with a value that is not
    legal: refused, naming the record and the field. (Checksums are those of the records as they stand.)"""
    for section, name, value in chosen.sample(_CASES, 6):
        wrong = copy.deepcopy(document)
        at = 0 if section == "metadata" else chosen.randrange(len(wrong[section]))
        target: Old = wrong["metadata"] if section == "metadata" else wrong[section][at]
        if value is _GONE:
            del target[name]
        else:
            target[name] = value
        if section != "metadata" and name not in _NOT_CONTENT:
            content = {n: v for n, v in target.items() if n not in _NOT_CONTENT and (n == "name" or section[0] == "a")}
            target["checksum"] = signed(content)["checksum"]
        members = list(wrong.items())
        chosen.shuffle(members)
        errors = _checked(dict(members))
        named = [error for error in errors if error.field == name]
        assert named, (section, name, value, errors)
        if name == "version" and value is not _GONE:
            assert named[0].message.startswith("this is a file of version ")
        elif section == "metadata":
            assert named[0].message.startswith(f"metadata: {'the field ' if value is _GONE else ''}{name} is")
        else:
            model = COMPANIES if section == "companies" else ATTENDANCE_RECORDS
            assert (named[0].section, named[0].number) == (section, at + 1)
            as_read = ("name",) if model is COMPANIES else ("company_name", "ep_no", "date")
            assert named[0].key == tuple(str(target.get(part, ""))[:200] for part in as_read)
