"""A preview that is kept: what a checked file would do, filtered, paged, counted, and decided by a person."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import IO, Any, Final

import msgspec
import orjson
from django.utils.translation import gettext as _

from core.operations.errors import OperationFailed
from core.preview.counts import Tallies
from core.preview.decisions import Carried, Decisions
from core.preview.filters import Filter
from core.preview.folders import folder_of, tables_of
from core.preview.keys import KEYS
from core.preview.lines import Line, Page
from core.preview.tables import LAYOUT, Origin, put
from core.register.declared import SCHEMA
from recordsync.merge import Counts, Effect
from recordsync.plan import Held, Plan, References

PAGE: Final = 25
COUNTED: Final = 10_000
"""How far the lines of a filter are counted one by one; of more it is only said that there are more."""


class PreviewGone(OperationFailed):
    """There is no such preview, or none that can be read."""


@contextmanager
def opened(pk: uuid.UUID) -> Iterator[StoredPreview]:
    """The preview with this id. Raises :class:`PreviewGone` where it is not there any more."""
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
        self.plan.settled = {name: Counts(**counts) for name, counts in meta["settled"].items()}
        self.plan.present = {name: set(names) for name, names in meta["present"].items()}
        self.plan.held = [
            Held(SCHEMA[name], self.plan.codec.read(line.encode())[1], references)
            for name, line, references in meta["held"]
        ]
        super().__init__(db, Tallies(db, self.plan), meta)
        self.pk = pk
        self.origin = msgspec.convert(meta["origin"], Origin)
        self.warnings: list[str] = meta["warnings"]
        """What is odd about the file and does no harm."""
        self.file: str = meta["file"]

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
            where, values = chosen.where(by_date=not many)
            where = f"{where} AND id {sign} ?"
        rows = self._db.execute(
            f"SELECT id, start, kind FROM items WHERE {where} ORDER BY id {order} LIMIT {PAGE + 1}",  # noqa: S608 # of constants
            [*values, edge],
        ).fetchall()
        more, rows = len(rows) > PAGE, rows[:PAGE]
        if backwards:
            rows.reverse()
        references = self._tallies.references(self.strategy) if any(start < 0 for _pk, start, _kind in rows) else None
        lines = [self._line(*row, references=references) for row in rows]
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

    def counts(self) -> dict[str, Counts]:
        """What becomes of everything when it is decided as it is now: what applying then does."""
        return self._tallies.counts(self.strategy)

    def results_by_company(self) -> list[dict[str, Any]]:
        """What becomes of attendance records that differ, as decided now, by company: those with the most first."""
        return self._tallies.by_company(self.strategy)

    def conflicting_companies(self) -> list[str]:
        """Companies of which something is to be decided."""
        return self._tallies.conflicting_companies()

    def carry_over(self, earlier: StoredPreview) -> Carried:
        """Decide as in an earlier preview of the same file whatever is the same in both: the line with everything that
        it says of both sides, and of a company that the file deletes also how much refers to it."""
        key = ", ".join(KEYS.all)
        query = f"""
            SELECT there.id, there.start, there.unit, there.side, here.id, here.start FROM (
              SELECT * FROM earlier.items JOIN earlier.conflicts ON item = id WHERE side IS NOT NULL
            ) AS there LEFT JOIN main.items AS here USING ({key}, model) ORDER BY there.id
        """  # noqa: S608 # of constants
        decide = "UPDATE conflicts SET side = ?, decided = ? WHERE item = ? AND unit = ?"
        self._db.execute("ATTACH ? AS earlier", [str(tables_of(earlier.pk))])
        try:
            with self._changing() as version:
                made = carried = 0
                with closing(self._db.execute(query)) as decided:
                    for then, then_start, unit, side, now, now_start in decided:
                        made += 1
                        if now is not None and earlier._said(then, then_start) == self._said(now, now_start):
                            self._db.execute(decide, [side, version, now, unit])
                            carried += 1
                self._tallies.recount()
                self.undecided = self.conflicting - carried
                self.carried = Carried(made, carried)
                put(self._db, undecided=self.undecided, carried=msgspec.to_builtins(self.carried))
                return self.carried
        finally:
            self._db.execute("DETACH earlier")

    def _sides(self, item: int) -> dict[str, str]:
        """Per conflicting unit of a line whose side is taken, by the strategy or as decided (blank: not yet)."""
        rows = self._db.execute("SELECT unit, coalesce(side, '') FROM conflicts WHERE item = ?", [item])
        return {unit: self.strategy.side or side for unit, side in rows}

    def _held(self, pk: int) -> Held:
        """The deletion that stands at a line's place."""
        return self.plan.held[pk - self.plan.size]

    def _said(self, pk: int, start: int) -> bytes:
        """Everything that a line says."""
        if start < 0:
            held = self._held(pk)
            return b"%d %b" % (held.references, self.plan.codec.line(held.model, held.merged))
        self.plan.items.seek(start)
        return self.plan.items.readline()

    def _line(self, pk: int, start: int, kind: str, *, references: References | None) -> Line:
        """``references``: what is referred to when all else is done, for lines that are held."""
        if start < 0:
            held = self._held(pk)
            line = Line.of(self.plan, pk, kind, held.model, held.merged, self._sides(pk))
            line.stays = references is not None and references.settled(held, Effect.DELETE) is Effect.BLOCKED
            return line
        self.plan.items.seek(start)
        return Line.of(self.plan, pk, kind, *self.plan.codec.read(self.plan.items.readline()), self._sides(pk))
