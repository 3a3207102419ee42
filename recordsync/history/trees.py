"""The tree over blocks: root → model → a level for each text of a partition.

A node is known by the digest of its text: canonical JSON of its children, each as ``[name, digest, count]``, in the
order of their names by code point. The child of a node is a node or, at the end of a partition, a block. A node with
more than ``MOST_CHILDREN`` children has groups instead, by the first byte of the SHA-256 of a child's name:
``{"groups": [["0a", digest, count], …]}``, of which each is a node of its own. What has no records is in no node. So
two registers have the same content if, and only if, their roots have the same digest.

A tree is made of all its blocks (:func:`nodes`), or of another tree and what is different (:func:`changed`); both give
the same. :func:`blocks_of` reads one.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any, Final

import orjson

from recordsync.history.blocks import BlockDigest, block_of
from recordsync.stores import Filters, Store

MOST_CHILDREN: Final = 1024
"""How many children a node names itself."""

_TOGETHER: Final = 256
"""How many nodes are read together."""

EMPTY: Final = b"[]"
"""The text of a node without children, which only a root can be."""

Path = tuple[str, ...]
"""The names that lead from the root to a node or a block: the model's, then those of its partition."""

Child = tuple[str, str, int]
"""A child's name, its digest, and the number of its records."""

Keep = Callable[[str, bytes], None]
"""What is done with the digest and the text of a node that was made."""

Read = Callable[[Sequence[str]], Mapping[str, bytes]]
"""A function that gives the texts of the nodes with these digests."""


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


def nodes(
    blocks: Iterable[tuple[Path, BlockDigest]], path: Path = (), keep: Keep = lambda digest, text: None
) -> Iterator[TreeNode]:
    """The nodes from ``path`` down over these blocks, which are all below it: each after those below it, and last the
    one at ``path``.

    The blocks of a node come one after another. ``keep`` gets every text, those of groups too. Of what was read, only
    the children of unfinished nodes are kept.
    """
    children: list[Child] = []
    for name, below in groupby(blocks, key=lambda placed: placed[0][len(path)]):
        placed = next(below)
        place, known = placed
        child: BlockDigest | TreeNode = known
        if len(place) > len(path) + 1:
            for child in nodes(chain([placed], below), (*path, name), keep):
                yield child
        children.append((name, child.digest, child.count))
    yield node_of(path, children, keep)


def node_of(path: Path, children: Iterable[Child], keep: Keep) -> TreeNode:
    """The node with these children, in any order."""
    content: Any = sorted(children)
    count = sum(child[2] for child in content)
    if len(content) > MOST_CHILDREN:
        content = {"groups": [_group(name, of_name, keep) for name, of_name in sorted(_grouped(content).items())]}
    return TreeNode(path, _kept(content, keep), count)


def _grouped(children: Iterable[Child]) -> dict[str, list[Child]]:
    groups: dict[str, list[Child]] = defaultdict(list)
    for child in children:
        groups[_group_of(child[0])].append(child)
    return groups


def _group_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:2]


def _group(name: str, children: Iterable[Child], keep: Keep) -> Child:
    content = sorted(children)
    return name, _kept(content, keep), sum(child[2] for child in content)


def _kept(content: object, keep: Keep) -> str:
    text = orjson.dumps(content)
    digest = hashlib.sha256(text).hexdigest()
    keep(digest, text)
    return digest


def blocks_of(read: Read, digest: str, depth: int, path: Path = ()) -> Iterator[tuple[Path, BlockDigest]]:
    """The blocks below the node with this digest, each with its path, in key order. ``path``: that of the node;
    ``depth``: how many names lead from it to a block."""
    children: Iterable[tuple[Path, str, int]] = [(path, digest, 0)]
    for _level in range(depth):
        children = _below(read, children)
    return ((place, BlockDigest(known, count)) for place, known, count in children)


def _below(read: Read, items: Iterable[tuple[Path, str, int]]) -> Iterator[tuple[Path, str, int]]:
    """The children of these nodes, in order. Nodes are read together."""
    stream = iter(items)
    while some := list(islice(stream, _TOGETHER)):
        texts = read([digest for _path, digest, _count in some])
        for path, digest, _count in some:
            for name, known, count in children_in(read, texts[digest]):
                yield (*path, name), known, count


def children_of(read: Read, digest: str) -> list[Child]:
    """The children of the node with this digest, in the order of their names."""
    return children_in(read, read([digest])[digest])


def children_in(read: Read, text: bytes) -> list[Child]:
    """The children of the node with this text, in the order of their names. Reads its groups, if it has any."""
    content = orjson.loads(text)
    if isinstance(content, list):
        return [(name, digest, count) for name, digest, count in content]
    digests = [digest for _name, digest, _count in content["groups"]]
    return sorted(
        (name, digest, count) for group in read(digests).values() for name, digest, count in orjson.loads(group)
    )


