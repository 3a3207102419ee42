"""Each type: what is legal, in which one spelling, and that its JSON Schema says the same."""

import copy
import datetime as dt
import decimal
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from recordsync.model import fields
from recordsync.model.fields import (
    TIMESTAMP,
    Boolean,
    Choice,
    Date,
    Decimal,
    FieldType,
    Integer,
    Json,
    Minutes,
    Text,
    Time,
    Timestamp,
    Uuid,
)
from tests.recordsync.schemas import FORMATS

CODES = ("P", "A", "PH", "WO", "PD", "L", "-0.5", "-1")


def texts(low: int, high: int) -> st.SearchStrategy[str]:
    alphabet = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
    return st.text(alphabet, min_size=low, max_size=high)


dates = st.dates().map(dt.date.isoformat)
times = st.times().map(lambda time: time.replace(microsecond=0).isoformat())
durations = st.integers(0, fields.MAX_MINUTES).map(lambda n: f"{n // 60:02}:{n % 60:02}")
moments = st.datetimes().map(lambda moment: moment.isoformat(timespec="microseconds") + "Z")

decimals = st.integers(-(10**7) + 1, 10**7 - 1).map(
    lambda n: f"{'-' if n < 0 else ''}{abs(n) // 100}.{abs(n) % 100:02}"
)


