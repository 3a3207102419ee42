"""The protocol of snapshots, from which plans are made.

A backup file is a snapshot, and so are the rows of a sheet and the base of a merge. A plan asks all of them the same.
What is special about one kind of snapshot is part of the protocol, so no code looks at a snapshot's type.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from recordsync.history.blocks import BlockDigest
from recordsync.history.store import StoredBlock, StoredTree
from recordsync.model.records import Partition, Record
from recordsync.model.schema import Model, Shape
from recordsync.streams import Deletion, Unparsed

Align = Callable[[Record, Record | None], Record]
"""A function that returns a record of theirs as it is meant beside ours (None: we have none): with our value where both
are equal to the precision of theirs."""


class TheirBlock(Protocol):
    """A block of theirs that is not read yet. One of the methods is called that read it, before the next block is read.
    Each raises an error where the block is not what is said of it."""

    @property
    def partition(self) -> Partition:
        """Its partition."""

    @property
    def content(self) -> BlockDigest:
        """What is said of its content: the digest, and the number of records."""

    def is_as(self, stored: StoredBlock) -> bool:
        """Whether it is said to have the very bytes of a stored block."""

    def pass_over(self) -> None:
        """Read a block that is said to have the bytes of one that is stored, without parsing it."""

    def check(self) -> None:
        """Read a block, and check all of its records."""

    def unparsed(self) -> Unparsed:
        """The lines of its records."""

    def verified(self) -> Iterator[list[Record]]:
        """Its records, in order, some together. What is said of the block is proven when they have been read."""


class Pass(Protocol):
    """One pass through a snapshot, with the models in the order of the schema."""

    def records(self, model: Model) -> Iterable[Record]:
        """The model's records in key order. Raises :class:`recordsync.errors.SourceChanged` where they are not those
        that were checked."""

    def unparsed(self, model: Model) -> Unparsed | None:
        """The lines of the same records, if they can be compared with those of a register; else None. A pass reads a
        model either as lines or as records, or block by block."""

    def blocks(self, model: Model) -> Iterator[TheirBlock] | None:
        """The blocks of the same records, of which each has to be read in turn; None if they are not known. They can be
        looked at several times, and are read once."""


class OurBlocks(Protocol):
    """The register's blocks, as the current transaction sees them."""

    @property
    def root(self) -> str | None:
        """The digest of the root of the register's tree; None unless the history store has that tree."""

    def blocks(self, model: Model) -> Iterator[tuple[Partition, BlockDigest]]:
        """Each partition that has records with its block, in key order. Costs no reading of records."""

    def described(self, digests: Collection[str]) -> Mapping[str, StoredBlock]:
        """What the history store has of the blocks with these digests, by digest, where it has them."""

    def lines(self, blocks: Iterable[BlockDigest]) -> Iterator[list[bytes] | None]:
        """The lines of each of these blocks, in their order, which takes less time than to read them in the register;
        None where that has to be read."""


class Source(Protocol):
    """All that one place says about records at one moment, checked and in key order."""

    @property
    def digest(self) -> str:
        """The text that identifies the content."""

    @property
    def counts(self) -> Mapping[str, int]:
        """How many records there are, per model that it speaks about. It says nothing of any other model."""

    @property
    def deleted(self) -> Mapping[str, int]:
        """How many deletions are listed, per model that it speaks about."""

    @property
    def repeated(self) -> Mapping[str, int]:
        """How many entries repeat another one, per model that has such entries. They are read and skipped."""

    @property
    def is_complete(self) -> bool:
        """Whether it speaks about every record, so that a record that it does not list does not exist."""

    @property
    def tree(self) -> StoredTree | None:
        """Its tree, through which the history store's other trees can be read, too; None: it has none at hand."""

    @property
    def root(self) -> str | None:
        """The digest of the root of its tree; None, unless each pass through it knows the blocks."""

    def shape(self, model: Model) -> Shape:
        """The shape of its records of a model: the fields that they have."""

    def alignment(self, model: Model) -> Align | None:
        """The function that reads its records of a model beside ours; None: they mean exactly what they say."""

    def open(self) -> AbstractContextManager[Pass]:
        """One pass through all of it, until the block ends."""

    def records(self, model: Model) -> Iterable[Record]:
        """A model's records in key order, by a read of their own."""

    def deletions(self, model: Model) -> Iterable[Deletion]:
        """A model's listed deletions in key order, by a read of their own."""
