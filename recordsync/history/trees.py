"""The tree over blocks: root → model → a level for each text of a partition.

A node is known by the digest of its text: canonical JSON of its children, each as ``[name, digest, count]``, in the
order of their names by code point. The child of a node is a node or, at the end of a partition, a block. A node with
more than ``MOST_CHILDREN`` children has groups instead, by the first byte of the SHA-256 of a child's name:
``{"groups": [["0a", digest, count], …]}``, of which each is a node of its own. What has no records is in no node. So
two registers have the same content if, and only if, their roots have the same digest.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any, Final

import orjson

from recordsync.history.blocks import BlockDigest, block_of
from recordsync.stores import Filters, Store

MOST_CHILDREN: Final = 1024
"""How many children a node names itself."""

Path = tuple[str, ...]
"""The names that lead from the root to a node or a block: the model's, then those of its partition."""

_Child = tuple[str, str, int]
"""A child's name, its digest, and the number of its records."""


@dataclass(frozen=True, slots=True)
class TreeNode:
    """A node of a tree: where it is, its digest, and the number of the records below it."""

    path: Path
    digest: str
    count: int


def tree_of(store: Store, where: Filters) -> Iterator[TreeNode]:
    """The nodes of the tree over these rows of a store, each after those below it, and last the root.

    Reads everything once. Raises what :meth:`Store.lines` raises.
    """
    return nodes(
        ((model.name, *partition), block_of(lines))
        for model in store.schema
        for partition, lines in store.blocks(model, where.get(model.name))
    )


def nodes(blocks: Iterable[tuple[Path, BlockDigest]], path: Path = ()) -> Iterator[TreeNode]:
    """The nodes from ``path`` down over these blocks, which are all below it: each after those below it, and last the
    one at ``path``.

    The blocks of a node come one after another. Of what was read, only the children of unfinished nodes are kept.
    """
    children: list[_Child] = []
    for name, below in groupby(blocks, key=lambda placed: placed[0][len(path)]):
        placed = next(below)
        place, known = placed
        child: BlockDigest | TreeNode = known
        if len(place) > len(path) + 1:
            for child in nodes(chain([placed], below), (*path, name)):
                yield child
        children.append((name, child.digest, child.count))
    yield _node(path, children)


def _node(path: Path, children: list[_Child]) -> TreeNode:
    content: Any = sorted(children)
    if len(children) > MOST_CHILDREN:
        content = {"groups": _groups(content)}
    return TreeNode(path, _digest(content), sum(count for _name, _digest, count in children))


def _groups(children: Iterable[_Child]) -> list[_Child]:
    groups: dict[str, list[_Child]] = defaultdict(list)
    for child in children:
        groups[hashlib.sha256(child[0].encode()).hexdigest()[:2]].append(child)
    return [(name, _digest(group), sum(count for *_, count in group)) for name, group in sorted(groups.items())]


def _digest(content: object) -> str:
    return hashlib.sha256(orjson.dumps(content)).hexdigest()
