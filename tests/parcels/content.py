"""Content of the parcels in plain Python, spelt without the engine."""

from __future__ import annotations

import datetime as dt
import json
from functools import partial
from typing import Any

from hypothesis import strategies as st

Content = dict[str, list[dict[str, str | None]]]
"""For each model the records, each as text by field, in key order."""

UNITS: dict[str, dict[str, tuple[str, ...]]] = {
    "depots": {"note": ("note",)},
    "carriers": {},
    "deliveries": {
        "load": ("weight", "express"),
        "tracking": ("tracking", "arrived_at"),
        "details": ("details",),
        "attempts": ("attempts",),
    },
    "transfers": {"parcels": ("parcels",)},
    "tariffs": {"price": ("price",)},
}
PARENTS = {
    "deliveries": {"depot": "depots", "carrier_name": "carriers"},
    "transfers": {"origin": "depots", "target": "depots"},
}
KEYS = {
    "depots": ("code",),
    "carriers": ("name",),
    "deliveries": ("depot", "carrier_name", "day", "number"),
    "transfers": ("day", "origin", "target"),
    "tariffs": ("zone", "limit", "is_express", "contract", "since"),
}


def decimals(digits: int, places: int) -> st.SearchStrategy[str]:
    most = 10**digits - 1
    numbers = st.integers(-most, most) | st.sampled_from([0, 1, -1, most, -most, 10**places, -(10**places)])
    return numbers.map(lambda n: f"{'-' if n < 0 else ''}{abs(n) // 10**places}.{abs(n) % 10**places:0{places}}")


def integers(bits: int) -> st.SearchStrategy[str]:
    near = st.sampled_from([0, 1, 2, 9, 10, 11, -1, -2, -10, 99, 100, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1])
    return (near | st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)).map(str)


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
names = st.sampled_from(["A", "a", "é", "B,1", "😀", "%s", '"'])
days = st.sampled_from(["2024-02-21", "2024-02-22", "2024-02-29", "2024-03-01", "0001-01-01", "9999-12-31"])
_FIRST, _LAST = dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30, 23)  # noqa: DTZ001 - Hypothesis wants them so
moments = st.sampled_from(
    ["2024-02-29T23:59:59.000000Z", "2024-02-29T23:59:59.000001Z", "2024-02-29T23:59:59.100000Z"]
) | st.datetimes(_FIRST, _LAST).map(lambda moment: moment.isoformat(timespec="microseconds") + "Z")
booleans = st.sampled_from(["false", "true"])
uuids = st.uuids().map(str)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts | st.sampled_from([0.5, -1.25, 1e-7, 1e21, 1e300]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("aZ_é ", max_size=2), inner, max_size=3),
    max_leaves=4,
).filter(lambda value: value is not None)


ODD_JSON = (
    ("-0", "0"), ("-0.0", "0"), ("1e5", "100000"), ("1.0", "1"), ("0.10", "0.1"), ("1E-7", "1e-7"),
    ("0.000001", "0.000001"), ("1e20", "100000000000000000000"), ("1e21", "1e+21"),
    ("100000000000000000000000", "1e+23"), ("9007199254740992", "9007199254740992"), ("5e-324", "5e-324"),
    ("1.7976931348623157e308", "1.7976931348623157e+308"), ('"true"', '"true"'), ("true", "true"), ('""', '""'),
    ('"0.10"', '"0.10"'), ("[null, [], {}]", "[null,[],{}]"), ('{"a": null}', '{"a":null}'), ('"null"', '"null"'),
    ('{"b": {"d": 1, "c": 2.0}, "a": [3]}', '{"a":[3],"b":{"c":2,"d":1}}'), ('{"a": 1, "a": 2}', '{"a":2}'),
    ('{"\uff5e": 1, "\U0001f600": 2, "": 3, "aa": 4}', '{"":3,"aa":4,"\U0001f600":2,"\uff5e":1}'),
    ('"\\u00e9 \\/ \\t"', '"\u00e9 / \\t"'), ('"e\u0301"', '"e\u0301"'), ('"\\u007f\\u2028"', '"\x7f\u2028"'),
)  # fmt: skip
"""JSON that is easily changed on its way, in any spelling, and its one text."""


