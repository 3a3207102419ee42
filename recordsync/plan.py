"""A plan: what one file means for one database, computed before anything is written.

The merge of every model goes to a temporary file, so that a plan of a million changes needs no memory,
and so that the tables are not written while they are being read. A plan does not depend on a strategy:
it is decided (:meth:`Plan.steps`) when it is counted, shown or applied. Its digest says whether two plans
are the same.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from heapq import merge as merge_sorted
from itertools import groupby, islice
from operator import itemgetter
from typing import IO, Any, NamedTuple, Protocol, runtime_checkable

import orjson

from recordsync.backupfile import BackupFile
from recordsync.changes import Change, Deletion, join, parts
from recordsync.errors import OutOfOrder, RecordSyncError, named
from recordsync.merge import Merged, Outcome, Side, Strategy, added, merge, resolve
from recordsync.progress import EVERY, Progress, no_progress
from recordsync.records import Key, Record
from recordsync.schema import Model, Schema, Shape
from recordsync.store import Store

Decide = Callable[[Model, Merged, str], Side | None]
"""Whose side a conflict takes, per unit; None: nobody has decided it yet."""


def decide_by(strategy: Strategy) -> Decide:
    """Every conflict for the strategy's side. For ``manual`` none is decided."""
    side = strategy.side
    return lambda model, merged, unit: side


@dataclass
class Counts:
    """What becomes of one model's entries: ``read`` is the sum of ``added`` to ``undecided``.

    ``undecided`` are in conflict, and nobody has decided yet what becomes of them: none where a plan is applied.
    Beside the sum: ``conflicts`` found (in records), ``created`` (records that others refer to and that
    the file does not list), and what follows from absence in a complete file under a known base.
    """

    read: int = 0
    added: int = 0
    updated: int = 0
    deleted: int = 0
    skipped: int = 0
    kept: int = 0
    undecided: int = 0
    conflicts: int = 0
    created: int = 0
    absent_deleted: int = 0
    absent_kept: int = 0
    absent_undecided: int = 0

    def verify(self) -> None:
        """Raises RecordSyncError unless everything that was read is accounted for."""
        total = self.added + self.updated + self.deleted + self.skipped + self.kept + self.undecided
        if total != self.read:
            raise RecordSyncError(f"Of {self.read:,} entries read, {total:,} are accounted for.")

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


class Step(NamedTuple):
    """One item of a decided plan: ``change`` is what is to be written (None: nothing).

    ``merged`` is None for a record that is created because others refer to it. ``blocked``: a deletion that
    cannot be, because something still refers to the record: a conflict, but one that nobody can decide.
    ``undecided``: a conflict of which nobody has decided some unit; it has no change, and cannot be applied.
    """

    model: Model
    merged: Merged | None
    change: Change | None
    blocked: bool = False
    undecided: bool = False

    @property
    def to_decide(self) -> bool:
        """Whether both sides changed the same, so that somebody or a strategy decides."""
        return self.merged is not None and bool(self.merged.conflicts)

    @property
    def is_conflict(self) -> bool:
        return self.blocked or self.to_decide

    def changes(self) -> list[Change]:
        """What is to be written."""
        return [] if self.change is None else [self.change]

    def tally(self, counts: Counts) -> None:
        """Account for this step."""
        counts.conflicts += self.is_conflict
        if self.merged is None:
            counts.created += 1
        elif self.undecided:
            counts.undecided += self.merged.listed
            counts.absent_undecided += not self.merged.listed
        elif not self.merged.listed:
            if self.change is None:
                counts.absent_kept += 1
            else:
                counts.absent_deleted += 1
        elif self.change is None:
            counts.kept += 1
        elif self.change.kind == "add":
            counts.added += 1
        elif self.change.kind == "update":
            counts.updated += 1
        else:
            counts.deleted += 1


