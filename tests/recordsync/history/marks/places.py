"""What a register has in each place, and which places marks and counts name, by plain Python."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from django.db import connections, transaction

from core.models import AttendanceRecord, Company
from core.register.declared import SCHEMA
from recordsync.history import marks
from recordsync.history.places import ALL, Place
from recordsync.models import Dirty, Generation, Leaf
from tests.builders import registers

Spot = tuple[str, Place]
"""A model's name and a place of it."""
COMPANIES = ("companies", Place("", ""))


def slice_of(date: str) -> str:
    day = int(date[8:])
    return f"{date[:8]}{'22' if day > 21 else '15' if day > 14 else '08' if day > 7 else '01'}"


def spot(company: int, date: str) -> Spot:
    return "attendance_records", Place(str(company), slice_of(date))


def contents(alias: str) -> dict[Spot, Any]:
    """The content of each place that has any. Rows without a company are no records."""
    names = dict(Company.objects.using(alias).values_list("pk", "name"))
    found: dict[Spot, list[Any]] = defaultdict(list)
    found[COMPANIES] = sorted(names.values())
    for row in AttendanceRecord.objects.using(alias):
        if row.company_id in names:
            text = registers.texts(row, names[row.company_id])
            found[spot(row.company_id, row.date.isoformat())].append(sorted(text.items(), key=str))
    return {place: sorted(rows, key=str) for place, rows in found.items() if rows}


def take(alias: str) -> dict[Spot, Any]:
    """What a snapshot does: the content of each place, its leaves written, and no marks any more."""
    before = contents(alias)
    with transaction.atomic(using=alias):
        Dirty.objects.using(alias).all().delete()
        Leaf.objects.using(alias).all().delete()
        Leaf.objects.using(alias).bulk_create(
            Leaf(model=model, parent=place.parent, slice=place.slice, digest="-", count=len(rows))
            for (model, place), rows in before.items()
        )
    return before


def empty(alias: str) -> None:
    registers.empty(alias)
    with transaction.atomic(using=alias):
        for table in (Dirty, Leaf, Generation):
            table.objects.using(alias).all().delete()


def covered(spots: Collection[Spot], by: Collection[Spot]) -> set[Spot]:
    """Those of the places that one of these marks means."""
    return {
        (model, place)
        for model, place in spots
        if not {(model, place), (model, Place(place.parent, ALL)), (model, Place(ALL, ALL))}.isdisjoint(by)
    }


def differing(before: Mapping[Spot, Any], after: Mapping[Spot, Any]) -> set[Spot]:
    return {one for one in before.keys() | after.keys() if before.get(one) != after.get(one)}


def miscounted(before: Mapping[Spot, Any], after: Mapping[Spot, Any]) -> set[Spot]:
    counts = Counter({one: len(rows) for one, rows in after.items()})
    counts.subtract({one: len(rows) for one, rows in before.items()})
    return {one for one, number in counts.items() if number}


def mismatches(alias: str) -> set[Spot]:
    return set(marks.mismatches(alias, SCHEMA))


def execute(alias: str, statement: str, *parameters: Any) -> int:
    with connections[alias].cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)
