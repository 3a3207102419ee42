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

    ``base``: the last state that both sides are proven to have shared; None: there is none. Its records are projected
    to the fields of ``theirs``. ``items``: an empty file that takes the plan's lines. Reads the database, and writes
    nothing but ``items``. Raises :class:`recordsync.errors.SourceChanged`, :class:`recordsync.errors.OutOfOrder`.
    """
    schema = store.schema
    plan = Plan(schema, {model.name: theirs.shape(model) for model in schema}, items)
    digest = hashlib.sha256()
    total = sum(theirs.counts.values()) + sum(theirs.deleted.values())
    done = 0
    with theirs.open() as reader:
        for model in schema:
            if model.name in schema.referred:
                plan.present[model.name] = {record.key[0] for record in store.records(model)}
            if model.name not in theirs.counts:
                continue
            repeated = theirs.repeated.get(model.name, 0)
            settled = plan.settled[model.name] = Counts(read=repeated, skipped=repeated)
            for part in _merged(store, theirs, base, model, reader):
                listed = _entries(part)
                if done // EVERY < (done + listed) // EVERY:
                    progress("compare", done + listed, total)
                done += listed
                settled.read += listed
                if isinstance(part, Identical):
                    settled.skipped += listed
                elif isinstance(part, Additions):
                    plan.size += listed
                    lines = plan.codec.added(model, part.theirs)
                    missing = plan.missing(model, part.theirs)
                    digest.update(b"".join([b"%b%d" % pair for pair in zip(lines, missing, strict=True)]))
                    items.writelines(lines)
                elif part.outcome in (Outcome.SAME, Outcome.KEEP):
                    settled.skipped += listed
                    settled.absent_kept += not part.listed and part.outcome is Outcome.KEEP
                else:
                    plan.size += 1
                    line = plan.codec.line(model, part)
                    digest.update(line)
                    digest.update(b"%d" % plan.creates(model, part))
                    if model.name in schema.referred and part.theirs is None:
                        plan.held.append(Held(model, part, store.references(model, part.key)))
                    else:
                        items.write(line)
    for held in plan.held:
        digest.update(b"%d\n" % held.references)
    digest.update(theirs.digest.encode())  # which is known only now where the file is checked on the way
    progress("compare", total, total)
    items.flush()
    plan.digest = digest.hexdigest()
    return plan


def _entries(part: Merged | Identical | Additions) -> int:
    """How many entries of theirs this part of the merge covers."""
    match part:
        case Identical():
            return part.count
        case Additions():
            return len(part.theirs)
        case _:
            return int(part.listed)


def _merged(
    store: Store, theirs: Snapshot, base: Snapshot | None, model: Model, reader: Pass
) -> Iterator[Merged | Identical | Additions]:
    """The merge of one model. ``reader`` reads theirs. Where theirs does not speak about every record, ours are looked
    up by its keys."""
    whole, shape, complete = model.shape(), theirs.shape(model), theirs.is_complete
    align = theirs.alignment(model)
    if base is None and align is None and shape.is_whole and not theirs.deleted[model.name]:
        yield from _merged_by_stretches(store, model, reader, complete=complete)
        return
    records = reader.records(model)
    if complete:
        ours = store.records(model)
    else:
        # The keys come from a read of their own, because nobody knows how far ahead a look-up reads.
        keys = merge_sorted(
            (record.key for record in theirs.records(model)), (deletion.key for deletion in theirs.deletions(model))
        )
        ours = store.lookup(model, keys)
    if align is not None:
        yield from _merged_aligned(whole, shape, ours, records, align, complete=complete)
        return
    before = None if base is None or model.name not in base.counts else _projected(shape, base, model)
    yield from merge(whole, shape, before, ours, records, theirs.deletions(model), complete=complete)


def _merged_by_stretches(
    store: Store, model: Model, reader: Pass, *, complete: bool
) -> Iterator[Merged | Identical | Additions]:
    """The merge of records that have every field, without a base. Stretches that are alike are counted as a whole."""
    whole = model.shape()
    for stretch in _stretches(store, model, reader, complete=complete):
        if stretch.alike:
            yield Identical(stretch.alike)
        elif not stretch.ours:
            yield Additions(model, whole, stretch.theirs)
        else:
            yield from merge(whole, whole, None, stretch.ours, stretch.theirs, complete=complete)


def _stretches(store: Store, model: Model, reader: Pass, *, complete: bool) -> Iterator[Stretch]:
    """The stretches of ours and theirs: of lines where both have lines, otherwise of records."""
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
    """The merge of records that have a meaning only beside ours, without a base."""
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


def _projected(shape: Shape, base: Snapshot, model: Model) -> Iterator[Record]:
    """The base's records with the fields of ``shape``. Fields that the base lacks are blank."""
    origin = base.shape(model)
    return (shape.project(record, origin) for record in base.records(model))


def _looked_up(
    store: Store, model: Model, theirs: Iterable[Record]
) -> Iterator[tuple[Iterable[Record], Sequence[Record]]]:
    """Ours with the keys of a batch of theirs, and the batch, for each batch. Raises OutOfOrder where a batch begins
    with a key that is not above the last one; :func:`recordsync.streams.stretches` checks the order within a batch."""
    stream = iter(theirs)
    last: Key | None = None
    while batch := list(islice(stream, EVERY)):
        keys = [record.key for record in batch]
        if last is not None and keys[0] <= last:
            raise OutOfOrder(keys[0], last)
        last = keys[-1]
        yield store.lookup(model, keys), batch
