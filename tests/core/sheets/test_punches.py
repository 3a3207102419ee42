"""Punches of a sheet: which heading is which, and times of the next day."""

from __future__ import annotations

import datetime as dt
import re
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.models import TIME_FIELDS, AttendanceRecord
from core.operations.errors import SheetRefused
from core.register.database import Register
from core.sheets.columns import RowReader, read_heading
from core.sheets.dates import Dates
from core.sheets.import_service import ImportService
from tests.builders.sheets import REQUIRED, as_csv, as_xlsx, row, table

PAIRS = ["PUNCH1 IN", "PUNCH1 OUT", "PUNCH2 IN", "PUNCH2 OUT", "PUNCH3 IN", "PUNCH3 OUT"]
THROUGH = ["PUNCH1 IN", "PUNCH2 OUT", "PUNCH3 IN", "PUNCH4 OUT", "PUNCH5 IN", "PUNCH6 OUT"]
OWN = ["IN", "OUT", "IN (2)", "OUT (2)", "IN (3)", "OUT (3)"]
DAY = table(row(), headings=REQUIRED)[1]


def fields(names: list[str]) -> dict[str, str]:
    """What is read under each heading of a time."""
    heading = read_heading([*REQUIRED, *names])
    return {heading.cells[at]: column.field for at, column in heading.columns if column.field in TIME_FIELDS}


def expected(names: tuple[str, ...]) -> dict[str, str] | None:
    """The same, reckoned from the numbers; None: it is to be refused."""
    parts = {(int(name[5]), name[7:]) for name in names}
    by_number = {number: {side for of, side in parts if of == number} for number, _side in parts}
    if all(len(sides) == 2 for sides in by_number.values()):
        places = {name: 2 * int(name[5]) - (2 if name.endswith("IN") else 1) for name in names}
    elif names == ("PUNCH1 IN",) or all(
        (number + 1, "OUT") in parts if number % 2 and side == "IN" else
        (number - 1, "IN") in parts if not number % 2 and side == "OUT" else False
        for number, side in parts
    ):  # fmt: skip
        places = {name: int(name[5]) - 1 for name in names}
    else:
        return None
    return {name: TIME_FIELDS[at] for name, at in places.items()} if max(places.values()) < 6 else None


EVERY = [f"PUNCH{number} {side}" for number in range(1, 8) for side in ("IN", "OUT")]


@pytest.mark.untraced
def test_punches_are_known_by_all_headings_together_or_refused_by_name() -> None:
    """All choices of up to six out of fourteen."""
    known = 0
    for names in (names for size in range(1, 7) for names in combinations(EVERY, size)):
        truth = expected(names)
        if truth is not None:
            assert fields(list(names)) == truth
            known += 1
        else:
            with pytest.raises(SheetRefused, match=", ".join(names)):
                fields(list(names))
    assert known == 2 * (2**3 - 1) + 1


@pytest.mark.untraced
@pytest.mark.parametrize("names", [PAIRS, THROUGH, OWN])
@pytest.mark.parametrize("write", [as_csv, as_xlsx])
def test_no_punch_comes_into_another_pair(register_db: str, names: list[str], write: object) -> None:
    times = ["08:01", "09:02", "10:03", "11:04", "12:05", "13:06"]
    cells = [[*REQUIRED, *reversed(names)], [*DAY, *reversed(times)]]
    ImportService(register=Register(register_db)).apply(write(cells))  # type: ignore[operator]
    record = AttendanceRecord.objects.using(register_db).get()
    assert [f"{getattr(record, field):%H:%M}" for field in TIME_FIELDS] == times


@pytest.mark.parametrize("between", ["", " ", "_", "-", "  ", "\u00a0", "\u2013", ". ", "\n"])
@pytest.mark.parametrize(
    "punch", ["PUNCH{}", "Punch {}", "punch_0{}", "PUNCH #{}:", "PUNCH/{}", "\u200bPun\u00adch{}*"]
)
def test_other_spellings(between: str, punch: str) -> None:
    for names in (PAIRS, THROUGH):
        parts = [name.removeprefix("PUNCH").split() for name in names]
        spelt = [f"{punch.format(number)}{between}{side.title()} " for number, side in parts]
        assert list(fields(spelt).values()) == list(TIME_FIELDS)


