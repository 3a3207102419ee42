"""Writing: only what can be read back, in order, with the counts that the metadata say."""

import errno
import io
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA
from recordsync.backupfile import Rows, Written, write_backup
from recordsync.errors import InvalidRecord, OutOfOrder, RecordSyncError
from recordsync.model.records import Record
from recordsync.model.schema import Shape
from tests.builders.records import Sections, company, cut, deletion, metadata, record, sections, written
from tests.recordsync.support import opened
from tests.strategies.records import shapes, snapshots


def test_an_empty_register_is_a_file() -> None:
    file = opened(written(sections()))
    assert file.counts == {"companies": 0, "attendance_records": 0, "seals": 0}


@given(snapshots(), snapshots(), shapes())
def test_what_is_written_is_read_back(days: list[Record], others: list[Record], shape: Shape) -> None:
    kept = {record.key for record in days}
    gone = [deletion(ATTENDANCE_RECORDS, record) for record in others if record.key not in kept]
    narrow = [cut(record, shape) for record in days]
    of = sections([company("A"), company("é")], narrow, [deletion(COMPANIES, company("x"))], gone)
    file = opened(written(of, fields={"attendance_records": list(shape.names), "companies": ["name"]}))
    assert sum(file.deleted.values()) == len(gone) + 1
    for model in file.metadata.models(SCHEMA):
        assert list(file.records(model)) == list(of.records(model))
        assert list(file.deletions(model)) == list(of.deletions(model))


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=50),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=255),
)
def test_any_text_travels_verbatim(ep_no: str, name: str) -> None:
    of = sections([company(ep_no)], [record(ep_no, ep_no, ep_name=name, shift=name[:50])])
    file = opened(written(of, created_by=name[:150]))
    assert list(file.records(ATTENDANCE_RECORDS)) == list(of.records(ATTENDANCE_RECORDS))
    assert file.metadata.created_by == name[:150]


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (record("A", "1", status="X"), "status"),
        (record("A", "1", in_time="09:00:00.500000"), "in_time"),
        (record("A", "1", ep_name="\0"), "ep_name"),
        (record("A", "1", ep_name="\ud800"), "ep_name"),
        (record("A", "1", overtime="-5"), "overtime"),
        (record("A", "1", created_at=None), "created_at"),
        (record("A", "1", created_at="2026-11-20"), "created_at"),
    ],
)
def test_a_record_that_could_not_be_read_back_is_not_written(record: Record, field: str) -> None:
    with pytest.raises(InvalidRecord) as caught:
        written(sections([company("A")], [record]))
    assert (caught.value.model, caught.value.field) == ("attendance_records", field)
    assert caught.value.key == ("A", "1", "2026-11-20"), "as people read it"
    assert field in str(caught.value)


def test_records_and_deletions_come_in_order() -> None:
    two = [record("A", "2"), record("A", "1")]
    for of in (
        sections([company("A")], two),
        sections([company("B"), company("A")]),
        sections([company("A"), company("A")]),
        sections(gone_days=[deletion(ATTENDANCE_RECORDS, one) for one in two]),
    ):
        with pytest.raises(OutOfOrder):
            written(of)


def test_the_counts_are_those_of_the_records() -> None:
    with pytest.raises(RecordSyncError, match="after it had counted"):
        written(sections([company("A")]), totals={"companies": 2, "attendance_records": 0, "seals": 0})


def test_what_was_written_is_told() -> None:
    of = sections([company("A")], [record("A", "1")], [deletion(COMPANIES, company("B"))])
    out = io.BytesIO()
    told = write_backup(out, SCHEMA, metadata(of), of)
    digest = opened(out.getvalue()).digest
    assert told == Written(digest, {"companies": 1, "attendance_records": 1, "seals": 0}, 1)


def test_the_same_content_gives_the_same_bytes() -> None:
    of = sections([company("A")], [record("A", "1")])
    assert written(of) == written(of)
    assert written(of).splitlines()[1:-1] == written(of, created_by="other").splitlines()[1:-1]


def test_progress_is_reported_every_thousand_records_and_can_stop_the_work() -> None:
    of = sections([company("A")], [record("A", f"{number:04}") for number in range(2001)])
    seen: list[Any] = []

    def progress(phase: str, done: int, total: int | None) -> None:
        seen.append((phase, done, total))
        if done > 1001:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        write_backup(io.BytesIO(), SCHEMA, metadata(of), of, progress)
    assert seen == [("write", 0, 2002), ("write", 1, 2002), ("write", 1001, 2002), ("write", 2001, 2002)]


def test_a_full_disk_is_an_error() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    of = sections([company("A")])
    with pytest.raises(OSError, match="No space left") as caught, open("/dev/full", "wb", buffering=0) as full:
        write_backup(full, SCHEMA, metadata(of), of)
    assert caught.value.errno == errno.ENOSPC


def test_the_tests_content_is_what_the_writer_asks_for() -> None:
    of: Rows = Sections()
    assert not list(of.lines(COMPANIES.shape()))
