"""A base of which only the records are known, such as a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from recordsync.history.blocks import BlockDigest
from recordsync.merge import BaseRecord
from recordsync.model.records import Partition
from recordsync.model.schema import Model, Shape
from recordsync.plan.bases import BasePart


class _Records(Protocol):
    def shape(self, model: Model) -> Shape: ...

    def records(self, model: Model) -> Iterable[BaseRecord]: ...


class RecordsAsBase:
    """The base that has the records of a snapshot, or of another base."""

    def __init__(self, of: _Records, identity: str = "records") -> None:
        self._of = of
        self.identity = identity

    def shape(self, model: Model) -> Shape:
        return self._of.shape(model)

    def records(self, model: Model) -> Iterable[BaseRecord]:
        return self._of.records(model)

    def parts(self, model: Model) -> None:
        """Nobody knows its partitions."""

    def part(self, model: Model, partition: Partition) -> BasePart | None:
        """Never asked for."""
        raise AssertionError

    def in_partition(self, model: Model, partition: Partition) -> Iterable[BaseRecord]:
        """Never asked for."""
        raise AssertionError

    def lines(self, placed: Iterable[tuple[Partition, BlockDigest]]) -> Iterator[list[bytes]]:
        """Never asked for."""
        raise AssertionError