def test_other_spellings_of_the_other_columns() -> None:
    assert list(fields(["In2", "out_(2)", "IN-3", "Out 03"]).values()) == list(TIME_FIELDS[2:])
    spelt = ["EP_NO", "EP-NAME", "companyname\u200b", "\ufeffPunch Date", "SHIFT ", '="Over_Stay"', "'status"]
    assert [column.heading for _at, column in read_heading(spelt).columns] == REQUIRED


@pytest.mark.parametrize(
    ("names", "named"),
    [
        (["IN", "OUT", "PUNCH2 IN", "PUNCH2 OUT"], "IN, OUT, PUNCH2 IN, PUNCH2 OUT are"),
        (["IN", "PUNCH1 OUT"], "IN, PUNCH1 OUT are"),
        (["PUNCH IN", "PUNCH OUT"], "PUNCH IN, PUNCH OUT are"),
        (["IN", "OUT", "Punch 1"], "IN, OUT, Punch 1 are"),
        (["PUNCH IN 1", "PUNCH OUT 2"], "PUNCH IN 1, PUNCH OUT 2 are"),
        (["PUNCH1 IN TIME", "PUNCH1 OUT TIME"], "PUNCH1 IN TIME, PUNCH1 OUT TIME are"),
        (["In Punch"], "In Punch are"),
        (["PUNCH1 IN", "PUNCH1 OUT", "PUNCH2 IN (HH:MM)", "PUNCH2 OUT (HH:MM)"], r"PUNCH2 OUT \(HH:MM\) are"),
        (["PUNCHES 1 IN", "PUNCHES 1 OUT"], "PUNCHES 1 IN, PUNCHES 1 OUT are"),
        (["PUNCH0 IN", "PUNCH0 OUT"], "PUNCH0 IN, PUNCH0 OUT are"),
        (["PUNCH11 IN", "PUNCH11 OUT"], "PUNCH11 IN, PUNCH11 OUT are"),
        (["IN 1", "OUT 2", "IN 3", "OUT 4"], "IN 1, OUT 4 are"),
        (["IN", "OUT", "IN (4)"], r"IN \(4\) are"),
        (["PUNCH1 IN", "PUNCH1 OUT", "punch_1_in"], "IN more than once: as “PUNCH1 IN” and as “punch_1_in”"),
    ],
)
def test_what_is_not_certain_is_refused_by_name(names: list[str], named: str) -> None:
    with pytest.raises(SheetRefused, match=named):
        fields(names)


# --- Times of the next day, and no punch


def values(names: list[str], cells: list[str]) -> list[str | None]:
    """The times of a day as they are read, in the order of the register's."""
    reader = RowReader(read_heading([*REQUIRED, *names]), Dates(dt.date(2026, 12, 1)))
    read = reader.values([*DAY, *cells])
    assert (read is None) == bool(reader.problems([*DAY, *cells]))
    assert read is not None, reader.problems([*DAY, *cells])
    of = dict(zip(reader.shape.names, read, strict=True))
    return [of[name] for name in TIME_FIELDS if name in of]


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        (["22:00", "06:10 (N)", "0", "0"], ["22:00:00", "06:10:00", None, None]),
        (["22:00:05", "0:10(n)", "1:00 (N)", "06:10  (N)"], ["22:00:05", "00:10:00", "01:00:00", "06:10:00"]),
        (["22:00", "23:00", "23:30", "06:10 (N)"], ["22:00:00", "23:00:00", "23:30:00", "06:10:00"]),
        (["0", "06:10 (N)", "-", ""], [None, "06:10:00", None, None]),
        (["22:00", "0", "0.0", "06:10 (N)"], ["22:00:00", None, None, "06:10:00"]),
        (["0:00", "00:00", "0", "00:00:00"], ["00:00:00", "00:00:00", None, "00:00:00"]),
        (["22:00", "06:10", "22:30", "05:00"], ["22:00:00", "06:10:00", "22:30:00", "05:00:00"]),
    ],
)
def test_times_that_are_read(cells: list[str], read: list[str | None]) -> None:
    for names in (PAIRS, THROUGH, OWN):
        assert values(names[:4], cells) == read


