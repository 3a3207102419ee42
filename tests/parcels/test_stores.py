"""Every type, and keys with several references, on every store: what is written is read back, in order."""

from __future__ import annotations

import datetime as dt
from itertools import groupby
from typing import Any

import pytest
from django.db import connections, transaction
from hypothesis import given
from hypothesis import strategies as st

from recordsync.errors import InvalidRecord
from recordsync.model.records import Record
from recordsync.model.schema import Model
from recordsync.stores import Store, open_store, orm
from recordsync.streams import Change
from recordsync.streams.lines import lines_of
from tests.parcels.conftest import empty
from tests.parcels.content import ODD_JSON, Content, contents
from tests.parcels.declared import DELIVERIES, DEPOTS, SCHEMA, TARIFFS, TRANSFERS

NOW = dt.datetime(2026, 11, 20, 18, 40, tzinfo=dt.UTC)
MOMENT = "2026-11-20T18:40:00.000000Z"


def records(content: Content, model: Model) -> list[Record]:
    return [model.shape().from_mapping(record, MOMENT) for record in content[model.name]]


def filled(alias: str, content: Content, *, reference: bool = False) -> Store:
    empty(alias)
    store = open_store(SCHEMA, alias, reference=reference)
    with transaction.atomic(using=alias):
        for model in SCHEMA:
            store.write(model, [Change(record.key, None, record) for record in records(content, model)], NOW)
    return store


def as_stored(alias: str) -> list[Any]:
    """Every column but the primary keys and what refers to them, as the database itself shows it."""
    connection = connections[alias]
    found: list[Any] = []
    with connection.cursor() as cursor:
        for table in orm.tables(SCHEMA):
            columns = [f'"{f.column}"' for f in table._meta.fields if not f.primary_key and not f.is_relation]
            shown = "quote({0}) || typeof({0})" if connection.vendor == "sqlite" else "{0}::text"
            cursor.execute(f"SELECT {', '.join(map(shown.format, columns))} FROM {table._meta.db_table}")
            found.append(sorted(cursor.fetchall(), key=str))
    return found


@given(contents())
def test_what_is_written_is_read_back_by_every_store(alias: str, content: Content) -> None:
    left = []
    for writes in (True, False):
        filled(alias, content, reference=writes)
        left.append(as_stored(alias))
    assert left[0] == left[1]  # so that what one of them wrote is read for both
    for reads in (True, False):
        with transaction.atomic(using=alias):
            store = open_store(SCHEMA, alias, reference=reads)
            for model in SCHEMA:
                expected = records(content, model)
                lines = list(lines_of(model.shape(), expected))
                assert list(store.records(model)) == expected
                assert list(store.lines(model)) == lines
                assert list(store.lookup(model, [record.key for record in expected])) == expected
                assert len(list(store.updated(model))) == len(expected)
                blocks = [(partition, list(block)) for partition, block in store.blocks(model)]
                cut = groupby(zip(expected, lines, strict=True), key=lambda pair: model.partition_of(pair[0].key))
                assert blocks == [(partition, [line for _r, line in pairs]) for partition, pairs in cut]
                places = store.places(model)
                for partition, block in blocks:
                    assert list(store.partition(model, partition)) == block
                    place = places.place(partition)
                    assert place is not None
                    assert places.partition(place) == partition


@given(contents())
def test_few_rows_of_many_names_are_read_together(alias: str, content: Content) -> None:
    store = filled(alias, content)
    with pytest.MonkeyPatch.context() as patched, transaction.atomic(using=alias):
        patched.setattr(orm, "_COUNTED", 1)
        patched.setattr(orm, "_TOGETHER", 3)
        assert list(store.records(DELIVERIES)) == records(content, DELIVERIES)
        assert list(store.lines(DELIVERIES)) == list(lines_of(DELIVERIES.shape(), records(content, DELIVERIES)))


