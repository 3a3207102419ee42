"""Each type: what is legal, in which one spelling, and that its JSON Schema says the same."""

import copy
import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from recordsync.model import fields
from recordsync.model.fields import TIMESTAMP, Choice, Date, FieldType, Minutes, Text, Time, Timestamp
from tests.recordsync.schemas import FORMATS

CODES = ("P", "A", "PH", "WO", "PD", "L", "-0.5", "-1")


def texts(low: int, high: int) -> st.SearchStrategy[str]:
    alphabet = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
    return st.text(alphabet, min_size=low, max_size=high)


dates = st.dates().map(dt.date.isoformat)
times = st.times().map(lambda time: time.replace(microsecond=0).isoformat())
durations = st.integers(0, fields.MAX_MINUTES).map(lambda n: f"{n // 60:02}:{n % 60:02}")
moments = st.datetimes().map(lambda moment: moment.isoformat(timespec="microseconds") + "Z")

TYPES: dict[str, tuple[FieldType, st.SearchStrategy[str]]] = {
    "text": (Text(max_length=12), texts(0, 12)),
    "name": (Text(min_length=1, max_length=5), texts(1, 5)),
    "choice": (Choice(CODES), st.sampled_from(CODES)),
    "date": (Date(), dates),
    "time": (Time(), times),
    "minutes": (Minutes(), durations),
    "moment": (Timestamp(), moments),
}

# Almost right, for every type at once: each is tried on all of them.
NEARLY = (
    "",
    " ",
    "P ",
    "p",
    "-1.0",
    "\n",
    "x\0",
    "\ud800",
    "a\udfffb",
    "too long for any of them",
    "2026-02-29",
    "2024-02-29",
    "2024-02-29\n",
    "0000-01-01",
    "0001-01-01",
    "9999-12-31",
    "10000-01-01",
    "2026-1-01",
    "20261120",
    "2026-W47-5",
    "２０２６-11-20",
    "2026-11-20 ",
    "09:00",
    "9:00:00",
    "09:00:00",
    "09:00:00\n",
    "09:00:00.5",
    "09:00:00Z",
    "23:59:60",
    "24:00:00",
    "٠٩:00:00",
    "00:00",
    "1:30",
    "01:60",
    "099:00",
    "0100:00",
    "123:45",
    "9999:59",
    "9999:59\n",
    "10000:00",
    "-01:00",
    "2026-11-20T09:00:00Z",
    "2026-11-20T09:00:00.000000Z",
    "2026-11-20T09:00:00.000000Z\n",
    "2026-11-20T09:00:00.000000+00:00",
    "2026-11-20t09:00:00.000000z",
    "2026-11-20 09:00:00.000000Z",
    "2026-02-30T09:00:00.000000Z",
    "2026-11-20T24:00:00.000000Z",
    "2026-11-20T23:59:60.000000Z",
    "0000-11-20T09:00:00.000000Z",
)
NOT_TEXT: tuple[object, ...] = (0, 1, -1, 1.5, True, False, [], ["P"], {}, {"a": None})