class Additions(NamedTuple):
    """Steps that add records of one model, in a row. Nobody decides about them, and plans consist of little else when
    much is written: so they are decided, accounted for and written together."""

    model: Model
    shape: Shape
    theirs: list[Record]
    """Of ``shape``: as the source has them."""

    def changes(self) -> list[Change]:
        """What is to be written. As :func:`recordsync.merge.resolve` says it of each."""
        records, whole = self.theirs, self.model.shape()
        if not self.shape.is_whole:
            records = [self.shape.complete(record, whole, None) for record in records]
        return [Change(record.key, None, record) for record in records]

    def steps(self) -> Iterator[Step]:
        """One by one."""
        units = tuple(self.shape.units)
        for record, change in zip(self.theirs, self.changes(), strict=True):
            yield Step(self.model, added(record, units), change)

    def tally(self, counts: Counts) -> None:
        """Account for these steps."""
        counts.added += len(self.theirs)


class Held(NamedTuple):
    """The deletion of a record that others may refer to: decided last, when it is known what remains."""

    model: Model
    merged: Merged
    references: int


@dataclass
class Plan:
    """See the module. Made by :func:`make_plan`; ``items`` is its temporary file, which the maker closes."""

    schema: Schema
    shapes: dict[str, Shape]
    items: IO[bytes]
    digest: str = ""
    size: int = 0
    settled: dict[str, Counts] = field(default_factory=dict)
    """Per model, what is settled without a decision: entries read, skipped, kept by absence."""
    held: list[Held] = field(default_factory=list)
    present: dict[str, set[str]] = field(default_factory=dict)
    """Per model that others refer to, the names that the database has."""

    def merged(self) -> Iterator[tuple[Model, Merged]]:
        """Everything that is not settled: models in the schema's order, keys in theirs; then what is held."""
        yield from self.items_merged()
        for held in self.held:
            yield held.model, held.merged

    def items_merged(self) -> Iterator[tuple[Model, Merged]]:
        """As :meth:`merged`, without what is held."""
        self.items.seek(0)
        for line in self.items:
            yield self.load(line)

    def load(self, line: bytes) -> tuple[Model, Merged]:
        """What a line of ``items`` says."""
        return self._merged(orjson.loads(line))

    def _merged(self, said: list[Any]) -> tuple[Model, Merged]:
        model = self.schema.models[said[0]]
        shape = self.shapes[model.name]
        if _is_addition(said):
            return model, added(_load_added(shape, said), tuple(shape.units))
        _at, key, outcome, ours, theirs, base, units, conflicts, listed = said
        return model, Merged(
            tuple(key),
            Outcome(outcome),
            _load_record(model.shape(), ours),
            _load_record(shape, theirs),
            _load_record(shape, base),
            tuple(units),
            tuple(conflicts),
            listed,
        )

    def dump(self, model: Model, merged: Merged) -> bytes:
        """The line that :meth:`load` reads."""
        return _dump(self.schema.models.index(model), merged)

    def _runs(self) -> Iterator[tuple[Model, Merged] | Additions]:
        """As :meth:`items_merged`, additions together as far as they are read together."""
        self.items.seek(0)
        while lines := list(islice(self.items, EVERY)):
            read = orjson.loads(b"[%b]" % b",".join(lines))
            for (at, is_addition), group in groupby(read, key=lambda said: (said[0], _is_addition(said))):
                if is_addition:
                    model = self.schema.models[at]
                    shape = self.shapes[model.name]
                    yield Additions(model, shape, [_load_added(shape, said) for said in group])
                else:
                    yield from map(self._merged, group)

    def decided(self, decide: Decide) -> Iterator[Step | Additions]:
        """The plan, decided: in an order in which it can be written (what is referred to comes first and goes last)."""
        present = {name: set(names) for name, names in self.present.items()}
        waiting = {(held.model.name, held.merged.key[0]) for held in self.held}
        net: dict[tuple[str, str], int] = defaultdict(int)

        def account(model: Model, changes: Sequence[Change]) -> Iterator[Step]:
            """See to what these changes of one kind refer to: what has to be created before them."""
            kind = changes[0].kind
            if model.name in present and kind == "add":
                present[model.name].update(change.key[0] for change in changes)
            reference = model.reference
            if reference is None or reference.references is None:
                return
            parent, at = self.schema[reference.references], model.key.index(reference)
            if kind == "add":
                for name in dict.fromkeys(change.key[at] for change in changes):
                    if name not in present[parent.name]:
                        present[parent.name].add(name)
                        created = parent.shape().from_mapping({parent.key_names[0]: name})
                        yield Step(parent, None, Change((name,), None, created))
            if waiting:
                for change in changes:
                    if (parent.name, change.key[at]) in waiting:
                        net[parent.name, change.key[at]] += {"add": 1, "delete": -1}.get(kind, 0)

        for found in self._runs():
            item = found if isinstance(found, Additions) else self._step(*found, decide)
            if changes := item.changes():
                yield from account(item.model, changes)
            yield item
        for held in self.held:
            step = self._step(held.model, held.merged, decide)
            blocked = step.change is not None and held.references + net[held.model.name, held.merged.key[0]] > 0
            yield step._replace(change=None, blocked=True) if blocked else step

    def steps(self, decide: Decide) -> Iterator[Step]:
        """As :meth:`decided`, one by one."""
        for item in self.decided(decide):
            if isinstance(item, Additions):
                yield from item.steps()
            else:
                yield item

    def counts(self, decide: Decide) -> dict[str, Counts]:
        """What becomes of everything, per model, when the plan is decided so."""
        return tally(self, self.decided(decide))

    def to_decide(self, decide: Decide) -> Iterator[Step]:
        """The steps that a person has to decide before the plan is applied by hand."""
        return (step for step in self.steps(decide) if step.to_decide)

    def creates(self, model: Model, merged: Merged) -> bool:
        """Whether the record, if it is added, names one that the database does not have."""
        return merged.ours is None and self.missing(model, [merged])[0]

    def missing(self, model: Model, keyed: Sequence[Merged | Record]) -> list[bool]:
        """Whether each key names a record of another model that the database does not have."""
        reference = model.reference
        if reference is None or reference.references is None:
            return [False] * len(keyed)
        at, present = model.key.index(reference), self.present[reference.references]
        return [one.key[at] not in present for one in keyed]

    def _step(self, model: Model, merged: Merged, decide: Decide) -> Step:
        sides: dict[str, Side] = {}
        for unit in merged.conflicts:
            side = decide(model, merged, unit)
            if side is None:
                return Step(model, merged, None, undecided=True)
            sides[unit] = side
        return Step(model, merged, resolve(model.shape(), self.shapes[model.name], merged, sides.__getitem__))


