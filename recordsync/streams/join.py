"""Sorted streams: the check of their order, and the merge-join of several.

Everything here takes and gives iterators in key order and keeps one item of each in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import lt
from typing import Any

from recordsync.errors import OutOfOrder
from recordsync.model.records import Key


def in_order(stream: Iterable[Any]) -> Iterator[Any]:
    """The stream, checked: each item's key (its first element) is greater than the one before.

    A database that sorts text by some language's rules would otherwise make a merge silently wrong.
    Raises :class:`OutOfOrder`.
    """
    last: Key | None = None
    for item in stream:
        if last is not None and item[0] <= last:
            raise OutOfOrder(item[0], last)
        last = item[0]
        yield item


def are_in_order(keys: Sequence[Key]) -> bool:
    """As :func:`in_order`, of keys at hand: whether each is greater than the one before."""
    return all(map(lt, keys, keys[1:]))


def join(*streams: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """A merge-join of streams in key order: per key, the item of each stream, or None.

    Items are tuples that start with their key. Raises :class:`OutOfOrder` where a stream is not in
    order or repeats a key.
    """
    advances = [in_order(stream).__next__ for stream in streams]
    heads: list[Any] = []
    for advance in advances:
        try:
            heads.append(advance())
        except StopIteration:
            heads.append(None)
    while True:
        keys = [head[0] for head in heads if head is not None]
        if not keys:
            return
        key = min(keys)
        row: list[Any] = []
        for position, head in enumerate(heads):
            if head is not None and head[0] == key:
                row.append(head)
                try:
                    heads[position] = advances[position]()
                except StopIteration:
                    heads[position] = None
            else:
                row.append(None)
        yield tuple(row)
