"""Registers with everything that breaks such programs, edits of them, and files of them to merge."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from tests.builders.days import FIELDS, MINUTES, TIMES, UNITS, Content, Key
from tests.builders.files import File, file
from tests.builders.registers import RegisterData, Stamps

NASTY = (
    "a", "A", "B", "b", "ä", "Ä", "z", "Z", "é", "e\u0301", "ß", "SS", "ı", "İ",
    "\ufffd", "\U0001d504", "\U0001f469\u200d\U0001f527", "\uffff", "\u200b", "\u202egnp.exe", "\ufeff",
    "मीना", "மீனா", "李明", "محمد", "Ωmega", "ﬁ",
    "O'Neil", '"', "\\", "\\u0000", "%", "_", "%s", "{0}", "$1", "''", "--",
    "<script>alert(1)</script>", "'; DROP TABLE core_attendancerecord; --", "=1+1", "{{ 7*7 }}", "null", "NULL",
    "\x01", "\x08", "\t", "\n", "\r\n", "\x1b[31m", "\x7f", "\x85", "\u2028", "\ud7ff",
    " ", " a", "a ", "\u00a0a", "0", "00", "1", "10", "2", "-1", "1e3", "A|B", "A,B", "A\x1fB", '["A"]', "A/B", "A:B",
    "02-Jun", "2026-06-02", "6:02:00", "TRUE", "1.23457E+11", "123.0", "1,234", "1234567890123450", "'000123",
    '="000123"', "A\u00a0B", "क्\u200dष",
)  # fmt: skip
"""Texts that sort, fold, escape, join or display badly."""

ANY_CHARACTER = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


def texts(min_size: int, max_size: int) -> st.SearchStrategy[str]:
    """Any legal text of a length, nasty ones above all."""
    nasty = st.sampled_from([text for text in NASTY if min_size <= len(text) <= max_size])
    longest = st.sampled_from(["x", "\U0001f469", "ä", "'"]).map(lambda character: character * max_size)
    free = st.text(ANY_CHARACTER, min_size=min_size, max_size=min(max_size, 12))
    blank = [st.just("")] if min_size == 0 else []
    return st.one_of(nasty, nasty, free, longest, *blank)


STATUSES = ("P", "A", "PH", "WO", "PD", "L", "-0.5", "-1")
DATES = ("0001-01-01", "1900-02-28", "2024-02-29", "2026-11-20", "2026-11-21", "9999-12-31")
dates = st.one_of(st.sampled_from(DATES), st.dates().map(dt.date.isoformat))
times = st.one_of(
    st.none(),
    st.sampled_from(["00:00:00", "08:07:30", "09:00:00", "22:00:00", "06:00:00", "23:59:59"]),
    st.times().map(lambda time: time.replace(microsecond=0).isoformat()),
)
durations = st.one_of(
    st.none(),
    st.sampled_from(["00:00", "01:30", "123:45", "9999:59"]),
    st.integers(0, 599_999).map(lambda minutes: f"{minutes // 60:02}:{minutes % 60:02}"),
)
company_names = texts(1, 255)
employee_numbers = texts(1, 50)

_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "ep_name": texts(0, 255),
    "shift": texts(0, 50),
    "status": st.sampled_from(STATUSES),
    **dict.fromkeys(TIMES, times),
    **dict.fromkeys(MINUTES, durations),
}

MOMENTS = (
    dt.datetime(1, 1, 2, tzinfo=dt.UTC),
    dt.datetime(2026, 11, 20, 18, 40, tzinfo=dt.UTC),
    dt.datetime(2026, 11, 20, 18, 40, 0, 1, tzinfo=dt.UTC),
    dt.datetime(9999, 12, 30, 23, 59, 59, 999_999, tzinfo=dt.UTC),
)
moments = st.one_of(
    st.sampled_from(MOMENTS),
    st.datetimes(MOMENTS[0].replace(tzinfo=None), MOMENTS[-1].replace(tzinfo=None), timezones=st.just(dt.UTC)),
)
past_moments = st.one_of(
    st.sampled_from(MOMENTS[:3]),
    st.datetimes(MOMENTS[0].replace(tzinfo=None), MOMENTS[2].replace(tzinfo=None), timezones=st.just(dt.UTC)),
)
"""What a backup can begin from, at any time that these tests run."""


def keys(companies: Sequence[str], numbers: Sequence[str], days: Sequence[str]) -> st.SearchStrategy[Key]:
    """Keys of a few parts, so that they meet, and one number stands in several companies."""
    return st.tuples(st.sampled_from(companies), st.sampled_from(days), st.sampled_from(numbers))


# Made once, not in each example: making and validating strategies costs as much as drawing from them.
field_values = st.fixed_dictionaries(_FIELDS)
_some_fields = st.lists(st.sampled_from(sorted(_FIELDS)), min_size=1, max_size=3, unique=True)
_fates = st.sampled_from(["keep", "keep", "change", "change", "delete", "delete"])


def content_of(key: Key, values: Mapping[str, Any]) -> Content:
    """A record's content: its key, and the values of its other fields."""
    company, day, number = key
    return {"company_name": company, "ep_no": number, "date": day, **values}


contents = st.builds(content_of, st.tuples(company_names, dates, employee_numbers), field_values)
"""One record's content."""


def change(draw: st.DrawFn, content: Content) -> Content:
    """The same record with some of its fields different."""
    return {**content, **{name: draw(_other(name, content[name])) for name in draw(_some_fields)}}