def reach(read: Read, digest: str, depth: int, blocks: set[str], seen: set[str]) -> None:
    """Add to ``blocks`` the digests of the blocks below a node, and to ``seen`` those of the node and of all nodes
    below it, groups among them. What was seen before is not read again. ``depth``: how many names lead from the node to
    a block."""
    level = [digest]
    for _level in range(depth):
        new = list(dict.fromkeys(known for known in level if known not in seen))
        seen.update(new)
        level = []
        for start in range(0, len(new), _TOGETHER):
            for text in read(new[start : start + _TOGETHER]).values():
                content = orjson.loads(text)
                if not isinstance(content, list):
                    groups = [group for _name, group, _count in content["groups"] if group not in seen]
                    seen.update(groups)
                    content = [child for group in read(groups).values() for child in orjson.loads(group)]
                level += [known for _name, known, _count in content]
    blocks.update(level)


Changes = Iterable[tuple[Path, BlockDigest | None]]
"""For the path of a block what it is now (None: it is there no more)."""


def changed(read: Read, digest: str | None, changes: Changes, keep: Keep, path: Path = ()) -> TreeNode:
    """The node at ``path`` of a tree after these changes below it.

    ``digest``: that of the node before (None: there was none). ``read`` is asked for nothing that does not lead to a
    change, and ``keep`` gets every node that is new.
    """
    text = EMPTY if digest is None else read([digest])[digest]
    return _changed(read, text, sorted(changes, key=itemgetter(0)), keep, path)


def _changed(read: Read, text: bytes, changes: Changes, keep: Keep, path: Path) -> TreeNode:
    """As :func:`changed`, of a node with this text, and changes in order. Its children are read together."""
    children = _OpenChildren(read, text)
    depth = len(path)
    groups = ((name, list(group)) for name, group in groupby(changes, key=lambda change: change[0][depth]))
    while some := list(islice(groups, _TOGETHER)):
        before = {name: child[1] for name, _below in some if (child := children.get(name)) is not None}
        inner = [before[name] for name, below in some if name in before and len(below[0][0]) > depth + 1]
        texts = read(inner) if inner else {}
        for name, below in some:
            if len(below[0][0]) == depth + 1:
                ((_path, after),) = below
                children.put(name, None if after is None else (name, after.digest, after.count))
            elif name in before or any(block is not None for _path, block in below):
                node = _changed(read, texts[before[name]] if name in before else EMPTY, below, keep, (*path, name))
                children.put(name, (name, node.digest, node.count) if node.count else None)
    return children.node(path, keep)


class _OpenChildren:
    """The children of a node that is being changed. Of its groups, if it has some, only those are read that change."""

    def __init__(self, read: Read, text: bytes) -> None:
        self._read = read
        self._groups: dict[str, Child] = {}
        self._open: dict[str, dict[str, Child]] = {}
        self._is_grouped = False
        self._has_less = False
        content = orjson.loads(text)
        if isinstance(content, list):
            self._open[""] = _by_name(content)
        else:
            self._is_grouped = True
            self._groups = _by_name(content["groups"])

    def get(self, name: str) -> Child | None:
        return self._around(name).get(name)

    def put(self, name: str, child: Child | None) -> None:
        """Put a child in its place (None: remove it)."""
        around = self._around(name)
        if child is not None:
            around[name] = child
        elif around.pop(name, None) is not None:
            self._has_less = True

    def _around(self, name: str) -> dict[str, Child]:
        """The children among which this name is: those of its group, or all."""
        return self._opened(_group_of(name) if self._is_grouped else "")

    def _opened(self, group: str) -> dict[str, Child]:
        if group not in self._open:
            known = self._groups.get(group)
            content = [] if known is None else orjson.loads(self._read([known[1]])[known[1]])
            self._open[group] = _by_name(content)
        return self._open[group]

    def node(self, path: Path, keep: Keep) -> TreeNode:
        if self._is_grouped and self._has_less:
            # How many there are in all says how they are written.
            for group in self._groups:
                self._opened(group)
            self._open, self._is_grouped = {"": {k: v for of in self._open.values() for k, v in of.items()}}, False
        if not self._is_grouped:
            return node_of(path, self._open[""].values(), keep)
        for name, children in self._open.items():
            self._groups[name] = _group(name, children.values(), keep)
        groups = sorted(self._groups.values())
        return TreeNode(path, _kept({"groups": groups}, keep), sum(count for _name, _digest, count in groups))


def _by_name(children: Iterable[Sequence[Any]]) -> dict[str, Child]:
    return {name: (name, digest, count) for name, digest, count in children}
