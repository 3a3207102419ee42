"""A preview on disk: what a checked file would do, kept between requests, filtered, paged and decided by a person.

A folder of its own per preview, named by the id of the operation that made it: the uploaded file, the plan's lines, and
one SQLite file with a row for each line (what it does, company, employee, date, fields), so that a page of a million
is found as quickly as one of ten. Decisions are in that file too: they wait for nobody's register.
"""

from __future__ import annotations

import datetime as dt
import gzip
import shutil
import sqlite3
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import msgspec
import orjson
from django.conf import settings
from django.utils.translation import gettext as _

from core.operations.errors import OperationFailed
from core.operations.results import Preview
from core.operations.wording import shown_key
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA
from recordsync.backupfile import Metadata
from recordsync.merge import EXISTENCE, Counts, Decide, Merged, Side, Strategy, decide_by
from recordsync.model.schema import Model
from recordsync.plan import Held, Plan
from recordsync.system.progress import EVERY, Progress

FIELDS: Final = tuple(field.name for field in ATTENDANCE_RECORDS.fields)
"""The fields that a change may be filtered by; a change's fields are a number with one bit for each."""

_UNDECIDED: Final = "undecided"
_RESULTS: Final = ("add", "update", "delete", "keep", _UNDECIDED)
"""What may become of a line."""
UNITS: Final = (*ATTENDANCE_RECORDS.units, EXISTENCE)
PAGE: Final = 25
COUNTED: Final = 10_000
"""How far the lines of a filter are counted one by one; of more it is only said that there are more."""
ABANDONED: Final = dt.timedelta(days=1)
"""After how long nobody is expected to come back."""

CHANGES_KEPT: Final = dt.timedelta(days=90)
"""How long the list of what a restore changed is kept."""
_FILE: Final = "preview.sqlite3"

_TABLES: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (
  id INTEGER PRIMARY KEY, start INTEGER NOT NULL, model INTEGER NOT NULL, company TEXT NOT NULL, ep_no TEXT NOT NULL,
  date TEXT NOT NULL, kind TEXT NOT NULL, theirs TEXT NOT NULL, ours TEXT NOT NULL, fields INTEGER NOT NULL,
  listed INTEGER NOT NULL
);
CREATE TABLE conflicts (
  item INTEGER NOT NULL, unit TEXT NOT NULL, side TEXT, decided INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (item, unit)
) WITHOUT ROWID;
CREATE TABLE decided (
  model INTEGER, company TEXT, theirs TEXT, ours TEXT, listed INTEGER, held INTEGER, taken INTEGER, n INTEGER NOT NULL,
  PRIMARY KEY (model, company, theirs, ours, listed, held, taken)
) WITHOUT ROWID;
"""
"""``conflicts.decided``: the version of the preview that the last decision about the unit made."""
_LAYOUT: Final = 2
"""Of these tables: a preview that another version of the program made is not read."""
_INDEXES: Final = """
CREATE INDEX items_key ON items (company, ep_no, date, model);
CREATE INDEX items_kind ON items (kind);
CREATE INDEX items_company ON items (company);
CREATE INDEX items_kind_company ON items (kind, company);
CREATE INDEX items_employee ON items (ep_no);
CREATE INDEX items_date ON items (date);
CREATE INDEX conflicts_unit ON conflicts (unit, item);
CREATE INDEX conflicts_open ON conflicts (item) WHERE side IS NULL;
CREATE INDEX conflicts_open_unit ON conflicts (unit, item) WHERE side IS NULL;
CREATE TABLE tallies AS
  SELECT model, company, kind, theirs, ours, listed, start < 0 AS held, count(*) AS n FROM items
  GROUP BY 1, 2, 3, 4, 5, 6, 7;