def tally(plan: Plan, steps: Iterable[Step | Additions]) -> dict[str, Counts]:
    """Account for these steps and for what the plan had settled. Raises where something is unaccounted for."""
    counts = {model.name: Counts() + plan.settled[model.name] for model in plan.schema}
    for item in steps:
        item.tally(counts[item.model.name])
    for one in counts.values():
        one.verify()
    return counts


class Pass(Protocol):
    """One pass through a source, the models in the schema's order."""

    def records(self, model: Model) -> Iterable[Record]:
        """The model's records, in key order."""

    def finish(self) -> None:
        """Read on to the end. Raises :class:`recordsync.errors.SourceChanged` if this is not what was checked."""


class Checked(Protocol):
    """What a check found: the content's digest and how many entries it has, per model and in deletions."""

    @property
    def digest(self) -> str: ...

    @property
    def counts(self) -> Mapping[str, int]: ...

    @property
    def deleted(self) -> int: ...

    @property
    def deleted_per_model(self) -> Mapping[str, int]: ...


class Source(Protocol):
    """What can be merged: a checked snapshot, sorted. A backup file is one, the rows of a sheet another."""

    @property
    def report(self) -> Checked: ...

    @property
    def is_complete(self) -> bool:
        """Whether it speaks about every record, so that what it does not list is not there."""

    def shape(self, model: Model) -> Shape:
        """The fields that its records of a model have."""

    def open(self) -> AbstractContextManager[Pass]:
        """Read it all."""

    def records(self, model: Model) -> Iterable[Record]:
        """A model's records in key order, read by themselves."""

    def deletions(self, model: Model) -> Iterable[Deletion]:
        """What it lists as deleted of a model, in key order, read by itself."""


@runtime_checkable
class Approximate(Protocol):
    """A source whose records mean something only beside ours: it is less precise, or lacks fields here and there."""

    def aligned(self, model: Model, theirs: Record, ours: Record | None) -> Record:
        """``theirs`` with our value where the two are the same to the source's precision."""


