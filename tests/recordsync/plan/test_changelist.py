"""Lists of changes: read back as they were written, or refused."""

from __future__ import annotations

import gzip
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA
from recordsync.errors import ListDamaged
from recordsync.model.records import Record
from recordsync.model.schema import Schema
from recordsync.plan import Batch, ChangeList, list_changes
from recordsync.streams import Change
from tests.builders.records import company, record
from tests.strategies.records import snapshots


def listed(batches: list[Batch]) -> bytes:
    out = io.BytesIO()
    list_changes(out, SCHEMA, batches)
    return out.getvalue()


def read(data: bytes, schema: Schema = SCHEMA) -> list[tuple[str, Change]]:
    found = ChangeList(io.BytesIO(data), schema)
    changes = [(model.name, change) for model, changes in found.batches() for change in changes]
    assert found.count == len(changes)
    return changes


def one_of_each() -> list[Batch]:
    before, after = record("Ärzte", "E\n1", shift="A"), record("Ärzte", "E\n1", shift="N", in_time="08:00:00")
    new = company("New", created_at=None)
    return [
        (COMPANIES, [Change(new.key, None, new)]),
        (ATTENDANCE_RECORDS, [Change(before.key, before, after)]),
        (ATTENDANCE_RECORDS, [Change(before.key, before, None)]),
        (COMPANIES, [Change(("Old",), company("Old"), None)]),
    ]


@given(snapshots(), snapshots(), st.integers(1, 5))
def test_a_list_is_read_back_as_it_was_written(ours: list[Record], theirs: list[Record], size: int) -> None:
    """For all changes, in batches of any size: with every field, when the record was created, and in their order."""
    before, after = {one.key: one for one in ours}, {one.key: one for one in theirs}
    changes = [
        Change(key, old, new and new._replace(created_at=(old or new).created_at))
        for key in sorted({*before, *after})
        for old, new in [(before.get(key), after.get(key))]
    ]
    batches: list[Batch] = [
        (ATTENDANCE_RECORDS, changes[start : start + size]) for start in range(0, len(changes), size)
    ]
    assert read(listed(batches)) == [(ATTENDANCE_RECORDS.name, change) for change in changes]


def test_many_changes_of_one_kind_are_read_together() -> None:
    new = [record("A", f"{n:04}") for n in range(2500)]
    data = listed([(ATTENDANCE_RECORDS, [Change(one.key, None, one) for one in new])])
    sizes = [len(changes) for _model, changes in ChangeList(io.BytesIO(data), SCHEMA).batches()]
    assert sizes == [1000, 1000, 500]


def test_people_unpack_a_line_of_json_for_each_change() -> None:
    lines = [json.loads(line) for line in gzip.decompress(listed(one_of_each())).splitlines()]
    assert [(line["model"], line["change"]) for line in lines] == [
        ("companies", "add"),
        ("attendance_records", "update"),
        ("attendance_records", "delete"),
        ("companies", "delete"),
    ]
    assert lines[0] == {
        "model": "companies", "change": "add", "before": None, "after": {"name": "New"}, "created_at": None
    }  # fmt: skip
    assert (lines[1]["before"]["shift"], lines[1]["after"]["shift"]) == ("A", "N")
    assert set(lines[1]["before"]) == set(ATTENDANCE_RECORDS.names)


def test_a_list_that_was_cut_or_changed_anywhere_is_refused() -> None:
    data = listed(one_of_each())
    for at in range(len(data)):
        for damaged in (data[:at], data[:at] + data[at + 1 :], data[:at] + data[at : at + 1] + data[at:]):
            if damaged != data:
                with pytest.raises(ListDamaged, match="cut or changed"):
                    read(damaged)
        for bit in range(8):
            with pytest.raises(ListDamaged, match="cut or changed"):
                read(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
    with pytest.raises(ListDamaged):
        read(data + data)
    with pytest.raises(ListDamaged):
        read(b"")


def test_a_list_that_is_changed_while_it_is_open_is_not_read_to_its_end() -> None:
    """Where the digest was right, so that only the second reading can tell."""
    data = listed(one_of_each())
    shorter = listed(one_of_each()[:-1])
    changed = [data[:-end] for end in (len(data) // 2, len(data) - 20)]
    changed += [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in (0, 30, len(data) // 3)]
    for other in (*changed, shorter):
        stream = io.BytesIO(data)
        changes = ChangeList(stream, SCHEMA)
        stream.seek(0)
        stream.truncate()
        stream.write(other)
        with pytest.raises(ListDamaged):
            list(changes.batches())


def test_a_list_of_other_models_is_refused() -> None:
    with pytest.raises(ListDamaged, match="other models or fields"):
        read(listed(one_of_each()), Schema((COMPANIES,)))
