"""A section that a file lacks is not spoken about: nothing of it is counted, added, changed or deleted."""

from __future__ import annotations

import io
import json
from tempfile import TemporaryFile
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from core.register.database import Register
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, Selection
from core.restores.restore_service import RestoreService
from recordsync.backupfile import BackupFile
from recordsync.backupfile.json_schema import file_schema
from recordsync.merge import Counts, Side
from recordsync.model.fields import Date, Text
from recordsync.model.records import Record
from recordsync.model.schema import Field, Model, Schema
from recordsync.plan import Plan, apply_plan, make_plan
from tests.builders.days import ABC, day
from tests.builders.files import file, lacking
from tests.builders.records import MOMENT, NOW, Sections, company, record, written
from tests.builders.registers import SMALL, put, register, rows
from tests.recordsync.support import MemoryStore, always, checked, lines_of, opened, resealed, set_metadata
from tests.running.bases import RecordsAsBase
from tests.running.services import restore

SEALS: Final = Model(
    "seals",
    "core.Seal",
    key=(Field("company_name", Text(min_length=1, max_length=255), references="companies"), Field("month", Date())),
    fields=(Field("by", Text(max_length=50)),),
    units={"by": ("by",)},
)
THREE: Final = Schema((COMPANIES, ATTENDANCE_RECORDS, SEALS), selection=Selection)


def seal(company: str, month: str, by: str = "root") -> Record:
    return SEALS.shape().from_mapping({"company_name": company, "month": month, "by": by}, MOMENT)


OURS: Final = {
    "companies": [company("A"), company("B")],
    "attendance_records": [record("A", "1"), record("B", "1", status="A")],
    "seals": [seal("A", "2026-10-01"), seal("B", "2026-10-01")],
}
THEIRS: Final = {
    "companies": [company("A"), company("C")],
    "attendance_records": [record("A", "1", status="L"), record("C", "1")],
    "seals": [seal("A", "2026-10-01", "other"), seal("C", "2026-10-01")],
}


def of_sections(names: list[str], content: dict[str, list[Record]] = THEIRS, **changed: Any) -> bytes:
    """A file with these sections."""
    models = [model for model in THREE if model.name in names]
    fields = {model.name: list(model.names) for model in sorted(models, key=lambda model: model.name)}
    part = {name: records for name, records in content.items() if name in names}
    totals = {name: len(records) for name, records in part.items()}
    described: dict[str, Any] = {"fields": fields, "totals": totals, **changed}
    return written(Sections(part), THREE, **described)


def planned(store: MemoryStore, theirs: BackupFile, base: BackupFile | None = None) -> tuple[Plan, dict[str, Counts]]:
    with TemporaryFile() as items:
        plan = make_plan(store, theirs, None if base is None else RecordsAsBase(base), items)
        return plan, apply_plan(plan, store, always(Side.THEIRS), NOW)


SOME: Final = st.lists(st.sampled_from([model.name for model in THREE]), min_size=1, unique=True)


@given(SOME, st.none() | SOME)
def test_it_says_nothing_of_the_models_that_it_lacks(names: list[str], of_base: list[str] | None) -> None:
    """With and without a base, which may lack sections, too. What is missing and is referred to is created."""
    store = MemoryStore(Sections(OURS), schema=THREE)
    before = store.content()
    base = None if of_base is None else opened(of_sections(of_base, OURS), schema=THREE)
    theirs = opened(of_sections(names), schema=THREE)
    assert sorted(theirs.counts) == sorted(names)
    plan, counts = planned(store, theirs, base)
    assert sorted(plan.settled) == sorted(names)
    for model in THREE:
        if model.name in names:
            assert counts[model.name].read == 2
            assert store.rows[model.name].keys() >= {one.key for one in THEIRS[model.name]}
        elif model is COMPANIES:
            assert counts[model.name] == Counts(created=1), "C, to which a record of theirs refers"
            assert [one.key for one in store.content()[model.name]] == [("A",), ("B",), ("C",)]
        else:
            assert model.name not in counts
            assert store.content()[model.name] == before[model.name]


@given(SOME)
def test_such_a_file_is_legal_as_a_whole(names: list[str]) -> None:
    data = of_sections(names)
    document = json.loads(data)
    assert [name for name in document if name in THEIRS] == [model.name for model in THREE if model.name in names]
    assert sorted(document["deleted"]) == sorted(names) == sorted(document["metadata"]["fields"])
    assert sorted(set(document["trailer"]) - {"deleted", "sha256"}) == sorted(names)
    Draft202012Validator(file_schema(THREE)).validate(document)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"fields": {"companies": ["name"]}}, "fields"),
        ({"fields": {}}, "fields"),
        ({"fields": {"people": ["name"]}}, "fields"),
        ({"total_seals": 2}, "fields"),
    ],
    ids=str,
)
def test_metadata_name_exactly_the_sections(changed: dict[str, Any], field: str) -> None:
    first, *others = lines_of(of_sections(["companies", "attendance_records"]))
    data = resealed([set_metadata(first, **changed), *others])
    (error,) = checked(data, schema=THREE).errors
    assert (error.line, error.field) == (1, field)
    assert not Draft202012Validator(file_schema(THREE)).is_valid(json.loads(data))


@pytest.mark.parametrize("drop", [b'"attendance_records":[', b',"attendance_records":[]', b'"attendance_records":2,'])
def test_each_place_of_a_section_is_needed(drop: bytes) -> None:
    """Its rows, its deletions and its count in the trailer."""
    data = of_sections(["companies", "attendance_records"])
    if drop.endswith(b"["):
        lines = lines_of(data)
        start = next(number for number, line in enumerate(lines) if line.endswith(drop + b"\n"))
        lines[start : start + 4] = [b"],\n"]
        assert not checked(resealed(lines), schema=THREE).valid
        return
    assert drop in data
    assert not checked(data.replace(drop, b"", 1), schema=THREE).valid


def test_a_file_of_companies_alone_leaves_the_records_alone(register_db: str) -> None:
    put(register_db, SMALL)
    before = rows(register_db).records
    of = file(register(companies=(ABC, "New")))
    summary = restore(register_db, lacking(of, "attendance_records", "seals"))
    assert sorted(summary.models) == ["companies"]
    assert (summary.companies.read, summary.companies.added) == (2, 1)
    assert rows(register_db).records == before


def test_a_file_of_records_alone_creates_the_companies_that_are_missing(register_db: str) -> None:
    put(register_db, register(day()))
    of = file(register(day(), day(company_name="New")))
    data = lacking(of, "companies")
    with RestoreService(register=Register(register_db)).preview_changes(io.BytesIO(data)) as preview:
        assert preview.models["companies"] == Counts(created=1)
    summary = restore(register_db, data)
    assert summary.models["companies"] == Counts(created=1)
    assert summary.records.added == 1
