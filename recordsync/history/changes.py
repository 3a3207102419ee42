"""The records in which two trees differ. Only blocks that differ are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final, NamedTuple

from recordsync.history.blocks import BlockDigest
from recordsync.history.compare import Difference, differences
from recordsync.history.store import HistoryStore, StoredTree
from recordsync.model.records import Key
from recordsync.model.schema import Model
from recordsync.streams.lines import Lines, checksum_of

_END: Final = b""
"""Stands where a side has no more lines."""


class LineChange(NamedTuple):
    """A record that two trees have with different contents, or that one of them has. None: it has none."""

    key: Key
    before: bytes | None
    after: bytes | None


def line_changes(store: HistoryStore, model: Model, before: StoredTree, after: StoredTree) -> Iterator[LineChange]:
    """The records of a model in which two trees of a store differ, in key order. Moments of creation do not count.

    A key is parsed only where lines stand opposite each other that differ, and few lines are in memory. Raises
    :class:`recordsync.errors.HistoryDamaged` where a node or a block is missing or damaged, and HistoryUnusable.
    """

    def lines(tree: StoredTree, block_of: Callable[[Difference], BlockDigest | None]) -> Iterator[bytes]:
        # Each side walks both trees by itself: it may be far ahead of the other, and nothing is kept between them.
        found = differences(store.nodes, [model], before.root, after.root)
        placed = ((one.partition, block) for one in found if (block := block_of(one)) is not None)
        return chain.from_iterable(tree.lines(placed))

    parts, shape_key = Lines(model.shape()).parts, model.shape().key

    def key_of(line: bytes) -> Key:
        return shape_key(parts(line)[:-2])

    olds = lines(before, lambda difference: difference.before)
    news = lines(after, lambda difference: difference.after)
    old, new = next(olds, _END), next(news, _END)
    old_key = new_key = None
    while old or new:
        if old and new and checksum_of(old) == checksum_of(new):  # which the key is a part of
            old, new = next(olds, _END), next(news, _END)
            old_key = new_key = None
            continue
        old_key = old_key or (key_of(old) if old else None)
        new_key = new_key or (key_of(new) if new else None)
        if old_key is not None and (new_key is None or old_key < new_key):
            yield LineChange(old_key, old, None)
            old, old_key = next(olds, _END), None
        elif new_key is not None and (old_key is None or new_key < old_key):
            yield LineChange(new_key, None, new)
            new, new_key = next(news, _END), None
        else:
            assert new_key is not None
            yield LineChange(new_key, old, new)
            old, new = next(olds, _END), next(news, _END)
            old_key = new_key = None
