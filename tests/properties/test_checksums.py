"""Properties 4, 9 and 10: what a checksum stands for, and what makes two records one."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from hypothesis import assume, event, given
from hypothesis import strategies as st

from core.backups.backup_service import BackupService
from core.models import AttendanceRecord, Company
from core.operations.errors import FileRefused
from core.register.database import Register
from core.restores.conflict_resolver import ConflictResolver
from core.restores.restore_service import RestoreService
from tests.builders import files
from tests.builders.days import FIELDS, Content, Key, key_of
from tests.builders.registers import RegisterData, columns, put, rows
from tests.properties.laws import for_all
from tests.running.installation import PROJECT
from tests.running.services import backup_bytes, restore
from tests.strategies.registers import NASTY, changed, contents, moments
from tests.strategies.registers import registers as any_register


@given(contents, st.randoms(use_true_random=False), moments, st.integers())
def test_property_04_the_checksum_is_of_the_content_alone(
    content: Content, shuffler: random.Random, moment: object, number: int
) -> None:
    """For all records, the checksum is the SHA-256 of the canonical JSON of the content, whatever the order of its
    fields, the row's id and timestamps."""
    service = BackupService()
    items = list(content.items())
    shuffler.shuffle(items)
    surroundings: dict[str, Any] = {
        "id": number, "checksum": "x", "created_at": str(moment), "updated_at": str(moment)
    }  # fmt: skip
    expected = files.checksum(content)
    assert service._generate_checksum(dict(items)) == expected
    assert service._generate_checksum({**surroundings, **dict(items)}) == expected


@for_all(register=any_register(min_records=1, stamped=True))
def test_property_04_every_engine_gives_the_same_checksum(alias: str, register: RegisterData) -> None:
    """For all records, what a database stored and gave back has the checksum of what was put in: in a file, and
    record by record; writing the same content again leaves it."""
    put(alias, register)
    service = BackupService(register=Register(alias))
    lines = {
        files.key_in("attendance_records", line): line
        for line in files.parsed(backup_bytes(alias)[0])["attendance_records"]
    }
    for record in AttendanceRecord.objects.using(alias).select_related("company"):
        key = (record.company.name, record.date.isoformat(), record.ep_no)
        assert lines[key]["checksum"] == files.checksum(register.records[key])
        assert service._serialize_record(record) == lines[key]
        record.save()
    again = files.parsed(backup_bytes(alias)[0])["attendance_records"]
    assert [line["checksum"] for line in again] == [line["checksum"] for line in lines.values()]
    for company in Company.objects.using(alias):
        assert service._serialize_record(company)["checksum"] == files.checksum({"name": company.name})


def test_property_04_every_process_gives_the_same_checksum() -> None:
    """A process whose dictionaries and sets are in another order gives the same checksums."""
    program = (
        "import json, sys; from recordsync.model.records import checksum;"
        "print(json.dumps([checksum(dict.fromkeys({'b', 'a', 'zz', 'ep_no'}, text)) for text in json.load(sys.stdin)]))"
    )
    given_out = set()
    for seed in ("0", "1", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=PROJECT,
            input=files.canonical(list(NASTY)).encode(),
            capture_output=True,
            check=True,
        )
        given_out.add(done.stdout)
    expected = [files.checksum(dict.fromkeys(("a", "b", "ep_no", "zz"), text)) for text in NASTY]
    assert given_out == {files.canonical(expected).replace(",", ", ").encode() + b"\n"}


PIECES = ("a", "A", "a|b", "b", "|", "a,b", '","', '"', "a\x1f", "\x1fb", " a", "a ", "é", "e\u0301", "1", "01")
"""Parts of keys that give the same text when they are joined, folded, trimmed or normalised."""

_key_parts = st.sampled_from(PIECES)
_days = st.sampled_from(["2026-11-20", "2026-11-02", "2026-01-12", "2026-11-12"])
_keys = st.tuples(_key_parts, _days, _key_parts)


def _blank(key: Key) -> Content:
    content: dict[str, str | None] = dict.fromkeys(FIELDS)
    company, day, number = key
    return {**content, "company_name": company, "ep_no": number, "date": day, "ep_name": "", "shift": "", "status": "P"}


