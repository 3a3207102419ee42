"""Laws 13 and 14 for models that are not attendance: keys with two references, a key without a date, one that begins
with a date, no partition; against trees that are made of the rows with Python alone."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from django.db import connections, transaction
from django.db.models import Model
from hypothesis import given
from hypothesis import strategies as st

from recordsync.history.databases import history_of
from recordsync.history.leaves import leaves
from recordsync.history.snapshots import History, Occasion
from recordsync.history.store import HistoryStore
from recordsync.model.json_values import InstallationName
from recordsync.models import Block, Dirty, Head, HeadMove, Leaf, Node, Snapshot
from recordsync.stores import open_store
from tests.parcels.conftest import FEW, empty
from tests.parcels.content import KEYS, Content, contents, key, spelt
from tests.parcels.declared import SCHEMA
from tests.parcels.models import Carrier, Delivery, Depot, Tariff, Transfer
from tests.parcels.test_stores import filled

OCCASION = Occasion(InstallationName("00000000-0000-4000-8000-000000000001", "Here"), "meena", "test")


def history(alias: str) -> History:
    return History(alias, SCHEMA, HistoryStore(history_of(alias)), lambda: open_store(SCHEMA, alias))


def take(alias: str) -> str:
    """The digest of the tree of a new snapshot."""
    with history(alias).alone(10):
        return history(alias).take(OCCASION, 10).snapshot.tree


def forget(alias: str) -> None:
    """Empty the history."""
    tables: list[tuple[str, type[Model]]] = [(alias, table) for table in (HeadMove, Head, Snapshot, Leaf, Dirty)]
    tables += [(history_of(alias), Block), (history_of(alias), Node)]
    for using, table in tables:
        table._base_manager.using(using).all().delete()
    history(alias)._repair(["It was emptied."])


# --- What the rows are, and their tree, by Python alone


def moment(value: dt.datetime | None) -> str | None:
    return None if value is None else f"{value.astimezone(dt.UTC).replace(tzinfo=None).isoformat('T', 'microseconds')}Z"


def text(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)


def floating(value: Any) -> Any:
    """The value with fractions that are whole as floats again: PostgreSQL gives 1e21 as a whole number."""
    if isinstance(value, list):
        return [floating(item) for item in value]
    if isinstance(value, dict):
        return {name: floating(item) for name, item in value.items()}
    is_large = isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53
    return float(value) if is_large else value


def content_of(alias: str) -> Content:
    found: Content = {
        "depots": [{"code": row.code, "note": row.note} for row in Depot._base_manager.using(alias)],
        "carriers": [{"name": row.name} for row in Carrier._base_manager.using(alias)],
        "deliveries": [
            {
                "depot": row.depot.code,
                "carrier_name": row.carrier.name,
                "day": text(row.day),
                "number": text(row.number),
                "weight": None if row.weight is None else f"{row.weight:.3f}",
                "express": text(row.is_express),
                "tracking": text(row.tracking),
                "arrived_at": moment(row.arrived_at),
                "details": None if row.details is None else spelt(floating(row.details)),
                "attempts": text(row.attempts),
            }
            for row in Delivery._base_manager.using(alias).select_related("depot", "carrier")
        ],
        "transfers": [
            {"day": text(row.day), "origin": row.origin.code, "target": row.target.code, "parcels": text(row.parcels)}
            for row in Transfer._base_manager.using(alias).select_related("origin", "target")
        ],
        "tariffs": [
            {
                "zone": text(row.zone),
                "limit": f"{row.limit:.4f}",
                "is_express": text(row.is_express),
                "contract": text(row.contract),
                "since": moment(row.since),
                "price": f"{row.price:.2f}",
            }
            for row in Tariff._base_manager.using(alias)
        ],
    }
    return {name: sorted(rows, key=partial(key, name)) for name, rows in found.items()}


def sha256(data: str) -> str:
    return hashlib.sha256(data.encode()).hexdigest()


def canonical(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def partition(model: str, record: dict[str, str | None]) -> tuple[str, ...]:
    names = {"deliveries": ("depot", "carrier_name"), "transfers": ()}.get(model)
    if names is None:
        return ()
    day = str(record["day"])
    first = max(one for one in ("01", "08", "15", "22") if one <= day[8:])
    return (*(str(record[name]) for name in names), day[:7], first)


def tree(content: Content) -> str:
    """The digest of the root."""
    root: dict[str, Any] = {}
    for model in KEYS:
        for record in content[model]:
            known = {name: value for name, value in record.items() if value is not None or name != "attempts"}
            *above, last = (model, *partition(model, record))
            node = root
            for name in above:
                node = node.setdefault(name, {})
            node.setdefault(last, []).append(sha256(canonical(known)))
    return digest(root)[0]


def digest(below: Any) -> tuple[str, int]:
    if isinstance(below, list):
        return sha256("".join(below)), len(below)
    children = [[name, *digest(child)] for name, child in sorted(below.items())]
    return sha256(canonical(children)), sum(child[2] for child in children)


# --- Ways to write


def sql(alias: str, statement: str, *parameters: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute(statement, parameters)


def rename_depot(alias: str, pick: int) -> None:
    row = Depot._base_manager.using(alias).order_by("pk")[pick % Depot._base_manager.using(alias).count()]
    Depot._base_manager.using(alias).filter(pk=row.pk).update(code=f"{row.code[:10]}{pick}’")


def rename_carrier(alias: str, pick: int) -> None:
    sql(
        alias,
        "UPDATE parcels_carrier SET name = name || %s WHERE id = (SELECT min(id) FROM parcels_carrier)",
        f"+{pick}",
    )


def weigh(alias: str, pick: int) -> None:
    Delivery._base_manager.using(alias).filter(is_express=bool(pick % 2)).update(weight=pick)


def attempt(alias: str, pick: int) -> None:
    Delivery._base_manager.using(alias).update(attempts=pick or None)


def renumber(alias: str, pick: int) -> None:
    for row in Delivery._base_manager.using(alias).order_by("pk")[: pick % 3]:
        row.number = 100_000 + row.pk
        row.day = dt.date(2026, 11, 1 + pick % 30)
        row.save(using=alias)


def turn(alias: str, pick: int) -> None:
    """A transfer goes the other way, where none does."""
    for row in Transfer._base_manager.using(alias).order_by("pk")[: 1 + pick % 2]:
        if not Transfer._base_manager.using(alias).filter(day=row.day, origin=row.target, target=row.origin):
            Transfer._base_manager.using(alias).filter(pk=row.pk).update(origin=row.target, target=row.origin)


def drop(alias: str, pick: int) -> None:
    models = (Delivery, Transfer, Tariff)
    table = models[pick % 3]
    rows = table._base_manager.using(alias).order_by("pk").values_list("pk", flat=True)
    table._base_manager.using(alias).filter(pk__in=list(rows[: 1 + pick % 2])).delete()


def add(alias: str, pick: int) -> None:
    depots = list(Depot._base_manager.using(alias).order_by("pk"))
    day = dt.date(2027, 1, 1) + dt.timedelta(days=pick)
    Transfer._base_manager.using(alias).filter(day=day).delete()
    Transfer._base_manager.using(alias).create(day=day, origin=depots[0], target=depots[-1], parcels=pick)


def undone(alias: str, pick: int) -> None:
    with transaction.atomic(using=alias):
        weigh(alias, pick)
        transaction.set_rollback(True, using=alias)


Way = Callable[[str, int], None]
WAYS: Sequence[Way | None] = (
    rename_depot, rename_carrier, weigh, attempt, renumber, turn, drop, add, undone, None,
)  # fmt: skip
"""None: a snapshot is taken."""


@given(before=contents(), done=st.lists(st.tuples(st.sampled_from(WAYS), st.integers(0, 30)), max_size=8))
@FEW
def test_a_snapshot_from_marks_is_that_from_scratch(
    alias: str, before: Content, done: Sequence[tuple[Way | None, int]]
) -> None:
    forget(alias)
    filled(alias, before)
    assert take(alias) == tree(before)
    for way, pick in done:
        if way is None:
            take(alias)
        else:
            way(alias, pick)
    found = take(alias)
    assert found == tree(content_of(alias))
    assert not Dirty.objects.using(alias).exists()
    kept = {model.name: list(leaves(alias, model)) for model in SCHEMA}
    forget(alias)
    assert take(alias) == found
    assert {model.name: list(leaves(alias, model)) for model in SCHEMA} == kept


@given(first=contents(), second=contents())
@FEW
def test_equal_content_is_an_equal_tree(alias: str, first: Content, second: Content) -> None:
    trees = []
    for content in (first, second):
        empty(alias)
        filled(alias, content)
        trees.append(take(alias))
    assert (trees[0] == trees[1]) == (first == second)
