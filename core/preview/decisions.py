"""What is decided in a preview, by one person or several at a time."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
import orjson
from django.utils.translation import gettext as _

from core.operations.errors import OperationFailed
from core.preview.counts import Tallies
from core.preview.filters import Filter
from core.preview.keys import KEYS
from core.preview.tables import put
from core.register.declared import SCHEMA
from recordsync.merge import Decide, Merged, Side, Strategy, decide_by
from recordsync.model.schema import Model


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


class DecidedMeanwhile(OperationFailed):
    """What the person saw is not what is decided now."""

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
            before = self._tallies.state_of(item)
            found = self._set(side, terms, values, version)
            self._tallies.move(item, before, self._tallies.state_of(item))
            return found

    def decide_many(self, side: Side, chosen: Filter) -> Many:
        """Decide for a side whatever a filter leaves that nobody has decided yet. Saved when this returns.

        Raises :class:`OperationFailed` where the preview is being applied.
        """
        with self._changing() as version:
            where, values = chosen.units()
            left = self.would_change(side, chosen)
            found = self._set(side, f"{where} AND side IS NULL", values, version)
            self._tallies.recount()
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
            self._tallies.recount()
            return found

    def _set(self, side: Side | None, where: str, values: list[Any], version: int) -> int:
        query = f"UPDATE conflicts SET side = ?, decided = ? WHERE {where}"  # noqa: S608 # of constants
        found = self._db.execute(query, [side and side.value, version, *values]).rowcount
        self.undecided = self._db.execute("SELECT count(*) FROM conflicts WHERE side IS NULL").fetchone()[0]
        put(self._db, undecided=self.undecided)
        return found

    def choose(self, strategy: Strategy) -> None:
        """Another strategy; decisions are kept for when it is ``manual`` again.

        Raises :class:`DecidedMeanwhile` where somebody has decided something since it was opened.
        """
        with self._changing(self.version):
            put(self._db, strategy=strategy.value)
        self.strategy = strategy

    def overruled(self, strategy: Strategy) -> int:
        """How many units that are decided come out otherwise under a strategy."""
        query = "SELECT count(*) FROM conflicts WHERE side != ?"
        return int(self._db.execute(query, [strategy.side and strategy.side.value]).fetchone()[0])

    def apply_by(self, operation: uuid.UUID | None) -> None:
        """From now on this restore applies it, and no decision is taken; None: it is free again.

        Raises :class:`DecidedMeanwhile` where somebody has decided something since it was opened.
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
        """A change of what is decided, given the version that it makes. ``seen``: only of this version."""
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
        places = {model.name: place for place, model in enumerate(SCHEMA)}
        key = " AND ".join(f"{column} = ?" for column in KEYS.all)
        find = f"SELECT side FROM items JOIN conflicts ON item = id WHERE {key} AND model = ? AND unit = ?"  # noqa: S608 # of constants

        def decide(model: Model, merged: Merged, unit: str) -> Side | None:
            values = (*KEYS.values(model, merged.key), places[model.name], unit)
            (side,) = self._db.execute(find, values).fetchone()
            return sides[side]

        return decide