@for_all(one=_keys, other=_keys, same=st.booleans())
def test_property_09_equal_keys_mean_one_record_and_only_then(alias: str, one: Key, other: Key, same: bool) -> None:
    """For all pairs of records, restoring both gives one row if employee number, company and date are equal, and
    two otherwise; in one file a repeated key is refused; the database holds the rule itself."""
    other = one if same else other
    first, second = _blank(one), {**_blank(other), "shift": "N"}
    unique = RestoreService(register=Register(alias))._get_unique_key
    assert (unique(first) == unique(second)) is (one == other)
    for content in (first, second):
        restore(alias, files.file(RegisterData().having({key_of(content): content})).encode())
    found = rows(alias)
    assert set(found.records) == {one, other}
    assert found.records[other].content == second
    for record in AttendanceRecord.objects.using(alias).select_related("company"):
        assert unique(record) == (record.ep_no, record.company.name, record.date.isoformat())
    if one == other:
        ids = {name: row.pk for name, row in found.companies.items()}
        with pytest.raises(IntegrityError), transaction.atomic(using=alias):
            AttendanceRecord.objects.using(alias).create(**columns(first, ids))
    event("equal" if one == other else "different")


@given(contents, st.data())
def test_property_09_a_file_with_a_key_twice_is_refused_naming_it(content: Content, data: st.DataObject) -> None:
    """For all records, a file that has two of one key, alike or not, is refused, and the key is named."""
    again = data.draw(st.one_of(st.just(content), changed(content)))
    key = key_of(content)
    file = files.file(RegisterData().having({key: content}))
    file.records["attendance_records"].append(files.line_of(again))
    file.metadata["total_attendance_records"] = 2
    result = RestoreService().validate_backup(file.stream())
    assert not result.valid
    as_read = (content["company_name"], content["ep_no"], content["date"])
    assert [(error.key, error.line) for error in result.errors] == [
        (as_read, file.line_number("attendance_records", 1))
    ]


@given(contents, st.data())
def test_property_10_different_content_is_always_detected(content: Content, data: st.DataObject) -> None:
    """For all pairs of records with one key, different content means different checksums and a detected change;
    equal content means neither."""
    other = data.draw(st.one_of(st.just(dict(content)), changed(content)))
    resolver, service = ConflictResolver(), BackupService()
    differs = other != content
    one, two = files.line_of(content), files.line_of(other)
    two["created_at"] = "2026-11-20T18:40:00.000001Z"
    assert (service._generate_checksum(one) != service._generate_checksum(two)) is differs
    assert resolver._records_differ(one, two) is differs
    assert resolver.detect_conflicts(one, two) is differs
    event("different" if differs else "equal")


@given(contents, st.data())
def test_property_10_null_and_blank_are_different_content(content: Content, data: st.DataObject) -> None:
    """For all records, no field's value can be replaced by null, or by blank text, without another checksum."""
    name = data.draw(st.sampled_from(sorted(content)))
    value = data.draw(st.sampled_from([None, "", "0", "00:00", " "]))
    assume(content[name] != value)
    assert files.checksum({**content, name: value}) != BackupService()._generate_checksum(dict(content))


@for_all(content=contents, data=st.data())
def test_property_10_a_restore_detects_every_change(alias: str, content: Content, data: st.DataObject) -> None:
    """For all pairs of records with one key, a preview says that there is something to update if and only if their
    content differs."""
    other = data.draw(st.one_of(st.just(dict(content)), changed(content)))
    register = RegisterData().having({key_of(content): content})
    put(alias, register)
    file = files.file(RegisterData().having({key_of(other): other}))
    with RestoreService(register=Register(alias)).preview_changes(file.stream()) as preview:
        assert (preview.records.updated, preview.records.skipped) == ((1, 0) if other != content else (0, 1))
        assert preview.conflicts == preview.records.updated


@for_all(content=contents)
def test_property_09_one_company_of_a_name(alias: str, content: Content) -> None:
    """For all companies, a file that lists one twice is refused, and the database holds the rule itself."""
    register = RegisterData().having({key_of(content): content})
    file = files.file(register)
    file.records["companies"] *= 2
    file.metadata["total_companies"] = 2
    with pytest.raises(FileRefused) as refused:
        restore(alias, file.encode())
    assert refused.value.errors[0].key == (content["company_name"],)
    put(alias, register)
    with pytest.raises(IntegrityError), transaction.atomic(using=alias):
        Company.objects.using(alias).create(name=str(content["company_name"]))