changed = st.composite(change)


def _other(name: str, value: str | None) -> st.SearchStrategy[Any]:
    """Another value of a field."""
    return _FIELDS[name].filter(lambda drawn: drawn != value)


@dataclass(frozen=True)
class Parts:
    """What the keys of an example are made of."""

    companies: tuple[str, ...]
    numbers: tuple[str, ...]
    days: tuple[str, ...]


@st.composite
def parts(draw: st.DrawFn) -> Parts:
    def several(values: st.SearchStrategy[str]) -> tuple[str, ...]:
        return tuple(draw(st.lists(values, min_size=1, max_size=3, unique=True)))

    return Parts(several(company_names), several(employee_numbers), several(dates))


@st.composite
def records(draw: st.DrawFn, of: Parts, *, min_size: int = 0, max_size: int = 6) -> dict[Key, Content]:
    """Some records with keys of these parts."""
    possible = len(of.companies) * len(of.numbers) * len(of.days)
    chosen = draw(
        st.lists(
            keys(of.companies, of.numbers, of.days), min_size=min(min_size, possible), max_size=max_size, unique=True
        )
    )
    return {key: content_of(key, draw(field_values)) for key in sorted(chosen)}


@st.composite
def registers(draw: st.DrawFn, of: Parts | None = None, *, min_records: int = 0, stamped: bool = False) -> RegisterData:
    """A register: the companies that its records need, and perhaps one or two without records.

    ``stamped``: with timestamps of any time.
    """
    some = of or draw(parts())
    chosen = draw(records(some, min_size=min_records))
    idle = draw(st.lists(st.sampled_from(some.companies), max_size=2))
    register = RegisterData(tuple(sorted(set(idle)))).having(chosen)
    if not stamped:
        return register
    pairs = st.builds(Stamps, moments, moments)
    return replace(
        register,
        company_stamps={name: draw(pairs) for name in register.companies},
        record_stamps={key: draw(pairs) for key in register.records},
    )


@st.composite
def edited(draw: st.DrawFn, register: RegisterData, of: Parts) -> RegisterData:
    """The register after some days of work: each record kept, changed or deleted, and some added; companies that
    have no records any more may be gone."""
    result: dict[Key, Content] = {}
    for key, content in register.records.items():
        fate = draw(_fates)
        if fate == "keep":
            result[key] = content
        elif fate == "change":
            result[key] = change(draw, content)
    added = draw(records(of, max_size=2))
    for key, content in added.items():
        result.setdefault(key, content)
    needed = {key[0] for key in result}
    names = [name for name in register.companies if name in needed or draw(st.booleans())]
    return RegisterData(tuple(names)).having(dict(sorted(result.items())))


@st.composite
def pairs(draw: st.DrawFn, *, min_records: int = 0) -> tuple[RegisterData, RegisterData]:
    """Two registers that have much in common: this one, and the one that a file comes from. Or this one is empty."""
    some = draw(parts())
    common = draw(registers(some, min_records=min_records))
    ours = RegisterData() if draw(st.sampled_from([False] * 9 + [True])) else draw(edited(common, some))
    return ours, draw(edited(common, some))


STRATEGIES = ("backup_wins", "database_wins", "manual")
strategies = st.sampled_from(STRATEGIES)
deciding = st.sampled_from(STRATEGIES[:2])


@st.composite
def lacking(draw: st.DrawFn) -> tuple[str, ...]:
    """The content fields of a file that lacks some units (of those that it may lack)."""
    gone = draw(st.lists(st.sampled_from(["name", "shift", "overtime"]), unique=True))
    return tuple(name for name in FIELDS if not any(name in UNITS[unit] for unit in gone))


@dataclass(frozen=True)
class Merge:
    """A register, and a file to merge into it."""

    ours: RegisterData
    theirs: RegisterData
    file: File
    deleted: Mapping[Key, Content]
    deleted_companies: tuple[str, ...]
    fields: tuple[str, ...]


@st.composite
def merges(draw: st.DrawFn, *, with_deletions: bool = True) -> Merge:
    """A register and a valid file: full, incremental or selection, of all fields or some, perhaps with deletions."""
    ours, theirs = draw(pairs(min_records=1))
    kind = draw(st.sampled_from(["full", "incremental", "selection"]))
    fields = draw(st.one_of(st.just(FIELDS), lacking()))
    deleted: dict[Key, Content] = {}
    gone: tuple[str, ...] = ()
    if with_deletions:
        for key, content in ours.records.items():
            if key not in theirs.records and draw(st.integers(0, 3)):
                deleted[key] = draw(st.one_of(st.just(content), changed(content)))
        spare = [name for name in {*ours.companies, "never there"} if name not in theirs.companies]
        gone = tuple(name for name in sorted(spare) if draw(st.booleans()))
    metadata: dict[str, Any] = {}
    if kind == "incremental":
        metadata = {"backup_type": "incremental", "since_date": "2026-11-01T00:00:00.000000Z", "deletions": "unknown"}
    elif kind == "selection":
        metadata = {"selection": {"companies": list(theirs.companies), "date_from": None, "date_to": None}}
    listed = draw(st.booleans()) if kind == "incremental" else True
    backup = file(
        theirs,
        deleted=[
            *(("attendance_records", content) for content in deleted.values()),
            *(("companies", {"name": name}) for name in gone),
        ],
        list_companies=listed,
        fields=fields,
        **metadata,
    )
    return Merge(ours, theirs, backup, deleted, gone, tuple(fields))