def make_plan(
    store: Store, file: Source, items: IO[bytes], base: BackupFile | None = None, progress: Progress = no_progress
) -> Plan:
    """Merge a checked source with the database as the current transaction sees it. Writes only to ``items``.

    ``base``: a checked file of the same fields with the last state both sides are proven to have shared;
    None: unknown. Raises :class:`recordsync.errors.SourceChanged`, :class:`recordsync.errors.OutOfOrder`.
    """
    schema = store.schema
    plan = Plan(schema, {model.name: file.shape(model) for model in schema}, items)
    referred = {f.references for model in schema for f in model.key if f.references}
    digest = hashlib.sha256(file.report.digest.encode())
    total = sum(file.report.counts.values()) + file.report.deleted
    done = 0
    with file.open() as reader:
        for at, model in enumerate(schema):
            if model.name in referred:
                plan.present[model.name] = {record.key[0] for record in store.records(model)}
            settled = plan.settled[model.name] = Counts()
            for found in _merge(store, file, model, reader.records(model), base):
                listed = found if isinstance(found, int) else len(found) if isinstance(found, list) else found.listed
                if done // EVERY < (done + listed) // EVERY:
                    progress("compare", done + listed, total)
                done += listed
                settled.read += listed
                if isinstance(found, int):
                    settled.skipped += found
                    continue
                if isinstance(found, list):
                    plan.size += listed
                    lines = [_dump_added(at, record) for record in found]
                    missing = plan.missing(model, found)
                    digest.update(b"".join([b"%b%d" % pair for pair in zip(lines, missing, strict=True)]))
                    items.writelines(lines)
                    continue
                if found.outcome in (Outcome.SAME, Outcome.KEEP):
                    settled.skipped += found.listed
                    settled.absent_kept += not found.listed and found.outcome is Outcome.KEEP
                    continue
                plan.size += 1
                line = _dump(at, found)
                digest.update(line)
                digest.update(b"%d" % plan.creates(model, found))
                if model.name in referred and found.theirs is None:
                    plan.held.append(Held(model, found, store.references(model, found.key)))
                else:
                    items.write(line)
        reader.finish()
    for held in plan.held:
        digest.update(b"%d\n" % held.references)
    progress("compare", total, total)
    items.flush()
    plan.digest = digest.hexdigest()
    return plan


def _merge(
    store: Store, file: Source, model: Model, theirs: Iterable[Record], base: BackupFile | None
) -> Iterator[Merged | int | list[Record]]:
    """The merge of one model. A number stands for so many records that are the same on both sides, a list for records
    of theirs that are to be added.

    Ours are looked up by their keys where the source does not speak about everything.
    """
    complete = file.is_complete
    whole, shape = model.shape(), file.shape(model)
    is_plain = base is None and shape.is_whole and not file.report.deleted_per_model[model.name]
    if is_plain and not isinstance(file, Approximate):
        for mine, other in [(store.records(model), theirs)] if complete else _looked_up(store, model, theirs):
            for part in parts(mine, other):
                if part.alike:
                    yield part.alike
                elif not part.ours:
                    yield part.theirs
                else:
                    yield from merge(whole, shape, None, part.ours, part.theirs, (), complete=complete)
        return
    if complete:
        ours = store.records(model)
    else:
        # Read apart: how far ahead a look-up reads before it finds something is not known.
        keys = merge_sorted(
            (record.key for record in file.records(model)), (gone.key for gone in file.deletions(model))
        )
        ours = store.lookup(model, keys)
    if isinstance(file, Approximate):
        for mine, other in join(ours, theirs):
            aligned = [] if other is None else [file.aligned(model, other, mine)]
            if mine is not None and aligned and aligned[0].values == mine.values:
                yield 1
                continue
            yield from merge(whole, shape, None, [] if mine is None else [mine], aligned, complete=complete)
        return
    yield from merge(
        whole,
        shape,
        base.records(model) if base is not None else None,
        ours,
        theirs,
        file.deletions(model),
        complete=complete,
    )


