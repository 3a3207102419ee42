"""Making a plan: the merge of a snapshot with the register."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import merge as merge_sorted
from itertools import chain, groupby, islice
from types import MappingProxyType
from typing import IO, Final, NamedTuple

from recordsync.errors import HistoryDamaged, HistoryUnusable, OutOfOrder
from recordsync.history.blocks import BlockDigest
from recordsync.history.compare import side_by_side
from recordsync.history.store import SMALL, StoredTree
from recordsync.merge import BaseRecord, Counts, Disputed, Merged, Outcome, Side, is_addition, merge
from recordsync.model.records import Key, Partition, Record, canonical_json
from recordsync.model.schema import Model, Shape
from recordsync.plan.adder import Adder
from recordsync.plan.bases import Base, BasePart
from recordsync.plan.guards import DeletedParents, MergeDriver, MergePart, SealOf, guarded
from recordsync.plan.lines import Identical
from recordsync.plan.plan import Plan
from recordsync.plan.references import Held
from recordsync.plan.renames import NewName, with_new_name
from recordsync.plan.source import Align, OurBlocks, Pass, Source, TheirBlock
from recordsync.plan.steps import Additions
from recordsync.plan.trees import BlockOfTree
from recordsync.stores import Store
from recordsync.streams import Stretch, Unparsed, in_order, join, stretches, stretches_of_lines
from recordsync.streams.lines import Lines, checksums_of
from recordsync.system.progress import EVERY, Progress, no_progress

_PARTS: Final = 2
"""Where the blocks that differ have more than this part of our records, all of ours are read in one pass, which costs
less than to read partitions one by one."""


def make_plan(
    store: Store,
    theirs: Source,
    base: Base | Side | None,
    items: IO[bytes],
    progress: Progress = no_progress,
    adder: Adder | None = None,
    *,
    ours: OurBlocks | None = None,
    names: Mapping[str, Mapping[str, NewName]] = MappingProxyType({}),
    seal_of: SealOf | None = None,
    drivers: Mapping[str, MergeDriver] = MappingProxyType({}),
) -> Plan:
    """The plan of a merge of ``theirs`` with the register as the current transaction sees it.

    ``base``: what both sides are proven to have shared; None: nothing. Its records are projected to the fields of
    ``theirs``. A side: the base has exactly what that side has, so that the register becomes as theirs (ours is the
    base), or stays as it is; theirs then has every field, and speaks about everything.

    ``items``: an empty file that takes the plan's lines. ``adder``: writes additions at once where it can; the plan
    then has no lines of them, and the same digest.

    ``ours``: the register's blocks, if they are known. Where theirs knows its blocks too, speaks about everything, and
    the base (if there is one) knows its partitions, the register is not read where both have the same, nor without a
    base where theirs has nothing. The plan is the same as without.

    ``names``: for models that others refer to, what becomes of names of ours, by which theirs and the base are seen.

    ``seal_of``: says which records are sealed (None: none). What would change one of them is a line that only a person
    decides (:data:`recordsync.merge.SEAL`), and is never written at once; what seals it stands in the plan's digest.
    ``drivers``: the rules of the models that merge by one of their own. What such a rule leaves as it is has a line
    only where it is sealed, and the three-way merge would change it.

    Reads the database, and writes nothing but ``items`` and what ``adder`` writes. Raises
    :class:`recordsync.errors.SourceChanged`, :class:`recordsync.errors.OutOfOrder`,
    :class:`recordsync.errors.HistoryDamaged` where the base is not whole, and what ``ours`` and ``adder`` raise.
    """
    schema = store.schema
    plan = Plan(schema, {model.name: theirs.shape(model) for model in schema}, items)
    for name in schema.referred:
        plan.present[name] = {record.key[0] for record in store.records(schema[name])}
    digest = hashlib.sha256()
    total = sum(theirs.counts.values()) + sum(theirs.deleted.values())
    done = 0
    waiting: set[str] = set()  # the models of which a record may be added when the plan is applied
    deletions = DeletedParents()
    progress("compare", 0, total)
    with theirs.open() as reader:
        for model in schema:
            if model.name not in theirs.counts:
                continue
            repeated = theirs.repeated.get(model.name, 0)
            settled = plan.settled[model.name] = Counts(read=repeated, skipped=repeated)
            additions = _AdditionsDigest(plan, model)
            # A record is not written before the one that it names.
            takes = (
                adder is not None
                and base is None
                and waiting.isdisjoint(str(part.references) for part in model.references)
                and adder.takes(model)
            )
            sides = _Sides(store, theirs, base, model, reader, ours, names.get(model.name, {}))
            parts = sides.merged(at_once=takes)
            driver = drivers.get(model.name)
            for part in guarded(model, parts, plan.shapes[model.name], seal_of, driver, deletions, plan.present):
                listed = _entries(part)
                if done // EVERY < (done + listed) // EVERY:
                    progress("apply" if plan.written else "compare", done + listed, total)
                done += listed
                match part:
                    case Identical():
                        settled.skipped += listed
                    case Additions():
                        additions.update(settled.read, part)
                        if takes and adder is not None:
                            adder.add(plan, part)
                        else:
                            waiting.add(model.name)
                            plan.size += listed
                            items.writelines(plan.codec.added(model, part.theirs))
                    case Merged(outcome=Outcome.SAME):
                        settled.skipped += listed
                    case Merged(outcome=Outcome.KEEP, sealed=""):
                        settled.keep_ours(listed=part.listed)
                    case Merged():
                        if part.ours is None:
                            waiting.add(model.name)
                        elif part.theirs is None and part.outcome is not Outcome.KEEP:
                            plan.deletions[model.name][model.names_in(part.key)] += 1
                        plan.size += 1
                        plan.sealed += bool(part.sealed)
                        line = plan.codec.line(model, part)
                        digest.update(line)
                        digest.update(b"%d" % plan.creates(model, part))
                        if model.name in schema.referred and part.theirs is None:
                            plan.held.append(held := Held(model, part, store.references(model, part.key)))
                            deletions.add(held)
                        elif part.theirs is not None and part.theirs.key != part.key:
                            plan.held.append(Held(model, part, 0))
                        else:
                            items.write(line)
                settled.read += listed
            if takes and adder is not None:
                adder.flush(model)
            digest.update(additions.digest())
    for held in plan.held:
        digest.update(b"%d\n" % held.references)
    digest.update(theirs.digest.encode())  # which is known only now where the file is checked on the way
    digest.update(b"" if base is None else base.identity.encode() if not isinstance(base, Side) else base.encode())
    if adder is None:
        progress("compare", total, total)
    items.flush()
    plan.digest = digest.hexdigest()
    return plan


class _AdditionsDigest:
    """The digest of which entries of theirs are added, and of the records that are created for them.

    Theirs' own digest, which a plan's digest includes, says what these entries are.
    """

    def __init__(self, plan: Plan, model: Model) -> None:
        self._present = [plan.present[str(part.references)] for part in model.references]
        self._missing: list[set[str]] = [set() for _part in model.references]
        self._digest = hashlib.sha256()
        self._first = self._end = 0

    def update(self, position: int, additions: Additions) -> None:
        """Account for additions, which are the entries of theirs from ``position`` on."""
        if position != self._end:
            self._end_run()
            self._first = position
        self._end = position + len(additions.theirs)
        if self._present:
            columns = zip(*additions.names(), strict=True)
            for missing, present, names in zip(self._missing, self._present, columns, strict=True):
                missing.update(name for name in names if name not in present)

    def digest(self) -> bytes:
        """The digest of what :meth:`update` was told. Called once."""
        self._end_run()
        self._digest.update(canonical_json({"creates": [sorted(missing) for missing in self._missing]}))
        return self._digest.digest()

    def _end_run(self) -> None:
        if self._end > self._first:
            self._digest.update(b"%d-%d\n" % (self._first, self._end))


def _entries(part: MergePart) -> int:
    """How many entries of theirs this part of the merge covers."""
    match part:
        case Identical():
            return part.count
        case Additions():
            return len(part.theirs)
        case _:
            return int(part.listed)


class _Sides(NamedTuple):
    """What is merged of one model. ``reader`` reads theirs; ``names``: see :func:`make_plan`."""

    store: Store
    theirs: Source
    base: Base | Side | None
    model: Model
    reader: Pass
    ours: OurBlocks | None
    names: Mapping[str, NewName]

    def merged(self, *, at_once: bool) -> Iterator[MergePart]:
        """The merge. Where theirs does not speak about every record, ours are looked up by its keys. ``at_once``: the
        model's table may be written while this is read, so all of ours are read into memory first."""
        store, theirs, model, reader = self.store, self.theirs, self.model, self.reader
        whole, shape, complete = model.shape(), theirs.shape(model), theirs.is_complete
        align = theirs.alignment(model)
        if align is None and shape.is_whole and not theirs.deleted[model.name] and not self.names:
            if (by_blocks := self._merged_by_blocks(at_once=at_once)) is not None:
                yield from by_blocks
                return
            if self.base is None or complete:
                between = _stretches(store, model, reader, is_complete=complete, at_once=at_once)
                yield from _merged_by_stretches(model, between, is_complete=complete, before=self._before())
                return
        records = reader.records(model)
        ours: Iterable[Record]
        if at_once:
            ours = list(store.records(model))
        elif complete:
            ours = store.records(model)
        else:
            # The keys come from a read of their own, because nobody knows how far ahead a look-up reads.
            keys = merge_sorted(
                (record.key for record in theirs.records(model)), (deletion.key for deletion in theirs.deletions(model))
            )
            ours = store.lookup(model, keys)
        if align is not None:
            yield from _together(model, shape, _merged_aligned(whole, shape, ours, records, align, complete=complete))
            return
        before: Iterable[BaseRecord] | None
        if isinstance(self.base, Side):
            before = (store if self.base is Side.OURS else theirs).records(model)
        else:
            before = None if self.base is None else _projected(shape, self.base, model)
        merged = merge(whole, shape, before, ours, records, theirs.deletions(model), complete=complete)
        yield from _together(model, shape, self._with_names(shape, merged))

    def _with_names(self, shape: Shape, merged: Iterable[Merged]) -> Iterable[Merged]:
        """The same merges, with what becomes of names."""
        if not self.names:
            return merged
        return (with_new_name(part, shape, self.names.get(part.key[0])) for part in merged)

    def _merged_by_blocks(self, *, at_once: bool) -> Iterator[MergePart] | None:
        """The merge of what is complete, block by block; None if it is not known by blocks, or more is different than
        not."""
        model, reader = self.model, self.reader
        if not self.theirs.is_complete:
            return None
        if at_once:
            if self.store.has_more_than(model, 0) or (blocks := reader.blocks(model)) is None:
                return None
            return self._added(blocks)
        if self.ours is None:
            return None
        by_trees = self.ours.root is not None and self.theirs.tree is not None
        if not by_trees and self.ours.root is not None and self.ours.root == self.theirs.root:
            # What a file says of its tree is proven by its blocks, so they are read all the same.
            blocks = reader.blocks(model)
            assert blocks is not None
            alike = (_Joined(block.partition, block.content, block, None) for block in blocks)
            return _merged_block_by_block(self.store, model, self.ours, alike, self.base)
        try:
            is_much = self._is_much_different(self._side_by_side(self.ours, None, by_trees=by_trees))
        except (HistoryDamaged, HistoryUnusable):
            if not by_trees:
                raise
            by_trees = False  # our tree may be damaged, and the register still tells its blocks
            is_much = self._is_much_different(self._side_by_side(self.ours, None, by_trees=False))
        base = None if isinstance(self.base, Side) else self.base
        if is_much or (parts := self._side_by_side(self.ours, base, by_trees=by_trees)) is None:
            return None
        return _merged_block_by_block(self.store, model, self.ours, parts, self.base)

    def _side_by_side(
        self, ours: OurBlocks, base: Base | None, *, by_trees: bool
    ) -> Iterator[_Joined | Identical] | None:
        """What both sides and the base have, partition by partition; None where that is not known.

        ``by_trees``: nothing is read of what the trees of both have alike.
        """
        if by_trees and ours.root is not None and self.theirs.tree is not None:
            return _joined_by_trees(ours.root, self.theirs.tree, self.model, base)
        parts = () if base is None else base.parts(self.model)
        if parts is None or (blocks := self.reader.blocks(self.model)) is None:
            return None
        return _joined(ours.blocks(self.model), blocks, parts)

    def _is_much_different(self, parts: Iterable[_Joined | Identical] | None) -> bool:
        """Whether it costs less to read all of ours than what differs, or that is not known."""
        if parts is None:
            return True
        total = different = 0
        for one in parts:
            if isinstance(one, Identical):
                total += one.count
            elif one.ours is not None:
                total += one.ours.count
                if one.ours != one.theirs.content if one.theirs else self.base is not None:
                    different += one.ours.count
        return different * _PARTS > total

    def _added(self, blocks: Iterable[TheirBlock]) -> Iterator[MergePart]:
        """Additions of all of theirs, where there are none of ours, block by block."""
        for block in blocks:
            for records in block.verified():
                yield Additions(self.model, self.model.shape(), records)

    def _before(self) -> _Before | None:
        """What the base has, where theirs has every field and speaks about every record; None: there is none."""
        if self.base is None:
            return None
        if isinstance(self.base, Side):
            return _of_side(self.base)
        whole = self.model.shape()
        if self.base.shape(self.model).is_whole:
            return _Following(self.base.records(self.model)).of
        return _Following(_projected(whole, self.base, self.model)).of


