"""Making a plan: the merge of a snapshot with the register."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge as merge_sorted
from itertools import islice
from typing import IO

from recordsync.errors import OutOfOrder
from recordsync.merge import Counts, Merged, Outcome, merge
from recordsync.model.records import Key, Record
from recordsync.model.schema import Model, Shape
from recordsync.plan.lines import Identical
from recordsync.plan.plan import Plan
from recordsync.plan.references import Held
from recordsync.plan.source import Align, Pass, Snapshot
from recordsync.plan.steps import Additions
from recordsync.stores import Store
from recordsync.streams import Stretch, Unparsed, join, stretches, stretches_of_lines
from recordsync.streams.lines import Lines
from recordsync.system.progress import EVERY, Progress, no_progress


def make_plan(
    store: Store, theirs: Snapshot, base: Snapshot | None, items: IO[bytes], progress: Progress = no_progress
) -> Plan:
    """The plan of a merge of ``theirs`` with the register as the current transaction sees it.

    ``base``: the last state that both sides are proven to have shared; None: there is none. Its records are seen
    through theirs' fields. ``items``: an empty file that takes the plan's lines; nothing else is written.
    Raises :class:`recordsync.errors.SourceChanged`, :class:`recordsync.errors.OutOfOrder`.
    """
    schema = store.schema
    plan = Plan(schema, {model.name: theirs.shape(model) for model in schema}, items)
    referred = {f.references for model in schema for f in model.key if f.references}
    digest = hashlib.sha256()
    total = sum(theirs.counts.values()) + sum(theirs.deleted.values())
    done = 0
    with theirs.open() as reader:
        for model in schema:
            if model.name in referred:
                plan.present[model.name] = {record.key[0] for record in store.records(model)}
            repeated = theirs.repeated.get(model.name, 0)
            settled = plan.settled[model.name] = Counts(read=repeated, skipped=repeated)
            for found in _merged(store, theirs, base, model, reader):
                listed = _entries(found)
                if done // EVERY < (done + listed) // EVERY:
                    progress("compare", done + listed, total)
                done += listed
                settled.read += listed
                if isinstance(found, Identical):
                    settled.skipped += listed
                elif isinstance(found, Additions):
                    plan.size += listed
                    lines = plan.codec.added(model, found.theirs)
                    missing = plan.missing(model, found.theirs)
                    digest.update(b"".join([b"%b%d" % pair for pair in zip(lines, missing, strict=True)]))
                    items.writelines(lines)
                elif found.outcome in (Outcome.SAME, Outcome.KEEP):
                    settled.skipped += listed
                    settled.absent_kept += not found.listed and found.outcome is Outcome.KEEP
                else:
                    plan.size += 1
                    line = plan.codec.line(model, found)
                    digest.update(line)
                    digest.update(b"%d" % plan.creates(model, found))
                    if model.name in referred and found.theirs is None:
                        plan.held.append(Held(model, found, store.references(model, found.key)))
                    else:
                        items.write(line)
    for held in plan.held:
        digest.update(b"%d\n" % held.references)
    digest.update(theirs.digest.encode())  # which is known only now where the file is checked on the way
    progress("compare", total, total)
    items.flush()
    plan.digest = digest.hexdigest()
    return plan


def _entries(found: Merged | Identical | Additions) -> int:
    """How many of theirs' entries this is about."""
    match found:
        case Identical():
            return found.count
        case Additions():
            return len(found.theirs)
        case _:
            return int(found.listed)


def _merged(
    store: Store, theirs: Snapshot, base: Snapshot | None, model: Model, reader: Pass
) -> Iterator[Merged | Identical | Additions]:
    """The merge of one model, theirs as ``reader`` reads them. Ours are looked up by their keys where theirs does not
    speak about everything."""
    whole, shape, complete = model.shape(), theirs.shape(model), theirs.is_complete
    align = theirs.alignment(model)
    if base is None and align is None and shape.is_whole and not theirs.deleted[model.name]:
        yield from _merged_by_stretches(store, model, reader, complete=complete)
        return
    records = reader.records(model)
    if complete:
        ours = store.records(model)
    else:
        # Read apart: how far ahead a look-up reads before it finds something is not known.
        keys = merge_sorted(
            (record.key for record in theirs.records(model)), (deletion.key for deletion in theirs.deletions(model))
        )
        ours = store.lookup(model, keys)
    if align is not None:
        yield from _merged_aligned(whole, shape, ours, records, align, complete=complete)
        return
    before = None if base is None else _seen_through(shape, base, model)
    yield from merge(whole, shape, before, ours, records, theirs.deletions(model), complete=complete)


def _merged_by_stretches(
    store: Store, model: Model, reader: Pass, *, complete: bool
) -> Iterator[Merged | Identical | Additions]:
    """The merge without a base of records that have every field. What is alike is passed over together."""
    whole = model.shape()
    for stretch in _stretches(store, model, reader, complete=complete):
        if stretch.alike:
            yield Identical(stretch.alike)
        elif not stretch.ours:
            yield Additions(model, whole, stretch.theirs)
        else:
            yield from merge(whole, whole, None, stretch.ours, stretch.theirs, complete=complete)


def _stretches(store: Store, model: Model, reader: Pass, *, complete: bool) -> Iterator[Stretch]:
    """Ours and theirs, side by side: as lines where both have them."""
    theirs = reader.unparsed(model) if complete else None
    if theirs is not None:
        yield from stretches_of_lines(Unparsed(store.lines(model), Lines(model.shape()).records), theirs)
    elif complete:
        yield from stretches(store.records(model), reader.records(model))
    else:
        for ours, part in _looked_up(store, model, reader.records(model)):
            yield from stretches(ours, part)


def _merged_aligned(
    whole: Shape, shape: Shape, ours: Iterable[Record], theirs: Iterable[Record], align: Align, *, complete: bool
) -> Iterator[Merged | Identical]:
    """The merge without a base of records that mean something only beside ours."""
    for our, their in join(ours, theirs):
        aligned = None if their is None else align(their, our)
        if our is not None and aligned is not None and aligned.values == our.values:
            yield Identical(1)
        else:
            yield from merge(
                whole,
                shape,
                None,
                [] if our is None else [our],
                [] if aligned is None else [aligned],
                complete=complete,
            )


def _seen_through(shape: Shape, base: Snapshot, model: Model) -> Iterator[Record]:
    """The base's records with the fields of ``shape``; those that it lacks are blank."""
    origin = base.shape(model)
    return (shape.project(record, origin) for record in base.records(model))


def _looked_up(
    store: Store, model: Model, theirs: Iterable[Record]
) -> Iterator[tuple[Iterable[Record], Sequence[Record]]]:
    """Their records in batches, each with those of the same keys that are there. Raises OutOfOrder where a batch does
    not go on where the last one ended; within one, :func:`recordsync.streams.stretches` does."""
    stream = iter(theirs)
    last: Key | None = None
    while batch := list(islice(stream, EVERY)):
        keys = [record.key for record in batch]
        if last is not None and keys[0] <= last:
            raise OutOfOrder(keys[0], last)
        last = keys[-1]
        yield store.lookup(model, keys), batch
