"""Content of the parcels in plain Python, spelt without the engine."""

from __future__ import annotations

import datetime as dt
import json
from functools import partial
from typing import Any

from hypothesis import strategies as st

Content = dict[str, list[dict[str, str | None]]]
"""For each model the records, each as text by field, in key order."""

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


def spelt(value: Any) -> str:
    """As RFC 8785 says; its numbers here are whole, or those of which the standard library has the same spelling."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.replace("1e-07", "1e-7")


jsons = values.filter(lambda value: "1e-07" not in json.dumps(value) or value == 1e-7).map(spelt)


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
