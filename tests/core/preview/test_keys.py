"""The columns that keys stand in: those of a schema, with whatever is added to it."""

from __future__ import annotations

import pytest

from core.preview.keys import KEYS, KeyColumns
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA
from recordsync.model.fields import Date, Text
from recordsync.model.schema import Field, Model, Schema

NAME = Text(min_length=1, max_length=255)
SEALS = Model("seals", "core.Seal", (Field("company_name", NAME, references="companies"), Field("month", NAME)))
SITES = Model("sites", "core.Site", (Field("name", NAME),))
POSTS = Model("posts", "core.Post", (Field("site", NAME, references="sites"), Field("ep_no", NAME)))
HOLIDAYS = Model("holidays", "core.Holiday", (Field("date", Date()),))
MORE = KeyColumns(Schema((*SCHEMA, SEALS, SITES, POSTS, HOLIDAYS)))


def test_every_field_of_a_key_has_a_column_that_models_share_by_its_name() -> None:
    assert KEYS.all == ("key_companies", "key_date", "key_ep_no")
    assert MORE.all == (*KEYS.all, "key_month", "key_sites")
    assert (KEYS.names, MORE.names) == (("key_companies",), ("key_companies", "key_sites"))
    assert MORE.of(HOLIDAYS, "date") == KEYS.of(ATTENDANCE_RECORDS, "date")
    assert MORE.of(SITES, "name") != MORE.of(COMPANIES, "name")


@pytest.mark.parametrize(
    ("model", "key", "stands", "name"),
    [
        (COMPANIES, ("ABC",), ("ABC", "", "", "", ""), "ABC"),
        (ATTENDANCE_RECORDS, ("ABC", "2026-11-20", "E1"), ("ABC", "2026-11-20", "E1", "", ""), "ABC"),
        (SEALS, ("ABC", "2026-11"), ("ABC", "", "", "2026-11", ""), "ABC"),
        (SITES, ("Gate",), ("", "", "", "", "Gate"), "Gate"),
        (POSTS, ("Gate", "E1"), ("", "", "E1", "", "Gate"), "Gate"),
        (HOLIDAYS, ("2026-11-20",), ("", "2026-11-20", "", "", ""), ""),
    ],
)
def test_what_a_key_names_of_another_model_stands_beside_that_models_own(
    model: Model, key: tuple[str, ...], stands: tuple[str, ...], name: str
) -> None:
    values = MORE.values(model, key)
    assert values == stands
    assert MORE.name(model, [values[MORE.all.index(column)] for column in MORE.names]) == name