def json_text(value: object) -> str:
    """As RFC 8785 says, of values with names below U+10000 and whole numbers."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


json_values: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | texts(0, 3),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('aZ_é\n"', max_size=2), inner),
    max_leaves=5,
)

TYPES: dict[str, tuple[FieldType, st.SearchStrategy[str]]] = {
    "integer": (Integer(), st.integers(-(2**63), 2**63 - 1).map(str)),
    "small": (Integer(-37, 1204), st.integers(-37, 1204).map(str)),
    "decimal": (Decimal(7, 2), decimals),
    "boolean": (Boolean(), st.sampled_from(["false", "true"])),
    "uuid": (Uuid(), st.uuids().map(str)),
    "json": (Json(), json_values.map(json_text)),
    "text": (Text(max_length=12), texts(0, 12)),
    "name": (Text(min_length=1, max_length=5), texts(1, 5)),
    "choice": (Choice(CODES), st.sampled_from(CODES)),
    "date": (Date(), dates),
    "time": (Time(), times),
    "minutes": (Minutes(), durations),
    "moment": (Timestamp(), moments),
}

# Almost right, for every type at once: each is tried on all of them.
NEARLY: tuple[str, ...] = (
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
_MORE: tuple[str, ...] = (
    "0", "-0", "00", "+1", "-1", "7", "10", "1204", "1205", "-37", "-38", "1_0", "٣", "1\n", "9223372036854775807",
    "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "9" * 5000,
    "0.00", "-0.00", "-0.01", "0.1", "1.000", ".50", "01.00", "99999.99", "100000.00", "-99999.99", "1e2", "NaN",
    "Infinity",     "true", "false", "True", "FALSE", "t", "null",
    "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "3F2504E0-4F89-41D3-9A0C-0305E82C3301", "3f2504e04f8941d39a0c0305e82c3301",
    "{3f2504e0-4f89-41d3-9a0c-0305e82c3301}", "3f2504e0-4f89-41d3-9a0c-0305e82c3301\n",
    "{}", "[]", "{ }", '{"a":1}', '{"a": 1}', '{"b":1,"a":2}', '{"a":1,"a":2}', '{"a":null}', '""', '"\\u0041"', '"é"',
    '"\\u00e9"', '"\\u0000"', '"\\ud800"', '"\\ud83d\\ude00"', '"/"', '"\\/"', "1.0", "1.5", "1e21", "1e+21", "1E+21",
    "9007199254740993", "1e400", "-1e-7", "[1,]", "[" * 101 + "]" * 101, "[" * 100 + "]" * 100, "[" * 5000,
)  # fmt: skip
NEARLY += _MORE
NOT_TEXT: tuple[object, ...] = (0, 1, -1, 1.5, True, False, [], ["P"], {}, {"a": None})


@pytest.fixture(params=TYPES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def agrees(kind: FieldType, value: object) -> bool:
    """Whether the type and its schema say the same of a value; what they say."""
    legal = kind.error(value) is None
    if isinstance(kind, Json):  # no schema can say which text is canonical
        return legal
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
    meant, also = field_type.to_python(text), field_type.to_python(other)
    # In Python, 0 is false, in JSON it is not.
    is_same = repr(also) == repr(meant) if isinstance(field_type, Json) else also == meant
    assert is_same == (other == text)


@given(data=st.data())
def test_the_json_schema_agrees_with_the_type(kind: str, data: st.DataObject) -> None:
    field_type, legal = TYPES[kind]
    text = data.draw(legal)
    assert agrees(field_type, text)
    at = data.draw(st.integers(0, len(text)))
    agrees(field_type, text[:at] + data.draw(st.characters()) + text[at + data.draw(st.integers(0, 1)) :])
    agrees(field_type, data.draw(st.text(st.characters())))


@pytest.mark.parametrize("nullable", [False, True])
def test_the_json_schema_agrees_on_what_is_nearly_right(kind: str, nullable: bool) -> None:
    made: dict[str, FieldType] = {
        "text": Text(max_length=12, nullable=nullable),
        "name": Text(min_length=1, max_length=5, nullable=nullable),
        "choice": Choice(CODES, nullable=nullable),
        "date": Date(nullable=nullable),
        "time": Time(nullable=nullable),
        "minutes": Minutes(nullable=nullable),
        "moment": Timestamp(nullable=nullable),
        "integer": Integer(nullable=nullable),
        "small": Integer(-37, 1204, nullable=nullable),
        "decimal": Decimal(7, 2, nullable=nullable),
        "boolean": Boolean(nullable=nullable),
        "uuid": Uuid(nullable=nullable),
        "json": Json(nullable=nullable),
    }
    agreed = [value for value in (*NEARLY, *NOT_TEXT, None) if agrees(made[kind], value)]
    assert (None in agreed) == nullable
    assert all(isinstance(value, str) for value in agreed if value is not None)


def test_what_is_legal_is_its_own_canonical_text(kind: str) -> None:
    field_type, _legal = TYPES[kind]
    legal = [value for value in NEARLY if field_type.error(value) is None]
    assert [field_type.to_text(field_type.to_python(value)) for value in legal] == legal


@pytest.mark.parametrize(
    ("kind", "legal"),
    [
        ("date", {"2024-02-29", "0001-01-01", "9999-12-31"}),
        ("time", {"09:00:00"}),
        ("minutes", {"09:00", "00:00", "123:45", "9999:59"}),
        ("moment", {"2026-11-20T09:00:00.000000Z"}),
        ("choice", {"-1"}),
        (
            "integer",
            {
                "0",
                "-1",
                "7",
                "10",
                "1204",
                "1205",
                "-37",
                "-38",
                "9223372036854775807",
                "9007199254740993",
                "20261120",
                "-9223372036854775808",
            },
        ),
        ("small", {"0", "-1", "7", "10", "1204", "-37"}),
        ("decimal", {"0.00", "-0.01", "99999.99", "-99999.99"}),
        ("boolean", {"true", "false"}),
        ("uuid", {"3f2504e0-4f89-41d3-9a0c-0305e82c3301"}),
    ],
)
def test_of_what_is_nearly_right_only_this_is_legal(kind: str, legal: set[str]) -> None:
    assert {text for text in NEARLY if TYPES[kind][0].error(text) is None} == legal


def test_of_what_is_nearly_right_only_this_is_json() -> None:
    said = {"{}", "[]", '{"a":1}', '{"a":null}', '""', '"é"', '"/"', "1.5", "1e+21", "-1e-7", "[" * 100 + "]" * 100}
    numbers = {"20261120", "0", "-1", "7", "10", "1204", "1205", "-37", "-38", "-0.01", "0.1", "99999.99", "-99999.99"}
    legal = {text for text in NEARLY if TYPES["json"][0].error(text) is None}
    assert legal == said | numbers | {"true", "false"}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("ffefffffffffffff", "-1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555554", "333333333.33333325"),
        ("41b3de4355555555", "333333333.3333333"),
        ("41b3de4355555556", "333333333.3333334"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_numbers_in_json_are_written_as_the_examples_of_the_rfc(number: str, text: str) -> None:
    """RFC 8785, appendix B."""
    (value,) = struct.unpack(">d", bytes.fromhex(number))
    assert Json().to_text(value) == text
    assert Json().error(text) is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_in_json_is_read_back_as_it_was_however_it_was_spelt(number: float) -> None:
    kind = Json()
    text = str(kind.to_text(number))
    assert kind.error(text) is None
    assert kind.to_python(text) == number
    written_out = f"{decimal.Decimal(number):f}"  # as PostgreSQL keeps it
    assert kind.canonical(written_out) == kind.canonical(f"[{number!r}]".strip("[]")) == text


def test_names_in_json_are_in_the_order_of_the_rfc() -> None:
    """RFC 8785, section 3.2.3: by UTF-16 units, not by code point."""
    names = ["\r", "1", "\x80", "ö", "€", "\U0001f600", "\ufb33"]
    text = "{" + ",".join(f"{json.dumps(name, ensure_ascii=False)}:1" for name in names) + "}"
    assert Json().canonical(json.dumps(dict.fromkeys(reversed(names), 1))) == text


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**53 + 1, 10**400, "\0", "\ud800", {"\ud800": 1}, {"a\0": 1}]
)
def test_a_value_without_canonical_json_gives_a_text_that_is_refused(value: object) -> None:
    for inside in (value, [value], {"a": [value]}):
        assert Json().error(Json().to_text(inside)) is not None
        assert Json().error(Json().canonical(json.dumps(inside))) is not None


def test_a_decimal_has_the_places_that_are_declared() -> None:
    assert Decimal(3, 0).to_text(decimal.Decimal("1E+2")) == "100"
    assert Decimal(2, 2).to_text(decimal.Decimal("-0.1")) == "-0.10"
    assert Decimal(2, 2).to_text(decimal.Decimal("-0.0")) == "0.00"
    assert Decimal(2, 2).error("0.10") is None
    assert Decimal(2, 2).error("1.10") is not None
    for digits, places in ((16, 2), (0, 0), (2, 3), (5, -1)):
        with pytest.raises(ValueError, match="up to 15 digits"):
            Decimal(digits, places)


@given(st.integers(-1100, 1100), st.integers(-1100, 1100))
def test_a_whole_number_is_legal_from_its_minimum_to_its_maximum(one: int, other: int) -> None:
    low, high = sorted((one, other))
    kind = Integer(low, high)
    near = {*range(low - 2, low + 3), *range(high - 2, high + 3), 0, 9, 10, 99, 100, -9, -10, -100, 1000}
    assert {number for number in near if kind.error(str(number)) is None} == {n for n in near if low <= n <= high}


@pytest.mark.parametrize(
    "kind", ["date", "time", "minutes", "moment", "integer", "decimal", "boolean", "uuid", "json"], indirect=True
)
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
        (Integer(), 1.5, "1.5"),
        (Integer(0, 9), 10, "10"),
        (Integer(), True, "True"),
        (Decimal(5, 2), decimal.Decimal("1.005"), "1.005"),
        (Decimal(5, 2), decimal.Decimal(1000), "1000.00"),
        (Decimal(5, 2), decimal.Decimal("1e99"), "1E+99"),
        (Decimal(5, 2), decimal.Decimal("NaN"), "NaN"),
        (Decimal(5, 2), 1.5, "1.5"),
        (Boolean(), 1, "1"),
        (Uuid(), "3F2504E0-4F89-41D3-9A0C-0305E82C3301", "3F2504E0-4F89-41D3-9A0C-0305E82C3301"),
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
    assert Integer(1, 9).error("x") == "a whole number from 1 to 9"
    assert Integer(1, 9, nullable=True).error("x") == "a whole number from 1 to 9 or null"
    assert Decimal(7, 2).error("x") == "a decimal with up to 5 digits before the point and 2 after it"
    assert Decimal(3, 0, nullable=True).error("x") == "a decimal with up to 3 digits before the point, or null"
    assert Boolean().error("x") == "true or false, as a text"
    assert Uuid(nullable=True).error("x") == "a UUID in lower case or null"
    assert Json().error("x") == "canonical JSON (RFC 8785), as a text"
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
