"""The records in which two trees differ. Only blocks that differ are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Final, NamedTuple

from recordsync.history.compare import Difference, differences
from recordsync.history.store import SMALL, HistoryStore, StoredTree
from recordsync.model.records import Key
from recordsync.model.schema import Model, Shape
from recordsync.streams.lines import Lines, checksum_of
from recordsync.system.progress import EVERY

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
    key_of = partial(_key_of, Lines(model.shape()), model.shape())
    found = differences(store.nodes, [model], before.root, after.root)
    while some := list(islice(found, EVERY)):
        olds = before.lines_of((one.partition, one.before) for one in some if one.before and _are_small(one))
        news = after.lines_of((one.partition, one.after) for one in some if one.after and _are_small(one))
        for one in some:
            if _are_small(one):
                old_lines, new_lines = next(olds) if one.before else [], next(news) if one.after else []
                if len(old_lines) == len(new_lines):  # mostly a few records were changed, and none came or went
                    pairs = [(old, new) for old, new in zip(old_lines, new_lines, strict=True) if old != new]
                    old_lines, new_lines = [old for old, _new in pairs], [new for _old, new in pairs]
                yield from _changes(iter(old_lines), iter(new_lines), key_of)
            else:
                placed = ([] if block is None else [(one.partition, block)] for block in (one.before, one.after))
                old_batches, new_batches = (tree.lines(of) for tree, of in zip((before, after), placed, strict=True))
                yield from _changes(chain.from_iterable(old_batches), chain.from_iterable(new_batches), key_of)


def _are_small(difference: Difference) -> bool:
    """Whether the blocks of both trees are held in memory together."""
    return all(block is None or block.count <= SMALL for block in (difference.before, difference.after))


def _key_of(lines: Lines, shape: Shape, line: bytes) -> Key:
    return shape.key(lines.parts(line)[:-2])


def _changes(olds: Iterator[bytes], news: Iterator[bytes], key_of: Callable[[bytes], Key]) -> Iterator[LineChange]:
    """The records in which lines of both sides differ, which are in key order."""
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