class _Joined(NamedTuple):
    """What our side, theirs and the base have in one partition: None, where they have no records."""

    partition: Partition
    ours: BlockDigest | None
    theirs: TheirBlock | None
    base: BasePart | None

    @property
    def is_alike(self) -> bool:
        """Whether both sides have the same block."""
        return self.ours is not None and self.theirs is not None and self.ours == self.theirs.content

    @property
    def is_only_in_base(self) -> bool:
        """Whether the base is a small block, which neither side has any more."""
        block = None if self.base is None else self.base.block
        theirs = None if self.theirs is None else self.theirs.content
        return block is not None and block.count <= SMALL and block not in (self.ours, theirs)


def _joined(
    ours: Iterable[tuple[Partition, BlockDigest]], theirs: Iterable[TheirBlock], base: Iterable[BasePart] = ()
) -> Iterator[_Joined]:
    for our, their, part in join(ours, ((block.partition, block) for block in theirs), base):
        partition = (our or their or part)[0]
        yield _Joined(partition, our and our[1], their and their[1], part)


def _joined_by_trees(ours: str, theirs: StoredTree, model: Model, base: Base | None) -> Iterator[_Joined | Identical]:
    """What both sides and the base have, where the trees of both sides differ. ``ours``: the digest of our root."""
    parse = Lines(model.shape())
    for one in side_by_side(theirs.nodes, model, ours, theirs.root):
        if isinstance(one, int):
            yield Identical(one)
        else:
            their = None if one.after is None else BlockOfTree(theirs, one.partition, one.after, parse)
            part = None if base is None else base.part(model, one.partition)
            yield _Joined(one.partition, one.before, their, part)