@given(contents(), st.data())
def test_an_update_leaves_the_same_by_every_store(alias: str, content: Content, data: st.DataObject) -> None:
    changes: dict[str, list[Change]] = {}
    for model in (DEPOTS, DELIVERIES, TRANSFERS, TARIFFS):
        new = data.draw(contents())[model.name] or content[model.name]
        values = [field.name for field in model.fields]
        changes[model.name] = []
        for record, other in zip(content[model.name], new, strict=False):
            before = model.shape().from_mapping(record, MOMENT)
            after = model.shape().from_mapping(record | {name: other[name] for name in values}, MOMENT)
            if before != after:
                changes[model.name].append(Change(before.key, before, after))
    left = []
    for reference in (True, False):
        store = filled(alias, content, reference=reference)
        with transaction.atomic(using=alias):
            for name, batch in changes.items():
                if batch:
                    store.write(SCHEMA[name], batch, NOW)
                    found = store.lookup(SCHEMA[name], [change.key for change in batch])
                    assert list(found) == [change.after for change in batch]
        left.append(as_stored(alias))
    assert left[0] == left[1]


DELIVERY: dict[str, str | None] = {
    "depot": "A", "carrier_name": "X", "day": "2024-02-29", "number": "7", "weight": "1.500", "express": "true",
    "tracking": "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "arrived_at": MOMENT, "details": '{"a":1.5,"b":[1,true]}',
    "attempts": "5",
}  # fmt: skip
ONE: Content = {
    "depots": [{"code": "A", "note": ""}], "carriers": [{"name": "X"}], "deliveries": [DELIVERY], "transfers": [],
    "tariffs": [],
}  # fmt: skip
Spelling = tuple[str, str, str | None]
"""A column, a value of it in SQL, and the text that it has."""
DETAILS = [("details", f"'{spelling}'", text) for spelling, text in ODD_JSON]
OTHER_SPELLINGS: dict[str, list[Spelling]] = {
    "default": [
        *DETAILS,
        ("tracking", "'3F2504E0-4F89-41D3-9A0C-0305E82C3301'", "3f2504e0-4f89-41d3-9a0c-0305e82c3301"),
        ("weight", "0.1", "0.100"), ("weight", "'0.10'", "0.100"), ("weight", "'1e5'", "100000.000"),
        ("weight", "-0.0", "0.000"), ("weight", "'-0.000'", "0.000"), ("weight", "7", "7.000"),
        ("is_express", "'1'", "true"), ("is_express", "0", "false"),
        ("arrived_at", "'2026-11-20 18:40:00.000000'", "2026-11-20T18:40:00.000000Z"),
        ("arrived_at", "'2026-11-20 18:40:00.5'", "2026-11-20T18:40:00.500000Z"),
        ("arrived_at", "'2026-11-21T00:10:00+05:30'", "2026-11-20T18:40:00.000000Z"),
        ("arrived_at", "'2026-11-20 11:40:00.999999-07:00'", "2026-11-20T18:40:00.999999Z"),
        ("arrived_at", "'2026-11-20 18:40:00.0000014Z'", "2026-11-20T18:40:00.000001Z"),
        ("attempts", "-0", "0"), ("attempts", "'12'", "12"), ("attempts", "9223372036854775807", "9223372036854775807"),
    ],
    "pg": [
        *DETAILS,
        ("tracking", "'{3F2504E04F8941D39A0C0305E82C3301}'", "3f2504e0-4f89-41d3-9a0c-0305e82c3301"),
        ("weight", "0.1", "0.100"), ("weight", "'0.10'", "0.100"), ("weight", "'1e5'", "100000.000"),
        ("weight", "'-0.0'", "0.000"), ("weight", "7", "7.000"), ("weight", "0.1 + 0.2", "0.300"),
        ("is_express", "'t'", "true"), ("is_express", "'off'", "false"),
        ("arrived_at", "'2026-11-21 00:10:00+05:30'", "2026-11-20T18:40:00.000000Z"),
        ("arrived_at", "'2026-11-20 11:40:00.5-07'", "2026-11-20T18:40:00.500000Z"),
        ("arrived_at", "'2026-11-20 18:40:00.0000014Z'", "2026-11-20T18:40:00.000001Z"),
        ("attempts", "-0", "0"), ("attempts", "9223372036854775807", "9223372036854775807"),
    ],
}  # fmt: skip
NO_TEXT = {
    "default": [
        ("tracking", "'x'"), ("tracking", "x'41'"), ("tracking", "'3f2504e04f8941d39a0c0305e82c330g'"),
        ("weight", "1.0005"), ("weight", "1234567"), ("weight", "'abc'"), ("weight", "9e999"),
        ("arrived_at", "'2026-02-30 00:00:00'"), ("arrived_at", "'now'"), ("arrived_at", "'2026-11-20 24:00:00'"),
        ("is_express", "2"), ("is_express", "'true'"), ("number", "1.5"), ("number", "'x'"), ("number", "3000000000"),
        ("attempts", "1e30"), ("attempts", "x'31'"), ("weight", "0.1 + 0.2"), ("weight", "x'31'"),
        ("arrived_at", "'2026-02-30 00:00:00+05:30'"), ("arrived_at", "'2026-11-20 24:00:00.5Z'"),
        ("arrived_at", "'2026-11-20 at twenty to seven'"), ("arrived_at", "'2026-11-20 18:40:00.5x'"),
        ("details", "'9007199254740993'"), ("details", "'1e400'"), ("details", "'NaN'"), ("details", "'{'"),
        ("details", "'\"\\ud800\"'"), ("details", "'\"\\u0000\"'"), ("details", "''"),
        ("details", f"'{'[' * 101}{']' * 101}'"),
    ],
    "pg": [
        ("weight", "'NaN'"), ("weight", "1.0005"), ("weight", "999999.999500"), ("weight", "-0.0005"),
        ("arrived_at", "'infinity'"), ("details", "'9007199254740993'"), ("details", "'1e400'"),
        ("details", f"'{'[' * 101}{']' * 101}'"),
    ],
}  # fmt: skip


