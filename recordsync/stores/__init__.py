"""Databases as the engine sees them: :mod:`.protocol` says what it asks of one, :mod:`.orm` is the reference, and
:mod:`.sqlite` and :mod:`.postgres` let theirs do what it does fastest."""

from __future__ import annotations

from django.db import connections

from recordsync.model.schema import Schema
from recordsync.stores.orm import OrmStore, tables
from recordsync.stores.postgres import PostgresStore
from recordsync.stores.protocol import Filters, Store
from recordsync.stores.sqlite import SqliteStore

__all__ = ["Filters", "OrmStore", "PostgresStore", "SqliteStore", "Store", "open_store", "tables"]


def open_store(schema: Schema, using: str = "default", *, reference: bool = False) -> Store:
    """The fastest store for a database; the reference where there is no faster one, or where it is asked for."""
    fast = {"sqlite": SqliteStore, "postgresql": PostgresStore}.get(connections[using].vendor, OrmStore)
    return OrmStore(schema, using) if reference else fast(schema, using)