def _merged_block_by_block(
    store: Store, model: Model, ours: OurBlocks, joined: Iterable[_Joined | Identical], base: Base | Side | None
) -> Iterator[MergePart]:
    """The merge of complete records, where the blocks of both sides are known. ``base``: None: there is none."""
    parse = Lines(model.shape()).records  # made once, which takes longer than to parse a small block
    stream = iter(joined)
    while some := list(islice(stream, EVERY)):
        read = [one for one in some if isinstance(one, _Joined)]
        alike = [one.ours.digest for one in read if one.ours and one.is_alike]
        stored = ours.described(alike) if alike else {}
        differing = [one for one in read if not one.is_alike and (one.theirs or (base is not None and one.ours))]
        our_lines = ours.lines(one.ours for one in differing if one.ours)
        base_lines = iter(()) if base is None or isinstance(base, Side) else base.lines(_only_in_base(differing))
        for one in some:
            if isinstance(one, Identical):
                yield one
                continue
            if one.theirs is None and (base is None or one.ours is None):
                continue  # without a base, absence says nothing; with one, neither side has what the base had
            if one.theirs is not None and one.is_alike:
                known = stored.get(one.theirs.content.digest)
                if known is not None and one.theirs.is_as(known):
                    one.theirs.pass_over()
                else:
                    one.theirs.check()
                yield Identical(one.theirs.content.count)
                continue
            lines: Iterator[bytes] = iter(())
            if one.ours is not None:
                known_lines = next(our_lines)
                lines = store.partition(model, one.partition) if known_lines is None else iter(known_lines)
            their_lines = Unparsed(iter(()), parse) if one.theirs is None else one.theirs.unparsed()
            stretches = stretches_of_lines(Unparsed(lines, parse), their_lines)
            before = None if base is None else _before(base, model, one, base_lines)
            yield from _merged_by_stretches(model, stretches, is_complete=True, before=before)


