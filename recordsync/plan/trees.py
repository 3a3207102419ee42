"""A snapshot whose tree is at hand, as something that can be merged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from recordsync.history.blocks import BlockDigest
from recordsync.history.store import StoredBlock, StoredTree
from recordsync.model.records import Partition, Record
from recordsync.model.schema import Model, Shape
from recordsync.streams import Deletion, Unparsed
from recordsync.streams.lines import Lines


class TreeSource:
    """All that a snapshot has. Fits :class:`recordsync.plan.Source`. What is read of it raises
    :class:`recordsync.errors.HistoryDamaged` where it is not at hand, and HistoryUnusable."""

    is_complete = True

    def __init__(self, tree: StoredTree) -> None:
        self.tree = tree
        self.digest = self.root = tree.root
        self.counts: Mapping[str, int] = tree.totals()
        self.deleted: Mapping[str, int] = dict.fromkeys(self.counts, 0)
        self.repeated: Mapping[str, int] = {}

    def shape(self, model: Model) -> Shape:
        """All fields."""
        return model.shape()

    def alignment(self, model: Model) -> None:
        """None: the records mean exactly what they say."""

    @contextmanager
    def open(self) -> Iterator[TreeSource]:
        """This source. What a digest names never changes, so a pass needs no check."""
        yield self

    def records(self, model: Model) -> Iterator[Record]:
        """A model's records, in key order."""
        for block in self.blocks(model):
            for records in block.verified():
                yield from records

    def unparsed(self, model: Model) -> Unparsed:
        """The lines of the same records."""
        lines = (line for batch in self.tree.lines(self.tree.digests(model)) for line in batch)
        return Unparsed(lines, Lines(model.shape()).records)

    def blocks(self, model: Model) -> Iterator[BlockOfTree]:
        """The blocks of the same records."""
        parse = Lines(model.shape())
        return (BlockOfTree(self.tree, partition, block, parse) for partition, block in self.tree.digests(model))

    def deletions(self, model: Model) -> Iterator[Deletion]:
        """No deletions: what it does not have does not exist."""
        return iter(())


class BlockOfTree:
    """A block of a tree. Fits :class:`recordsync.plan.TheirBlock`. It was proven when it was stored."""

    def __init__(self, tree: StoredTree, partition: Partition, content: BlockDigest, parse: Lines) -> None:
        self.partition = partition
        self.content = content
        self._tree = tree
        self._parse = parse

    def is_as(self, stored: StoredBlock) -> bool:
        """True: it has the content of any block that has its digest."""
        return True

    def pass_over(self) -> None:
        """Do nothing: nothing has to be read."""

    def check(self) -> None:
        """Do nothing: it was proven when it was stored."""

    def unparsed(self) -> Unparsed:
        """The lines of its records."""
        return Unparsed((line for batch in self._lines() for line in batch), self._parse.records)

    def verified(self) -> Iterator[list[Record]]:
        """Its records, in order, some together."""
        return map(self._parse.records, self._lines())

    def _lines(self) -> Iterator[list[bytes]]:
        return self._tree.lines([(self.partition, self.content)])
