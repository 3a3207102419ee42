"""The leaves of the head's tree, by the places of their blocks. They say what every block of the register was at the
head."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final, NamedTuple

from django.db import connections
from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import Collate

from recordsync.history.blocks import BlockDigest
from recordsync.history.places import ALL, Place, joined, split
from recordsync.model import slices
from recordsync.model.records import Partition
from recordsync.model.schema import Model
from recordsync.models import Leaf
from recordsync.stores import insert

_TABLE: Final = Leaf._meta.db_table
_WRITTEN: Final = ("model", "parent", "slice", "names", "digest", "count")
_FEW: Final = 100
"""How many places are looked up one by one. For more, all leaves are read."""
_CODE_POINTS: Final = {"postgresql": "C", "sqlite": "BINARY"}
"""The collation that compares texts by code point, by the vendor of the database."""


class PlacedBlock(NamedTuple):
    """A block where a database has it. ``names``: those of its parents."""

    place: Place
    names: tuple[str, ...]
    block: BlockDigest

    def partition(self, model: Model) -> Partition:
        """Its partition."""
        return self.names if model.cut_date is None else (*self.names, *slices.parts(self.place.slice))


_COLUMNS: Final = ("parent", "slice", "names", "digest", "count")


def leaves(using: str, model: Model) -> Iterator[PlacedBlock]:
    """The leaves of a model, in key order. They are streamed."""
    order = Collate("names", _CODE_POINTS[connections[using].vendor])
    yield from map(_placed, _rows(using, model).order_by(order, "slice").values_list(*_COLUMNS).iterator())


def leaves_at(using: str, model: Model, places: Collection[Place]) -> Iterator[PlacedBlock]:
    """The leaves at these places, where there are any. In a place, ``*`` for the slice is every slice."""
    if len(places) > _FEW:
        wanted = frozenset(places)
        for row in _rows(using, model).values_list(*_COLUMNS).iterator():
            parent, slice_, *_said = row
            if (parent, slice_) in wanted or (parent, ALL) in wanted:
                yield _placed(row)
        return
    for place in places:
        rows = _rows(using, model).filter(parent=place.parent)
        if place.slice != ALL:
            rows = rows.filter(slice=place.slice)
        yield from map(_placed, rows.values_list(*_COLUMNS))


def totals(using: str, model: Model) -> tuple[int, int]:
    """The number of a model's leaves, and of the records at the head."""
    found = _rows(using, model).aggregate(leaves=Count("*"), records=Sum("count"))
    return found["leaves"], found["records"] or 0


def replace(using: str, model: Model, gone: Iterable[Place] | None, new: Iterable[PlacedBlock]) -> None:
    """Write leaves in the current transaction. ``gone``: the places whose leaves are deleted first; None: all."""
    with connections[using].cursor() as cursor:
        if gone is None:
            cursor.execute(f"DELETE FROM {_TABLE} WHERE model = %s", [model.name])
        else:
            statement = f"DELETE FROM {_TABLE} WHERE model = %s AND parent = %s AND slice = %s"
            cursor.executemany(statement, [(model.name, *place) for place in gone])
    insert(connections[using], _TABLE, _WRITTEN, ((model.name, *leaf) for leaf in map(_row, new)))


def _row(leaf: PlacedBlock) -> tuple[Any, ...]:
    return *leaf.place, joined(leaf.names), leaf.block.digest, leaf.block.count


def _rows(using: str, model: Model) -> QuerySet[Leaf]:
    return Leaf.objects.using(using).filter(model=model.name)


def _placed(row: tuple[Any, ...]) -> PlacedBlock:
    parent, slice_, names, digest, count = row
    return PlacedBlock(Place(parent, slice_), split(names), BlockDigest(digest, count))