@pytest.mark.parametrize(
    ("cells", "heading", "reason"),
    [
        (["06:10 (N)", "22:00"], "PUNCH1 IN", "no punch can be before it"),
        (["22:00", "22:30 (N)"], "PUNCH2 OUT", "over 24 hours"),
        (["22:00", "22:00 (N)"], "PUNCH2 OUT", "over 24 hours"),
        (["22:00", "06:10", "06:30 (N)", "07:00 (N)"], "PUNCH2 OUT", "not marked as of the next day"),
        (["22:00", "06:10 (N)", "06:30", "07:00 (N)"], "PUNCH3 IN", "not marked as of the next day"),
        (["22:00", "06:10 (N)", "05:00 (N)", "07:00 (N)"], "PUNCH3 IN", "which is of the next day already"),
        (["22:00", "23:10", "23:30 (N)", "07:00 (N)"], "PUNCH3 IN", "over 24 hours"),
        (["22:00", "06:10 (P)"], "PUNCH2 OUT", "is not a time of day"),
        (["22:00", "24:10 (N)"], "PUNCH2 OUT", "is not a time of day"),
        (["22:00", "0 (N)"], "PUNCH2 OUT", "is not a time of day"),
    ],
)
def test_times_that_contradict_each_other_are_refused_by_cell(
    register_db: str, cells: list[str], heading: str, reason: str
) -> None:
    result = ImportService(register=Register(register_db)).apply(
        as_csv([[*REQUIRED, *THROUGH[: len(cells)]], [*DAY, *cells]])
    )
    (problem,) = result.sheet.problems
    assert (problem.row, problem.column, problem.value) == (2, heading, cells[THROUGH.index(heading)])
    assert reason in problem.reason
    assert not AttendanceRecord.objects.using(register_db).exists()


def test_a_time_of_the_next_day_needs_the_columns_of_the_punches_before_it() -> None:
    """What the register has there is not known, and may be less than 24 hours before or more."""
    for names in (["OUT"], ["PUNCH3 IN", "PUNCH4 OUT"], ["IN", "OUT (2)"]):
        cells = ["22:00", "06:10"][-len(names) :]
        assert values(names, cells)
        with pytest.raises(AssertionError, match="does not have the punches before it"):
            values(names, [*cells[:-1], "06:10 (N)"])


PUNCHES = st.lists(
    st.none() | st.tuples(st.integers(0, 1439) | st.sampled_from([0, 600, 601]), st.booleans()), min_size=6, max_size=6
)


@given(PUNCHES)
def test_times_are_read_if_their_days_can_be_told_without_marks(punches: list[tuple[int, bool] | None]) -> None:
    """For all days of punches, some of them marked as of the next day: each has to come less than 24 hours after the
    one before it."""
    cells = ["0" if p is None else f"{p[0] // 60:02}:{p[0] % 60:02}{' (N)' * p[1]}" for p in punches]
    moments = [p[0] + 1440 * p[1] for p in punches if p is not None]
    is_marked = any(p is not None and p[1] for p in punches)
    can_be = all(0 <= after - before < 1440 for before, after in pairwise(moments)) and not (punches[0] or (0, 0))[1]
    if is_marked and not can_be:
        with pytest.raises(AssertionError):
            values(THROUGH, cells)
    else:
        assert values(THROUGH, cells) == [
            None if p is None else re.sub(r" .*", "", c) + ":00" for p, c in zip(punches, cells, strict=True)
        ]
