"""Writing a preview into its folder."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from typing import Any

from core.models import Phase
from core.operations.results import Preview
from core.preview.filters import FIELDS
from core.preview.folders import tables_of
from core.preview.keys import KEYS
from core.preview.tables import INDEXES, LAYOUT, OF_SEALED, TABLES, put
from core.register.declared import SCHEMA
from recordsync.merge import Merged, effect_of
from recordsync.model.schema import Model
from recordsync.plan import Held, Plan
from recordsync.system.progress import EVERY, Progress


def write(pk: uuid.UUID, preview: Preview, progress: Progress) -> None:
    """Write the tables of a preview into its folder. The folder's ``items`` are the plan's lines already."""
    plan = preview.plan
    path = tables_of(pk)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-16000;" + TABLES)
        db.execute(f"PRAGMA user_version={LAYOUT}")
        db.execute("BEGIN")
        items: list[tuple[Any, ...]] = []
        marks = ",".join("?" * len(db.execute("SELECT * FROM items").description))
        conflicts: list[tuple[int, str]] = []

        def flush() -> None:
            db.executemany(f"INSERT INTO items VALUES ({marks})", items)
            db.executemany("INSERT INTO conflicts (item, unit) VALUES (?,?)", conflicts)
            items.clear()
            conflicts.clear()

        for item, (start, model, merged) in enumerate(_lines(plan)):
            items.append(_item(plan, item, start, model, merged))
            conflicts.extend((item, unit) for unit in merged.conflicts)
            if len(items) >= EVERY:
                flush()
                progress(Phase.PREPARE, item + 1, plan.size)
        flush()
        db.execute("COMMIT")
        db.executescript(INDEXES)
        if plan.sealed:
            db.execute(OF_SEALED)
        db.execute("BEGIN")
        put(
            db,
            digest=plan.digest,
            origin=asdict(preview.origin),
            base=asdict(preview.base),
            warnings=list(preview.warnings),
            file=preview.file,
            strategy=preview.strategy.value,
            size=plan.size,
            shapes={name: list(shape.names) for name, shape in plan.shapes.items()},
            settled={name: asdict(counts) for name, counts in plan.settled.items()},
            present={name: sorted(names) for name, names in plan.present.items()},
            held=[[held.model.name, _text(plan, held), held.references] for held in plan.held],
            sealed=plan.sealed,
            closed=None,
            version=0,
            carried=None,
            applying="",
            conflicting=(count := db.execute("SELECT count(*) FROM conflicts").fetchone()[0]),
            undecided=count,
        )
        db.execute("COMMIT")
    progress(Phase.PREPARE, plan.size, plan.size)


def _lines(plan: Plan) -> Iterator[tuple[int, Model, Merged]]:
    """The plan's lines in the order in which they are decided. Each has its start in the file; held ones have -1."""
    plan.items.seek(0)
    start = 0
    for line in plan.items:
        model, merged = plan.codec.read(line)
        yield start, model, merged
        start += len(line)
    for held in plan.held:
        yield -1, held.model, held.merged


def _item(plan: Plan, item: int, start: int, model: Model, merged: Merged) -> tuple[Any, ...]:
    """The row of a line in the table ``items``."""
    theirs = effect_of(merged, takes_theirs=True)
    ours = effect_of(merged, takes_theirs=False) if merged.conflicts else theirs
    kind = "conflict" if merged.conflicts else theirs
    fields = 0
    if merged.ours is not None and merged.theirs is not None:
        shape = plan.shapes[model.name]
        our_values, their_values = shape.project(merged.ours, model.shape()).values, merged.theirs.values
        for unit in (*merged.units, *merged.conflicts):
            for position in shape.positions(unit):
                if our_values[position] != their_values[position] and shape.names[position] in FIELDS:
                    fields |= 1 << FIELDS.index(shape.names[position])
    key = KEYS.values(model, merged.key)
    return (
        item,
        start,
        SCHEMA.models.index(model),
        *key,
        kind,
        theirs,
        ours,
        fields,
        int(merged.listed),
        int(bool(merged.sealed)),
    )


def _text(plan: Plan, held: Held) -> str:
    return plan.codec.line(held.model, held.merged).decode()
