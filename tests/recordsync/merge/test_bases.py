"""Bases that are merged, and merges whose base is disputed, against the definition on plain values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from core.register.declared import ATTENDANCE_RECORDS
from recordsync.merge import EXISTENCE, BaseRecord, Disputed, Merged, Outcome, merge, merged_bases
from recordsync.model.records import Key, Record
from tests.builders.records import record
from tests.conftest import MANY

SHAPE: Final = ATTENDANCE_RECORDS.shape()
UNKNOWN: Final = "?"
"""What nothing is known of."""

CONTENTS: Final = st.fixed_dictionaries(
    {"name": st.sampled_from("AB"), "day": st.sampled_from(["08:00:00", "09:00:00"]), "shift": st.sampled_from("12")}
)
SIDES: Final = st.dictionaries(st.sampled_from(["E1", "E2"]), CONTENTS)
Content = dict[str, str]
Side = dict[str, Content]
Known = dict[str, Any]
"""For each key its content by unit, None or UNKNOWN; a unit may be UNKNOWN."""


def records(side: Side) -> list[Record]:
    return [
        record("ABC", number, ep_name=content["name"], in_time=content["day"], shift=content["shift"])
        for number, content in sorted(side.items())
    ]


def known(base: Iterable[BaseRecord]) -> Known:
    found: Known = {}
    for one in base:
        number = one.key[2] if len(one.key) > 2 else ""
        disputed = one.units if isinstance(one, Disputed) else frozenset()
        if EXISTENCE in disputed:
            assert one.values is None
            found[number] = UNKNOWN
            continue
        assert one.values is not None
        content = dict(zip(SHAPE.names, one.values, strict=True))
        units = {"name": content["ep_name"], "day": content["in_time"], "shift": content["shift"]}
        found[number] = {unit: UNKNOWN if unit in disputed else value for unit, value in units.items()}
    return found


def proven(below: Any, one: Any, other: Any) -> Any:
    """What both are proven to come to: of a unit, or of a whole record where one of them is None."""
    if UNKNOWN in (one, other) or (one != other and below == UNKNOWN):
        return UNKNOWN
    if one == other or below == other:
        return one
    return other if below == one else UNKNOWN


def expected(below: Side | Known | None, one: Side | Known, other: Side | Known) -> Known:
    found: Known = {}
    for number in {*(below or {}), *one, *other}:
        before = UNKNOWN if below is None else below.get(number)
        left: Any = one.get(number)
        right: Any = other.get(number)
        if UNKNOWN in (left, right) or None in (left, right):
            is_whole = isinstance(before, dict) and UNKNOWN in before.values()
            result = proven(UNKNOWN if is_whole else before, left, right)
        else:
            of_units = before if isinstance(before, dict) else dict.fromkeys(left, UNKNOWN)
            result = {unit: proven(of_units[unit], left[unit], right[unit]) for unit in left}
        if result is not None:
            found[number] = result
    return found


@MANY
@given(SIDES, SIDES, SIDES, SIDES, st.booleans())
def test_two_bases_come_to_what_is_proven(below: Side, one: Side, other: Side, third: Side, is_known: bool) -> None:
    found = list(merged_bases(SHAPE, records(below) if is_known else None, records(one), records(other)))
    assert known(found) == expected(below if is_known else None, one, other)
    alike = merged_bases(SHAPE, records(below) if is_known else None, records(other), records(one))
    assert known(alike) == known(found), "both sides merge alike"
    # What is merged may be merged once more, and be the base of others.
    assert known(merged_bases(SHAPE, records(below), found, records(third))) == expected(below, known(found), third)
    assert known(merged_bases(SHAPE, found, records(below), records(third))) == expected(known(found), below, third)
    of_three = expected(known(found), known(found), third)
    assert known(merged_bases(SHAPE, found, found, records(third))) == of_three
    assert known(merged_bases(SHAPE, found, records(third), found)) == of_three, "both sides merge alike"


def by_key(found: Iterable[Merged]) -> dict[Key, Merged]:
    return {one.key: one for one in found}


@MANY
@given(SIDES, SIDES, SIDES, SIDES, SIDES)
def test_what_is_disputed_is_in_conflict_where_both_differ(
    below: Side, one: Side, other: Side, ours: Side, theirs: Side
) -> None:
    base = list(merged_bases(SHAPE, records(below), records(one), records(other)))
    of_base = known(base)
    found = by_key(merge(SHAPE, SHAPE, base, records(ours), records(theirs), complete=True))
    plain = [one for one in base if isinstance(one, Record)]
    proven_alone = by_key(merge(SHAPE, SHAPE, plain, records(ours), records(theirs), complete=True))
    for key, merged in found.items():
        number = key[2]
        before, our, their = of_base.get(number), ours.get(number), theirs.get(number)
        if before != UNKNOWN and not (isinstance(before, dict) and UNKNOWN in before.values()):
            assert merged == proven_alone[key]
        elif our == their:
            assert merged.outcome is Outcome.SAME
        elif our is None or their is None:
            assert (merged.outcome, merged.conflicts) == (Outcome.CONFLICT, (EXISTENCE,))
        else:
            for unit in our:
                unproven = before == UNKNOWN or before[unit] == UNKNOWN
                differs = our[unit] != their[unit]
                changed_by_both = unproven or before[unit] not in (our[unit], their[unit])
                assert (unit in merged.conflicts) == (differs and changed_by_both)
                assert (unit in merged.units) == (differs and not unproven and before[unit] == our[unit])
