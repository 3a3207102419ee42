"""The 1.0 file, read: what it means beside the register, and what is refused."""

from __future__ import annotations

import gzip
import io
import json
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from core.formats.v1_0 import V1File
from core.formats.v1_0_checker import check_v1_0
from core.models import Backup
from core.register.database import Register
from core.register.declared import ATTENDANCE_RECORDS
from core.restores.restore_service import RestoreService
from recordsync.backupfile import Limits
from recordsync.errors import InvalidFile
from recordsync.streams import sort
from tests.builders.days import ABC, SATURDAY, XYZ, day, key_of
from tests.builders.old_files import old_document, old_file, old_record, signed
from tests.builders.registers import put, register, rows
from tests.running.services import backup, restore


def test_an_equal_field_keeps_our_seconds_when_another_is_taken(register_db: str) -> None:
    mine = day(in_time="08:07:30", out_time="18:00:30")
    put(register_db, register(mine))
    theirs = {**mine, "status": "L", "out_time": "17:59:00"}
    outcome = restore(register_db, old_file([old_record(theirs)]))
    assert outcome.records.updated == 1
    assert rows(register_db).contents == {key_of(mine): {**mine, "status": "L", "out_time": "17:59:00"}}


@contextmanager
def _checked(document: Any) -> Iterator[V1File]:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    with check_v1_0(io.BytesIO(data), Limits(line=1 << 20)) as file:
        yield file


def _refused(document: Any) -> InvalidFile:
    """What is wrong with a file."""
    with pytest.raises(InvalidFile) as refused, _checked(document):
        pass
    return refused.value


def test_any_layout_and_order_and_compression(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sort, "RUN_LENGTH", 3)
    days = [old_record(day(ep_no=f"E{n}")) for n in (9, 3, 7, 1, 5, 8, 2)]
    document = dict(reversed(old_document(days, [XYZ, ABC]).items()))
    shuffled = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    for data in (shuffled, gzip.compress(shuffled)):
        with _checked(data) as file:
            assert [record.key[2] for record in file.records(ATTENDANCE_RECORDS)] == [
                f"E{n}" for n in (1, 2, 3, 5, 7, 8, 9)
            ]
        result = RestoreService().validate_backup(io.BytesIO(data))
        assert result.valid
        assert result.metadata is not None
        assert str(result.metadata.version) == "1.0"


@pytest.mark.untraced
@pytest.mark.parametrize(
    ("written", "stored"),
    [("", None), ("-", None), (None, None), ("00:00", "00:00"), ("1:30", "01:30"), ("123:45", "123:45")],
)
def test_spellings_of_overstay(register_db: str, written: str | None, stored: str | None) -> None:
    content = old_record(day())
    bare = {name: v for name, v in content.items() if name not in ("checksum", "created_at", "updated_at")}
    restore(register_db, old_file([signed({**bare, "overstay": written})]))
    (found,) = rows(register_db).contents.values()
    assert found["overstay"] == stored


def test_a_field_that_a_record_lacks_is_left_alone(register_db: str) -> None:
    mine = day(in_time="09:00:15")
    put(register_db, register(mine))
    few = {name: mine[name] for name in ("ep_no", "company_name", "date", "status")} | {"ep_name": "Asha"}
    restore(register_db, old_file([signed(few), signed({**few, "date": SATURDAY})]))
    records = rows(register_db).contents
    assert records[key_of(mine)] == {**mine, "ep_name": "Asha"}
    assert records[key_of(day(date=SATURDAY))]["in_time"] is None


def test_an_identical_repeat_is_a_warning_and_skipped(register_db: str) -> None:
    data = old_file([old_record(day()), old_record(day())], [ABC])
    assert len(RestoreService(register=Register(register_db)).validate_backup(io.BytesIO(data)).warnings) == 1
    outcome = restore(register_db, data)
    assert (outcome.records.read, outcome.records.added, outcome.records.skipped) == (2, 1, 1)


def test_a_mark_of_the_byte_order_is_passed_over(register_db: str) -> None:
    data = BOM_UTF8 + old_file([old_record(day())], [ABC])
    assert restore(register_db, data).records.added == 1


@pytest.mark.parametrize("version", [None, 1, 1.0, "1", "2.0", "3.0"])
@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_wrong_version_is_all_that_is_said_wherever_it_stands(version: Any, first: int) -> None:
    wrong = {**old_record(day()), "checksum": "0" * 64}
    document = list(old_document([wrong], [ABC], version=version, total_companies=7).items())
    data = json.dumps(dict(document[first:] + document[:first])).encode()
    (error,) = RestoreService().validate_backup(io.BytesIO(data)).errors
    assert error.field == "version"
    assert error.message.startswith(f"this is a file of version {json.dumps(version)}; this program reads version")


