"""The merge of what comes into the register: its plan, and its one transaction.

Restores and undo go through it.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import IO, NamedTuple, Protocol

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from core.backups import catalogue
from core.formats import checking
from core.models import Phase, Seal
from core.operations import holding, snapshots
from core.operations.closed import ClosedChoice, MonthsAreClosed, TouchedMonths, named, side_of
from core.operations.errors import NOTHING_CHANGED, ConflictsLeft, DataMoved, OperationFailed, sentences
from core.operations.results import BaseSummary
from core.operations.run import Run
from core.operations.wording import SECTIONS, conflict, shown_key
from core.register.closed import StandingSeal, standing_seals
from core.register.database import Register
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SEALS
from core.restores import large_deletions
from core.restores.closed import (
    as_now,
    fits,
    kept_closed,
    merge_drivers,
    month_of_seal,
    months_in,
    months_with_lines,
    newly_closed,
    reopened,
    reopenings,
    sealing,
    stay_open,
)
from core.restores.incoming import Incoming
from core.restores.large_deletions import Large, LargeDeletion
from recordsync.backupfile import UncheckedFile
from recordsync.errors import FileError
from recordsync.merge import Counts, Decide, Strategy, decide_by
from recordsync.plan import ChangeList, Plan, adding, apply_changes, apply_plan, differences, make_plan
from recordsync.stores import Store
from recordsync.system.progress import Progress

_MOVED_SHOWN = 5

Find = Callable[[IO[bytes]], Incoming]
"""A function that finds what is to be merged into the register as it is now. It gets an empty temporary file."""


class Previewed(Protocol):
    """What a restore needs of a preview, whether that is in memory or stored."""

    @property
    def plan(self) -> Plan: ...

    @property
    def base(self) -> BaseSummary: ...


class DecidedPlan(NamedTuple):
    """A previewed plan as somebody decided it: the counts of what becomes of it, per model, its changes, and what
    becomes of closed months."""

    counts: dict[str, Counts]
    changes: ChangeList
    closed: TouchedMonths = TouchedMonths()


class Asked(NamedTuple):
    """How somebody asked for a merge. ``yes``: whether they have seen what it deletes; ``exclusive``: whether nobody
    else may read the register meanwhile; ``closed``: what they decided about closed months."""

    strategy: Strategy
    yes: bool = False
    exclusive: bool = False
    closed: ClosedChoice | None = None

    @property
    def decide(self) -> Decide:
        """The decisions that follow."""
        return decide_by(self.strategy, side_of(self.closed))


class Done(NamedTuple):
    """What was merged, the counts of what became of its records, per model, and what became of closed months."""

    incoming: Incoming
    counts: dict[str, Counts]
    closed: TouchedMonths = TouchedMonths()


class ConfirmationNeeded(OperationFailed):
    """Somebody has to confirm what would be done."""


class Planned(NamedTuple):
    """What would be merged, its plan, sentences about what is odd with the register's history, and the seals that stand
    here."""

    incoming: Incoming
    plan: Plan
    notes: list[str]
    seals: list[StandingSeal]


def planned(register: Register, find: Find, items: IO[bytes], progress: Progress) -> Planned:
    """The plan of a merge. Reads the register at one moment, and writes the plan's lines to ``items``, a file."""
    items.seek(0)
    items.truncate()
    with tempfile.TemporaryFile() as spool, register.read() as store:
        ours, notes = snapshots.our_blocks(register, store)
        seals = standing_seals(register)
        incoming = find(spool)
        with incoming.opened_base(register) as base:
            plan = make_plan(
                store,
                incoming.theirs,
                base,
                items,
                progress,
                ours=ours,
                names=incoming.names,
                seal_of=sealing(seals),
                drivers=merge_drivers(seals, is_exact=incoming.is_exact, withdraws=incoming.withdraws),
            )
            return Planned(incoming, plan, [*notes, *incoming.notes], seals)


