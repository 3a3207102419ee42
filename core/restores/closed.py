"""Closed months in merges: which records only a person may change, and what becomes of the seals."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from core.history.fingerprint import month_digest
from core.models import Seal
from core.operations.closed import ClosedMonth, MonthChange
from core.register.closed import StandingSeal, is_closed
from core.register.database import Register
from core.register.declared import ATTENDANCE_RECORDS, SEALS
from recordsync.errors import RecordSyncError
from recordsync.merge import Decide, Merged, Outcome, Strategy, decide_by
from recordsync.model.fields import TIMESTAMP
from recordsync.model.records import Key, Record, Values
from recordsync.model.schema import Model, Shape
from recordsync.plan import MergeDriver, Plan, SealOf
from recordsync.stores import Store

_ALL: Final = decide_by(Strategy.BACKUP_WINS)
_REOPENING: Final = "reopening"
_WHOLE: Final = SEALS.shape()

_Drivers = Mapping[str, MergeDriver]


def sealing(seals: Sequence[StandingSeal]) -> SealOf | None:
    """By which seals records are sealed: the days of closed months, and their seals, which a file may add to but not
    take away. Only a person may change these in a merge. None: no month is closed. ``seals``: those that stand before
    the merge. Pure."""
    if not seals:
        return None
    closed: dict[tuple[str, str], str] = {}
    for seal in seals:
        closed[seal.of] = " ".join(filter(None, (closed.get(seal.of), str(TIMESTAMP.to_text(seal.closed_at)))))

    def seal_of(model: Model, key: Key, ours: Record | None) -> str:
        if not is_closed(closed, model, key):
            return ""
        if model is SEALS and (ours is None or _reopening(ours, _WHOLE)):
            return ""
        return closed[key[0], key[1][:7]]

    return seal_of


def merge_drivers(seals: Sequence[StandingSeal], *, is_exact: bool = False, withdraws: bool = False) -> _Drivers:
    """How seals merge, so that nobody's closing or reopening of a month is lost: see :func:`_grown`. ``is_exact``:
    whether the register becomes as theirs; ``withdraws``: whether what came is withdrawn: see :func:`_withdrawn`.
    ``seals``: see :func:`sealing`. Pure."""
    if is_exact:
        return {}
    if withdraws:
        return {SEALS.name: _withdrawn}
    return {SEALS.name: partial(_grown, frozenset(seal.company for seal in seals))}


def _grown(closed: Collection[str], part: Merged, shape: Shape, stays: bool) -> Merged:
    """The merge of a seal of which nothing is lost, the same on either side. ``closed``: the companies of which a month
    is closed.

    A seal that theirs deleted stays, unless its company is deleted with all of its records, and no month of it is
    closed. One that ours deleted and theirs reopened comes back, because it closes nothing. What one side reopened is
    reopened; if both did, the first time counts.
    """
    if part.ours is None:
        if part.theirs is None or not stays or not _reopening(part.theirs, shape):
            return part
        return part._replace(outcome=Outcome.TAKE, units=tuple(shape.units), conflicts=())
    if part.theirs is None:
        return _kept(part) if stays or part.key[0] in closed else part
    ours, theirs = _reopening(part.ours, _WHOLE), _reopening(part.theirs, shape)
    if ours == theirs or _REOPENING not in shape.units:
        return part
    units, conflicts = ([unit for unit in of if unit != _REOPENING] for of in (part.units, part.conflicts))
    if not ours or (theirs and theirs < ours):
        units.append(_REOPENING)
    outcome = Outcome.CONFLICT if conflicts else Outcome.TAKE if units else Outcome.KEEP
    return part._replace(outcome=outcome, units=tuple(units), conflicts=tuple(conflicts))


def _withdrawn(part: Merged, shape: Shape, stays: bool) -> Merged:
    """The merge of a seal where what came is withdrawn. It goes, and stays where it came from; but not if somebody has
    reopened it here since."""
    return _kept(part) if part.theirs is None and part.outcome is Outcome.CONFLICT else part


def _kept(part: Merged) -> Merged:
    return part._replace(outcome=Outcome.KEEP, units=(), conflicts=())


def _reopening(seal: Record, shape: Shape) -> Values:
    """When and by whom a seal was reopened; empty: it was not."""
    values = tuple(seal.values[position] for position in shape.units.get(_REOPENING, ()))
    return values if any(values) else ()


def months_in(plan: Plan, decide: Decide, seals: Sequence[StandingSeal]) -> list[ClosedMonth]:
    """The closed months that a plan changes, or would, when it is decided so. ``seals``: those that stood before it was
    made. Reads its lines, if it has any of closed months."""
    found: defaultdict[tuple[str, str], MonthChange] = defaultdict(MonthChange)
    for step in plan.sealed_steps(decide):
        assert step.merged is not None
        company, day = step.merged.key[:2]
        is_reopened = step.model is SEALS and step.merged.theirs is not None
        days, reopened = found[company, day[:7]]
        found[company, day[:7]] = MonthChange(days + (step.model is ATTENDANCE_RECORDS), reopened + is_reopened)
    return described(found, seals)


def months_with_lines(plan: Plan) -> set[tuple[str, str, str]]:
    """The closed months of which a plan has lines, each by company, ``YYYY-MM`` and what seals it. Reads its lines, if
    it has any."""
    lines = [step.merged for step in plan.sealed_steps(_ALL) if step.merged is not None]
    return {(merged.key[0], merged.key[1][:7], merged.sealed) for merged in lines}


def described(months: Mapping[tuple[str, str], MonthChange], seals: Sequence[StandingSeal]) -> list[ClosedMonth]:
    """These months, each given by its company's name and ``YYYY-MM``, with who closed them. Pure."""
    closed = {seal.of: (seal.closed_by, str(TIMESTAMP.to_text(seal.closed_at))) for seal in seals}
    standing = Counter(seal.of for seal in seals)

    return [
        ClosedMonth(*month, change.days, *closed.get(month, ("", "")), None, standing[month], change.reopened)
        for month, change in sorted(months.items())
    ]


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
    what still stands of their seals: those that theirs has taken away, and those that the month does not fit, also if
    they came with it. ``plan``: of the merge; ``seals``: those that stood before it.

    Reads the records of these months, and writes the seals, in the current transaction.
    """
    rows = _standing_of(months, seals, register)
    taken = {seal.pk for seal, _theirs in _taken_away(plan, seals)}
    opened = [row.pk for row in rows if row.pk in taken or not fits(row, store)]
    register.rows(Seal).filter(pk__in=opened).update(reopened_at=now, reopened_by=who, updated_at=now)
    return as_now(months, seals, register)


def kept_closed(
    plan: Plan,
    months: Sequence[ClosedMonth],
    who: str,
    seals: Sequence[StandingSeal],
    register: Register,
    now: dt.datetime,
) -> list[ClosedMonth]:
    """These months as they are after a merge that left them closed. Where theirs has reopened all of a month's seals
    that stood here, both are recorded: that they did, and that ``who`` has closed the month again, as the last of them
    had. ``plan``: of the merge; ``seals``: those that stood before it.

    Writes the seals, in the current transaction.
    """
    rows = register.rows(Seal)
    for seal, theirs in _taken_away(plan, seals):
        said = {} if theirs is None else plan.shapes[SEALS.name].content(theirs)
        if at := TIMESTAMP.to_python(said.get("reopened_at")):
            rows.filter(pk=seal.pk).update(reopened_at=at, reopened_by=said["reopened_by"], updated_at=now)
    stand = set(rows.standing().order_by().filter(pk__in=[seal.pk for seal in seals]).values_list("pk", flat=True))
    wanted = {(one.company, one.month) for one in months} - {seal.of for seal in seals if seal.pk in stand}
    for last in {seal.of: seal for seal in seals if seal.of in wanted}.values():
        was = rows.get(pk=last.pk)
        rows.create(
            company_id=was.company_id, month=was.month, closed_at=now, closed_by=who, closed_as=was.closed_as,
            digest=was.digest, created_at=now, updated_at=now,
        )  # fmt: skip
    return as_now(months, seals, register)


Reopenings = Mapping[int, tuple[dt.datetime, str]]
"""When and by whom seals were reopened, by their ids."""


def reopenings(register: Register) -> Reopenings:
    """All that were reopened. Reads the seals."""
    rows = register.rows(Seal).filter(reopened_at__isnull=False).order_by()
    return {pk: (at, by) for pk, at, by in rows.values_list("pk", "reopened_at", "reopened_by") if at is not None}


def stay_open(before: Reopenings, register: Register, store: Store, now: dt.datetime) -> list[tuple[str, str]]:
    """The months, by company and ``YYYY-MM``, that stay open although a withdrawal took their reopening back, because
    they do not have any more what was closed. ``before``: what was reopened before it.

    Reads the records of the months that it closed, and writes the seals, in the current transaction.
    """
    rows = register.rows(Seal)
    closed = rows.standing().filter(pk__in=before).select_related("company")
    changed = [row for row in closed if not fits(row, store)]
    for row in changed:
        at, by = before[row.pk]
        rows.filter(pk=row.pk).update(reopened_at=at, reopened_by=by, updated_at=now)
    return sorted({month_of_seal(row) for row in changed})


def newly_closed(seals: Sequence[StandingSeal], register: Register) -> list[Seal]:
    """The seals that closed a month which was open before. ``seals``: those that stood then. Reads the seals."""
    rows = register.rows(Seal).standing().select_related("company").order_by("company__name", "month", "closed_at")
    closed = {(seal.company_pk, seal.month) for seal in seals}
    return [row for row in rows if (row.company_id, row.month.isoformat()[:7]) not in closed]


def as_now(months: Sequence[ClosedMonth], seals: Sequence[StandingSeal], register: Register) -> list[ClosedMonth]:
    """These months, each with whether it is closed now. ``seals``: which stood before something changed them. Reads
    the seals."""
    companies = {seal.company: seal.company_pk for seal in seals}
    rows = register.rows(Seal).standing().order_by().filter(company__in=companies.values())
    closed = {(company, month.isoformat()[:7]) for company, month in rows.values_list("company_id", "month")}
    return [one._replace(is_closed=(companies.get(one.company), one.month) in closed) for one in months]


def _taken_away(plan: Plan, seals: Sequence[StandingSeal]) -> Iterator[tuple[StandingSeal, Record | None]]:
    """Those of ``seals``, which stood before a merge, that theirs reopened or does not have any more, each with what
    theirs has of it. Reads the plan's lines, if it has any of closed months."""
    by_key = {(*seal.of, str(TIMESTAMP.to_text(seal.closed_at))): seal for seal in seals}
    for step in plan.sealed_steps(_ALL):
        if step.model is SEALS and step.merged is not None:
            company, month, closed_at = step.merged.key
            yield by_key[company, month[:7], closed_at], step.merged.theirs


def _standing_of(months: Sequence[ClosedMonth], seals: Sequence[StandingSeal], register: Register) -> list[Seal]:
    """The seals of these months that stand now, whether they stood before, as ``seals`` did, or not."""
    companies = {seal.company: seal.company_pk for seal in seals}
    wanted = {(companies[one.company], one.month) for one in months}
    rows = register.rows(Seal).standing().filter(company__in={company for company, _month in wanted})
    return [row for row in rows.select_related("company") if (row.company_id, row.month.isoformat()[:7]) in wanted]


def month_of_seal(seal: Seal) -> tuple[str, str]:
    """By the name of its company, and ``YYYY-MM``."""
    return seal.company.name, seal.month.isoformat()[:7]


def fits(seal: Seal, store: Store) -> bool:
    """Whether the month is what was closed. Reads its records."""
    try:
        return month_digest(store, seal.company.name, seal.month.replace(day=1), seal.closed_as) == seal.digest
    except RecordSyncError:
        return False  # somebody wrote past this program what no month of theirs can have
