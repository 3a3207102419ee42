"""A stored preview: what a checked file would do, for people to filter, page through, count and decide."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from typing import IO, Any, Final

import msgspec
import orjson
from django.utils.translation import gettext as _

from core.operations.closed import ClosedChoice, MonthChange
from core.operations.errors import OperationFailed
from core.operations.results import BaseSummary, Origin
from core.preview.counts import Tallies
from core.preview.decisions import Carried, Decisions
from core.preview.filters import Filter
from core.preview.folders import folder_of, tables_of
from core.preview.keys import KEYS
from core.preview.lines import Line, Page
from core.preview.tables import LAYOUT, put
from core.register.declared import SCHEMA
from recordsync.merge import Counts
from recordsync.plan import Held, Plan

PAGE: Final = 25
COUNTED: Final = 10_000
"""Up to how many the lines of a filter are counted. Beyond that a page says only that there are more."""


class PreviewGone(OperationFailed):
    """There is no such preview, or it cannot be read."""


@contextmanager
def opened(pk: uuid.UUID) -> Iterator[StoredPreview]:
    """The preview with this id, open until the block ends. Raises :class:`PreviewGone` where there is none any more."""
    path = tables_of(pk)
    if not path.is_file():
        raise PreviewGone(
            _(
                "This preview is not there any more: it was applied, or nobody touched it for a day. Nothing was "
                "changed. Choose the file again."
            )
        )
    with (
        closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as db,
        (folder_of(pk) / "items").open("rb") as items,
    ):
        if db.execute("PRAGMA user_version").fetchone() != (LAYOUT,):
            raise PreviewGone(
                _("This preview was made by another version of Muster. Nothing was changed. Choose the file again.")
            )
        yield StoredPreview(pk, db, items)


class StoredPreview(Decisions):
    """An open preview: pages of its lines, counts, decisions. Never touches the register."""

    def __init__(self, pk: uuid.UUID, db: sqlite3.Connection, items: IO[bytes]) -> None:
        meta = {name: orjson.loads(value) for name, value in db.execute("SELECT name, value FROM meta")}
        shapes = {model.name: model.shape(meta["shapes"][model.name]) for model in SCHEMA}
        self.plan: Plan = Plan(SCHEMA, shapes, items, meta["digest"], meta["size"])
        self.plan.sealed = meta["sealed"]
        self.plan.settled = {name: Counts(**counts) for name, counts in meta["settled"].items()}
        self.plan.present = {name: set(names) for name, names in meta["present"].items()}
        self.plan.held = [
            Held(SCHEMA[name], self.plan.codec.read(line.encode())[1], references)
            for name, line, references in meta["held"]
        ]
        super().__init__(db, Tallies(db, self.plan), meta)
        self.pk = pk
        self.origin = Origin(**meta["origin"])
        self.base = msgspec.convert(meta["base"], BaseSummary)
        self.warnings: list[str] = meta["warnings"]
        """Sentences about what is odd in the file and does no harm."""
        self.file: str = meta["file"]

    def page(self, chosen: Filter, after: int | None = None, before: int | None = None) -> Page:
        """A page of :data:`PAGE` lines that a filter selects: those after one line, or those before one line."""
        total, many = self.count(chosen)
        backwards = before is not None
        edge, sign = (before, "<") if backwards else (-1 if after is None else after, ">")
        order = "DESC" if backwards else ""
        if chosen.is_of_conflicts:
            conflicting, values = chosen.conflicting()
            where = f"id IN ({conflicting} AND item {sign} ? ORDER BY item {order} LIMIT {PAGE + 1})"
        else:
            # Of many lines, a page is found soonest by their order. Few are found by the index, and then sorted.
            where, values = chosen.where(by_date=not many)
            where = f"{where} AND id {sign} ?"
        rows = self._db.execute(
            f"SELECT id, start, kind FROM items WHERE {where} ORDER BY id {order} LIMIT {PAGE + 1}",
            [*values, edge],
        ).fetchall()
        more, rows = len(rows) > PAGE, rows[:PAGE]
        if backwards:
            rows.reverse()
        blocked = self._tallies.blocked(self.deciding) if any(start < 0 for _pk, start, _kind in rows) else []
        lines = [self._line(*row, blocked=blocked) for row in rows]
        first = rows[0][0] if rows and (more if backwards else after is not None) else None
        last = rows[-1][0] if rows and (backwards or more) else None
        return Page(lines, total, many, first, last)

    def count(self, chosen: Filter) -> tuple[int, bool]:
        """How many lines a filter selects, and whether there are more. Lines that are not tallied are counted up to
        :data:`COUNTED`."""
        if chosen.is_tallied:
            where, values = chosen.where()
            query = f"SELECT coalesce(sum(n), 0) FROM tallies WHERE {where}"
            return int(self._db.execute(query, values).fetchone()[0]), False
        if chosen.is_of_conflicts:
            selected, values = chosen.conflicting()
        else:
            where, values = chosen.where()
            selected = f"SELECT 1 FROM items WHERE {where}"
        query = f"SELECT count(*) FROM ({selected} LIMIT {COUNTED + 1})"
        n = int(self._db.execute(query, values).fetchone()[0])
        return min(n, COUNTED), n > COUNTED

    def counts(self) -> dict[str, Counts]:
        """The counts of what becomes of all entries of the file as it is decided now, per model."""
        return self._tallies.counts(self.deciding)

    def results_by_company(self) -> list[dict[str, Any]]:
        """For each company, what becomes of its attendance records as it is decided now. Companies with the most
        changes come first."""
        return self._tallies.by_company(self.deciding)

    def deleted_by_company(self) -> dict[str, int]:
        """For each company that loses any, how many of its attendance records are deleted as it is decided now."""
        return self._tallies.deleted_by_company(self.deciding)

    def sealed_months(self) -> dict[tuple[str, str], MonthChange]:
        """The closed months that change, or would, as it is decided now, each by company and ``YYYY-MM``."""
        return self._tallies.sealed_months(self.deciding) if self.plan.sealed else {}

    def conflicting_companies(self) -> list[str]:
        """The companies that have conflicts."""
        return self._tallies.conflicting_companies()

    def carry_over(self, earlier: StoredPreview) -> Carried:
        """The result of deciding as in an earlier preview of the same file where a line is the same in both.

        A line is the same if it says the same of both sides, and of a company that is deleted there also how much
        refers to it. The decisions are saved.
        """
        key = ", ".join(KEYS.all)
        query = f"""
            SELECT old.id, old.start, old.unit, old.side, new.id, new.start FROM (
              SELECT * FROM earlier.items JOIN earlier.conflicts ON item = id WHERE side IS NOT NULL
            ) AS old LEFT JOIN main.items AS new USING ({key}, model) ORDER BY old.id
        """
        decide = "UPDATE conflicts SET side = ?, decided = ? WHERE item = ? AND unit = ?"
        self._db.execute("ATTACH ? AS earlier", [str(tables_of(earlier.pk))])
        try:
            with self._changing() as version:
                made = carried = 0
                with closing(self._db.execute(query)) as decided:
                    for then, then_start, unit, side, now, now_start in decided:
                        made += 1
                        if now is not None and earlier._text(then, then_start) == self._text(now, now_start):
                            self._db.execute(decide, [side, version, now, unit])
                            carried += 1
                self._tallies.recount()
                self._count_open()
                self.carried = Carried(made, carried)
                put(self._db, carried=msgspec.to_builtins(self.carried))
                return self.carried
        finally:
            self._db.execute("DETACH earlier")

    def _sides(self, item: int) -> dict[str, str]:
        """The side that each unit in conflict of a line takes, by the strategy or as decided (blank: not decided)."""
        rows = self._db.execute("SELECT unit, coalesce(side, '') FROM conflicts WHERE item = ?", [item])
        return {unit: self.strategy.side or side for unit, side in rows}

    def _held(self, pk: int) -> Held:
        """The held deletion or other name with this line's id."""
        return self.plan.held[pk - self.plan.size]

    def _text(self, pk: int, start: int) -> bytes:
        """The text of a line, which says everything that the line says."""
        if start < 0:
            held = self._held(pk)
            return b"%d %b" % (held.references, self.plan.codec.line(held.model, held.merged))
        self.plan.items.seek(start)
        return self.plan.items.readline()

    def _line(self, pk: int, start: int, kind: str, *, blocked: Collection[Held]) -> Line:
        """The line with this id, for people. ``blocked``: the held lines that cannot be applied."""
        if start < 0:
            held = self._held(pk)
            line = Line.of(self.plan, pk, kind, held.model, held.merged, self._sides(pk))
            line.stays = held in blocked
        else:
            self.plan.items.seek(start)
            line = Line.of(self.plan, pk, kind, *self.plan.codec.read(self.plan.items.readline()), self._sides(pk))
        line.is_kept = line.is_closed and self.closed is ClosedChoice.KEEP
        return line