def _only_in_base(joined: Iterable[_Joined]) -> Iterator[tuple[Partition, BlockDigest]]:
    """The small blocks of a base that neither side has any more."""
    return ((one.partition, one.base.block) for one in joined if one.is_only_in_base and one.base and one.base.block)


_Before = Callable[[Stretch], Sequence[BaseRecord]]
"""What the base has of the keys of a stretch. Stretches are asked for in order."""


def _of_side(side: Side) -> _Before:
    """What a base has that is the same as a side."""
    return (lambda stretch: stretch.ours) if side is Side.OURS else (lambda stretch: stretch.theirs)


def _before(base: Base | Side, model: Model, joined: _Joined, lines: Iterator[list[bytes]]) -> _Before:
    """What the base has in a partition, of which nothing is read if either side has it unchanged. ``lines``: the next
    are those of the base, where it is only there."""
    if isinstance(base, Side):
        return _of_side(base)
    if joined.base is None:
        return lambda stretch: ()
    if joined.base.block is not None and joined.base.block == joined.ours:
        return _of_side(Side.OURS)
    if joined.base.block is not None and joined.theirs and joined.base.block == joined.theirs.content:
        return _of_side(Side.THEIRS)
    if joined.is_only_in_base:
        return _Known(next(lines), model.shape()).of
    return _Following(base.in_partition(model, joined.partition)).of


