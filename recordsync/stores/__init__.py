"""Databases as the engine sees them. :mod:`.protocol` describes a store, :mod:`.orm` is the reference store, and
:mod:`.sqlite` and :mod:`.postgres` are the fast ones."""

from __future__ import annotations

from django.db import connections

from recordsync.model.schema import Schema
from recordsync.stores.bulk import insert
from recordsync.stores.orm import OrmStore, tables
from recordsync.stores.postgres import PostgresStore
from recordsync.stores.protocol import Filters, Store
from recordsync.stores.sqlite import SqliteStore

__all__ = ["Filters", "OrmStore", "PostgresStore", "SqliteStore", "Store", "insert", "open_store", "tables"]


def open_store(schema: Schema, using: str = "default", *, reference: bool = False) -> Store:
    """The fastest store for the database ``using``. ``reference``: the reference store, as for other databases."""
    fast = {"sqlite": SqliteStore, "postgresql": PostgresStore}.get(connections[using].vendor, OrmStore)
    return OrmStore(schema, using) if reference else fast(schema, using)
