"""Files from before a field was there stay readable, if the field is a unit of its own: what docs/architecture.md tells
whoever adds one."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from operator import attrgetter
from tempfile import TemporaryFile

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, Selection
from recordsync.backupfile import write_backup
from recordsync.backupfile.json_schema import file_schema
from recordsync.merge import Side, merge, resolve
from recordsync.model.fields import Text
from recordsync.model.schema import Field, Model, Schema, Shape
from recordsync.plan import make_plan
from recordsync.stores import open_store
from tests.builders.records import Sections, company, deletion, metadata, record, sections, written
from tests.builders.registers import RegisterData, put
from tests.recordsync.backupfile.golden_content import FOLDER
from tests.recordsync.models import later_fields, without_fields
from tests.recordsync.support import checked, lines_of, opened, resealed, row
from tests.running import databases
from tests.strategies.registers import registers

OLD = (FOLDER / "backup-2.0.json").read_bytes()
GRADE = Field("grade", Text(max_length=10, nullable=True), later=True)


def _with_grade(unit: str) -> Model:
    units = dict(ATTENDANCE_RECORDS.units)
    units[unit] = (*units.get(unit, ()), "grade")
    return replace(ATTENDANCE_RECORDS, fields=(*ATTENDANCE_RECORDS.fields, GRADE), units=units)


def _schema(model: Model) -> Schema:
    return Schema((COMPANIES, model), selection=Selection)


def test_in_a_unit_of_its_own_it_is_left_alone() -> None:
    model = _with_grade("grade")
    file = opened(OLD, schema=_schema(model))
    whole, shape = model.shape(), file.shape(model)
    record = next(iter(file.records(model)))
    ours = whole.project(record, shape)
    assert whole.content(ours)["grade"] is None, "blank where the record is added"
    ours = whole.from_mapping({**whole.content(ours), "grade": "A", "shift": "other"})
    (merged,) = merge(whole, shape, None, [ours], [record])
    assert merged.conflicts == ("shift",)
    change = resolve(whole, shape, merged, lambda unit: Side.THEIRS)
    assert change
    assert change.after
    assert whole.content(change.after)["grade"] == "A", "as it is where the record is here"


def test_in_an_older_unit_it_would_make_older_files_unreadable() -> None:
    report = checked(OLD, schema=_schema(_with_grade("shift")))
    assert not report.valid
    assert "`grade` is missing, which merges whole with `shift`" in str(report.errors[0])


OVERTIME = ("overtime", "overtime_to_mandays")
BEFORE = Schema((COMPANIES, without_fields(ATTENDANCE_RECORDS, *OVERTIME)), selection=Selection)
AFTER = Schema((COMPANIES, later_fields(ATTENDANCE_RECORDS, *OVERTIME)), selection=Selection)
"""The schema as if it had got these two fields since."""


def _backup(schema: Schema, alias: str) -> list[bytes]:
    """The lines of a full backup of the register, as a program with this schema writes it."""
    store = open_store(schema, alias)
    out = io.BytesIO()
    rows = Sections({model.name: list(store.records(model)) for model in schema})
    fields = {model.name: list(model.names) for model in sorted(schema, key=attrgetter("name"))}
    totals = {model.name: store.count(model) for model in schema}

    class Stored(Sections):
        def lines(self, shape: Shape) -> Iterator[bytes]:
            return store.lines(shape.model)

    write_backup(out, schema, metadata(fields=fields, totals=totals), Stored(rows.by_model))
    return lines_of(out.getvalue())


@settings(max_examples=20)
@given(registers())
def test_while_it_is_blank_nothing_is_as_if_it_were_there(register_db: str, of: RegisterData) -> None:
    """The rows of a file are the same bytes, so checksums and digests stay. An older file is identical."""
    blank = {key: {**content, **dict.fromkeys(OVERTIME)} for key, content in of.records.items()}
    databases.empty(register_db)
    put(register_db, replace(of, records=blank))
    before, after = _backup(BEFORE, register_db), _backup(AFTER, register_db)
    assert before[1:-1] == after[1:-1]
    for lines in (before, after):
        file = opened(b"".join(lines), schema=AFTER)
        with TemporaryFile() as items:
            plan = make_plan(open_store(AFTER, register_db), file, None, items)
            assert plan.size == 0
            assert sum(counts.skipped for counts in plan.settled.values()) == len(of.companies) + len(of.records)


def _after(**changed: str) -> bytes:
    """A file with one record, written since the fields are there."""
    day = record("ABC", "E1", **changed)
    fields = {model.name: list(model.names) for model in sorted(AFTER, key=attrgetter("name"))}
    return written(sections([company("ABC")], [day]), AFTER, fields=fields)


def test_a_file_that_knows_the_field_says_that_it_is_blank() -> None:
    """So a merge takes the blank, as it takes any value. A file that does not know it leaves it alone."""
    file = opened(_after(), schema=AFTER)
    (model,) = AFTER.models[1:]
    (theirs,) = file.records(model)
    assert b"overtime" not in lines_of(_after())[6]
    assert file.shape(model).is_whole
    ours = model.shape().from_mapping({**model.shape().content(theirs), "overtime": "01:00"})
    (merged,) = merge(model.shape(), file.shape(model), None, [ours], [theirs])
    assert merged.conflicts == ("overtime",)


def test_a_line_never_has_it_as_null() -> None:
    lines = lines_of(_after(overtime="01:00"))
    assert b'"overtime":"01:00"' in lines[6]
    lines[6] = row(lines[6], lambda found: found.update(overtime=None))
    (error,) = checked(resealed(lines), schema=AFTER).errors
    assert (error.line, error.field) == (7, "overtime")
    assert "a line leaves it out" in error.message
    document = json.loads(_after(overtime="01:00"))
    schema = Draft202012Validator(file_schema(AFTER))
    schema.validate(document)
    schema.validate(json.loads(_after()))
    document["attendance_records"][0]["overtime"] = None
    assert not schema.is_valid(document)


def test_another_field_may_not_be_left_out() -> None:
    lines = lines_of(_after())
    lines[6] = row(lines[6], lambda found: found.pop("shift"))
    (error,) = checked(resealed(lines), schema=AFTER).errors
    assert (error.line, error.field, error.message) == (7, "shift", "the field shift is missing")


def test_a_deletion_knows_the_record_by_the_same_checksum() -> None:
    (old, new) = (schema.models[1] for schema in (BEFORE, AFTER))
    day = record("ABC", "E1")
    listed = deletion(old, old.shape().project(day, ATTENDANCE_RECORDS.shape()))
    (merged,) = merge(new.shape(), new.shape(), None, [day], [], [listed])
    assert not merged.conflicts


@pytest.mark.parametrize("field", [Field("grade", Text(max_length=10), later=True), GRADE])
def test_only_a_field_that_can_be_null_comes_later_and_none_of_the_key(field: Field) -> None:
    with pytest.raises(ValueError, match="came later"):
        Model("people", "core.Person", (field,) if field is GRADE else (), () if field is GRADE else (field,), {}
              if field is GRADE else {"grade": ("grade",)})  # fmt: skip


def test_an_older_program_refuses_it_by_its_name() -> None:
    report = checked(OLD.replace(b'"ep_no","in_time"', b'"ep_no","grade","in_time"', 1))
    assert not report.valid
    assert "grade" in str(report.errors[0])
