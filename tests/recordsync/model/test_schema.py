"""Declarations, and a model seen through some of its fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA, SEALS
from recordsync.model.fields import Choice, Date, FieldType, Json, Text, Time
from recordsync.model.records import Record
from recordsync.model.schema import Field, Model, Schema, Shape
from tests.builders.records import MOMENT, company, record

WHOLE = ATTENDANCE_RECORDS.shape()
NARROW = ATTENDANCE_RECORDS.shape([*ATTENDANCE_RECORDS.key_names, *ATTENDANCE_RECORDS.units["day"]])
FULL_DAY = record("ABC", "E1", ep_name="Anna", shift="N", in_time="22:00:00", out_time="06:00:00", overtime="01:30")


def units_of(chosen: list[str]) -> list[str]:
    """The names of the key and of these units."""
    return [*ATTENDANCE_RECORDS.key_names, *(name for unit in chosen for name in ATTENDANCE_RECORDS.units[unit])]


shapes = st.lists(st.sampled_from(list(ATTENDANCE_RECORDS.units)), unique=True).map(
    lambda chosen: ATTENDANCE_RECORDS.shape(units_of(chosen))
)


def test_a_schema_gives_its_models_in_order_and_by_name() -> None:
    assert list(SCHEMA) == [COMPANIES, ATTENDANCE_RECORDS, SEALS]
    assert SCHEMA["attendance_records"] is ATTENDANCE_RECORDS
    with pytest.raises(KeyError):
        SCHEMA["people"]


def test_names_stand_in_the_order_of_a_line() -> None:
    assert list(ATTENDANCE_RECORDS.names) == sorted(ATTENDANCE_RECORDS.names)
    assert ATTENDANCE_RECORDS.key_names == ("company_name", "date", "ep_no")
    assert WHOLE.is_whole
    assert not NARROW.is_whole


def test_what_a_file_cannot_leave_out() -> None:
    assert ATTENDANCE_RECORDS.required == {"company_name", "ep_no", "date", "status"}
    assert COMPANIES.required == {"name"}


def test_the_key_field_that_refers_to_another_model() -> None:
    assert ATTENDANCE_RECORDS.references == ATTENDANCE_RECORDS.key[:1]
    assert ATTENDANCE_RECORDS.leading is ATTENDANCE_RECORDS.key[0]
    assert ATTENDANCE_RECORDS.key[0].source == "company"
    assert ATTENDANCE_RECORDS.key[2].source == "ep_no"
    assert (COMPANIES.references, COMPANIES.leading) == ((), None)


@pytest.mark.parametrize(
    "units",
    [{}, {"one": ("a",)}, {"one": ("a", "b"), "two": ("b",)}, {"one": ("a", "b", "k")}],
    ids=["none", "one left out", "one in two", "the key in one"],
)
def test_every_field_but_the_key_belongs_to_exactly_one_unit(units: dict[str, tuple[str, ...]]) -> None:
    fields = (Field("a", Text(max_length=1)), Field("b", Text(max_length=1)))
    with pytest.raises(ValueError, match="exactly one unit"):
        Model("things", "app.Thing", (Field("k", Text(max_length=1)),), fields, units)


COMPANY = Field("company", Text(max_length=9), references="companies")
SITE = Field("site", Text(max_length=9), references="sites")
DATE, NUMBER = Field("date", Date()), Field("number", Text(max_length=9))


@pytest.mark.parametrize(
    ("key", "partition", "expected"),
    [
        ((COMPANY, DATE, NUMBER), (), ()),
        ((COMPANY, DATE, NUMBER), ("company",), ("A",)),
        ((COMPANY, DATE, NUMBER), ("company", "date"), ("A", "2024-02", "22")),
        ((COMPANY, NUMBER), ("company",), ("A",)),
        ((COMPANY, SITE, DATE, NUMBER), ("company", "site", "date"), ("A", "S", "2024-02", "22")),
        ((COMPANY, SITE, DATE), ("company", "site"), ("A", "S")),
        ((DATE, NUMBER), ("date",), ("2024-02", "22")),
        ((NUMBER,), (), ()),
    ],
)
def test_a_partition_is_what_the_keys_of_a_block_begin_with(
    key: tuple[Field, ...], partition: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    values = {"company": "A", "site": "S", "date": "2024-02-29", "number": "7"}
    model = Model("things", "app.Thing", key, partition=partition)
    assert model.partition_of(tuple(values[field.name] for field in key)) == expected


@pytest.mark.parametrize(
    ("key", "partition"),
    [
        ((COMPANY, DATE), ("date",)),
        ((COMPANY, DATE), ("date", "company")),
        ((COMPANY, DATE), ("company", "date", "date")),
        ((COMPANY, DATE), ("company", "shift")),
        ((COMPANY, NUMBER, DATE), ("company", "date")),
        ((COMPANY, NUMBER, DATE), ("company", "number")),
        ((COMPANY, NUMBER, DATE), ("company", "number", "date")),
        ((NUMBER,), ("number",)),
    ],
)
def test_a_partition_that_is_no_stretch_of_the_key_order_is_refused(
    key: tuple[Field, ...], partition: tuple[str, ...]
) -> None:
    """Nor is one that a trigger could not tell from references and a date."""
    with pytest.raises(ValueError, match="things: a partition has the first fields of the key"):
        Model("things", "app.Thing", key, partition=partition)


@pytest.mark.parametrize(
    ("key", "leads", "positions", "names"),
    [
        ((COMPANY, SITE, DATE), True, (0, 1), ("A", "S")),
        ((DATE, COMPANY), False, (1,), ("A",)),
        ((COMPANY, DATE, SITE), True, (0, 2), ("A", "S")),
        ((NUMBER,), False, (0,), ("7",)),
    ],
)
def test_a_key_refers_to_others_by_any_of_its_fields(
    key: tuple[Field, ...], leads: bool, positions: tuple[int, ...], names: tuple[str, ...]
) -> None:
    values = {"company": "A", "site": "S", "date": "2024-02-29", "number": "7"}
    model = Model("things", "app.Thing", key)
    assert (model.leading is key[0], model.name_positions) == (leads, positions)
    assert model.names_in(tuple(values[field.name] for field in key)) == names
    assert len(model.references) == len([field for field in key if field.references])


@pytest.mark.parametrize("kind", [Json(), Text(max_length=9, nullable=True)])
def test_a_field_of_a_key_is_never_null_and_has_an_order(kind: FieldType) -> None:
    with pytest.raises(ValueError, match="things: a field of the key is never null and has an order"):
        Model("things", "app.Thing", (Field("name", kind),))


def test_only_a_key_refers_to_others() -> None:
    with pytest.raises(ValueError, match="things: only a field of the key may refer to another model"):
        Model("things", "app.Thing", (NUMBER,), (COMPANY,), {"company": ("company",)})


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ([], "things: companies, to which it refers, is declared before it"),
        ([Model("companies", "app.Company", (NUMBER, DATE))], "companies: others refer to it by a key of one field"),
        (
            [Model("sites", "app.Site", (NUMBER,)), Model("companies", "app.Company", (SITE,))],
            "companies: others refer to it by a key of one field that refers to none",
        ),
    ],
)
def test_what_others_refer_to_is_declared_before_them_and_has_a_name(before: list[Model], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Schema((*before, Model("things", "app.Thing", (COMPANY, DATE))))


def test_keys_are_in_sort_order_whatever_the_order_of_names() -> None:
    assert FULL_DAY.key == ("ABC", "2026-11-20", "E1")
    assert company("ABC").key == ("ABC",)


def test_a_record_from_a_mapping_needs_every_field() -> None:
    with pytest.raises(KeyError):
        WHOLE.from_mapping({"company_name": "ABC"})


@given(shapes)
def test_projection_keeps_what_the_shape_has_and_nothing_else(shape: Shape) -> None:
    cut = shape.project(FULL_DAY, WHOLE)
    assert shape.content(cut) == {name: WHOLE.content(FULL_DAY)[name] for name in shape.names}
    assert (cut.key, cut.created_at) == (FULL_DAY.key, MOMENT)


@given(shapes, shapes)
def test_what_a_record_lacks_is_blank_in_another_shape(shape: Shape, other: Shape) -> None:
    cut = shape.project(FULL_DAY, WHOLE)
    seen = other.project(cut, shape)
    for name, kind, value in zip(other.names, other.types, seen.values, strict=True):
        assert value == (shape.content(cut)[name] if name in shape.names else kind.blank)
    assert (seen.key, seen.created_at) == (FULL_DAY.key, MOMENT)


def test_a_record_that_lacks_fields_is_blank_in_the_whole_shape() -> None:
    cut = NARROW.project(FULL_DAY, WHOLE)
    whole = WHOLE.project(cut, NARROW)
    assert whole == record("ABC", "E1", in_time="22:00:00", out_time="06:00:00")
    content = WHOLE.content(whole)
    assert (content["ep_name"], content["shift"], content["overtime"]) == ("", "", None)


def test_a_whole_shape_changes_nothing() -> None:
    assert WHOLE.project(FULL_DAY, WHOLE) is FULL_DAY


def test_units_are_positions_in_the_shape_and_those_it_lacks_are_left_out() -> None:
    assert list(NARROW.units) == ["day"]
    for shape in (WHOLE, NARROW):
        for unit, positions in shape.units.items():
            assert tuple(shape.names[at] for at in positions) == ATTENDANCE_RECORDS.units[unit]


def test_errors_name_every_illegal_value() -> None:
    broken = record("", "E1", status="X", in_time="9:00", overtime=None)
    assert [(name, value) for name, value, _expected in WHOLE.errors(broken.values)] == [
        ("company_name", ""),
        ("in_time", "9:00"),
        ("status", "X"),
    ]
    assert not list(WHOLE.errors(FULL_DAY.values))


_VALUES: st.SearchStrategy[object] = st.sampled_from(
    ["", "P", "X", "A\0", "2026-11-20", "2026-02-30", "09:00:00", "9:00", "01:30", None, 7, []]
)


@given(st.lists(st.lists(_VALUES, min_size=len(WHOLE.names), max_size=len(WHOLE.names)), max_size=4), st.booleans())
def test_many_are_valid_if_none_has_an_error(many: list[list[object]], legal: bool) -> None:
    if legal:
        many = [[None if WHOLE.types[at].error(value) else value for at, value in enumerate(one)] for one in many]
        many = [[b if a is None else a for a, b in zip(one, FULL_DAY.values, strict=True)] for one in many]
    assert WHOLE.are_valid(many) == (not any(error for one in many for error in WHOLE.errors(one)))
    assert not legal or WHOLE.are_valid(many)


def test_a_model_with_one_field_in_its_key_and_types_of_its_own() -> None:
    model = Model(
        "holidays",
        "app.Holiday",
        (Field("date", Date()),),
        (Field("from_", Time(nullable=True), column="starts"), Field("kind", Choice(["a"]))),
        {"all": ("from_", "kind")},
    )
    record = model.shape().from_mapping({"date": "2026-01-26", "from_": None, "kind": "a"})
    assert record == Record(("2026-01-26",), ("2026-01-26", None, "a"))
    assert model.all_fields["from_"].source == "starts"
