"""What the register is now, by its blocks: the leaves of its head, and the dirty ones read in the current transaction.

Nothing is written. A preview knows by this which blocks of a file are the register's own.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from heapq import merge
from itertools import repeat

from recordsync.errors import HistoryDamaged, HistoryUnusable
from recordsync.history import leaves
from recordsync.history.blocks import BlockDigest, block_of
from recordsync.history.places import Place
from recordsync.history.state import RegisterState
from recordsync.history.store import SMALL, HistoryStore, StoredBlock
from recordsync.model.records import Partition
from recordsync.model.schema import Model
from recordsync.stores import Store
from recordsync.system.progress import EVERY

logger = logging.getLogger(__name__)


class Current:
    """The blocks of a register, made by :func:`read_current`. It holds for the transaction in which it was made. Fits
    :class:`recordsync.plan.OurBlocks`."""

    def __init__(self, using: str, history: HistoryStore, dirty: _Dirty, root: str | None) -> None:
        self.root = root
        self._using = using
        self._history = history
        self._dirty = dirty

    def described(self, digests: Collection[str]) -> Mapping[str, StoredBlock]:
        """What the history store has of the blocks with these digests: nothing, where it does not answer."""
        try:
            return self._history.described(digests)
        except HistoryUnusable:
            logger.warning("It is not known which blocks the history store has", exc_info=True)
            return {}

    def lines(self, blocks: Iterable[BlockDigest]) -> Iterator[list[bytes] | None]:
        """The lines of each of these blocks, in their order; None for one that is not stored, or is large. If the store
        fails, None for all that follow."""
        wanted = list(blocks)
        stored: Iterator[list[bytes] | None] = self._history.lines(one for one in wanted if one.count <= SMALL)
        for block in wanted:
            if block.count > SMALL:
                yield None
                continue
            try:
                lines = next(stored)
            except (HistoryUnusable, HistoryDamaged):
                logger.warning("Blocks are read in the register, because the history store fails", exc_info=True)
                stored, lines = repeat(None), None
            yield lines

    def blocks(self, model: Model) -> Iterator[tuple[Partition, BlockDigest]]:
        """The blocks of a model, each with its partition, in key order. They are streamed."""
        places, read = self._dirty[model.name]
        clean = (
            (leaf.partition(model), leaf.block)
            for leaf in leaves.leaves(self._using, model)
            if leaf.place not in places
        )
        return merge(clean, sorted(read.items()), key=lambda placed: placed[0]) if read else clean


_Dirty = dict[str, tuple[frozenset[Place], dict[Partition, BlockDigest]]]
"""For each model the dirty places, and the blocks that are there now."""


def read_current(store: Store, using: str, history: HistoryStore, state: RegisterState) -> Current | None:
    """What the register is in the current transaction; None where so much of a model is dirty that all of the register
    must be read.

    Reads what is dirty. Raises what :meth:`Store.lines` raises.
    """
    dirty: _Dirty = {}
    for model in store.schema:
        places = state.dirty[model.name]
        blocks: Iterable[tuple[Partition, Iterable[bytes]]]
        if not model.levels:
            places = frozenset({Place("", "")}) if places is None else places
            blocks = store.blocks(model) if places else ()
        elif places is None:
            if store.has_more_than(model, EVERY):
                return None
            # A model with few records must not have all records of the others read.
            places = frozenset(leaf.place for leaf in leaves.leaves(using, model))
            blocks = store.blocks(model)
        else:
            known = sorted(filter(None, map(store.places(model).partition, places)))
            blocks = ((partition, store.partition(model, partition)) for partition in known)
        read = {partition: block_of(lines) for partition, lines in blocks}
        dirty[model.name] = places, {partition: block for partition, block in read.items() if block.count}
    return Current(using, history, dirty, state.head.tree if state.is_clean and state.head is not None else None)