"""
_DECIDED: Final = """
INSERT INTO decided SELECT model, company, theirs, ours, listed, start < 0, taken, count(*) FROM items JOIN (
  SELECT item, max(side = 'theirs') AS taken FROM conflicts GROUP BY item HAVING count(side) = count(*)
) ON item = id GROUP BY 1, 2, 3, 4, 5, 6, 7
"""
"""How many lines in conflict are decided in all of their units, and whether they take anything of the other side:
``tallies`` and this are all that is counted."""
_DECIDED_ONE: Final = """
INSERT INTO decided SELECT model, company, theirs, ours, listed, start < 0, ?, ? FROM items WHERE id = ?
ON CONFLICT DO UPDATE SET n = n + excluded.n
"""


@dataclass(frozen=True)
class Filter:
    """Which lines to show or decide. Blank: any. Texts are compared, never run."""

    kind: str = ""
    company: str = ""
    ep_no: str = ""
    date_from: str = ""
    date_to: str = ""
    field: str = ""
    unit: str = ""
    undecided: bool = False

    def where(self, date: str = "date") -> tuple[str, list[Any]]:
        """The condition on ``items`` and its parameters. ``date``: how the column is written, ``+date`` for one
        whose index is not to be used."""
        terms: list[tuple[str, Any]] = []
        for column, value in (("kind", self.kind), ("company", self.company), ("ep_no", self.ep_no)):
            if value:
                terms.append((f"{column} = ?", value))
        if self.date_from:
            terms.append((f"{date} >= ?", self.date_from))
        if self.date_to:
            terms.append((f"{date} <= ? AND {date} != ''", self.date_to))
        if self.field in FIELDS:
            terms.append(("fields & ?", 1 << FIELDS.index(self.field)))
        sql = [term for term, _value in terms]
        values = [value for _term, value in terms]
        if self.unit or self.undecided:
            conflicting, more = self.conflicting()
            sql.append(f"EXISTS ({conflicting} AND item = id)")
            values += more
        return " AND ".join(f"({term})" for term in sql) or "1", values

    def conflicting(self) -> tuple[str, list[Any]]:
        """The query for the lines of which ``unit`` is in conflict or ``undecided``, to be narrowed by further terms;
        and its parameters."""
        terms = [*(["unit = ?"] if self.unit else []), *(["side IS NULL"] if self.undecided else [])]
        query = f"SELECT DISTINCT item FROM conflicts WHERE {' AND '.join(terms) or '1'}"  # noqa: S608 # of constants
        return query, [self.unit] if self.unit else []

    def units(self) -> tuple[str, list[Any]]:
        """The condition on ``conflicts`` for what is decided where all that the filter leaves is decided: the units of
        its lines, and with ``unit`` or ``undecided`` these alone; and its parameters."""
        where, values = replace(self, unit="", undecided=False).where()
        terms = [f"item IN (SELECT id FROM items WHERE {where})"] if where != "1" else []  # noqa: S608 # of constants
        if self.unit:
            terms.append("unit = ?")
            values.append(self.unit)
        if self.undecided:
            terms.append("side IS NULL")
        return " AND ".join(terms) or "1", values

    @property
    def is_tallied(self) -> bool:
        """Whether the tables of counts know how many lines it leaves."""
        return not (self.ep_no or self.date_from or self.date_to or self.field or self.unit or self.undecided)

    @property
    def is_of_conflicts(self) -> bool:
        """Whether it is about conflicts alone, whose own order and indexes then serve it."""
        others = (self.company, self.ep_no, self.date_from, self.date_to, self.field)
        return bool(self.unit or self.undecided) and self.kind in ("", "conflict") and not any(others)


@dataclass(frozen=True)
class FieldLine:
    """One field of one line, on both sides."""

    name: str
    ours: str | None
    theirs: str | None
    unit: str
    base: str | None = None

    @property
    def differs(self) -> bool:
        return self.ours != self.theirs


@dataclass(frozen=True)
class UnitLine:
    """A unit that both sides changed: its fields, and whose side is taken as things stand (blank: not decided)."""

    name: str
    side: str
    fields: list[FieldLine]


@dataclass
class Line:
    """One line of the plan for people."""

    id: int
    kind: str
    model: Model
    key: tuple[str, ...]
    fields: list[FieldLine]
    units: list[UnitLine]
    ours_is_there: bool
    theirs_is_there: bool
    base_is_known: bool
    """Whether it is proven what both sides once had; it is shown beside them."""
    stays: bool = False
    """Whether it is a company that the file deletes and that something here still refers to."""
    changed_at: dt.datetime | None = None
    """When the register's record last changed, if that was looked up (:func:`core.restores.jobs.look_up`)."""

    @property
    def shown_key(self) -> str:
        return shown_key(self.key)


@dataclass
class Page:
    """A page of lines. ``total``: how many the filter leaves; ``more``: it is even more. ``before``/``after``: where
    neighbours start."""

    lines: list[Line]
    total: int
    more: bool
    before: int | None
    after: int | None