def merged(
    run: Run,
    find: Find,
    asked: Asked,
    complete: Callable[[Done], None],
    *,
    preview: Previewed | None = None,
    decided: DecidedPlan | None = None,
) -> Done:
    """What was merged, and what became of it.

    Writes in one transaction, at the end of which ``complete`` is called. Where it raises, the database is as it was.
    ``preview``: only this is applied; ``decided``: as it was decided. Raises :class:`DataMoved`,
    :class:`core.operations.closed.MonthsAreClosed`, :class:`ConflictsLeft`, :class:`ConfirmationNeeded`,
    :class:`core.restores.large_deletions.LargeDeletion`, and what ``find`` and
    :func:`core.operations.holding.holding_register` raise.
    """
    with (
        tempfile.TemporaryFile() as items,
        tempfile.TemporaryFile() as spool,
        holding.holding_register(run) as (store, keeper),
    ):
        now = catalogue.stamp(run.register)
        seals = standing_seals(run.register)  # before the plan, which may write what theirs adds
        incoming = find(spool)
        were_reopened = reopenings(run.register) if incoming.withdraws else {}
        theirs = incoming.theirs
        receiving = keeper.receiving() if incoming.received is not None else None
        if isinstance(theirs, UncheckedFile):
            theirs.receiver = receiving
        # What was previewed is compared line by line before anything is written.
        with adding(store, theirs, now, alone=asked.exclusive) if preview is None else nullcontext() as adder:
            with incoming.opened_base(run.register) as base:
                plan = make_plan(
                    store,
                    theirs,
                    base,
                    items,
                    run,
                    adder,
                    ours=keeper.ours(store),
                    names=incoming.names,
                    seal_of=sealing(seals),
                    drivers=merge_drivers(seals, is_exact=incoming.is_exact, withdraws=incoming.withdraws),
                )
            if preview is not None and not plan.is_same_as(preview.plan):
                raise DataMoved(_moved(preview, plan, incoming.summary()))
            closed = decided.closed if decided is not None else _closed(plan, incoming, asked, seals)
            if decided is not None:
                counts = decided.counts
                changes = decided.changes
                for done in apply_changes(store, changes.batches(), now, changes.count, renames=keeper.renames):
                    run(Phase.APPLY, min(done, plan.size), plan.size)
            else:
                _require_confirmed(plan, incoming, asked, run.register)
                counts = apply_plan(plan, store, asked.decide, now, run, renames=keeper.renames)
            if were_reopened and (months := stay_open(were_reopened, run.register, store, now)):
                text = _("Not closed again, because it has changed since it was reopened: %(months)s.")
                run.warn(text % {"months": named(months)})
            closed = _as_decided(run, plan, incoming, closed, seals, store, now)
            becomes = incoming.becomes(counts, was_empty=keeper.was_empty)
            of_seals = counts.get(SEALS.name, Counts())
            if (of_seals.added or of_seals.updated) and not keeper.was_empty:
                rows = newly_closed(seals, run.register)
                closed = closed._replace(newly=sorted({month_of_seal(row) for row in rows}))
                if becomes is None:  # otherwise each month is what it is there
                    _warn_of_others(rows, run, store)
        keeper.renames = incoming.stated(keeper.renames)
        for note in incoming.notes:
            run.warn(note)
        keeper.is_required = incoming.needs_snapshot
        if incoming.lineage is not None:
            if receiving is not None and incoming.unstored is not None:
                incoming.unstored.store(receiving)
            added = {name: of.added for name, of in counts.items() if of.read == of.added}
            keeper.take_in(incoming.received, incoming.lineage, receiving, added)
            keeper.expected = becomes
        result = Done(incoming, counts, closed)
        complete(result)
        run.complete(plan.changes)
    return result


def _closed(plan: Plan, incoming: Incoming, asked: Asked, seals: Sequence[StandingSeal]) -> TouchedMonths:
    """The closed months that a plan changes, as somebody has decided. Raises MonthsAreClosed where nobody has."""
    closed = closed_in(plan, asked, seals)
    if closed.undecided:
        raise stop_at_closed(closed, incoming)
    return closed


