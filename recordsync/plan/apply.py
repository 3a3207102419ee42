"""Writing to a register: changes in batches, which are checked once more, and a decided plan with its account."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence

from recordsync.errors import RecordSyncError, named
from recordsync.history.headers import Rename
from recordsync.merge import Counts, Decide
from recordsync.model.records import Record
from recordsync.model.schema import Model
from recordsync.plan.plan import Account, Plan
from recordsync.plan.steps import Step
from recordsync.stores import Store
from recordsync.streams import Change
from recordsync.system.progress import EVERY, Progress, no_progress

Batch = tuple[Model, list[Change]]
"""Consecutive changes of one model."""


def apply_changes(
    store: Store, batches: Iterable[Batch], now: dt.datetime, most: int = 0, *, renames: list[Rename] | None = None
) -> Iterator[int]:
    """The number of changes written so far, after each batch of :data:`EVERY`, in the current transaction.

    ``batches`` are in an order in which they can be written: a record that others refer to is added before them and
    deleted after them. Renames are written last, those of a model together, because names may be exchanged. They are
    added to ``renames``, if that is given. ``now``: what written rows get as ``updated_at``. ``most``: the largest
    number of changes; if it is large compared with the table, indexes are made afterwards. Nothing is written unless
    the result is consumed. Raises what the store raises, and RecordSyncError for a record that no register holds; the
    caller then rolls back.
    """
    schema = store.schema
    referred = {field.references for model in schema for field in model.key if field.references}
    waiting: dict[str, list[Change]] = {model.name: [] for model in schema}
    renaming: dict[str, list[Change]] = {name: [] for name in referred}
    done = 0

    def flush() -> int:
        nonlocal done
        for model in schema:
            if batch := waiting[model.name]:
                require_valid(model, [change.after for change in batch if change.after is not None])
                store.write(model, batch, now)
                done += len(batch)
                batch.clear()
        return done

    with store.filling(most):
        for model, changes in batches:
            if model.name in referred:
                renaming[model.name] += [change for change in changes if change.is_rename]
                changes = [change for change in changes if not change.is_rename]
                if any(change.after is None for change in changes):
                    yield flush()  # the records that refer to it first
            batch = waiting[model.name]
            while changes:
                room = EVERY - len(batch)
                batch += changes[:room]
                changes = changes[room:]
                if len(batch) == EVERY:
                    yield flush()
        yield flush()
        for name, changes in renaming.items():
            if changes:
                require_valid(schema[name], [change.after for change in changes if change.after is not None])
                store.rename(schema[name], changes, now)
                if renames is not None:
                    renames += [Rename(name, change.key[0], change.after.key[0]) for change in changes if change.after]
                done += len(changes)
                yield done


def decided_batches(plan: Plan, decide: Decide, account: Account) -> Iterator[Batch]:
    """The changes of a decided plan, in an order in which they can be written. Each step is accounted for before.

    Raises RecordSyncError for a conflict that is not decided.
    """
    for step in plan.decided(decide):
        if isinstance(step, Step) and step.undecided and step.merged is not None:
            raise RecordSyncError(
                f"Nobody has decided about {named(step.model.name, step.model.spelt(step.merged.key))} yet."
            )
        account.add(step)
        if changes := step.changes():
            yield step.model, changes


def apply_plan(
    plan: Plan,
    store: Store,
    decide: Decide,
    now: dt.datetime,
    progress: Progress = no_progress,
    *,
    renames: list[Rename] | None = None,
) -> dict[str, Counts]:
    """The account of a plan that this decides and writes in the current transaction. ``renames``: see
    :func:`apply_changes`.

    Raises what :func:`apply_changes` and ``progress`` raise, and RecordSyncError if a conflict is not decided or
    something is not accounted for; the caller then rolls back.
    """
    account = Account(plan)
    total, written = plan.changes, plan.changes - plan.size
    for done in apply_changes(store, decided_batches(plan, decide, account), now, plan.size, renames=renames):
        progress("apply", min(written + done, total), total)
    return account.verified()


def require_valid(model: Model, records: Sequence[Record]) -> None:
    """Raises RecordSyncError for a merged record that is not valid."""
    shape = model.shape()
    if shape.are_valid([record.values for record in records]):
        return
    for record in records:
        for name, value, expected in shape.errors(record.values):
            what = named(model.name, model.spelt(record.key))
            raise RecordSyncError(f"Merging {what} gives {value!r} as {name}, where {expected} is expected.")
