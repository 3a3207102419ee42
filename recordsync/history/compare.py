"""The blocks in which two trees differ, and how much they share. Nothing of what they share is read, and no record.

Nodes are compared level by level from the root down, many together, so that a difference costs a read of the path to it
and no query of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

import orjson

from recordsync.history.blocks import BlockDigest
from recordsync.history.trees import EMPTY, Child, Path, Read, children_in, children_of
from recordsync.model.records import Partition
from recordsync.model.schema import Model, Schema

_TOGETHER: Final = 128
"""How many pairs of nodes are read together."""


class Difference(NamedTuple):
    """A partition whose blocks differ. None: it has no records in that tree."""

    model: Model
    partition: Partition
    before: BlockDigest | None
    after: BlockDigest | None


def totals_in(text: bytes, schema: Schema) -> dict[str, int]:
    """The number of records of each model, by the text of a tree's root."""
    counts = {name: count for name, _digest, count in orjson.loads(text)}
    return {model.name: counts.get(model.name, 0) for model in schema}


class _Pair(NamedTuple):
    """The nodes or blocks at one path of two trees, which differ."""

    path: Path
    before: Child | None
    after: Child | None


def differences(read: Read, models: Iterable[Model], before: str | None, after: str) -> Iterator[Difference]:
    """The blocks of these models in which two trees differ, in the order of the models and of the keys.

    ``before`` and ``after``: the digests of their roots (None: a tree without records). Raises what ``read`` raises:
    HistoryDamaged where a node is missing.
    """
    root = _Pair((), None if before is None else ("", before, 0), ("", after, 0))
    found = {pair.path: pair for pair in _pairs(read, [root] if before != after else [])}
    for model in models:
        pairs: Iterable[_Pair] = filter(None, [found.get((model.name,))])
        for _level in range(model.levels):
            pairs = _pairs(read, pairs)
        for path, old, new in pairs:
            yield Difference(model, path[1:], _block(old), _block(new))


def side_by_side(read: Read, model: Model, before: str, after: str) -> Iterator[Difference | int]:
    """The blocks of a model in which two trees differ, and between them how many records both have alike, in key order.

    ``before`` and ``after``: the digests of their roots. Raises what ``read`` raises: HistoryDamaged where a node is
    missing.
    """
    old, new = ({child[0]: child for child in children_of(read, root)}.get(model.name) for root in (before, after))
    parts: Iterable[_Pair | int] = [] if old is None and new is None else [_beside((model.name,), old, new)]
    for _level in range(model.levels):
        parts = _below(read, parts)
    for part in parts:
        yield part if isinstance(part, int) else Difference(model, part.path[1:], *map(_block, part[1:]))


def _below(read: Read, parts: Iterable[_Pair | int]) -> Iterator[_Pair | int]:
    """The pairs of children below these nodes, in order, and how many records nodes have that are alike."""
    stream = iter(parts)
    while some := list(islice(stream, _TOGETHER)):
        digests = [child[1] for pair in some if isinstance(pair, _Pair) for child in pair[1:] if child is not None]
        texts = read(list(dict.fromkeys(digests))) if digests else {}
        shared = 0
        for part in some:
            if isinstance(part, int):
                shared += part
                continue
            old, new = (
                {} if child is None else {below[0]: below for below in children_in(read, texts[child[1]])}
                for child in part[1:]
            )
            for name in sorted(old.keys() | new.keys()):
                pair = _beside((*part.path, name), old.get(name), new.get(name))
                if isinstance(pair, int):
                    shared += pair
                    continue
                if shared:
                    yield shared
                shared = 0
                yield pair
        if shared:
            yield shared


def _beside(path: Path, before: Child | None, after: Child | None) -> _Pair | int:
    """The pair at a path; the number of records where both are alike."""
    if before is not None and after is not None and before[1] == after[1]:
        return after[2]
    return _Pair(path, before, after)


def _block(child: Child | None) -> BlockDigest | None:
    return None if child is None else BlockDigest(child[1], child[2])


def _pairs(read: Read, pairs: Iterable[_Pair]) -> Iterator[_Pair]:
    """The pairs of children below these nodes that differ, in order."""
    stream = iter(pairs)
    while some := list(islice(stream, _TOGETHER)):
        digests = [child[1] for pair in some for child in (pair.before, pair.after) if child is not None]
        texts = read(list(dict.fromkeys(digests)))
        for path, before, after in some:
            old, new = (EMPTY if child is None else texts[child[1]] for child in (before, after))
            for name, one, other in _differing(*_children(read, old, new)):
                yield _Pair((*path, name), one, other)


def _children(read: Read, before: bytes, after: bytes) -> tuple[list[Child], list[Child]]:
    """The children of two nodes; of those that are in groups, only those whose groups differ."""
    old, new = orjson.loads(before), orjson.loads(after)
    if isinstance(old, dict) and isinstance(new, dict):
        groups = list(_differing(old["groups"], new["groups"]))
        return _in_groups(read, [one for _, one, _ in groups]), _in_groups(read, [other for _, _, other in groups])
    both = (_in_groups(read, node["groups"]) if isinstance(node, dict) else node for node in (old, new))
    return next(both), next(both)


def _in_groups(read: Read, groups: Iterable[Child | None]) -> list[Child]:
    digests = [group[1] for group in groups if group is not None]
    texts = read(digests) if digests else {}
    return [child for digest in digests for child in orjson.loads(texts[digest])]


def _differing(before: list[Child], after: list[Child]) -> Iterator[tuple[str, Child | None, Child | None]]:
    """For each name whose children differ, in order: the name and both children."""
    old, new = ({child[0]: child for child in children} for children in (before, after))
    for name in sorted(old.keys() | new.keys()):
        one, other = old.get(name), new.get(name)
        if one is None or other is None or one[1] != other[1]:
            yield name, one, other
