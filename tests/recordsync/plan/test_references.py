"""Records that refer to several others, to two of one model among them."""

from __future__ import annotations

import io
from collections import Counter
from typing import Final

from recordsync.merge import Effect, Merged, Outcome
from recordsync.model.fields import Date, Text
from recordsync.model.records import Key, Record
from recordsync.model.schema import Field, Model, Schema
from recordsync.plan import Held, Plan, References

NAME: Final = Text(min_length=1, max_length=9)
SITES: Final = Model(
    "sites", "app.Site", (Field("name", NAME),), (Field("note", Text(max_length=9)),), {"n": ("note",)}
)
CARRIERS: Final = Model("carriers", "app.Carrier", (Field("name", NAME),))
TRIPS: Final = Model(
    "trips",
    "app.Trip",
    (
        Field("date", Date()),
        Field("start", NAME, references="sites"),
        Field("by", NAME, references="carriers"),
        Field("end", NAME, references="sites"),
    ),
)
SCHEMA: Final = Schema((SITES, CARRIERS, TRIPS))
DAY: Final = "2026-11-20"


def trip(start: str, by: str, end: str) -> Key:
    return DAY, start, by, end


def held(name: str, references: int) -> Held:
    record = SITES.shape().from_mapping({"name": name, "note": ""})
    return Held(SITES, Merged((name,), Outcome.TAKE, record, None), references)


def named(*keys: Key) -> Counter[Key]:
    return Counter(TRIPS.names_in(key) for key in keys)


def test_all_that_a_record_names_is_created_before_it_and_once() -> None:
    references = References(SCHEMA, {"sites": {"A"}, "carriers": set()}, [])
    steps = references.follow(TRIPS, Effect.ADD, named(trip("A", "X", "B"), trip("C", "X", "C"), trip("B", "Y", "A")))
    assert [(step.model.name, step.change.after) for step in steps if step.change] == [
        ("sites", Record(("C",), ("C", ""))),  # its other fields are blank
        ("sites", Record(("B",), ("B", ""))),
        ("carriers", Record(("X",), ("X",))),
        ("carriers", Record(("Y",), ("Y",))),
    ]
    assert not references.follow(TRIPS, Effect.ADD, named(trip("B", "Y", "C")))
    assert not references.follow(TRIPS, Effect.UPDATE, named(trip("D", "Z", "D")))


def test_a_record_is_deleted_once_no_field_of_any_key_names_it() -> None:
    """A trip from a site to itself refers to it twice, as the database counts it."""
    deletion = held("A", 4)
    for gone, effect in (
        ([trip("A", "X", "A"), trip("A", "X", "B")], Effect.BLOCKED),
        ([trip("A", "X", "A"), trip("A", "X", "B"), trip("B", "X", "A")], Effect.DELETE),
    ):
        references = References(SCHEMA, {"sites": {"A", "B"}, "carriers": {"X"}}, [deletion])
        references.follow(TRIPS, Effect.DELETE, named(*gone))
        assert references.settled([(deletion, Effect.DELETE)]) == [effect]
        references.follow(TRIPS, Effect.ADD, named(trip("B", "X", "A")))
        assert references.settled([(deletion, Effect.DELETE)]) == [Effect.BLOCKED]


def test_a_record_creates_another_if_any_that_it_names_is_missing() -> None:
    plan = Plan(SCHEMA, {model.name: model.shape() for model in SCHEMA}, io.BytesIO())
    plan.present = {"sites": {"A", "B"}, "carriers": {"X"}}
    keys = [trip("A", "X", "B"), trip("C", "X", "A"), trip("A", "Y", "A"), trip("A", "X", "C")]
    merged = [Merged(key, Outcome.TAKE, None, None) for key in keys]
    assert plan.missing(TRIPS, merged) == [False, True, True, True]
    assert [plan.creates(TRIPS, one) for one in merged] == [False, True, True, True]