@pytest.fixture(params=TYPES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def agrees(kind: FieldType, value: object) -> bool:
    """Whether the type and its schema say the same of a value; what they say."""
    legal = kind.error(value) is None
    assert Draft202012Validator(kind.json_schema(), format_checker=FORMATS).is_valid(value) == legal, value
    return legal


@given(data=st.data())
def test_every_legal_text_is_the_only_spelling_of_its_value(kind: str, data: st.DataObject) -> None:
    field_type, legal = TYPES[kind]
    text = data.draw(legal)
    assert field_type.error(text) is None
    assert field_type.error(text) is None  # remembered
    assert field_type.to_text(field_type.to_python(text)) == text
    other = data.draw(legal)
    assert (field_type.to_python(other) == field_type.to_python(text)) == (other == text)


@given(data=st.data())
def test_the_json_schema_agrees_with_the_type(kind: str, data: st.DataObject) -> None:
    field_type, legal = TYPES[kind]
    text = data.draw(legal)
    assert agrees(field_type, text)
    at = data.draw(st.integers(0, len(text)))
    agrees(field_type, text[:at] + data.draw(st.characters()) + text[at + data.draw(st.integers(0, 1)) :])
    agrees(field_type, data.draw(st.text(st.characters())))


@pytest.mark.parametrize("value", [*NEARLY, *NOT_TEXT, None])
@pytest.mark.parametrize("nullable", [False, True])
def test_the_json_schema_agrees_on_what_is_nearly_right(kind: str, value: object, nullable: bool) -> None:
    made: dict[str, FieldType] = {
        "text": Text(max_length=12, nullable=nullable),
        "name": Text(min_length=1, max_length=5, nullable=nullable),
        "choice": Choice(CODES, nullable=nullable),
        "date": Date(nullable=nullable),
        "time": Time(nullable=nullable),
        "minutes": Minutes(nullable=nullable),
        "moment": Timestamp(nullable=nullable),
    }
    legal = agrees(made[kind], value)
    if value is None:
        assert legal == nullable
    elif not isinstance(value, str):
        assert not legal


@pytest.mark.parametrize("value", NEARLY)
def test_what_is_legal_is_its_own_canonical_text(kind: str, value: str) -> None:
    field_type, _legal = TYPES[kind]
    if field_type.error(value) is None:
        assert field_type.to_text(field_type.to_python(value)) == value


@pytest.mark.parametrize(
    ("kind", "legal"),
    [
        ("date", {"2024-02-29", "0001-01-01", "9999-12-31"}),
        ("time", {"09:00:00"}),
        ("minutes", {"09:00", "00:00", "123:45", "9999:59"}),
        ("moment", {"2026-11-20T09:00:00.000000Z"}),
        ("choice", set()),
    ],
)
def test_of_what_is_nearly_right_only_this_is_legal(kind: str, legal: set[str]) -> None:
    assert {text for text in NEARLY if TYPES[kind][0].error(text) is None} == legal


@pytest.mark.parametrize("kind", ["date", "time", "minutes", "moment"], indirect=True)
def test_null_stays_null(kind: str) -> None:
    field_type, _legal = TYPES[kind]
    assert field_type.to_python(None) is None
    assert field_type.to_text(None) is None


@pytest.mark.parametrize(
    ("field_type", "stored", "text"),
    [
        (Time(), dt.time(9, 0, 0, 500_000), "09:00:00.500000"),
        (Minutes(), -1, "-1"),
        (Minutes(), fields.MAX_MINUTES + 1, "10000:00"),
        (Minutes(), True, "True"),
        (TIMESTAMP, dt.datetime(2026, 1, 1), "2026-01-01 00:00:00"),  # noqa: DTZ001 - without a zone on purpose
        (Text(max_length=3), 5, "5"),
        (Date(), "yesterday", "yesterday"),
    ],
)
def test_a_stored_value_without_a_legal_form_gives_a_text_that_is_refused(
    field_type: FieldType, stored: object, text: str
) -> None:
    assert field_type.to_text(stored) == text
    assert field_type.error(text) is not None or isinstance(field_type, Text)


def test_a_moment_is_written_in_utc() -> None:
    zone = dt.timezone(dt.timedelta(hours=5, minutes=30))
    assert TIMESTAMP.to_text(dt.datetime(2026, 1, 1, 3, 0, tzinfo=zone)) == "2025-12-31T21:30:00.000000Z"


def test_length_counts_characters_and_not_bytes() -> None:
    kind = Text(max_length=2)
    assert kind.error("😀😀") is None
    assert kind.error("abc") is not None
    assert Text(min_length=1, max_length=2).error("") is not None


def test_expectations_are_for_people() -> None:
    assert Date().error("x") == "a date YYYY-MM-DD"
    assert Date(nullable=True).error("x") == "a date YYYY-MM-DD or null"
    assert Time().error(None) == "a time HH:MM:SS"
    assert Minutes().error(90) == "a duration HH:MM from 00:00 to 9999:59"
    assert Choice(["P", "A"], nullable=True).error("") == "one of P, A, or null"
    limits = "text of 1 to 5 characters, without NUL or unpaired surrogates"
    assert Text(min_length=1, max_length=5).error("") == limits
    assert Text(min_length=1, max_length=5, nullable=True).error("") == f"{limits}, or null"


def test_the_blank_value_of_each_type() -> None:
    blanks: dict[Any, str | None] = {
        Text(max_length=5): "",
        Text(max_length=5, nullable=True): None,
        Text(min_length=1, max_length=5): None,
        Time(nullable=True): None,
        Choice(CODES): None,
    }
    assert [kind.blank for kind in blanks] == list(blanks.values())


def test_what_was_found_legal_is_forgotten_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields, "_MEMO_LIMIT", 3)
    kind = Date()
    days = [f"2026-01-{number:02}" for number in range(1, 12)]
    assert [kind.error(text) for text in days] == [None] * len(days)
    assert len(kind.found_legal) <= 3
    assert kind.error("2026-01-32") is not None


@pytest.mark.parametrize("name", TYPES)
@given(data=st.data())
def test_many_are_legal_if_each_is(name: str, data: st.DataObject) -> None:
    kind, legal = TYPES[name]
    values = data.draw(st.lists(st.one_of(legal, legal, legal, st.sampled_from(NEARLY)), max_size=6))
    values += data.draw(st.sampled_from([[], [], [None], [1]]))
    fresh = copy.deepcopy(kind)
    assert fresh.are_legal(values) == all(fresh.error(value) is None for value in values)
    assert fresh.are_legal(values) == all(fresh.error(value) is None for value in values), "also when some are known"
