"""What becomes of a preview's lines, counted as they are decided without looking at each."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA
from recordsync.merge import Counts, Strategy
from recordsync.plan import Plan

_UNDECIDED: Final = "undecided"
_RESULTS: Final = ("add", "update", "delete", "keep", _UNDECIDED)
"""What may become of a line."""

_COUNT: Final = """
INSERT INTO decided SELECT model, company, theirs, ours, listed, start < 0, taken, count(*) FROM items JOIN (
  SELECT item, max(side = 'theirs') AS taken FROM conflicts GROUP BY item HAVING count(side) = count(*)
) ON item = id GROUP BY 1, 2, 3, 4, 5, 6, 7
"""
"""How many lines in conflict are decided in all of their units, and whether they take anything of the other side:
``tallies`` and this are all that is counted."""
_COUNT_ONE: Final = """
INSERT INTO decided SELECT model, company, theirs, ours, listed, start < 0, ?, ? FROM items WHERE id = ?
ON CONFLICT DO UPDATE SET n = n + excluded.n
"""


class Tallies:
    """How many lines there are of each kind, of each company: as the tables have it."""

    def __init__(self, db: sqlite3.Connection, plan: Plan) -> None:
        self._db = db
        self._plan = plan

    # --- kept

    def recount(self) -> None:
        """Count anew what is decided."""
        self._db.execute("DELETE FROM decided")
        self._db.execute(_COUNT)

    def state_of(self, item: int) -> int | None:
        """1 where a line takes anything of the other side, 0 where it is kept, None where it is not decided yet."""
        query = "SELECT count(*) - count(side), max(side = 'theirs') FROM conflicts WHERE item = ?"
        is_open, taken = self._db.execute(query, [item]).fetchone()
        return None if is_open else taken

    def move(self, item: int, before: int | None, after: int | None) -> None:
        """Count that a line went from one state to another."""
        for state, n in ((before, -1), (after, 1)):
            if before != after and state is not None:
                self._db.execute(_COUNT_ONE, [state, n, item])

    # --- asked

    def conflicting_companies(self) -> list[str]:
        """Companies of which something is to be decided."""
        rows = self._db.execute("SELECT DISTINCT company FROM tallies WHERE kind = 'conflict' ORDER BY 1 LIMIT 2000")
        return [name for (name,) in rows]

    def by_company(self, strategy: Strategy, limit: int = 200) -> list[dict[str, Any]]:
        """What becomes of attendance records that differ, by company: those with the most first."""
        found: dict[str, dict[str, Any]] = {}
        records = SCHEMA.models.index(ATTENDANCE_RECORDS)
        for at, company, _conflict, result, _listed, n in self._groups(strategy, held=False):
            if at == records:
                one = found.setdefault(company, {"company": company, **dict.fromkeys(_RESULTS, 0)})
                one[result] += n
        return sorted(found.values(), key=lambda one: (one["keep"] - sum(one[r] for r in _RESULTS), one["company"]))[
            :limit
        ]

    def counts(self, strategy: Strategy) -> dict[str, Counts]:
        """What becomes of everything."""
        counts = {model.name: Counts() + self._plan.settled[model.name] for model in SCHEMA}
        added: dict[int, set[str]] = {0: set(), 1: set()}
        for at, company, conflict, result, listed, n in self._groups(strategy, held=False):
            model = SCHEMA.models[at]
            _tally(counts[model.name], result, listed, n, conflict)
            if result == "add":
                added[at].add(company)
        missing = added[SCHEMA.models.index(ATTENDANCE_RECORDS)] - self._plan.present[COMPANIES.name]
        counts[COMPANIES.name].created += len(missing - added[SCHEMA.models.index(COMPANIES)])
        referred = self.referred_to(strategy)
        for _at, company, conflict, result, listed, n in self._groups(strategy, held=True):
            blocked = result == "delete" and company in referred
            _tally(counts[COMPANIES.name], "keep" if blocked else result, listed, n, conflict or blocked)
        for one in counts.values():
            one.verify()
        return counts

    def referred_to(self, strategy: Strategy) -> set[str]:
        """Of the companies that the file deletes, those that something here still refers to when all else is done."""
        left = {held.merged.key[0]: held.references for held in self._plan.held}
        if left:
            records = SCHEMA.models.index(ATTENDANCE_RECORDS)
            for at, company, _conflict, result, _listed, n in self._groups(strategy, held=False):
                if at == records and company in left:
                    left[company] += {"add": n, "delete": -n}.get(result, 0)
        return {company for company, references in left.items() if references > 0}

    def _groups(self, strategy: Strategy, *, held: bool) -> Iterator[tuple[int, str, bool, str, bool, int]]:
        """Groups of lines: model, company, whether in conflict, what becomes of them, whether listed, how many."""
        groups: Counter[tuple[int, str, bool, str, bool]] = Counter()
        query = "SELECT model, company, kind = 'conflict', theirs, ours, listed, n FROM tallies WHERE held = ?"
        for model, company, conflict, theirs, ours, listed, n in self._db.execute(query, [held]):
            result = theirs
            if conflict and strategy is not Strategy.BACKUP_WINS:
                result = ours if strategy is Strategy.DATABASE_WINS else _UNDECIDED
            groups[model, company, bool(conflict), result, bool(listed)] += n
        if strategy is Strategy.MANUAL:
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