def spelt(value: Any) -> str:
    """As RFC 8785 says; its numbers here are whole, or those of which the standard library has the same spelling, but
    for what is odd."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return _ODD.get(_meant(value)) or text.replace("1e-07", "1e-7")


def _meant(value: Any) -> str:
    """One text for all values that are the same JSON, whole numbers and others being one kind."""
    return json.dumps(json.loads(json.dumps(value), parse_int=float), sort_keys=True)


_ODD = {_meant(json.loads(text)): text for _spelling, text in ODD_JSON}
jsons = values.filter(lambda value: "1e-07" not in json.dumps(value) or value == 1e-7).map(spelt) | st.sampled_from(
    [text for _spelling, text in ODD_JSON]
)


@st.composite
def contents(draw: st.DrawFn) -> Content:
    """Some content, in which what is referred to is there."""
    depots = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    carriers = draw(st.lists(names, min_size=1, max_size=2, unique=True))
    depot, carrier = st.sampled_from(depots), st.sampled_from(carriers)
    fields: dict[str, dict[str, st.SearchStrategy[str | None]]] = {
        "deliveries": {
            "depot": depot,
            "carrier_name": carrier,
            "day": days,
            "number": integers(32),
            "weight": decimals(9, 3) | st.none(),
            "express": booleans,
            "tracking": uuids | st.none(),
            "arrived_at": moments | st.none(),
            "details": jsons | st.none(),
            "attempts": integers(64) | st.none(),
        },
        "transfers": {"day": days, "origin": depot, "target": depot, "parcels": integers(32)},
        "tariffs": {
            "zone": integers(64),
            "limit": decimals(15, 4),
            "is_express": booleans,
            "contract": uuids,
            "since": moments,
            "price": decimals(15, 2),
        },
    }
    drawn: Content = {
        "depots": [{"code": code, "note": draw(texts)} for code in depots],
        "carriers": [{"name": name} for name in carriers],
    }
    for model, strategies in fields.items():
        drawn[model] = draw(st.lists(st.fixed_dictionaries(strategies), max_size=5, unique_by=partial(key, model)))
    return {model: sorted(records, key=partial(key, model)) for model, records in drawn.items()}


def key(model: str, record: dict[str, str | None]) -> tuple[str, ...]:
    return tuple(str(record[name]) for name in KEYS[model])


Fate = tuple[int, frozenset[str]] | None
"""What one side does with a record: None: it has none. Otherwise it has these units of another record."""


@st.composite
def versions(draw: st.DrawFn, number: int) -> list[Content]:
    """Contents that share most keys, and differ in whole records and in some of their units."""
    first = draw(contents())
    made: list[Content] = [{model: [] for model in KEYS} for _ in range(number)]
    for model, records in first.items():
        choices: list[Fate] = [None, (0, frozenset())]
        choices += [(other, frozenset({unit})) for unit in UNITS[model] for other in (0, 1)]
        choices += [(other, frozenset(UNITS[model])) for other in (0, 1) if len(UNITS[model]) > 1]
        others = (draw(contents())[model] or records, records) if UNITS[model] and records else ((), ())
        for position, record in enumerate(records):
            for content, fate in zip(made, draw(st.tuples(*[st.sampled_from(choices)] * number)), strict=True):
                if fate is not None:
                    other, units = fate
                    source = others[other][(position + other) % len(others[other])] if units else record
                    taken = {name: source[name] for unit in units for name in UNITS[model][unit]}
                    content[model].append(record | taken)
    return made


def closed(content: Content) -> Content:
    """The content without records that refer to one that is not in it."""
    there = {model: {record[KEYS[model][0]] for record in content[model]} for model in ("depots", "carriers")}
    return {
        model: [
            record
            for record in records
            if all(record[field] in there[parent] for field, parent in PARENTS.get(model, {}).items())
        ]
        for model, records in content.items()
    }