class Origin(msgspec.Struct, frozen=True):
    """Where the previewed file comes from; a 1.0 file does not say whose it is (``name`` is blank)."""

    installation: str
    """The id of the installation that wrote it."""
    name: str
    taken_at: str

    @classmethod
    def of(cls, metadata: Metadata) -> Origin:
        return cls(metadata.installation.id, metadata.installation.name, metadata.created_at)


class Many(NamedTuple):
    """What deciding many came to, in units."""

    decided: int
    """Those that nobody had decided before."""
    left: int
    """Those that were decided before for the other side, and still are."""


class Carried(msgspec.Struct, frozen=True):
    """What became of the decisions of an earlier preview of the same file, in units."""

    made: int
    carried: int
    """Those of lines that are the same in both: they are decided here as they were there."""

    @property
    def lost(self) -> int:
        return self.made - self.carried


class PreviewGone(OperationFailed):
    """There is no such preview, or none that can be read."""


class DecidedMeanwhile(OperationFailed):
    """What the person saw is not what is decided now."""

    def __init__(self) -> None:
        super().__init__(
            _(
                "Something was decided in another tab or by somebody else since this page was loaded. "
                "Nothing was changed. Look at it again as it is now."
            )
        )


def folder_of(pk: uuid.UUID) -> Path:
    """The folder of a preview; only its id goes into the path."""
    return Path(settings.DATA_DIR) / "restores" / str(pk)


def new_folder(pk: uuid.UUID) -> Path:
    folder = folder_of(pk)
    folder.mkdir(mode=0o700, parents=True)
    return folder


def remove(pk: uuid.UUID) -> None:
    """Everything of a preview, the uploaded file included."""
    shutil.rmtree(folder_of(pk), ignore_errors=True)


def remove_abandoned(busy: set[str]) -> int:
    """Folders that nobody has touched for a day, except those of ``busy`` operations. Returns how many."""
    root = Path(settings.DATA_DIR) / "restores"
    removed = 0
    for folder in root.iterdir() if root.is_dir() else ():
        touched = max((path.stat().st_mtime for path in (folder, *folder.iterdir())), default=0.0)
        if folder.name not in busy and touched < time.time() - ABANDONED.total_seconds():
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed


def write(pk: uuid.UUID, preview: Preview, progress: Progress) -> None:
    """Put a preview into its folder, whose ``items`` its plan has written already."""
    plan = preview.plan
    path = folder_of(pk) / _FILE
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-16000;" + _TABLES)
        db.execute(f"PRAGMA user_version={_LAYOUT}")
        db.execute("BEGIN")
        items: list[tuple[Any, ...]] = []
        conflicts: list[tuple[int, str]] = []

        def flush() -> None:
            db.executemany("INSERT INTO items VALUES (?,?,?,?,?,?,?,?,?,?,?)", items)
            db.executemany("INSERT INTO conflicts (item, unit) VALUES (?,?)", conflicts)
            items.clear()
            conflicts.clear()

        for pk_, (start, model, merged) in enumerate(_lines(plan)):
            items.append(_item(plan, pk_, start, model, merged))
            conflicts.extend((pk_, unit) for unit in merged.conflicts)
            if len(items) >= EVERY:
                flush()
                progress("prepare", pk_ + 1, plan.size)
        flush()
        db.execute("COMMIT")
        db.executescript(_INDEXES)
        db.execute("BEGIN")
        _put(
            db,
            digest=plan.digest,
            origin=msgspec.to_builtins(Origin.of(preview.metadata)),
            warnings=list(preview.warnings),
            file=preview.file,
            strategy=preview.strategy.value,
            size=plan.size,
            shapes={name: list(shape.names) for name, shape in plan.shapes.items()},
            settled={name: asdict(counts) for name, counts in plan.settled.items()},
            present={name: sorted(names) for name, names in plan.present.items()},
            held=[[held.model.name, _dumped(plan, held), held.references] for held in plan.held],
            version=0,
            carried=None,
            applying="",
            conflicting=(found := db.execute("SELECT count(*) FROM conflicts").fetchone()[0]),
            undecided=found,
        )
        db.execute("COMMIT")
    progress("prepare", plan.size, plan.size)


