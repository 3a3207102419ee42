"""The counts of what becomes of a preview's lines as they are decided, without reading each line.

The tables say how many lines have which effect. The engine says what each effect means for the counts.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from core.operations.closed import ClosedChoice, MonthChange
from core.preview.keys import COMPANY, DATE, KEYS, MONTH
from core.register.declared import ATTENDANCE_RECORDS, SCHEMA, SEALS
from recordsync.merge import Counts, Effect, Side, Strategy
from recordsync.model.records import Key
from recordsync.model.schema import Model
from recordsync.plan import Account, Held, Plan, References

_BY_COMPANY: Final = (Effect.ADD, Effect.UPDATE, Effect.DELETE, Effect.KEEP, Effect.UNDECIDED)
"""The effects that are counted by company."""

_NAMES: Final = ", ".join(KEYS.names)
_COUNT: Final = f"""
INSERT INTO decided
  SELECT model, {_NAMES}, iif(takes_theirs, theirs, ours) AS effect, listed, start < 0 AS held, sealed, count(*)
  FROM items JOIN (
    SELECT item, max(side = 'theirs') AS takes_theirs FROM conflicts GROUP BY item HAVING count(side) = count(*)
  ) ON item = id GROUP BY model, {_NAMES}, effect, listed, held, sealed
