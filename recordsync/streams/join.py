"""Sorted streams: the check of their order, and the merge-join of several.

Every function takes and returns iterators in key order, and keeps one item of each stream in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import lt
from typing import Any

from recordsync.errors import OutOfOrder
from recordsync.model.records import Key


def in_order(stream: Iterable[Any]) -> Iterator[Any]:
    """The stream's items, in checked order: each key, which is an item's first element, is greater than the one before.

    Without this check, a database that sorts text by the rules of a language would silently make a merge wrong. Raises
    :class:`OutOfOrder`.
    """
    last: Key | None = None
    for item in stream:
        if last is not None and item[0] <= last:
            raise OutOfOrder(item[0], last)
        last = item[0]
        yield item


def are_in_order(keys: Sequence[Key]) -> bool:
    """Whether each of these keys is greater than the one before."""
    return all(map(lt, keys, keys[1:]))


def join(*streams: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """The merge-join of streams in key order: for each key, the item of each stream, or None where it has none.

    An item is a tuple that starts with its key. Raises :class:`OutOfOrder` if a stream is not in order or repeats a
    key.
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