def _lines(plan: Plan) -> Iterator[tuple[int, Model, Merged]]:
    """The plan's lines in the order in which they are decided, each with where it starts; what is held has -1."""
    plan.items.seek(0)
    start = 0
    for line in plan.items:
        model, merged = plan.codec.read(line)
        yield start, model, merged
        start += len(line)
    for held in plan.held:
        yield -1, held.model, held.merged


def _item(plan: Plan, pk: int, start: int, model: Model, merged: Merged) -> tuple[Any, ...]:
    theirs = "delete" if merged.theirs is None else "add" if merged.ours is None else "update"
    if not merged.conflicts:
        kind, ours = theirs, theirs
    else:
        kind, ours = "conflict", "update" if merged.units and merged.ours and merged.theirs else "keep"
    named = dict(zip(model.key_names, merged.key, strict=True))
    company = named["name"] if model is COMPANIES else named["company_name"]
    fields = 0
    if merged.ours is not None and merged.theirs is not None:
        shape = plan.shapes[model.name]
        mine, other = shape.project(merged.ours, model.shape()).values, merged.theirs.values
        for unit in (*merged.units, *merged.conflicts):
            for at in shape.units[unit]:
                if mine[at] != other[at]:
                    fields |= 1 << FIELDS.index(shape.names[at])
    at_model = SCHEMA.models.index(model)
    return (
        pk, start, at_model, company, named.get("ep_no", ""), named.get("date", ""), kind, theirs, ours, fields,
        int(merged.listed),
    )  # fmt: skip


def _dumped(plan: Plan, held: Held) -> str:
    return plan.codec.line(held.model, held.merged).decode()


def _put(db: sqlite3.Connection, **values: Any) -> None:
    rows = [(name, orjson.dumps(value).decode()) for name, value in values.items()]
    db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)


@contextmanager
def opened(pk: uuid.UUID) -> Iterator[StoredPreview]:
    """The preview with this id. Raises :class:`PreviewGone` where it is not there any more."""
    folder = folder_of(pk)
    path = folder / _FILE
    if not path.is_file():
        raise PreviewGone(
            _(
                "This preview is not there any more: it was applied, or nobody touched it for a day. Nothing was "
                "changed. Choose the file again."
            )
        )
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as db, (folder / "items").open("rb") as items:
        if db.execute("PRAGMA user_version").fetchone() != (_LAYOUT,):
            raise PreviewGone(
                _("This preview was made by another version of Muster. Nothing was changed. Choose the file again.")
            )
        yield StoredPreview(pk, db, items)