class _Known:
    """A block of a base, of which checksums tell which of our and of their records it has. Its lines are parsed only
    where it has neither."""

    def __init__(self, lines: list[bytes], shape: Shape) -> None:
        self._shape = Lines(shape)
        self._lines = lines
        self._checksums = set(checksums_of(self._lines))
        self._by_key: dict[Key, Record] | None = None

    def of(self, stretch: Stretch) -> list[Record]:
        """What the base has of the keys of a stretch."""
        known: dict[Key, Record | None] = {}
        for record in chain(stretch.ours, stretch.theirs):
            if known.get(record.key) is None:
                is_there = self._shape.checksum(record.values) in self._checksums
                known[record.key] = record if is_there else None
        if None in known.values():
            if self._by_key is None:
                self._by_key = {record.key: record for record in self._shape.records(self._lines)}
            known |= {key: self._by_key.get(key) for key, record in known.items() if record is None}
        return [record for _key, record in sorted(known.items()) if record is not None]


class _Following:
    """The records of a base, which follow the stretches of both sides."""

    def __init__(self, records: Iterable[BaseRecord]) -> None:
        self._stream = in_order(records)
        self._next: BaseRecord | None = next(self._stream, None)

    def of(self, stretch: Stretch) -> list[BaseRecord]:
        """What the base has from the first key of a stretch to the last. What it has before is there no more on either
        side, or was passed over."""
        keys = [records[end].key for records in (stretch.ours, stretch.theirs) if records for end in (0, -1)]
        first, last = min(keys), max(keys)
        found: list[BaseRecord] = []
        while self._next is not None and self._next.key <= last:
            if self._next.key >= first:
                found.append(self._next)
            self._next = next(self._stream, None)
        return found


def _together(
    model: Model, shape: Shape, merged: Iterable[Merged | Identical]
) -> Iterator[Merged | Identical | Additions]:
    """The same merges, with up to :data:`EVERY` consecutive additions together."""
    for adds, group in groupby(merged, key=_is_addition):
        if not adds:
            yield from group
            continue
        while theirs := [part.theirs for part in islice(group, EVERY) if isinstance(part, Merged) and part.theirs]:
            yield Additions(model, shape, theirs)


def _is_addition(part: Merged | Identical) -> bool:
    """Whether the part adds a record that neither ours nor a base has."""
    return isinstance(part, Merged) and is_addition(part)


def _merged_by_stretches(
    model: Model, between: Iterable[Stretch], *, is_complete: bool, before: _Before | None = None
) -> Iterator[Merged | Identical | Additions]:
    """The merge of records that have every field. Stretches that are alike are counted as a whole. ``before``: None:
    there is no base."""
    whole = model.shape()
    for stretch in between:
        if stretch.alike:
            yield Identical(stretch.alike)
            continue
        base = None if before is None else before(stretch)
        if not stretch.ours and not base:
            yield Additions(model, whole, stretch.theirs)
        else:
            merged = merge(whole, whole, base, stretch.ours, stretch.theirs, complete=is_complete)
            yield from _together(model, whole, merged)


def _stretches(store: Store, model: Model, reader: Pass, *, is_complete: bool, at_once: bool) -> Iterator[Stretch]:
    """The stretches of ours and theirs: of lines where both have lines, otherwise of records."""
    theirs = reader.unparsed(model) if is_complete else None
    if theirs is not None:
        lines = iter(list(store.lines(model))) if at_once else store.lines(model)
        yield from stretches_of_lines(Unparsed(lines, Lines(model.shape()).records), theirs)
    elif at_once:
        yield from stretches(list(store.records(model)), reader.records(model))
    elif is_complete:
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


def _projected(shape: Shape, base: Base, model: Model) -> Iterator[BaseRecord]:
    """The base's records with the fields of ``shape``. Fields that the base lacks are blank."""
    origin = base.shape(model)
    for record in base.records(model):
        if not isinstance(record, Disputed):
            yield shape.project(record, origin)
        elif record.values is None:
            yield record
        else:
            projected = shape.project(Record(record.key, record.values), origin)
            units = record.units.intersection(shape.units)
            yield Disputed(record.key, projected.values, units) if units else projected


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