"""
"""Counts the lines whose conflicts are all decided. All counts are made of ``tallies`` and this."""
_COUNT_ONE: Final = f"""
INSERT INTO decided SELECT model, {_NAMES}, iif(?, theirs, ours), listed, start < 0, sealed, ? FROM items WHERE id = ?
ON CONFLICT DO UPDATE SET n = n + excluded.n
"""
_SEALED: Final = f"""
SELECT {COMPANY}, substr({DATE} || {MONTH}, 1, 7), sum(model = :records), sum(model = :seals AND theirs = 'update')
FROM items
LEFT JOIN (
  SELECT item, max(side = 'theirs') AS takes_theirs FROM conflicts
  WHERE item IN (SELECT id FROM items WHERE sealed) GROUP BY item HAVING count(side) = count(*)
) ON item = id
WHERE sealed AND (kind = 'keep' OR ours != 'keep' OR :side = 'theirs' OR :side = '' AND takes_theirs IS NOT 0)
GROUP BY 1, 2
"""
"""Counts the days and the reopened seals of closed months that change, or would, by company and month: all but those
whose conflicts are decided for ours. ``:side``: who wins every conflict, or blank; ``:records``, ``:seals``: the
indexes of these models."""


class Deciding(NamedTuple):
    """What decides lines, beside what was decided by hand. ``closed``: of closed months (None: nobody has)."""

    strategy: Strategy
    closed: ClosedChoice | None = None


class Group(NamedTuple):
    """``n`` lines with the same effect. ``names``: those in the key: see :meth:`Model.names_in`. ``sealed``: whether
    they are of closed months, and change or would."""

    model: Model
    names: Key
    to_decide: bool
    effect: Effect
    listed: bool
    n: int
    sealed: bool


class Tallies:
    """How many lines there are of each kind and company, as the tables say."""

    def __init__(self, db: sqlite3.Connection, plan: Plan) -> None:
        self._db = db
        self._plan = plan

    # --- kept

    def recount(self) -> None:
        """Count again what is decided."""
        self._db.execute("DELETE FROM decided")
        self._db.execute(_COUNT)

    def state_of(self, item: int) -> int | None:
        """1 where a line takes anything from theirs, 0 where it keeps ours, None where it is not decided yet."""
        query = "SELECT count(*) - count(side), max(side = 'theirs') FROM conflicts WHERE item = ?"
        is_open, takes_theirs = self._db.execute(query, [item]).fetchone()
        return None if is_open else takes_theirs

    def move(self, item: int, before: int | None, after: int | None) -> None:
        """Count that a line has moved from one state to another."""
        for state, n in ((before, -1), (after, 1)):
            if before != after and state is not None:
                self._db.execute(_COUNT_ONE, [state, n, item])

    # --- asked

    def conflicting_companies(self) -> list[str]:
        """The companies that have conflicts."""
        rows = self._db.execute(f"SELECT DISTINCT {COMPANY} FROM tallies WHERE kind = 'conflict' ORDER BY 1 LIMIT 2000")
        return [name for (name,) in rows if name]

    def by_company(self, deciding: Deciding, limit: int = 200) -> list[dict[str, Any]]:
        """For each company, how many attendance records have each effect. Those with the most changes come first."""
        rows: dict[str, dict[str, Any]] = {}
        for group in self._groups(deciding, held=False):
            if group.model is ATTENDANCE_RECORDS:
                (company,) = group.names
                row = rows.setdefault(company, {"company": company, **dict.fromkeys(_BY_COMPANY, 0)})
                row[group.effect] += group.n
        changed = {company: sum(row[effect] for effect in _BY_COMPANY[:3]) for company, row in rows.items()}
        return sorted(rows.values(), key=lambda row: (-changed[row["company"]], row["company"]))[:limit]

    def sealed_months(self, deciding: Deciding) -> dict[tuple[str, str], MonthChange]:
        """The closed months that change, or would, each by company and ``YYYY-MM``."""
        asked = {
            "side": deciding.strategy.side or "",
            "records": SCHEMA.models.index(ATTENDANCE_RECORDS),
            "seals": SCHEMA.models.index(SEALS),
        }
        rows = self._db.execute(_SEALED, asked)
        return {(company, month): MonthChange(days, reopened) for company, month, days, reopened in rows}

    def deleted_by_company(self, deciding: Deciding) -> dict[str, int]:
        """For each company that loses any, how many of its attendance records are deleted."""
        deleted: Counter[str] = Counter()
        for group in self._groups(deciding, held=False):
            if group.model is ATTENDANCE_RECORDS and group.effect is Effect.DELETE:
                deleted[group.names[0]] += group.n
        return deleted

    def counts(self, deciding: Deciding) -> dict[str, Counts]:
        """The counts of what becomes of all entries of the file, per model."""
        account = Account(self._plan)
        for group, _held, effect in self._settled(deciding, account):
            _account(account, group, effect)
        return account.verified()

    def blocked(self, deciding: Deciding) -> list[Held]:
        """The held lines that cannot be applied, although they are decided so."""
        return [held for _group, held, effect in self._settled(deciding) if effect is Effect.BLOCKED]

    def _settled(self, deciding: Deciding, account: Account | None = None) -> list[tuple[Group, Held, Effect]]:
        """The held lines, with what becomes of them once all others are applied. Adds those to the account."""
        references = self._references(deciding, account)
        by_name = {(held.model.name, held.name): held for held in self._plan.held}
        groups = list(self._groups(deciding, held=True))
        lines = [by_name[group.model.name, group.names[0]] for group in groups]
        effects = references.settled((held, group.effect) for held, group in zip(lines, groups, strict=True))
        return list(zip(groups, lines, effects, strict=True))

    def _references(self, deciding: Deciding, account: Account | None) -> References:
        """How much refers to what, once all lines but the held ones are applied. Adds them to the account."""
        references = self._plan.references()
        for group in self._groups(deciding, held=False):
            created = references.follow(group.model, group.effect, {group.names: group.n})
            if account is not None:
                _account(account, group, group.effect)
                for step in created:
                    account.add(step)
        return references

    def _groups(self, deciding: Deciding, *, held: bool) -> Iterator[Group]:
        """All lines in groups, the models in the order of the schema."""
        side = deciding.strategy.side
        groups: Counter[tuple[int, Key, bool, str, bool, bool]] = Counter()
        query = (
            f"SELECT kind = 'conflict', theirs, ours, listed, sealed, n, model, {_NAMES} FROM tallies WHERE held = ?"
        )
        for to_decide, theirs, ours, listed, sealed, n, model, *values in self._db.execute(query, [held]):
            names = KEYS.names_in(SCHEMA.models[model], values)
            effect = theirs if side is Side.THEIRS or not to_decide else ours if side is Side.OURS else Effect.UNDECIDED
            groups[model, names, bool(to_decide), effect, bool(listed), bool(sealed)] += n
        if side is None:
            query = f"SELECT effect, listed, sealed, n, model, {_NAMES} FROM decided WHERE held = ?"
            for effect, listed, sealed, n, model, *values in self._db.execute(query, [held]):
                names = KEYS.names_in(SCHEMA.models[model], values)
                groups[model, names, True, Effect.UNDECIDED, bool(listed), bool(sealed)] -= n
                groups[model, names, True, effect, bool(listed), bool(sealed)] += n
        for (model, names, to_decide, effect, listed, sealed), n in sorted(groups.items()):
            if n:
                group = Group(SCHEMA.models[model], names, to_decide, Effect(effect), listed, n, sealed)
                yield _with_seal(group, deciding.closed) if sealed else group


def _with_seal(group: Group, choice: ClosedChoice | None) -> Group:
    """The lines of closed months, as a person decides about these (:meth:`recordsync.plan.Plan.decided`)."""
    if group.effect is Effect.KEEP and group.to_decide:
        return group._replace(sealed=False)  # its conflicts are decided so that nothing changes
    if choice is ClosedChoice.REOPEN:
        return group
    return group._replace(to_decide=False, effect=Effect.UNDECIDED if choice is None else Effect.KEEP)


def _account(account: Account, group: Group, effect: Effect) -> None:
    counts = account.of(group.model)
    counts.tally(effect, group.n, listed=group.listed, to_decide=group.to_decide)
    if group.sealed:
        counts.sealed += group.n
