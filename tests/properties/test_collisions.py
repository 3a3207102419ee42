"""An edit by hand that meets another one: merged by the same units as a restore."""

from __future__ import annotations

import datetime as dt
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from core.attendance.records import Changed, collide
from core.models import AttendanceRecord, Company
from core.register.declared import ATTENDANCE_RECORDS, content_of
from tests.builders.days import UNITS, Content
from tests.strategies.registers import contents

FIELDS = ATTENDANCE_RECORDS.fields


def _row(content: Content) -> AttendanceRecord:
    values: dict[str, Any] = {field.name: field.type.to_python(content[field.name]) for field in FIELDS}
    return AttendanceRecord(company=Company(name="ABC Corp"), ep_no="E1", date=dt.date(2026, 11, 20), **values)


@given(
    seen=contents,
    changes=st.lists(
        st.tuples(st.sampled_from(["mine", "theirs", "both"]), st.sampled_from([f.name for f in FIELDS]), contents)
    ),
    known=st.booleans(),
)
def test_each_unit_of_a_collision_is_of_one_side_whole(
    seen: Content, changes: list[tuple[str, str, Content]], known: bool
) -> None:
    """For all records and all edits of the two who met: a unit that only one of them changed is as they have it, whole;
    one that both changed is as it was typed, and marked; whatever the form shows that is not saved stands beside what
    is. If it is not known what they saw, all that differs is marked."""
    typed, saved = dict(seen), dict(seen)
    for who, name, other in changes:
        for side, content in (("mine", typed), ("theirs", saved)):
            if who in (side, "both"):
                content[name] = other[name]
    row = _row(saved)
    values = {field.name: field.type.to_python(typed[field.name]) for field in FIELDS}
    collision = collide(row, values, {**content_of(row), **seen} if known else None)
    conflicts = []
    for unit, names in UNITS.items():
        mine, theirs = (any(content[name] != seen[name] for name in names) for content in (typed, saved))
        differs = any(typed[name] != saved[name] for name in names)
        is_conflict = differs and (not known or (mine and theirs))
        is_mine = differs and (mine or not known)
        conflicts += [unit] * is_conflict
        for name in names:
            assert collision.values[name] == (values if is_mine else row.__dict__)[name]
            aside = collision.beside.get(name)
            if is_mine and typed[name] != saved[name]:
                assert aside == (Changed.BOTH if is_conflict else Changed.MINE, saved[name])
            elif typed[name] != saved[name]:
                assert aside == (Changed.THEIRS, seen[name])
            else:
                assert aside is None
    assert collision.conflicts == tuple(conflicts)
    assert collision.is_settled is (typed == saved)
    event(f"{len(conflicts)} of {len(UNITS)} in conflict")
