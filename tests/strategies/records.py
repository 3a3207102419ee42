"""Snapshots, changes and shapes for Hypothesis: few keys and few values, so that the sides meet."""

from hypothesis import strategies as st

from core.register.declared import ATTENDANCE_RECORDS
from recordsync.model.records import Key, Record
from recordsync.model.schema import Shape
from tests.builders.records import record

KEYS = [
    (company, date, ep_no) for company in ("A", "é") for date in ("2026-01-01", "2026-01-02") for ep_no in ("1", "10")
]

names = st.sampled_from(["", "Anna"])
shifts = st.sampled_from(["", "N"])
hours = st.sampled_from([None, "08:00:00"])
minutes = st.sampled_from([None, "00:30"])


@st.composite
def days_at(draw: st.DrawFn, key: Key) -> Record:
    """A record with this key, out of few."""
    company, date, ep_no = key
    return record(
        company,
        ep_no,
        date,
        ep_name=draw(names),
        shift=draw(shifts),
        status=draw(st.sampled_from(["P", "A"])),
        in_time=draw(hours),
        overstay=draw(minutes),
        overtime=draw(minutes),
        overtime_to_mandays=draw(minutes),
        created_at=draw(st.sampled_from(["2026-01-01T00:00:00.000000Z", "2026-01-02T00:00:00.000000Z"])),
    )


@st.composite
def snapshots(draw: st.DrawFn) -> list[Record]:
    """Records in key order."""
    keys = draw(st.sets(st.sampled_from(KEYS)))
    return [draw(days_at(key)) for key in sorted(keys)]


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """A shape that a file can have."""
    chosen = {*draw(st.sets(st.sampled_from(list(ATTENDANCE_RECORDS.units)))), "day"}
    names = [name for unit in chosen for name in ATTENDANCE_RECORDS.units[unit]]
    return ATTENDANCE_RECORDS.shape([*ATTENDANCE_RECORDS.key_names, *names])
