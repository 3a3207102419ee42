"""Files from before a field was there stay readable, if the field is a unit of its own: what docs/architecture.md tells
whoever adds one."""

from __future__ import annotations

from dataclasses import replace

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, Selection
from recordsync.merge import Side, merge, resolve
from recordsync.model.fields import Text
from recordsync.model.schema import Field, Model, Schema
from tests.recordsync.backupfile.golden_content import FOLDER
from tests.recordsync.support import checked, opened

OLD = (FOLDER / "backup-2.0.json").read_bytes()
GRADE = Field("grade", Text(max_length=10, nullable=True))


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


def test_an_older_program_refuses_it_by_its_name() -> None:
    report = checked(OLD.replace(b'"ep_no","in_time"', b'"ep_no","grade","in_time"', 1))
    assert not report.valid
    assert "grade" in str(report.errors[0])
