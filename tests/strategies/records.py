"""Snapshots, changes and shapes for Hypothesis: few keys and few values, so that the sides meet."""

from itertools import product

from hypothesis import strategies as st

from core.register.declared import ATTENDANCE_RECORDS
from recordsync.model.records import Key, Record
from recordsync.model.schema import Shape
from tests.builders.records import record

KEYS = [
    (company, date, ep_no) for company in ("A", "é") for date in ("2026-01-01", "2026-01-02") for ep_no in ("1", "10")
]

_UNITS: dict[str, tuple[dict[str, str | None], ...]] = {
    "name": ({"ep_name": ""}, {"ep_name": "Anna"}),
    "shift": ({"shift": ""}, {"shift": "N"}),
    "day": (
        {"status": "P", "in_time": None, "overstay": None},
        {"status": "P", "in_time": "08:00:00", "overstay": None},
        {"status": "A", "in_time": None, "overstay": "00:30"},
    ),
    "overtime": (
        {"overtime": None, "overtime_to_mandays": None},
        {"overtime": "00:30", "overtime_to_mandays": None},
        {"overtime": "00:30", "overtime_to_mandays": "00:30"},
    ),
}
_CREATED = ("2026-01-01T00:00:00.000000Z", "2026-01-02T00:00:00.000000Z")


def _days_at(key: Key) -> list[Record]:
    """Every record with this key."""
    company, date, ep_no = key
    contents = ({**name, **shift, **day, **overtime} for name, shift, day, overtime in product(*_UNITS.values()))
    return [
        record(company, ep_no, date, **{**content, "created_at": created_at})
        for content in contents
        for created_at in _CREATED
    ]


def _in_order(records: list[Record]) -> list[Record]:
    return sorted(records, key=lambda record: record.key)


# One draw for each record: to choose its fields one by one takes five times as long.
_snapshots = st.lists(
    st.sampled_from([day for key in KEYS for day in _days_at(key)]), max_size=len(KEYS), unique_by=lambda day: day.key
).map(_in_order)


def snapshots() -> st.SearchStrategy[list[Record]]:
    """Records in key order."""
    return _snapshots


_versions = st.fixed_dictionaries(
    {
        key: st.tuples(st.tuples(*[st.sampled_from(_days_at(key))] * 3), st.tuples(*[st.integers(0, 3)] * 5))
        for key in KEYS[:3]
    }
)


@st.composite
def versions(draw: st.DrawFn) -> list[list[Record]]:
    """Five states of one register, each in key order. Each record is in each of them one of three, or not there."""
    sides: list[list[Record]] = [[] for _state in range(5)]
    for _key, (records, chosen) in sorted(draw(_versions).items()):
        for side, at in zip(sides, chosen, strict=True):
            side += records[at : at + 1]
    return sides


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """A shape that a file can have."""
    chosen = {*draw(st.sets(st.sampled_from(list(ATTENDANCE_RECORDS.units)))), "day"}
    names = [name for unit in chosen for name in ATTENDANCE_RECORDS.units[unit]]
    return ATTENDANCE_RECORDS.shape([*ATTENDANCE_RECORDS.key_names, *names])
