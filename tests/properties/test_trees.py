"""Trees that are changed, and trees that are made of all their blocks, are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from recordsync.history import trees
from recordsync.history.blocks import BlockDigest
from recordsync.history.trees import Path, TreeNode
from tests.builders.files import sha256

Content = dict[Path, int]
"""For each path of a block what it holds, as a number."""

_names = st.text("ab\x01 é😀", min_size=1, max_size=3)
_paths = st.one_of(
    st.tuples(st.just("companies")),
    st.tuples(st.just("days"), _names, st.sampled_from(["2026-10", "2026-11"]), st.sampled_from(["01", "08"])),
)
_contents = st.dictionaries(_paths, st.integers(1, 3), max_size=25)


class Kept(dict[str, bytes]):
    """Nodes by their digests."""

    def read(self, digests: Sequence[str]) -> Mapping[str, bytes]:
        return {digest: self[digest] for digest in digests}

    def tree(self, content: Content) -> TreeNode:
        """The root of the tree that is made of all blocks."""
        *_, root = trees.nodes(((path, block(value)) for path, value in sorted(content.items())), (), self.__setitem__)
        return root


def block(value: int) -> BlockDigest:
    return BlockDigest(sha256(str(value)), value)


@given(before=_contents, after=_contents, most=st.integers(1, 4))
def test_a_changed_tree_is_the_tree_of_the_changed_blocks(before: Content, after: Content, most: int) -> None:
    with patch.object(trees, "MOST_CHILDREN", most):
        kept = Kept()
        root = kept.tree(before)
        known = dict(kept)
        changes = [
            (path, block(after[path]) if path in after else None)
            for path in before | after
            if before.get(path) != after.get(path)
        ]
        made = Kept()
        found = trees.changed(kept.read, root.digest, changes, made.__setitem__)
        expected = Kept().tree(after)
        assert found == expected
        # Every node of the new tree is an old one or was kept.
        everything = Kept(known | made)
        for model, depth in (("companies", 0), ("days", 3)):
            children = {name: digest for name, digest, _count in trees.children_of(everything.read, found.digest)}
            blocks = trees.blocks_of(everything.read, children[model], depth, (model,)) if model in children else ()
            read = {path: of.count for path, of in blocks} if depth else {("companies",): after.get(("companies",))}
            if model in children:
                assert read == {path: value for path, value in after.items() if path[0] == model}
                assert list(read) == sorted(read)


@given(contents=st.lists(_contents, max_size=3), most=st.integers(1, 4))
def test_what_is_reached_is_what_was_kept(contents: list[Content], most: int) -> None:
    with patch.object(trees, "MOST_CHILDREN", most):
        everything, seen, reached, digests = Kept(), set[str](), set[str](), set[str]()
        for content in contents:
            days = {path[1:]: value for path, value in content.items() if path[0] == "days"}
            root = everything.tree(days)
            digests.update(block(value).digest for value in days.values())
            trees.reach(everything.read, root.digest, 3, reached, seen)
        assert (seen, reached) == (set(everything), digests)