def _as_decided(
    run: Run,
    plan: Plan,
    incoming: Incoming,
    closed: TouchedMonths,
    seals: Sequence[StandingSeal],
    store: Store,
    now: dt.datetime,
) -> TouchedMonths:
    """The closed months that a plan has changed, or not, as they are after their seals are as somebody has decided.
    ``seals``: those that stood before it. Reads the records of these months, and writes their seals."""
    if not closed.months:
        return closed
    if incoming.is_exact and SEALS.name in incoming.theirs.counts:  # the seals are those of what comes
        months = as_now(closed.months, seals, run.register)
    elif closed.choice is ClosedChoice.REOPEN:
        months = reopened(plan, closed.months, run.actor.name, seals, run.register, store, now)
    else:
        months = kept_closed(plan, closed.months, run.actor.name, seals, run.register, now)
    return closed._replace(months=months)


def _warn_of_others(rows: Sequence[Seal], run: Run, store: Store) -> None:
    """Warn of months that are closed now and fit none of their seals, which are these. Reads the records of these
    months."""
    fitting = {row.pk for row in rows if fits(row, store)}
    others = {month_of_seal(row) for row in rows} - {month_of_seal(row) for row in rows if row.pk in fitting}
    if others:
        run.warn(
            _("Closed elsewhere with other days than here: %(months)s. The muster roll shows which differ.")
            % {"months": named(sorted(others))}
        )


def closed_in(plan: Plan, asked: Asked, seals: Sequence[StandingSeal]) -> TouchedMonths:
    """The closed months that a plan changes, or would, and what was decided about them. Reads its lines, if it has any
    of closed months."""
    return TouchedMonths(months_in(plan, asked.decide, seals), asked.closed)


def stop_at_closed(closed: TouchedMonths, incoming: Incoming) -> MonthsAreClosed:
    """The failure with which a merge stops until somebody has decided about closed months."""
    if incoming.is_exact:
        then = _("Only a person decides about a closed month: say --reopen to reopen it and change it.")
    else:
        then = _(
            "Only a person decides about a closed month: say --keep-closed to leave it as it is, or --reopen to "
            "reopen it and change it."
        )
    return MonthsAreClosed.of(closed.months, then)


def require_possible(choice: ClosedChoice | None, *, is_exact: bool) -> None:
    """Raises OperationFailed where an exact restore is to keep closed months."""
    if is_exact and choice is ClosedChoice.KEEP:
        raise OperationFailed(
            _("An exact restore makes every month as it is there, closed ones too, so it cannot keep them closed."),
            undone=NOTHING_CHANGED,
            then=_("Reopen them (--reopen), or merge it."),
        )


def to_confirm(base: BaseSummary, size: int, deleted: Mapping[str, int], register: Register) -> list[Large] | None:
    """What somebody has to confirm before a merge, whether it was asked for by a command or on a page: for each company
    how many of its records are deleted. None: nothing.

    An exact restore that changes anything is confirmed, and so are large deletions, and the merge of a company as two.
    ``base``: what the merge was based on; ``size``: how many lines its plan has; ``deleted``: how many records it
    deletes, by company. Counts rows.
    """
    if base.is_exact:
        return large_deletions.with_counts(deleted, register) if size else None
    found = large_deletions.large_deletions(deleted, register)
    return found if found or base.parts_companies else None


def _require_confirmed(plan: Plan, incoming: Incoming, asked: Asked, register: Register) -> None:
    """Raises ConflictsLeft, ConfirmationNeeded or LargeDeletion where somebody has to look first."""
    if asked.strategy is Strategy.MANUAL:
        _require_decided(plan, asked.decide)
    decide = asked.decide
    if not asked.yes and (stop := stop_before(plan, incoming, decide, lambda: plan.counts(decide), register)):
        raise stop


