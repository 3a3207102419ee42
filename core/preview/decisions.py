"""The decisions of a preview, which one person makes or several at the same time."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
import orjson
from django.utils.translation import gettext as _

from core.operations.closed import ClosedChoice, side_of
from core.operations.errors import OperationFailed
from core.preview.counts import Deciding, Tallies
from core.preview.filters import Filter
from core.preview.keys import KEYS
from core.preview.tables import OPEN, put
from core.register.declared import SCHEMA
from recordsync.merge import SEAL, Decide, Merged, Side, Strategy, decide_by
from recordsync.model.schema import Model


class Many(NamedTuple):
    """The result of deciding many conflicts at once, in units."""

    decided: int
    """How many were decided now."""
    left: int
    """How many had been decided for the other side before, and still are."""


class Carried(msgspec.Struct, frozen=True):
    """The result of carrying over the decisions of an earlier preview of the same file, in units."""

    made: int
    """How many were decided there."""
    carried: int
    """How many of them are decided here as they were there, because their lines are the same."""

    @property
    def lost(self) -> int:
        return self.made - self.carried


class DecidedMeanwhile(OperationFailed):
    """Somebody has decided something since the person saw the preview."""

    def __init__(self) -> None:
        super().__init__(
            _(
                "Something was decided in another tab or by somebody else since this page was loaded. "
                "Nothing was changed. Look at it again as it is now."
            )
        )


class Decisions:
    """The decisions of an open preview. Never touches the register."""

    def __init__(self, db: sqlite3.Connection, tallies: Tallies, meta: dict[str, Any]) -> None:
        self._db = db
        self._tallies = tallies
        self.strategy = Strategy(meta["strategy"])
        self.closed = msgspec.convert(meta["closed"], ClosedChoice | None)
        """What a person has decided about all closed months."""
        self.version: int = meta["version"]
        """Grows with every decision. Whoever decides says which version they saw."""
        self.conflicting: int = meta["conflicting"]
        """How many units are in conflict."""
        self.undecided: int = meta["undecided"]
        """How many of them nobody has decided yet."""
        self.carried = msgspec.convert(meta["carried"], Carried | None)
        """The result of carrying over the decisions of an earlier preview; None: there was none."""
        self.applying: str = meta["applying"]
        """The id of the restore that applies it or has applied it; blank: none."""

    @property
    def decided(self) -> int:
        """How many units in conflict somebody has decided."""
        return self.conflicting - self.undecided

    def decide(self, side: Side, item: int, unit: str = "", *, seen: int) -> int:
        """The number of units that were decided. Decides one line for a side, in one unit or in all, and saves that.

        ``seen``: the version that the person saw. Raises :class:`DecidedMeanwhile` where somebody has decided these
        units for the other side since, :class:`OperationFailed` where the preview is being applied.
        """
        terms, values = "item = ?" + " AND unit = ?" * bool(unit), [item, *([unit] if unit else [])]
        with self._changing() as version:
            overtaken = f"SELECT EXISTS (SELECT 1 FROM conflicts WHERE {terms} AND decided > ? AND side IS NOT ?)"
            if self._db.execute(overtaken, [*values, seen, side.value]).fetchone()[0]:
                raise DecidedMeanwhile
            before = self._tallies.state_of(item)
            count = self._set(side, terms, values, version)
            self._tallies.move(item, before, self._tallies.state_of(item))
            return count

    def decide_many(self, side: Side, chosen: Filter) -> Many:
        """How many units were decided. Decides for a side what a filter selects and nobody has decided, and saves that.

        Raises :class:`OperationFailed` where the preview is being applied.
        """
        with self._changing() as version:
            where, values = chosen.units()
            left = self.would_change(side, chosen)
            count = self._set(side, f"{where} AND {OPEN}", values, version)
            self._tallies.recount()
            return Many(count, left)

    def would_change(self, side: Side | None, chosen: Filter) -> int:
        """How many decided units :meth:`redecide_many` would change."""
        where, values = chosen.units()
        query = f"SELECT count(*) FROM conflicts WHERE {where} AND side IS NOT NULL AND side IS NOT ?"
        return int(self._db.execute(query, [*values, side and side.value]).fetchone()[0])

    def redecide_many(self, side: Side | None, chosen: Filter, *, seen: int) -> int:
        """The number of units that were changed. Decides for a side (None: takes back) what a filter selects and
        somebody has decided otherwise, and saves that.

        ``seen``: the version in which the person saw this number. Raises :class:`DecidedMeanwhile` where the version is
        another one now, :class:`OperationFailed` where the preview is being applied.
        """
        with self._changing(seen) as version:
            where, values = chosen.units()
            other = f"{where} AND side IS NOT NULL AND side IS NOT ?"
            count = self._set(side, other, [*values, side and side.value], version)
            self._tallies.recount()
            return count

    def _set(self, side: Side | None, where: str, values: list[Any], version: int) -> int:
        query = f"UPDATE conflicts SET side = ?, decided = ? WHERE {where}"
        count = self._db.execute(query, [side and side.value, version, *values]).rowcount
        self._count_open()
        return count

    def _count_open(self) -> None:
        """Save how many units nobody has decided yet."""
        self.undecided = self._db.execute(f"SELECT count(*) FROM conflicts WHERE {OPEN}").fetchone()[0]
        put(self._db, undecided=self.undecided)

    def choose(self, strategy: Strategy) -> None:
        """Choose another strategy. Decisions are kept for when it is ``manual`` again.

        Raises :class:`DecidedMeanwhile` where somebody has decided something since the preview was opened,
        :class:`OperationFailed` where it is being applied.
        """
        with self._changing(self.version):
            put(self._db, strategy=strategy.value)
        self.strategy = strategy

    def choose_closed(self, choice: ClosedChoice) -> None:
        """Decide about all closed months. Conflicts in months that are kept closed need no decision.

        Raises :class:`DecidedMeanwhile` where somebody has decided something since the preview was opened,
        :class:`OperationFailed` where it is being applied.
        """
        with self._changing(self.version):
            kept = "UPDATE conflicts SET kept = ? WHERE item IN (SELECT id FROM items WHERE sealed)"
            self._db.execute(kept, [choice is ClosedChoice.KEEP])
            self._count_open()
            put(self._db, closed=choice.value)
        self.closed = choice

    @property
    def deciding(self) -> Deciding:
        """What decides the lines, beside what was decided by hand."""
        return Deciding(self.strategy, self.closed)

    def overruled(self, strategy: Strategy) -> int:
        """How many decided units a strategy decides for the other side."""
        query = "SELECT count(*) FROM conflicts WHERE side != ?"
        return int(self._db.execute(query, [strategy.side and strategy.side.value]).fetchone()[0])

    def apply_by(self, operation: uuid.UUID | None) -> None:
        """Let only this restore apply the preview, and accept no more decisions; None: set the preview free again.

        Raises :class:`DecidedMeanwhile` where somebody has decided something since the preview was opened.
        """
        self._db.execute("BEGIN IMMEDIATE")
        try:
            if operation is not None:
                self._require(self.version)
            put(self._db, applying=str(operation or ""))
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self.applying = str(operation or "")

    @contextmanager
    def _changing(self, seen: int | None = None) -> Iterator[int]:
        """A transaction that changes what is decided, with the version that it makes. ``seen``: the version that it
        must find (None: any)."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            (applying,) = self._db.execute("SELECT value FROM meta WHERE name = 'applying'").fetchone()
            if orjson.loads(applying):
                raise OperationFailed(_("This preview is being applied: its decisions are not changed any more."))
            version = self._require(seen) + 1
            yield version
            put(self._db, version=version)
            self._db.execute("COMMIT")
            self.version = version
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def _require(self, seen: int | None) -> int:
        """The stored version. Raises :class:`DecidedMeanwhile` unless it is the one that was seen (None: any)."""
        (text,) = self._db.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
        version = int(orjson.loads(text))
        if seen is not None and version != seen:
            raise DecidedMeanwhile
        return version

    def decisions(self) -> Decide:
        """A function that says whose side a conflict takes, by the strategy or as it was decided. For ``manual`` it
        reads the tables at each call."""
        sealed = side_of(self.closed)
        if self.strategy is not Strategy.MANUAL:
            return decide_by(self.strategy, sealed)
        sides = {"ours": Side.OURS, "theirs": Side.THEIRS, None: None}
        positions = {model.name: position for position, model in enumerate(SCHEMA)}
        key = " AND ".join(f"{column} = ?" for column in KEYS.all)
        find = f"SELECT side FROM items JOIN conflicts ON item = id WHERE {key} AND model = ? AND unit = ?"

        def decide(model: Model, merged: Merged, unit: str) -> Side | None:
            if unit == SEAL:
                return sealed
            values = (*KEYS.values(model, merged.key), positions[model.name], unit)
            (side,) = self._db.execute(find, values).fetchone()
            return sides[side]

        return decide
