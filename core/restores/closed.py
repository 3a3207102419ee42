"""Closed months in merges: which records only a person may change, and what becomes of the seals."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from core.history.fingerprint import month_digest
from core.models import Seal
from core.operations.closed import ClosedMonth
from core.register.closed import StandingSeal, is_closed
from core.register.database import Register
from core.register.declared import ATTENDANCE_RECORDS, SEALS
from recordsync.errors import RecordSyncError
from recordsync.merge import Decide, Strategy, decide_by
from recordsync.model.fields import TIMESTAMP
from recordsync.model.records import Key, Record
from recordsync.model.schema import Model
from recordsync.plan import IsKept, IsSealed, Plan
from recordsync.stores import Store

_ALL: Final = decide_by(Strategy.BACKUP_WINS)
_REOPENED_AT: Final = SEALS.shape().names.index("reopened_at")


def sealing(seals: Sequence[StandingSeal]) -> IsSealed | None:
    """Which records of a merge only a person may change: the days of closed months, and their seals, which a file may
    add to but not take away. None: no month is closed. ``seals``: those that stand before the merge. Pure."""
    if not seals:
        return None
    closed = {seal.of for seal in seals}

    def is_sealed(model: Model, key: Key, ours: Record | None) -> bool:
        if not is_closed(closed, model, key):
            return False
        return model is not SEALS or (ours is not None and ours.values[_REOPENED_AT] is None)

    return is_sealed


def keeping(seals: Sequence[StandingSeal], *, takes_back: bool = False) -> Mapping[str, IsKept]:
    """Which seals theirs cannot delete: who closed what when is not lost by a merge. So they stay, reopened, unless
    their company is deleted with all of its records, and no month of it is closed. ``takes_back``: whether they go all
    the same, because the register becomes as something is that does not have them. ``seals``: see :func:`sealing`.
    Pure."""
    if takes_back:
        return {}
    closed = {seal.company for seal in seals}
    return {SEALS.name: lambda seal, goes: not goes or seal.key[0] in closed}


def months_in(plan: Plan, decide: Decide, seals: Sequence[StandingSeal]) -> list[ClosedMonth]:
    """The closed months that a plan changes, or would, when it is decided so. ``seals``: those that stood before it was
    made. Reads its lines, if it has any of closed months."""
    days: Counter[tuple[str, str]] = Counter()
    for step in plan.sealed_steps(decide):
        assert step.merged is not None
        company, day = step.merged.key[:2]
        days[company, day[:7]] += step.model is ATTENDANCE_RECORDS
    return described(days, seals)


def months_with_lines(plan: Plan) -> set[tuple[str, str]]:
    """The closed months of which a plan has lines, each by company and ``YYYY-MM``. Reads its lines, if it has any."""
    return {(step.merged.key[0], step.merged.key[1][:7]) for step in plan.sealed_steps(_ALL) if step.merged is not None}


def described(days: Mapping[tuple[str, str], int], seals: Sequence[StandingSeal]) -> list[ClosedMonth]:
    """These months, each by its company's name and ``YYYY-MM`` with how many of its days would change, with who closed
    them. Pure."""
    closed = {seal.of: (seal.closed_by, str(TIMESTAMP.to_text(seal.closed_at))) for seal in seals}
    return [ClosedMonth(*month, days[month], *closed.get(month, ())) for month in sorted(days)]


def reopened(
    plan: Plan,
    months: Sequence[ClosedMonth],
    who: str,
    seals: Sequence[StandingSeal],
    register: Register,
    store: Store,
    now: dt.datetime,
) -> list[ClosedMonth]:
    """These months as they are after a merge that changed them, and after this has reopened, in the name of ``who``,
    what still stands of ``seals``, which stood before it: all but those that the month fits again and that theirs has
    not taken away. ``plan``: of the merge.

    Reads the records of these months, and writes the seals, in the current transaction.
    """
    wanted = {(one.company, one.month) for one in months}
    standing = [seal.pk for seal in seals if seal.of in wanted]
    rows = register.rows(Seal).standing().filter(pk__in=standing).select_related("company")
    keys = {step.merged.key for step in plan.sealed_steps(_ALL) if step.model is SEALS and step.merged is not None}
    of_keys = {(company, closed_at) for company, _month, closed_at in keys}
    taken = {seal.pk for seal in seals if (seal.company, str(TIMESTAMP.to_text(seal.closed_at))) in of_keys}
    opened = [row.pk for row in rows if row.pk in taken or not _fits(row, store)]
    rows.filter(pk__in=opened).update(reopened_at=now, reopened_by=who, updated_at=now)
    return as_now(months, seals, register)


def as_now(months: Sequence[ClosedMonth], seals: Sequence[StandingSeal], register: Register) -> list[ClosedMonth]:
    """These months, each with whether it is closed now. ``seals``: which stood before something changed them. Reads
    the seals."""
    companies = {seal.company: seal.company_pk for seal in seals}
    rows = register.rows(Seal).standing().order_by().filter(company__in=companies.values())
    closed = {(company, month.isoformat()[:7]) for company, month in rows.values_list("company_id", "month")}
    return [one._replace(is_closed=(companies.get(one.company), one.month) in closed) for one in months]


def _fits(seal: Seal, store: Store) -> bool:
    """Whether the month is what was closed. Reads its records."""
    try:
        return month_digest(store, seal.company.name, seal.month.replace(day=1), seal.closed_as) == seal.digest
    except RecordSyncError:
        return False  # somebody wrote past this program what no month of theirs can have