def stop_before(
    plan: Plan, incoming: Incoming, decide: Decide, counts: Callable[[], Mapping[str, Counts]], register: Register
) -> OperationFailed | None:
    """The failure with which a merge stops until somebody has confirmed it; None: it does not stop. Counts rows.

    ``counts``: returns those of the plan when it is decided so.
    """
    deleted = {} if incoming.is_exact else large_deletions.deleted_by_company(plan, decide)
    removed = to_confirm(incoming.summary(), plan.size, deleted, register)
    if removed is None:
        return None
    if incoming.is_exact:
        return ConfirmationNeeded(
            sentences(*_would_do(counts())),
            undone=NOTHING_CHANGED,
            then=_("If that is what you want, say --yes."),
        )
    if incoming.parts_companies:
        return ConfirmationNeeded(
            " ".join(incoming.notes),
            undone=NOTHING_CHANGED,
            then=_("Give one of the companies another name first, here or there. To go on all the same, say --yes."),
        )
    return LargeDeletion(removed)


def _would_do(counts: Mapping[str, Counts]) -> Iterator[str]:
    """Sentences that say what an exact restore would do, each of one kind of records that it changes."""
    texts = {
        ATTENDANCE_RECORDS.name: _(
            "This would add %(added)s, change %(updated)s and delete %(deleted)s attendance records."
        ),
        COMPANIES.name: _("This would add %(added)s, change %(updated)s and delete %(deleted)s companies."),
        SEALS.name: _("This would add %(added)s, change %(updated)s and delete %(deleted)s closings of months."),
    }
    numbers = {name: _numbers(counts.get(name, Counts())) for name in texts}
    for name in [name for name in texts if any(numbers[name].values())] or [ATTENDANCE_RECORDS.name]:
        yield texts[name] % {kind: f"{number:,}" for kind, number in numbers[name].items()}


def _numbers(of: Counts) -> dict[str, int]:
    return {"added": of.added + of.created, "updated": of.updated, "deleted": of.deleted + of.absent_deleted}


def _require_decided(plan: Plan, decide: Decide) -> None:
    """Raises ConflictsLeft, which names the first conflicts, where the plan has any that are not decided so."""
    first: list[FileError] = []
    count = 0
    for step in plan.to_decide(decide):
        count += 1
        if step.merged is not None and count <= checking.limits().errors:
            text, fields = conflict(step, plan.shapes[step.model.name]), ", ".join(step.merged.conflicts)
            first.append(FileError(text, key=step.model.spelt(step.merged.key), field=fields, section=step.model.name))
    if count:
        raise ConflictsLeft(
            ngettext(
                "%(count)s conflict is left for somebody to decide. Nothing was changed. Choose who wins them all "
                "with --strategy backup_wins or database_wins.",
                "%(count)s conflicts are left for somebody to decide. Nothing was changed. Choose who wins them "
                "all with --strategy backup_wins or database_wins.",
                count,
            )
            % {"count": f"{count:,}"},
            first,
            count,
        )


def _moved(before: Previewed, now: Plan, base: BaseSummary) -> str:
    """A sentence that says what differs from a preview. ``now``, ``base``: what stands in its place."""
    if list(before.base.snapshots) != list(base.snapshots):
        return _(
            "What both sides had in common is known better now than when this was previewed: the history lacked it "
            "then. Nothing was changed. Look at a new preview first."
        )
    if months := months_with_lines(before.plan) ^ months_with_lines(now):
        return _(
            "After the preview somebody closed or reopened %(months)s. Nothing was changed. Look at a new preview "
            "first."
        ) % {"months": named(sorted({month[:2] for month in months}))}
    moved: dict[str, list[str]] = {}
    count = 0
    for model, key in differences(before.plan, now):
        count += 1
        if count <= _MOVED_SHOWN:
            moved.setdefault(str(SECTIONS[model.name]), []).append(shown_key(model.spelt(key)))
    shown = "; ".join(f"{section} {', '.join(keys)}" for section, keys in moved.items())
    more = " " + _("and %(count)s more") % {"count": f"{count - _MOVED_SHOWN:,}"} if count > _MOVED_SHOWN else ""
    if not moved:
        return _(
            "The file is not the one that was previewed, or another version of Muster previewed it. Nothing was "
            "changed. Preview it again first."
        )
    return _("The register changed after the preview: %(what)s. Nothing was changed. Look at a new preview first.") % {
        "what": shown + more
    }
