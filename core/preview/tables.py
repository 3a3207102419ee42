"""The tables of a preview, in an SQLite file of its own.

They have a row for each line of the plan (what it does, its key, which fields it changes), so that a page of a million
lines is found as quickly as one of ten. They also have the decisions, which therefore never wait for the register.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import orjson

from core.preview.keys import KEYS

_KEY: Final = ", ".join(KEYS.all)
_NAMES: Final = ", ".join(KEYS.names)

TABLES: Final = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (
  id INTEGER PRIMARY KEY, start INTEGER NOT NULL, model INTEGER NOT NULL,
  {"".join(f"{column} TEXT NOT NULL, " for column in KEYS.all)}
  kind TEXT NOT NULL, theirs TEXT NOT NULL, ours TEXT NOT NULL, fields INTEGER NOT NULL, listed INTEGER NOT NULL,
  sealed INTEGER NOT NULL
);
CREATE TABLE conflicts (
  item INTEGER NOT NULL, unit TEXT NOT NULL, side TEXT, decided INTEGER NOT NULL DEFAULT 0,
  kept INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (item, unit)
) WITHOUT ROWID;
CREATE TABLE decided (
  model INTEGER, {"".join(f"{column} TEXT, " for column in KEYS.names)}
  effect TEXT, listed INTEGER, held INTEGER, sealed INTEGER, n INTEGER NOT NULL,
  PRIMARY KEY (model, {_NAMES}, effect, listed, held, sealed)
) WITHOUT ROWID;
"""
"""``items.theirs`` and ``items.ours``: what becomes of the line when its conflicts are decided for that side.
``conflicts.decided``: the version of the preview that the last decision about the unit made; ``conflicts.kept``:
whether the record stays as it is whatever is decided, because its month is kept closed."""
OPEN: Final = "side IS NULL AND NOT kept"
"""The condition on ``conflicts`` for what nobody has decided yet."""
LAYOUT: Final = 7
"""Of these tables: a preview that another version of the program made is not read."""
INDEXES: Final = f"""
CREATE INDEX items_by_key ON items ({_KEY}, model);
CREATE INDEX items_kind ON items (kind);
{"".join(f"CREATE INDEX items_{column} ON items ({column});" for column in KEYS.all)}
{"".join(f"CREATE INDEX items_kind_{column} ON items (kind, {column});" for column in KEYS.names)}
CREATE INDEX conflicts_unit ON conflicts (unit, item);
CREATE INDEX conflicts_open ON conflicts (item) WHERE {OPEN};
CREATE INDEX conflicts_open_unit ON conflicts (unit, item) WHERE {OPEN};
CREATE TABLE tallies AS
  SELECT model, {_NAMES}, kind, theirs, ours, listed, start < 0 AS held, sealed, count(*) AS n FROM items
  GROUP BY model, {_NAMES}, kind, theirs, ours, listed, held, sealed;
"""

OF_SEALED: Final = "CREATE INDEX items_sealed ON items (id) WHERE sealed"
"""The index that is made where there are lines of closed months."""


def put(db: sqlite3.Connection, **values: Any) -> None:
    """Store these values by their names. Writes to the table ``meta``."""
    rows = [(name, orjson.dumps(value).decode()) for name, value in values.items()]
    db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)
