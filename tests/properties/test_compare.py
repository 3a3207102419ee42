"""The blocks in which two trees differ are those in which their contents differ, and nothing else is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA
from recordsync.history import trees
from recordsync.history.blocks import BlockDigest
from recordsync.history.compare import Difference, differences, side_by_side
from recordsync.history.trees import Path
from tests.builders.files import sha256

NO_GROUPS = 99
Content = dict[Path, int]
"""For each path of a block what it holds, as a number."""

_names = st.text("ab\x01 é😀", min_size=1, max_size=3)
_paths = st.one_of(
    st.tuples(st.just(COMPANIES.name)),
    st.tuples(
        st.just(ATTENDANCE_RECORDS.name), _names, st.sampled_from(["2026-10", "2026-11"]), st.sampled_from(["01", "08"])
    ),
)
_contents = st.dictionaries(_paths, st.integers(1, 3), max_size=25)


def block(value: int | None) -> BlockDigest | None:
    return None if value is None else BlockDigest(sha256(str(value)), value)


class Kept(dict[str, bytes]):
    """Nodes by their digests, and which of them were read."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def read(self, digests: Sequence[str]) -> Mapping[str, bytes]:
        assert digests
        self.seen.update(digests)
        return {digest: self[digest] for digest in digests}

    def tree(self, content: Content) -> dict[Path, str]:
        """The digest of each node of the tree, by its path."""
        blocks = ((path, BlockDigest(sha256(str(value)), value)) for path, value in sorted(content.items()))
        return {node.path: node.digest for node in trees.nodes(blocks, (), self.__setitem__)}


@given(before=st.none() | _contents, after=_contents, most=st.sampled_from([1, 2, 3, NO_GROUPS]))
def test_two_trees_differ_where_their_contents_do(before: Content | None, after: Content, most: int) -> None:
    with patch.object(trees, "MOST_CHILDREN", most):
        kept = Kept()
        old = {} if before is None else kept.tree(before)
        new = kept.tree(after)
    found = list(differences(kept.read, SCHEMA, old.get(()), new[()]))
    content = before or {}
    assert found == [
        Difference(model, path[1:], block(content.get(path)), block(after.get(path)))
        for model in SCHEMA
        for path in sorted(content | after)
        if path[0] == model.name and content.get(path) != after.get(path)
    ]
    if most == NO_GROUPS:  # else nodes have others below them that have no path
        assert kept.seen <= {one for path in old.keys() | new for one in {old.get(path), new.get(path)}
                             if one is not None and old.get(path) != new.get(path)}  # fmt: skip


@given(before=_contents, after=_contents, most=st.sampled_from([1, 2, 3, NO_GROUPS]))
def test_side_by_side_two_trees_tell_in_order_what_differs_and_how_much_does_not(
    before: Content, after: Content, most: int
) -> None:
    with patch.object(trees, "MOST_CHILDREN", most):
        kept = Kept()
        old, new = kept.tree(before), kept.tree(after)
    for model in SCHEMA:
        expected: list[Difference | int] = []
        for path in sorted(path for path in before | after if path[0] == model.name):
            if before.get(path) != after.get(path):
                expected.append(Difference(model, path[1:], block(before.get(path)), block(after.get(path))))
            elif expected and isinstance(last := expected[-1], int):
                expected[-1] = last + after[path]
            else:
                expected.append(after[path])
        found: list[Difference | int] = []
        for part in side_by_side(kept.read, model, old[()], new[()]):
            if isinstance(part, int) and found and isinstance(last := found[-1], int):
                found[-1] = last + part
            else:
                found.append(part)
        assert found == expected