class StoredPreview:
    """An open preview: pages of its lines, decisions, counts. Never touches the register."""

    def __init__(self, pk: uuid.UUID, db: sqlite3.Connection, items: IO[bytes]) -> None:
        self.pk = pk
        self._db = db
        meta = {name: orjson.loads(value) for name, value in db.execute("SELECT name, value FROM meta")}
        self.origin = msgspec.convert(meta["origin"], Origin)
        self.warnings: list[str] = meta["warnings"]
        """What is odd about the file and does no harm."""
        self.file: str = meta["file"]
        self.strategy = Strategy(meta["strategy"])
        self.version: int = meta["version"]
        """Grows with every decision: who decides says which one they saw."""
        self.conflicting: int = meta["conflicting"]
        """Conflicting units."""
        self.undecided: int = meta["undecided"]
        """Those of them that nobody has decided yet."""
        self.carried = msgspec.convert(meta["carried"], Carried | None)
        """What became of the decisions of the preview that this one was made again from; None: from none."""
        self.applying: str = meta["applying"]
        """The id of the restore that applies it, or did."""
        shapes = {model.name: model.shape(meta["shapes"][model.name]) for model in SCHEMA}
        self.plan: Plan = Plan(SCHEMA, shapes, items, meta["digest"], meta["size"])
        self.plan.settled = {name: Counts(**counts) for name, counts in meta["settled"].items()}
        self.plan.present = {name: set(names) for name, names in meta["present"].items()}
        self.plan.held = [
            Held(SCHEMA[name], self.plan.codec.read(line.encode())[1], references)
            for name, line, references in meta["held"]
        ]

    # --- looking

    def page(self, chosen: Filter, after: int | None = None, before: int | None = None) -> Page:
        """The lines of a filter from one on (``after``), or up to one (``before``): :data:`PAGE` of them."""
        total, many = self.count(chosen)
        backwards = before is not None
        edge, sign = (before, "<") if backwards else (-1 if after is None else after, ">")
        order = "DESC" if backwards else ""
        if chosen.is_of_conflicts:
            found, values = chosen.conflicting()
            where = f"id IN ({found} AND item {sign} ? ORDER BY item {order} LIMIT {PAGE + 1})"
        else:
            # Of many lines a page is found soon by their order; few are found by the index and then put in order.
            where, values = chosen.where("+date" if many else "date")
            where = f"{where} AND id {sign} ?"
        rows = self._db.execute(
            f"SELECT id, start, kind FROM items WHERE {where} ORDER BY id {order} LIMIT {PAGE + 1}",  # noqa: S608 # of constants
            [*values, edge],
        ).fetchall()
        more, rows = len(rows) > PAGE, rows[:PAGE]
        if backwards:
            rows.reverse()
        lines = [self._line(*row) for row in rows]
        deleted = [line for line in lines if line.model is COMPANIES and not line.theirs_is_there]
        referred = self._referred_to() if deleted else set()
        for line in deleted:
            line.stays = line.key[0] in referred
        first = rows[0][0] if rows and (more if backwards else after is not None) else None
        last = rows[-1][0] if rows and (backwards or more) else None
        return Page(lines, total, many, first, last)

    def count(self, chosen: Filter) -> tuple[int, bool]:
        """How many lines a filter leaves, and whether it is even more: where they are not tallied,
        :data:`COUNTED` are counted."""
        if chosen.is_tallied:
            where, values = chosen.where()
            query = f"SELECT coalesce(sum(n), 0) FROM tallies WHERE {where}"  # noqa: S608 # of constants
            return int(self._db.execute(query, values).fetchone()[0]), False
        if chosen.is_of_conflicts:
            found, values = chosen.conflicting()
        else:
            where, values = chosen.where()
            found = f"SELECT 1 FROM items WHERE {where}"  # noqa: S608 # of constants
        query = f"SELECT count(*) FROM ({found} LIMIT {COUNTED + 1})"  # noqa: S608 # of constants
        n = int(self._db.execute(query, values).fetchone()[0])
        return min(n, COUNTED), n > COUNTED

    def _sides(self, item: int) -> dict[str, str]:
        """Per conflicting unit of a line whose side is taken, by the strategy or as decided (blank: not yet)."""
        rows = self._db.execute("SELECT unit, coalesce(side, '') FROM conflicts WHERE item = ?", [item])
        winner = {Strategy.BACKUP_WINS: Side.THEIRS.value, Strategy.DATABASE_WINS: Side.OURS.value}.get(self.strategy)
        return {unit: winner or side for unit, side in rows}

    def _held(self, pk: int) -> Held:
        """The deletion that stands at a line's place."""
        return self.plan.held[pk - (self.plan.size - len(self.plan.held))]

    def _said(self, pk: int, start: int) -> bytes:
        """Everything that a line says."""
        if start < 0:
            held = self._held(pk)
            return b"%d %b" % (held.references, self.plan.codec.line(held.model, held.merged))
        self.plan.items.seek(start)
        return self.plan.items.readline()

    def _line(self, pk: int, start: int, kind: str) -> Line:
        if start < 0:
            held = self._held(pk)
            model, merged = held.model, held.merged
        else:
            self.plan.items.seek(start)
            model, merged = self.plan.codec.read(self.plan.items.readline())
        shape, whole = self.plan.shapes[model.name], model.shape()
        ours = whole.content(merged.ours) if merged.ours else {}
        theirs = shape.content(merged.theirs) if merged.theirs else {}
        base = shape.content(merged.base) if merged.base else {}
        unit_of = {name: unit for unit, names in model.units.items() for name in names}
        fields = [
            FieldLine(name, ours.get(name), theirs.get(name), unit, base.get(name))
            for name, unit in unit_of.items()
            if name in shape.names and (ours.get(name) or theirs.get(name)) is not None
        ]
        if merged.ours and merged.theirs:
            shown = {*merged.units, *merged.conflicts}
            fields = [one for one in fields if one.unit in shown and (one.differs or one.unit in merged.conflicts)]
        sides = self._sides(pk)
        units = [
            UnitLine(unit, sides[unit], [one for one in fields if unit in (EXISTENCE, one.unit)])
            for unit in merged.conflicts
        ]
        settled = [one for one in fields if one.unit not in merged.conflicts and EXISTENCE not in merged.conflicts]
        there = (merged.ours is not None, merged.theirs is not None, merged.base is not None)
        return Line(pk, kind, model, merged.key, settled, units, *there)

    def conflicting_companies(self) -> list[str]:
        """Companies of which something is to be decided."""
        rows = self._db.execute("SELECT DISTINCT company FROM tallies WHERE kind = 'conflict' ORDER BY 1 LIMIT 2000")
        return [name for (name,) in rows]

    def results_by_company(self, limit: int = 200) -> list[dict[str, Any]]:
        """What becomes of attendance records that differ, as decided now, by company: those with the most first."""
        found: dict[str, dict[str, Any]] = {}
        records = SCHEMA.models.index(ATTENDANCE_RECORDS)
        for at, company, _conflict, result, _listed, n in self._decided(held=False):
            if at == records:
                one = found.setdefault(company, {"company": company, **dict.fromkeys(_RESULTS, 0)})
                one[result] += n
        return sorted(found.values(), key=lambda one: (one["keep"] - sum(one[r] for r in _RESULTS), one["company"]))[
            :limit
        ]

    # --- deciding

    @property
    def decided(self) -> int:
        """Conflicting units that somebody has decided."""
        return self.conflicting - self.undecided

    def decide(self, side: Side, item: int, unit: str = "", *, seen: int) -> int:
        """Decide one line for a side, in one unit or in all. Saved when this returns; returns how many units.

        ``seen``: the version that the person saw. Raises :class:`DecidedMeanwhile` where somebody has decided these
        units otherwise since, :class:`OperationFailed` where the preview is being applied.
        """
        terms, values = "item = ?" + " AND unit = ?" * bool(unit), [item, *([unit] if unit else [])]
        with self._changing() as version:
            overtaken = f"SELECT EXISTS (SELECT 1 FROM conflicts WHERE {terms} AND decided > ? AND side IS NOT ?)"  # noqa: S608 # of constants
            if self._db.execute(overtaken, [*values, seen, side.value]).fetchone()[0]:
                raise DecidedMeanwhile
            before = self._state_of(item)
            found = self._set(side, terms, values, version)
            after = self._state_of(item)
            for state, n in ((before, -1), (after, 1)):
                if before != after and state is not None:
                    self._db.execute(_DECIDED_ONE, [state, n, item])
            return found

    def decide_many(self, side: Side, chosen: Filter) -> Many:
        """Decide for a side whatever a filter leaves that nobody has decided yet. Saved when this returns.

        Raises :class:`OperationFailed` where the preview is being applied.
        """
        with self._changing() as version:
            where, values = chosen.units()
            left = self.would_change(side, chosen)
            found = self._set(side, f"{where} AND side IS NULL", values, version)
            self._count_decided()
            return Many(found, left)

    def would_change(self, side: Side | None, chosen: Filter) -> int:
        """How many units that are decided :meth:`redecide_many` would change."""
        where, values = chosen.units()
        query = f"SELECT count(*) FROM conflicts WHERE {where} AND side IS NOT NULL AND side IS NOT ?"  # noqa: S608 # of constants
        return int(self._db.execute(query, [*values, side and side.value]).fetchone()[0])

    def redecide_many(self, side: Side | None, chosen: Filter, *, seen: int) -> int:
        """Change what is decided: for a side, or take it back (None). Saved when this returns; returns how many units.

        ``seen``: the version in which the person was told how many it would be. Raises :class:`DecidedMeanwhile` where
        it is another one now, :class:`OperationFailed` where the preview is being applied.
        """
        with self._changing(seen) as version:
            where, values = chosen.units()
            other = f"{where} AND side IS NOT NULL AND side IS NOT ?"
            found = self._set(side, other, [*values, side and side.value], version)
            self._count_decided()
            return found

    def _set(self, side: Side | None, where: str, values: list[Any], version: int) -> int:
        query = f"UPDATE conflicts SET side = ?, decided = ? WHERE {where}"  # noqa: S608 # of constants
        found = self._db.execute(query, [side and side.value, version, *values]).rowcount
        self.undecided = self._db.execute("SELECT count(*) FROM conflicts WHERE side IS NULL").fetchone()[0]
        _put(self._db, undecided=self.undecided)
        return found

    def _count_decided(self) -> None:
        self._db.execute("DELETE FROM decided")
        self._db.execute(_DECIDED)

    def _state_of(self, item: int) -> int | None:
        """1 where a line takes anything of the other side, 0 where it is kept, None where it is not decided yet."""
        query = "SELECT count(*) - count(side), max(side = 'theirs') FROM conflicts WHERE item = ?"
        is_open, taken = self._db.execute(query, [item]).fetchone()
        return None if is_open else taken

    def choose(self, strategy: Strategy) -> None:
        """Another strategy; decisions are kept for when it is ``manual`` again.

        Raises :class:`DecidedMeanwhile` where somebody has decided something since it was opened.
        """
        with self._changing(self.version):
            _put(self._db, strategy=strategy.value)
        self.strategy = strategy

    def overruled(self, strategy: Strategy) -> int:
        """How many units that are decided come out otherwise under a strategy."""
        query = "SELECT count(*) FROM conflicts WHERE side != ?"
        return int(self._db.execute(query, [strategy.side and strategy.side.value]).fetchone()[0])

    def carry_over(self, earlier: StoredPreview) -> Carried:
        """Decide as in an earlier preview of the same file whatever is the same in both: the line with everything that
        it says of both sides, and of a company that the file deletes also how much refers to it."""
        query = (
            "SELECT there.id, there.start, there.unit, there.side, here.id, here.start FROM ("
            "SELECT * FROM earlier.items JOIN earlier.conflicts ON item = id WHERE side IS NOT NULL"
            ") AS there LEFT JOIN main.items AS here USING (company, ep_no, date, model) ORDER BY there.id"
        )
        decide = "UPDATE conflicts SET side = ?, decided = ? WHERE item = ? AND unit = ?"
        self._db.execute("ATTACH ? AS earlier", [str(folder_of(earlier.pk) / _FILE)])
        try:
            with self._changing() as version:
                made = carried = 0
                with closing(self._db.execute(query)) as decided:
                    for then, then_start, unit, side, now, now_start in decided:
                        made += 1
                        if now is not None and earlier._said(then, then_start) == self._said(now, now_start):
                            self._db.execute(decide, [side, version, now, unit])
                            carried += 1
                self._count_decided()
                self.undecided = self.conflicting - carried
                self.carried = Carried(made, carried)
                _put(self._db, undecided=self.undecided, carried=msgspec.to_builtins(self.carried))
                return self.carried
        finally:
            self._db.execute("DETACH earlier")

    def apply_by(self, operation: uuid.UUID | None) -> None:
        """From now on this restore applies it, and no decision is taken; None: it is free again.

        Raises :class:`DecidedMeanwhile` where somebody has decided something since it was opened.
        """
        self._db.execute("BEGIN IMMEDIATE")
        try:
            if operation is not None:
                self._require(self.version)
            _put(self._db, applying=str(operation or ""))
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self.applying = str(operation or "")

    @contextmanager
    def _changing(self, seen: int | None = None) -> Iterator[int]:
        """A change of what is decided, given the version that it makes. ``seen``: only of this version."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            (applying,) = self._db.execute("SELECT value FROM meta WHERE name = 'applying'").fetchone()
            if orjson.loads(applying):
                raise OperationFailed(_("This preview is being applied: its decisions are not changed any more."))
            version = self._require(seen) + 1
            yield version
            _put(self._db, version=version)
            self._db.execute("COMMIT")
            self.version = version
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def _require(self, seen: int | None) -> int:
        """The version that is stored. Raises :class:`DecidedMeanwhile` unless it is the one that was seen."""
        (text,) = self._db.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
        version = int(orjson.loads(text))
        if seen is not None and version != seen:
            raise DecidedMeanwhile
        return version

    def decisions(self) -> Decide:
        """Whose side a conflict takes, by the strategy or as decided. For ``manual`` a look into the file for each."""
        if self.strategy is not Strategy.MANUAL:
            return decide_by(self.strategy)
        sides = {"ours": Side.OURS, "theirs": Side.THEIRS, None: None}
        find = (
            "SELECT side FROM items JOIN conflicts ON item = id "
            "WHERE company = ? AND ep_no = ? AND date = ? AND model = ? AND unit = ?"
        )

        def decide(model: Model, merged: Merged, unit: str) -> Side | None:
            company, ep_no, date = merged.key if model is ATTENDANCE_RECORDS else (merged.key[0], "", "")
            values = (company, ep_no, date, SCHEMA.models.index(model), unit)
            (side,) = self._db.execute(find, values).fetchone()
            return sides[side]

        return decide

    # --- counting

    def counts(self) -> dict[str, Counts]:
        """What becomes of everything when it is decided as it is now: what applying then does."""
        counts = {model.name: Counts() + self.plan.settled[model.name] for model in SCHEMA}
        added: dict[int, set[str]] = {0: set(), 1: set()}
        for at, company, conflict, result, listed, n in self._decided(held=False):
            model = SCHEMA.models[at]
            _tally(counts[model.name], result, listed, n, conflict)
            if result == "add":
                added[at].add(company)
        missing = added[SCHEMA.models.index(ATTENDANCE_RECORDS)] - self.plan.present[COMPANIES.name]
        counts[COMPANIES.name].created += len(missing - added[SCHEMA.models.index(COMPANIES)])
        referred = self._referred_to()
        for _at, company, conflict, result, listed, n in self._decided(held=True):
            blocked = result == "delete" and company in referred
            _tally(counts[COMPANIES.name], "keep" if blocked else result, listed, n, conflict or blocked)
        for one in counts.values():
            one.verify()
        return counts

    def _referred_to(self) -> set[str]:
        """Of the companies that the file deletes, those that something here still refers to when all else is done."""
        left = {held.merged.key[0]: held.references for held in self.plan.held}
        if left:
            records = SCHEMA.models.index(ATTENDANCE_RECORDS)
            for at, company, _conflict, result, _listed, n in self._decided(held=False):
                if at == records and company in left:
                    left[company] += {"add": n, "delete": -n}.get(result, 0)
        return {company for company, references in left.items() if references > 0}

    def _decided(self, *, held: bool) -> Iterator[tuple[int, str, bool, str, bool, int]]:
        """Groups of lines: model, company, whether in conflict, what becomes of them, whether listed, how many."""
        groups: Counter[tuple[int, str, bool, str, bool]] = Counter()
        query = "SELECT model, company, kind = 'conflict', theirs, ours, listed, n FROM tallies WHERE held = ?"
        for model, company, conflict, theirs, ours, listed, n in self._db.execute(query, [held]):
            result = theirs
            if conflict and self.strategy is not Strategy.BACKUP_WINS:
                result = ours if self.strategy is Strategy.DATABASE_WINS else _UNDECIDED
            groups[model, company, bool(conflict), result, bool(listed)] += n
        if self.strategy is Strategy.MANUAL:
            query = "SELECT model, company, theirs, ours, listed, taken, n FROM decided WHERE held = ?"
            for model, company, theirs, ours, listed, taken, n in self._db.execute(query, [held]):
                groups[model, company, True, _UNDECIDED, bool(listed)] -= n
                groups[model, company, True, theirs if taken else ours, bool(listed)] += n
        for group, n in groups.items():
            if n:
                yield *group, n


def _tally(counts: Counts, result: str, listed: bool, n: int, conflict: bool) -> None:
    """As :meth:`recordsync.plan.Step.tally`, for many at once."""
    counts.conflicts += n * conflict
    name = {"keep": "kept", "add": "added", "update": "updated", "delete": "deleted"}.get(result, result)
    if not listed:
        name = f"absent_{name}"
    setattr(counts, name, getattr(counts, name) + n)


def changes_file(operation: uuid.UUID) -> Path:
    """Where the list of what a restore changed is kept."""
    return Path(settings.DATA_DIR) / "changes" / f"{operation}.jsonl.gz"


def changes_before(moment: dt.datetime) -> set[uuid.UUID]:
    """The restores whose lists were last written before then."""
    files = (Path(settings.DATA_DIR) / "changes").glob("*.jsonl.gz")
    return {uuid.UUID(path.name.partition(".")[0]) for path in files if path.stat().st_mtime < moment.timestamp()}


def write_changes(preview: StoredPreview, path: Path, progress: Progress) -> None:
    """What applying the preview changes: one JSON object a line, with the record before and after."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    decide = preview.decisions()
    with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=3, mtime=0) as out:
        for number, step in enumerate(preview.plan.steps(decide)):
            if number % EVERY == 0:
                progress("list", min(number, preview.plan.size), preview.plan.size)
            change = step.change
            if change is None:
                continue
            shape = step.model.shape()
            line: Mapping[str, Any] = {
                "model": step.model.name,
                "change": change.kind,
                "before": change.before and shape.content(change.before),
                "after": change.after and shape.content(change.after),
            }
            out.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
