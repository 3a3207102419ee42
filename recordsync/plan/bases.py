"""The base of a merge: what both sides are proven to have shared, from the trees of a history store.

Where several snapshots are the base, their blocks are merged first: records are read only in partitions that both of
two bases changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

from recordsync.history import relation
from recordsync.history.blocks import BlockDigest
from recordsync.history.store import StoredTree
from recordsync.merge import BaseRecord, merged_bases
from recordsync.model.records import Partition
from recordsync.model.schema import Model, Shape
from recordsync.streams import join
from recordsync.streams.lines import Lines


class BasePart(NamedTuple):
    """What a base has in one partition. ``block``: None where it is not one block: bases differ there."""

    partition: Partition
    block: BlockDigest | None


class Base(Protocol):
    """What both sides of a merge are proven to have shared, and what of it is disputed."""

    @property
    def identity(self) -> str:
        """A text that identifies its content."""

    def shape(self, model: Model) -> Shape:
        """The shape of its records of a model: the fields that they have."""

    def records(self, model: Model) -> Iterable[BaseRecord]:
        """A model's records in key order."""

    def parts(self, model: Model) -> Iterator[BasePart] | None:
        """Each partition that has records, in key order; None: partitions are not known."""

    def part(self, model: Model, partition: Partition) -> BasePart | None:
        """One of the same partitions; None: it has no records."""

    def in_partition(self, model: Model, partition: Partition) -> Iterable[BaseRecord]:
        """The records of one partition, in key order."""

    def lines(self, placed: Iterable[tuple[Partition, BlockDigest]]) -> Iterator[list[bytes]]:
        """The lines of each of these partitions that is one small block."""


def opened_base(base: relation.BaseIds, tree: Callable[[str], StoredTree]) -> Base:
    """The base that a relation of snapshots tells. ``tree``: opens the tree of a snapshot, by the snapshot's id. Raises
    what that raises."""
    if isinstance(base, str):
        return StoredBase(tree(base))
    below = None if base.base is None else opened_base(base.base, tree)
    return MergedBase(opened_base(base.one, tree), opened_base(base.other, tree), below)


class StoredBase:
    """A base that is one snapshot, whose tree a history store has. Each method raises
    :class:`recordsync.errors.HistoryDamaged` where it has not, and HistoryUnusable."""

    def __init__(self, tree: StoredTree) -> None:
        self._tree = tree
        self.identity = tree.root

    def shape(self, model: Model) -> Shape:
        return model.shape()

    def records(self, model: Model) -> Iterator[BaseRecord]:
        return self._parsed(model, self._tree.digests(model))

    def parts(self, model: Model) -> Iterator[BasePart]:
        return (BasePart(partition, block) for partition, block in self._tree.digests(model))

    def part(self, model: Model, partition: Partition) -> BasePart | None:
        return next((BasePart(place, block) for place, block in self._tree.at(model, partition)), None)

    def in_partition(self, model: Model, partition: Partition) -> Iterator[BaseRecord]:
        return self._parsed(model, self._tree.at(model, partition))

    def lines(self, placed: Iterable[tuple[Partition, BlockDigest]]) -> Iterator[list[bytes]]:
        return self._tree.lines_of(placed)

    def _parsed(self, model: Model, placed: Iterable[tuple[Partition, BlockDigest]]) -> Iterator[BaseRecord]:
        parse = Lines(model.shape()).records
        for lines in self._tree.lines(placed):
            yield from parse(lines)


class MergedBase:
    """A base that is the merge of two. ``base``: theirs; None: whatever they differ in is disputed."""

    def __init__(self, one: Base, other: Base, base: Base | None) -> None:
        self._one, self._other, self._base = one, other, base
        self.identity = f"({one.identity} {other.identity} {None if base is None else base.identity})"

    def shape(self, model: Model) -> Shape:
        return self._one.shape(model)

    def records(self, model: Model) -> Iterator[BaseRecord]:
        for part in self.parts(model):
            yield from self.in_partition(model, part.partition)

    def parts(self, model: Model) -> Iterator[BasePart]:
        below = () if self._base is None else self._base.parts(model) or ()
        for base, one, other in join(below, self._one.parts(model) or (), self._other.parts(model) or ()):
            if (part := self._merged((one or other or base).partition, base, one, other)) is not None:
                yield part

    def part(self, model: Model, partition: Partition) -> BasePart | None:
        below = None if self._base is None else self._base.part(model, partition)
        return self._merged(partition, below, self._one.part(model, partition), self._other.part(model, partition))

    def in_partition(self, model: Model, partition: Partition) -> Iterable[BaseRecord]:
        base = None if self._base is None else self._base.in_partition(model, partition)
        one, other = (of.in_partition(model, partition) for of in (self._one, self._other))
        return merged_bases(self.shape(model), base, one, other)

    def lines(self, placed: Iterable[tuple[Partition, BlockDigest]]) -> Iterator[list[bytes]]:
        return self._one.lines(placed)  # of one of the two, whose store both have

    def _merged(
        self, partition: Partition, base: BasePart | None, one: BasePart | None, other: BasePart | None
    ) -> BasePart | None:
        """What the merge has in a partition: what one of the two has, or records of both. Each part is None where there
        are no records."""
        if all(part is None or part.block is not None for part in (base, one, other)):
            if one == other or (self._base is not None and other == base):
                return one
            if self._base is not None and one == base:
                return other
        return BasePart(partition, None)
