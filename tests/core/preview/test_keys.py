"""The columns that keys stand in: those of a schema, with whatever is added to it."""

from __future__ import annotations

import pytest

from core.preview.keys import KEYS, KeyColumns
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA, SEALS
from recordsync.model.fields import Date, Text
from recordsync.model.schema import Field, Model, Schema

NAME = Text(min_length=1, max_length=255)
SITES = Model("sites", "core.Site", (Field("name", NAME),))
POSTS = Model("posts", "core.Post", (Field("site", NAME, references="sites"), Field("ep_no", NAME)))
HOLIDAYS = Model("holidays", "core.Holiday", (Field("date", Date()),))
MOVES = Model(
    "moves",
    "core.Move",
    (
        Field("date", Date()),
        Field("from_site", NAME, references="sites"),
        Field("company", NAME, references="companies"),
        Field("to_site", NAME, references="sites"),
        Field("sites", NAME),  # named as a model is
    ),
)
MORE = KeyColumns(Schema((*SCHEMA, SITES, POSTS, HOLIDAYS, MOVES)))


def test_every_field_of_a_key_has_a_column_that_models_share_by_its_name() -> None:
    assert KEYS.all == ("key_companies", "key_date", "key_ep_no", "key_month", "key_closed_at")
    assert MORE.all == (*KEYS.all, "key_sites", "key_sites_to_site", "key_sites_sites")
    assert KEYS.names == ("key_companies",)
    assert MORE.names == ("key_companies", "key_sites", "key_sites_to_site")
    assert MORE.of(HOLIDAYS, "date") == KEYS.of(ATTENDANCE_RECORDS, "date")
    assert MORE.of(SITES, "name") != MORE.of(COMPANIES, "name")


@pytest.mark.parametrize(
    ("model", "key", "stands", "names"),
    [
        (COMPANIES, ("ABC",), {"companies": "ABC"}, ("ABC",)),
        (
            ATTENDANCE_RECORDS,
            ("ABC", "2026-11-20", "E1"),
            {"companies": "ABC", "date": "2026-11-20", "ep_no": "E1"},
            ("ABC",),
        ),
        (
            SEALS,
            ("ABC", "2026-11-01", "2026-12-02T08:00:00.000000Z"),
            {"companies": "ABC", "month": "2026-11-01", "closed_at": "2026-12-02T08:00:00.000000Z"},
            ("ABC",),
        ),
        (SITES, ("Gate",), {"sites": "Gate"}, ("Gate",)),
        (POSTS, ("Gate", "E1"), {"sites": "Gate", "ep_no": "E1"}, ("Gate",)),
        (HOLIDAYS, ("2026-11-20",), {"date": "2026-11-20"}, ("",)),
        (
            MOVES,
            ("2026-11-20", "Gate", "ABC", "Yard", "2"),
            {"date": "2026-11-20", "sites": "Gate", "companies": "ABC", "sites_to_site": "Yard", "sites_sites": "2"},
            ("Gate", "ABC", "Yard"),
        ),
    ],
)
def test_what_a_key_names_of_another_model_stands_beside_that_models_own(
    model: Model, key: tuple[str, ...], stands: dict[str, str], names: tuple[str, ...]
) -> None:
    values = MORE.values(model, key)
    assert {column: value for column, value in zip(MORE.all, values, strict=True) if value} == {
        f"key_{column}": value for column, value in stands.items()
    }
    assert MORE.names_in(model, [values[MORE.all.index(column)] for column in MORE.names]) == names
    if names != ("",):
        assert names == model.names_in(key)