@pytest.mark.parametrize("rest", [b"}", b"}\n", b",\n", b',"users":[{"a":1}]}'])
def test_a_file_of_another_version_is_told_so_whatever_follows(rest: bytes) -> None:
    (error,) = RestoreService().validate_backup(io.BytesIO(b'{"metadata":{"version":"3.0"}' + rest)).errors
    assert error.message.startswith('this is a file of version "3.0"')


def test_two_different_records_with_one_key_are_refused_naming_both() -> None:
    (error,) = _refused(old_document([old_record(day()), old_record(day(status="A"))])).errors
    assert "records 1 and 2" in error.message
    assert error.key == ("ABC Corp", "E1", "2026-11-20")


def test_it_enters_no_ancestry_and_proves_no_deletion(register_db: str) -> None:
    put(register_db, register(day(), day(date=SATURDAY)))
    outcome = restore(register_db, old_file([old_record(day(status="L"))], [ABC]))
    assert (outcome.records.updated, outcome.records.absent_deleted, outcome.records.deleted) == (1, 0, 0)
    assert not Backup.objects.using(register_db).exists()
    backup(register_db)
    assert Backup.objects.using(register_db).filter(merged_at=None).count() == 1, "its own"


@pytest.mark.parametrize("name", ["ep_no", "ep_name", "company_name", "date", "status", "checksum"])
def test_a_missing_required_field_is_named(name: str) -> None:
    """Property 14, 19."""
    record = old_record(day())
    del record[name]
    errors = _refused(old_document([record])).errors
    assert (errors[0].field, errors[0].section, errors[0].number) == (name, "attendance_records", 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("in_time", "9:00"), ("in_time", "09:00:00"), ("date", "20-11-2026"), ("status", "X"), ("overtime", "90"),
     ("overtime", 90), ("ep_name", None), ("ep_name", "a\0b"), ("ep_no", ""), ("created_at", "yesterday"),
     ("shift", "\ud800"), ("unknown", "x"), ("shift", ["a"]), ("checksum", "0" * 64)],
)  # fmt: skip
def test_a_wrong_value_is_refused(name: str, value: Any) -> None:
    record = old_record(day())
    bare = {n: v for n, v in record.items() if n not in ("checksum", "created_at", "updated_at")}
    wrong = {**record, name: value} if name in ("created_at", "checksum") else signed({**bare, name: value})
    refused = _refused(old_document([wrong]))
    assert refused.count >= 1
    assert name in refused.errors[0].message or name == "shift"


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b'{"metadata":{},"metadata":{}}', b'{"companies":[{"name":"A","name":"A"}]}',
     b'{"companies":[[[[[[]]]]]]}', b'{"companies":[1]}', b'{"other":[]}', b'{"companies":[]} x',
     b'{"companies":[{"name":"' + b"x" * (2 << 20), b'{"companies":[{"name":"\xff"}]}'],
    ids=range(11),
)  # fmt: skip
def test_what_is_not_such_a_file_is_refused(data: bytes) -> None:
    assert _refused(data).count


@pytest.mark.parametrize("border", [0, 1 << 16])
def test_a_number_that_nobody_means_is_refused_before_the_parser_meets_it(border: int) -> None:
    """5,000 digits in its hands once ended in a fault of the processor: so often, in one process, that it would now."""
    start = b'{"metadata":{"version":'
    for _ in range(40):
        (error,) = _refused(start + b" " * max(0, border - 200 - len(start)) + b"9" * 5000 + b"},\n").errors
        assert error.message.endswith("a number or a text has more than 600 digits in a row")


@pytest.mark.parametrize("number", [b"1e99999999999999999999", b"NaN"])
def test_a_number_that_cannot_be_is_refused_in_one_line(number: bytes) -> None:
    for file in (b'{"metadata":{"version":' + number + b"}}", b'{"companies":[{"name":' + number + b"}]}"):
        (error,) = _refused(file).errors
        assert error.message.startswith("the file is not a 1.0 backup, or not whole: ")
        assert "\n" not in error.message


@pytest.mark.parametrize(
    "metadata", [{"total_companies": 5}, {"backup_type": "x"}, {"created_at": None}, {"since_date": "soon"}]
)
def test_wrong_metadata_is_refused(metadata: dict[str, Any]) -> None:
    (error,) = _refused(old_document([], **metadata)).errors
    assert error.field == next(iter(metadata))


def test_no_damaged_byte_gets_through() -> None:
    """A byte changed anywhere in a record is refused, or means the same."""
    whole = old_file([old_record(day())], [ABC])
    with _checked(whole) as file:
        (good,) = file.records(ATTENDANCE_RECORDS)
    for at in range(whole.index(b'"attendance_records"'), len(whole), 3):
        with suppress(InvalidFile), _checked(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]) as file:
            (record,) = file.records(ATTENDANCE_RECORDS)
            assert record.values == good.values


def test_the_first_hundred_errors_are_kept() -> None:
    bad = [{**old_record(day(ep_no=f"E{n}")), "checksum": "0" * 64} for n in range(150)]
    refused = _refused(old_document(bad))
    assert (len(refused.errors), refused.count) == (100, 150)