def _looked_up(
    store: Store, model: Model, theirs: Iterable[Record]
) -> Iterator[tuple[Iterable[Record], Sequence[Record]]]:
    """Their records in batches, each with those of the same keys that are there. Raises OutOfOrder where a batch does
    not go on where the last one ended; within one, :func:`recordsync.changes.parts` does."""
    stream = iter(theirs)
    last: Key | None = None
    while batch := list(islice(stream, EVERY)):
        keys = [record.key for record in batch]
        if last is not None and keys[0] <= last:
            raise OutOfOrder(keys[0], last)
        last = keys[-1]
        yield store.lookup(model, keys), batch


def apply(
    plan: Plan, store: Store, decide: Decide, now: dt.datetime, progress: Progress = no_progress
) -> dict[str, Counts]:
    """Write a decided plan, in batches, in the current transaction, and account for every entry.

    Raises whatever the store raises, RecordSyncError where something would not be accounted for or a conflict is not
    decided, and what ``progress`` raises: the caller rolls back.
    """
    batches: dict[str, list[Change]] = {model.name: [] for model in plan.schema}
    done = 0

    def flush() -> None:
        nonlocal done
        for model in plan.schema:
            batch = batches[model.name]
            if batch:
                _require_valid(model, batch)
                store.write(model, batch, now)
                done += len(batch)
                batch.clear()
        progress("apply", min(done, plan.size), plan.size)

    def written() -> Iterator[Step | Additions]:
        for item in plan.decided(decide):
            if isinstance(item, Step) and item.undecided and item.merged is not None:
                raise RecordSyncError(f"Nobody has decided about {named(item.model.name, item.merged.key)} yet.")
            changes = item.changes()
            if changes and changes[0].after is None and item.model.name in plan.present:
                flush()  # first what refers to it
            batch = batches[item.model.name]
            while changes:
                room = EVERY - len(batch)
                batch += changes[:room]
                changes = changes[room:]
                if len(batch) == EVERY:
                    flush()
            yield item

    counts = tally(plan, written())
    flush()
    return counts


def _require_valid(model: Model, changes: Iterable[Change]) -> None:
    """A merged record is checked again before it is written."""
    shape = model.shape()
    records = [change.after for change in changes if change.after is not None]
    if shape.are_valid([record.values for record in records]):
        return
    for record in records:
        for name, value, expected in shape.errors(record.values):
            raise RecordSyncError(
                f"Merging {named(model.name, record.key)} gives {value!r} as {name}, where {expected} is expected."
            )


def differences(one: Plan, other: Plan) -> Iterator[tuple[Model, Key]]:
    """The keys for which two plans are not the same: what moved in between."""

    def stream(plan: Plan) -> Iterable[tuple[Any, ...]]:
        order = {model.name: at for at, model in enumerate(plan.schema)}
        items = (((order[m.name], *merged.key), merged, plan.creates(m, merged)) for m, merged in plan.items_merged())
        held = (((order[h.model.name], *h.merged.key), h.merged, h.references) for h in plan.held)
        return merge_sorted(items, held, key=itemgetter(0))

    for before, after in join(stream(one), stream(other)):
        if before is None or after is None or before[1:] != after[1:]:
            at, *key = (after if before is None else before)[0]
            yield one.schema.models[at], tuple(key)


def _dump(at: int, merged: Merged) -> bytes:
    if merged.ours is None and merged.base is None and merged.theirs is not None:
        return _dump_added(at, merged.theirs)

    def record(one: Record | None) -> Any:
        return one and [one.values, one.created_at]

    line = [
        at,
        merged.key,
        merged.outcome,
        record(merged.ours),
        record(merged.theirs),
        record(merged.base),
        merged.units,
        merged.conflicts,
        merged.listed,
    ]
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _dump_added(at: int, theirs: Record) -> bytes:
    """Of :func:`recordsync.merge.added`, which most lines are."""
    return orjson.dumps([at, theirs.values, theirs.created_at], option=orjson.OPT_APPEND_NEWLINE)


def _is_addition(said: list[Any]) -> bool:
    """Whether :func:`_dump_added` made a line."""
    return len(said) == 3


def _load_added(shape: Shape, said: list[Any]) -> Record:
    _at, values, created_at = said
    return shape.record(tuple(values), created_at)


def _load_record(shape: Shape, stored: Any) -> Record | None:
    if stored is None:
        return None
    values, created_at = stored
    return shape.record(tuple(values), created_at)
