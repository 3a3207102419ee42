"""The three-way merge: every row of the merge table (docs/merging.md), and the laws that follow from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.register.declared import ATTENDANCE_RECORDS
from recordsync.errors import OutOfOrder
from recordsync.merge import (
    EXISTENCE,
    BaseRecord,
    Disputed,
    Merged,
    Outcome,
    Side,
    Strategy,
    merge,
    merged_bases,
    resolve,
)
from recordsync.model.records import Key, Record, checksum
from recordsync.model.schema import Shape
from recordsync.streams import Change, Deletion
from tests.builders.records import cut, deletion, record
from tests.conftest import MANY
from tests.strategies.records import shapes, snapshots, versions

WHOLE = ATTENDANCE_RECORDS.shape()
SAME, KEEP, TAKE, CONFLICT = Outcome.SAME, Outcome.KEEP, Outcome.TAKE, Outcome.CONFLICT

# One key. The units that differ between these: "name" (ep_name) and "day" (the times).
B: Final = record("ABC", "E1", ep_name="Anna", in_time="08:00:00")
OURS: Final = record("ABC", "E1", ep_name="Anna", in_time="08:30:00")
THEIRS: Final = record("ABC", "E1", ep_name="Anna", in_time="09:00:00")
THEIR_NAME: Final = record("ABC", "E1", ep_name="Anne", in_time="08:00:00")
THEIR_BOTH: Final = record("ABC", "E1", ep_name="Anne", in_time="09:00:00")
OUR_DAY_THEIR_NAME: Final = record("ABC", "E1", ep_name="Anne", in_time="08:30:00")

UNKNOWN: Final = "unknown"
"""As a base: nothing is proven."""
DELETED: Final = "listed as deleted"
DELETED_OTHER: Final = "listed as deleted, with the checksum of something else"
UNLISTED: Final = "not listed, in a full file"
OUT_OF_SCOPE: Final = "not listed, in a file that does not speak about everything"
AS_IT_IS: Final = "nothing is written"
NOT_THERE: Final = None


@dataclass(frozen=True)
class Row:
    """One row of the table, or a case of it: the three sides, what the merge comes to, and what is then written
    when conflicts are decided for the backup and for the database (a record, NOT_THERE, or AS_IT_IS)."""

    row: str
    base: Record | str | None
    ours: Record | None
    theirs: Record | str
    outcome: Outcome | None
    units: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    backup_wins: Record | str | None = AS_IT_IS
    database_wins: Record | str | None = AS_IT_IS


ALL_UNITS = ("name", "shift", "day", "overtime")
EXISTS = (EXISTENCE,)

# fmt: off
TABLE: Final = [
    # base, ours, theirs, outcome, units taken, units in conflict, written if the backup wins, if the database wins
    Row("any | X | X: same, skip (base the same)",
        B, B, B, SAME),
    Row("any | X | X: same, skip (both changed alike)",
        B, THEIRS, THEIRS, SAME),
    Row("any | X | X: same, skip (both added)",
        NOT_THERE, OURS, OURS, SAME),
    Row("any | X | X: same, skip (base unknown)",
        UNKNOWN, OURS, OURS, SAME),
    Row("any | X | X: same, skip (both deleted)",
        B, NOT_THERE, DELETED, SAME),
    Row("any | X | X: same, skip (both deleted, in a full file)",
        B, NOT_THERE, UNLISTED, SAME),
    Row("any | X | X: same, skip (neither ever had it)",
        NOT_THERE, NOT_THERE, DELETED, SAME),
    Row("any | X | X: same, skip (not here, deleted there, base unknown)",
        UNKNOWN, NOT_THERE, DELETED, SAME),
    Row("b | b | t: take theirs (update)",
        B, B, THEIRS, TAKE, ("day",), (), THEIRS, THEIRS),
    Row("b | b | t: take theirs (update of two units)",
        B, B, THEIR_BOTH, TAKE, ("name", "day"), (), THEIR_BOTH, THEIR_BOTH),
    Row("b | b | t: take theirs (delete)",
        B, B, DELETED, TAKE, (), (), NOT_THERE, NOT_THERE),
    Row("b | b | t: take theirs (delete; the checksum says nothing)",
        B, B, DELETED_OTHER, TAKE, (), (), NOT_THERE, NOT_THERE),
    Row("b | b | t: take theirs (delete, by absence from a full file)",
        B, B, UNLISTED, TAKE, (), (), NOT_THERE, NOT_THERE),
    Row("b | o | b: keep ours, skip (updated here)",
        B, OURS, B, KEEP),
    Row("b | o | b: keep ours, skip (deleted here)",
        B, NOT_THERE, B, KEEP),
    Row("b | o | t: unit by unit (different units)",
        B, OURS, THEIR_NAME, TAKE, ("name",), (), OUR_DAY_THEIR_NAME, OUR_DAY_THEIR_NAME),
    Row("b | o | t: unit by unit (the same unit)",
        B, OURS, THEIRS, CONFLICT, (), ("day",), THEIRS, AS_IT_IS),
    Row("b | o | t: unit by unit (one taken, one in conflict)",
        B, OURS, THEIR_BOTH, CONFLICT, ("name",), ("day",), THEIR_BOTH, OUR_DAY_THEIR_NAME),
    Row("b | o | t: unit by unit (one changed alike)",
        B, THEIRS, THEIR_BOTH, TAKE, ("name",), (), THEIR_BOTH, THEIR_BOTH),
    Row("b | o | t: unit by unit (theirs changed less)",
        B, THEIR_BOTH, THEIRS, KEEP),
    Row("b | ∅ | t: conflict, deleted here, changed there",
        B, NOT_THERE, THEIRS, CONFLICT, (), EXISTS, THEIRS, AS_IT_IS),
    Row("b | o | ∅: conflict, changed here, deleted there",
        B, OURS, DELETED, CONFLICT, (), EXISTS, NOT_THERE, AS_IT_IS),
    Row("b | o | ∅: conflict, changed here, absent from a full file",
        B, OURS, UNLISTED, CONFLICT, (), EXISTS, NOT_THERE, AS_IT_IS),
    Row("unknown | ∅ | t: add",
        UNKNOWN, NOT_THERE, THEIRS, TAKE, ALL_UNITS, (), THEIRS, THEIRS),
    Row("∅ | ∅ | t: add",
        NOT_THERE, NOT_THERE, THEIRS, TAKE, ALL_UNITS, (), THEIRS, THEIRS),
    Row("unknown | o | t: conflict on the units that differ (one)",
        UNKNOWN, OURS, THEIRS, CONFLICT, (), ("day",), THEIRS, AS_IT_IS),
    Row("unknown | o | t: conflict on the units that differ (two)",
        UNKNOWN, OURS, THEIR_BOTH, CONFLICT, (), ("name", "day"), THEIR_BOTH, AS_IT_IS),
    Row("∅ | o | t: conflict on the units that differ (one)",
        NOT_THERE, OURS, THEIRS, CONFLICT, (), ("day",), THEIRS, AS_IT_IS),
    Row("∅ | o | t: conflict on the units that differ (two)",
        NOT_THERE, OURS, THEIR_BOTH, CONFLICT, (), ("name", "day"), THEIR_BOTH, AS_IT_IS),
    Row("∅ | o | ∅: keep ours, skip (listed as deleted)",
        NOT_THERE, OURS, DELETED, KEEP),
    Row("∅ | o | ∅: keep ours, skip (absent from a full file)",
        NOT_THERE, OURS, UNLISTED, KEEP),
    Row("unknown | o | not listed, in a full file: keep, absence alone never deletes",
        UNKNOWN, OURS, UNLISTED, None),
    Row("unknown | o | listed as deleted, checksum(o): delete",
        UNKNOWN, OURS, DELETED, TAKE, (), (), NOT_THERE, NOT_THERE),
    Row("unknown | o | listed as deleted, another checksum: conflict",
        UNKNOWN, OURS, DELETED_OTHER, CONFLICT, (), EXISTS, NOT_THERE, AS_IT_IS),
    Row("not listed in an incremental or a selection: out of scope (base unknown)",
        UNKNOWN, OURS, OUT_OF_SCOPE, None),
    Row("not listed in an incremental or a selection: out of scope (b | b)",
        B, B, OUT_OF_SCOPE, None),
    Row("not listed in an incremental or a selection: out of scope (b | o)",
        B, OURS, OUT_OF_SCOPE, None),
    Row("not listed in an incremental or a selection: out of scope (b | ∅)",
        B, NOT_THERE, OUT_OF_SCOPE, None),
    Row("not listed in an incremental or a selection: out of scope (∅ | o)",
        NOT_THERE, OURS, OUT_OF_SCOPE, None),
]
# fmt: on


def merged_row(row: Row) -> Merged | None:
    base = None if row.base == UNKNOWN else [row.base] if isinstance(row.base, Record) else []
    ours = [row.ours] if row.ours else []
    theirs = [row.theirs] if isinstance(row.theirs, Record) else []
    gone = {
        DELETED: [deletion(ATTENDANCE_RECORDS, row.ours or B)],
        DELETED_OTHER: [deletion(ATTENDANCE_RECORDS, THEIR_BOTH)],
    }.get(str(row.theirs), [])
    complete = row.theirs == UNLISTED
    found = list(merge(WHOLE, WHOLE, base, ours, theirs, gone, complete=complete))
    assert len(found) <= 1
    return found[0] if found else None


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.row)
def test_the_merge_table(row: Row) -> None:
    found = merged_row(row)
    if row.outcome is None:
        assert found is None
        return
    assert found is not None
    assert (found.outcome, found.units, found.conflicts) == (row.outcome, row.units, row.conflicts)
    assert found.key == B.key
    assert found.listed == (row.theirs != UNLISTED)
    assert found.ours == row.ours
    assert found.theirs == (row.theirs if isinstance(row.theirs, Record) else None)
    for side, result in ((Side.THEIRS, row.backup_wins), (Side.OURS, row.database_wins)):
        change = resolve(WHOLE, WHOLE, found, lambda unit, side=side: side)  # type: ignore[misc]
        if result == AS_IT_IS:
            assert change is None
        else:
            assert not isinstance(result, str)
            assert change == Change(B.key, row.ours, result)


def test_the_table_has_every_row_of_the_design() -> None:
    """By the three sides as the table names them: nobody removed a row."""
    assert {row.row.partition(":")[0] for row in TABLE} == {
        "any | X | X",
        "b | b | t",
        "b | o | b",
        "b | o | t",
        "b | ∅ | t",
        "b | o | ∅",
        "unknown | ∅ | t",
        "∅ | ∅ | t",
        "unknown | o | t",
        "∅ | o | t",
        "∅ | o | ∅",
        "unknown | o | not listed, in a full file",
        "unknown | o | listed as deleted, checksum(o)",
        "unknown | o | listed as deleted, another checksum",
        "not listed in an incremental or a selection",
    }


def test_a_conflict_can_be_decided_unit_by_unit() -> None:
    (merged,) = merge(WHOLE, WHOLE, None, [OURS], [THEIR_BOTH])
    asked: list[str] = []

    def decide(unit: str) -> Side:
        asked.append(unit)
        return Side.THEIRS if unit == "name" else Side.OURS

    change = resolve(WHOLE, WHOLE, merged, decide)
    assert change == Change(B.key, OURS, OUR_DAY_THEIR_NAME)
    assert asked == ["name", "day"]


def test_the_sides_of_the_strategies() -> None:
    assert [strategy.side for strategy in Strategy] == [Side.THEIRS, Side.OURS, None]


def test_an_updated_record_keeps_when_it_was_made_here_and_an_added_one_when_it_was_made_there() -> None:
    there = THEIRS._replace(created_at="2020-01-01T00:00:00.000000Z")
    (update,) = merge(WHOLE, WHOLE, None, [OURS], [there])
    (add,) = merge(WHOLE, WHOLE, None, [], [there])
    updated, added = (resolve(WHOLE, WHOLE, one, lambda unit: Side.THEIRS) for one in (update, add))
    assert updated is not None
    assert updated.after == THEIRS._replace(created_at=OURS.created_at)
    assert added is not None
    assert added.after == there


def test_the_checksum_of_a_deletion_is_over_the_fields_of_the_file() -> None:
    shape = ATTENDANCE_RECORDS.shape(["company_name", "ep_no", "date", *ATTENDANCE_RECORDS.units["day"]])
    gone = Deletion(OURS.key, checksum(shape.content(cut(OURS, shape))))
    ours = record("ABC", "E1", ep_name="Another", shift="N", in_time="08:30:00")
    (merged,) = merge(WHOLE, shape, None, [ours], [], [gone])
    assert merged.outcome is TAKE


def test_streams_out_of_order_are_refused() -> None:
    wrong = [record("B", "1"), record("A", "1")]
    for base, ours, theirs in ((None, wrong, []), (None, [], wrong), (wrong, [], [])):
        with pytest.raises(OutOfOrder):
            list(merge(WHOLE, WHOLE, base, ours, theirs))
    with pytest.raises(OutOfOrder):
        list(merge(WHOLE, WHOLE, None, [], [], [deletion(ATTENDANCE_RECORDS, record) for record in wrong]))


# --- Laws


def outcome_of(
    base: Sequence[BaseRecord] | None,
    ours: Sequence[Record],
    theirs: Sequence[Record],
    side: Side,
    shape: Shape = WHOLE,
    *,
    gone: Sequence[Deletion] = (),
    complete: bool = True,
) -> dict[Key, Record]:
    """Our records after the merge, with all conflicts decided for one side."""
    there = {record.key: record for record in ours}
    for merged in merge(WHOLE, shape, base, ours, theirs, gone, complete=complete):
        change = resolve(WHOLE, shape, merged, lambda unit: side)
        if change is not None:
            assert change.before == there.get(change.key)
            there.pop(change.key, None)
            if change.after is not None:
                there[change.key] = change.after
    return there


def content(records: Sequence[Record] | dict[Key, Record]) -> dict[Key, tuple[str | None, ...]]:
    listed = records.values() if isinstance(records, dict) else records
    return {record.key: record.values for record in listed}


both_sides = st.sampled_from(list(Side))


@MANY
@given(snapshots() | st.none(), snapshots(), both_sides)
def test_merging_what_is_there_changes_nothing(base: list[Record] | None, ours: list[Record], side: Side) -> None:
    for merged in merge(WHOLE, WHOLE, base, ours, ours, complete=True):
        assert merged.outcome is SAME
    assert content(outcome_of(base, ours, ours, side)) == content(ours)


@MANY
@given(snapshots(), snapshots(), both_sides)
def test_if_only_they_changed_the_result_is_theirs(base: list[Record], theirs: list[Record], side: Side) -> None:
    assert not [m for m in merge(WHOLE, WHOLE, base, base, theirs, complete=True) if m.conflicts]
    assert content(outcome_of(base, base, theirs, side)) == content(theirs)


@MANY
@given(snapshots(), snapshots(), both_sides)
def test_if_only_we_changed_nothing_is_written(base: list[Record], ours: list[Record], side: Side) -> None:
    for merged in merge(WHOLE, WHOLE, base, ours, base, complete=True):
        assert merged.outcome in (SAME, KEEP)
    assert outcome_of(base, ours, base, side) == {record.key: record for record in ours}


@MANY
@given(snapshots() | st.none(), snapshots(), snapshots())
def test_conflicts_are_the_same_from_both_sides(
    base: list[Record] | None, ours: list[Record], theirs: list[Record]
) -> None:
    here = {m.key: m.conflicts for m in merge(WHOLE, WHOLE, base, ours, theirs, complete=True) if m.conflicts}
    there = {m.key: m.conflicts for m in merge(WHOLE, WHOLE, base, theirs, ours, complete=True) if m.conflicts}
    assert here == there


@MANY
@given(snapshots(), snapshots(), snapshots())
def test_what_we_decide_for_them_is_what_they_decide_for_themselves(
    base: list[Record], ours: list[Record], theirs: list[Record]
) -> None:
    here = outcome_of(base, ours, theirs, Side.THEIRS)
    there = outcome_of(base, theirs, ours, Side.OURS)
    assert content(here) == content(there)


@MANY
@given(snapshots(), snapshots(), both_sides)
def test_without_a_base_a_full_file_deletes_nothing_and_every_difference_is_a_conflict(
    ours: list[Record], theirs: list[Record], side: Side
) -> None:
    mine, yours = content(ours), content(theirs)
    result = content(outcome_of(None, ours, theirs, side))
    assert result == (mine | yours if side is Side.THEIRS else yours | mine)
    found = {m.key: m for m in merge(WHOLE, WHOLE, None, ours, theirs, complete=True)}
    assert set(found) == set(yours)
    assert {key for key, m in found.items() if m.conflicts} == {
        key for key in mine.keys() & yours.keys() if mine[key] != yours[key]
    }


@MANY
@given(snapshots() | st.none(), snapshots(), snapshots(), shapes(), both_sides)
def test_a_unit_comes_whole_from_one_side(
    base: list[Record] | None, ours: list[Record], theirs: list[Record], shape: Shape, side: Side
) -> None:
    narrow = None if base is None else [cut(record, shape) for record in base]
    result = outcome_of(narrow, ours, [cut(record, shape) for record in theirs], side, shape)
    mine = {record.key: record for record in ours}
    yours = {record.key: record for record in theirs}
    for key, merged in result.items():
        sources = [side[key] for side in (mine, yours) if key in side]
        for unit, names in ATTENDANCE_RECORDS.units.items():
            united = [WHOLE.names.index(name) for name in names]
            found = [merged.values[at] for at in united]
            if unit in shape.units:
                assert found in [[source.values[at] for at in united] for source in sources]
            elif key in mine:
                assert found == [mine[key].values[at] for at in united], "the file does not have it: left alone"
            else:
                assert all(value in ("", None) for value in found), "the file does not have it: blank"


@MANY
@given(snapshots() | st.none(), snapshots(), snapshots(), snapshots(), both_sides)
def test_only_what_an_incremental_speaks_about_is_touched(
    base: list[Record] | None, ours: list[Record], theirs: list[Record], others: list[Record], side: Side
) -> None:
    listed = {record.key for record in theirs}
    gone = [deletion(ATTENDANCE_RECORDS, record) for record in others if record.key not in listed]
    result = outcome_of(base, ours, theirs, side, gone=gone, complete=False)
    scope = listed | {item.key for item in gone}
    mine = {record.key: record for record in ours}
    for key in mine.keys() | result.keys():
        assert key in scope or result.get(key) == mine.get(key)
    found = list(merge(WHOLE, WHOLE, base, ours, theirs, gone))
    assert {merged.key for merged in found} == scope
    assert all(merged.listed for merged in found)


@MANY
@given(snapshots(), snapshots(), snapshots(), both_sides)
def test_a_listed_deletion_says_what_absence_from_a_full_file_says(
    base: list[Record], ours: list[Record], theirs: list[Record], side: Side
) -> None:
    listed = {record.key for record in theirs}
    every = {record.key: record for record in (*base, *ours)}
    gone = [deletion(ATTENDANCE_RECORDS, every[key]) for key in sorted(every) if key not in listed]
    by_absence = outcome_of(base, ours, theirs, side)
    assert outcome_of(base, ours, theirs, side, gone=gone) == by_absence
    assert outcome_of(base, ours, theirs, side, gone=gone, complete=False) == by_absence


Content = dict[str, tuple[str | None, ...]]
"""The values of a record by unit. A unit that is disputed is not in it."""


@st.composite
def bases(draw: st.DrawFn) -> tuple[list[BaseRecord], list[Record], list[Record]]:
    """A base, which may be the merge of two, and what two places made of it."""
    ours, theirs, one, other, below = draw(versions())
    kind = draw(st.sampled_from(["one", "two", "two of which nothing is known"]))
    if kind == "one":
        return list(one), ours, theirs
    return list(merged_bases(WHOLE, below if kind == "two" else None, one, other)), ours, theirs


def by_unit(record: BaseRecord | None) -> Content | None:
    if record is None or record.values is None:
        return None
    disputed = record.units if isinstance(record, Disputed) else ()
    return {
        unit: tuple(record.values[at] for at in positions)
        for unit, positions in WHOLE.units.items()
        if unit not in disputed
    }


@MANY
@given(bases())
def test_a_change_of_one_side_is_in_the_result_or_in_a_conflict(
    sides: tuple[list[BaseRecord], list[Record], list[Record]],
) -> None:
    """Law 6, of what changed since the base."""
    base, ours, theirs = sides
    found = {m.key: m for m in merge(WHOLE, WHOLE, base, ours, theirs, complete=True)}
    result = {key: by_unit(record) for key, record in outcome_of(base, ours, theirs, Side.OURS).items()}
    here, there = ({record.key: by_unit(record) for record in side} for side in (ours, theirs))
    for known in base:
        key, before = known.key, by_unit(known)
        if known.values is None:
            continue
        for one, other in ((here.get(key), there.get(key)), (there.get(key), here.get(key))):
            conflicts = found[key].conflicts
            if one == before and one != other and not isinstance(known, Disputed):
                assert result.get(key) == other or conflicts
            for unit, value in (before or {}).items():
                if one is not None and other is not None and one[unit] == value:
                    after = result[key]
                    assert after is not None
                    assert after[unit] == other[unit]
                    assert unit not in conflicts


@MANY
@given(bases())
def test_what_was_deleted_never_comes_back_without_a_conflict(
    sides: tuple[list[BaseRecord], list[Record], list[Record]],
) -> None:
    """Law 11, and that nothing is deleted which nobody has deleted."""
    base, ours, theirs = sides
    result = outcome_of(base, ours, theirs, Side.THEIRS)
    of_base, here, there = ({one.key for one in side} for side in (base, ours, theirs))
    asked = {m.key for m in merge(WHOLE, WHOLE, base, ours, theirs, complete=True) if m.conflicts}
    for key in (of_base | here | there) - asked:
        assert (key in result) == (key in here and key in there if key in of_base else True)


@MANY
@given(bases())
def test_both_sides_of_a_merge_come_to_the_same(sides: tuple[list[BaseRecord], list[Record], list[Record]]) -> None:
    """Law 4, also with bases that are merged."""
    base, ours, theirs = sides
    here = {m.key: m for m in merge(WHOLE, WHOLE, base, ours, theirs, complete=True)}
    there = {m.key: m for m in merge(WHOLE, WHOLE, base, theirs, ours, complete=True)}
    assert {key: m.conflicts for key, m in here.items()} == {key: m.conflicts for key, m in there.items()}
    for side, other in ((Side.OURS, Side.THEIRS), (Side.THEIRS, Side.OURS)):
        assert content(outcome_of(base, ours, theirs, side)) == content(outcome_of(base, theirs, ours, other))


def changes_between(before: Sequence[Record], after: Sequence[Record]) -> list[Change]:
    merges = merge(WHOLE, WHOLE, before, before, after, complete=True)
    found = (resolve(WHOLE, WHOLE, one, lambda unit: Side.OURS) for one in merges)
    return [change for change in found if change is not None]


@MANY
@given(versions())
def test_changes_lead_from_one_state_to_the_next_and_back(states: list[list[Record]]) -> None:
    """Laws 9, 10 and 12."""
    register = {record.key: record for record in states[0]}
    for before, after in pairwise(states):
        changes = changes_between(before, after)
        back = changes_between(after, before)
        assert [(c.key, of_content(c.before), of_content(c.after)) for c in changes] == [
            (c.key, of_content(c.after), of_content(c.before)) for c in back
        ]
        assert all(of_content(change.before) != of_content(change.after) for change in changes)
        # As an incremental file lists them, and as its reader merges them.
        listed = [change.after for change in changes if change.after is not None]
        gone = [
            deletion(ATTENDANCE_RECORDS, change.before) for change in changes if change.after is None and change.before
        ]
        ours = list(register.values())
        for base, side in ((before, Side.OURS), (None, Side.THEIRS)):
            assert content(outcome_of(base, ours, listed, side, gone=gone, complete=False)) == content(after)
        asked = {one.key for one in merge(WHOLE, WHOLE, None, ours, listed, gone) if one.conflicts}
        assert asked == {change.key for change in changes if change.before is not None and change.after is not None}
        register = {record.key: record for record in after}


def of_content(record: Record | None) -> tuple[str | None, ...] | None:
    return None if record is None else record.values