def update(alias: str, column: str, value: str) -> None:
    connection = connections[alias]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA ignore_check_constraints = ON")
        cursor.execute(f"UPDATE parcels_delivery SET {column} = {value}".replace("%", "%%"))
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA ignore_check_constraints = OFF")


def test_another_spelling_of_a_value_has_the_same_line(alias: str) -> None:
    store = filled(alias, ONE)
    for column, value, text in OTHER_SPELLINGS[alias]:
        expected = DELIVERY | {"express" if column == "is_express" else column: text}
        with transaction.atomic(using=alias):
            update(alias, column, value)
            (line,) = store.lines(DELIVERIES)
            assert line == next(lines_of(DELIVERIES.shape(), [DELIVERIES.shape().from_mapping(expected, MOMENT)])), (
                value
            )
            assert [DELIVERIES.shape().content(record) for record in store.records(DELIVERIES)] == [expected]
            transaction.set_rollback(True, using=alias)


def test_every_row_that_refers_to_a_record_is_counted(alias: str) -> None:
    """By each of its references, those among them that Django hides from the other model."""
    transfer: dict[str, str | None] = {"day": "2024-02-29", "origin": "A", "target": "A", "parcels": "1"}
    filled(alias, ONE | {"transfers": [transfer]})
    for reference in (True, False):
        with transaction.atomic(using=alias):
            assert open_store(SCHEMA, alias, reference=reference).references(DEPOTS, ("A",)) == 3


def test_json_null_is_null(alias: str) -> None:
    store = filled(alias, ONE)
    update(alias, "details", "'null'")
    with transaction.atomic(using=alias):
        (found,) = store.records(DELIVERIES)
    assert DELIVERIES.shape().content(found) == DELIVERY | {"details": None}


def test_a_stored_value_without_a_text_is_named(alias: str) -> None:
    for column, value in NO_TEXT[alias]:
        store = filled(alias, ONE)
        update(alias, column, value)
        names = {"is_express": "express"}
        for read in (store.lines, lambda model, store=store: store.partition(model, ("A", "X", "2024-02", "22"))):
            with transaction.atomic(using=alias), pytest.raises(InvalidRecord, match=names.get(column, column)):
                list(read(DELIVERIES))
