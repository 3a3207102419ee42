"""The tree over blocks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.register.declared import ATTENDANCE_RECORDS
from recordsync.history.blocks import BlockDigest, block_of
from recordsync.history.trees import MOST_CHILDREN, Path, TreeNode, nodes
from recordsync.streams.lines import lines_of
from tests.builders import trees
from tests.builders.days import blank_day, key_of
from tests.builders.files import checksum, sha256
from tests.builders.records import record
from tests.builders.registers import RegisterData, register


def blocks(of: RegisterData) -> Iterator[tuple[Path, BlockDigest]]:
    """The blocks of days that all are in one slice, and of their companies."""
    yield (
        ("companies",),
        BlockDigest(sha256("".join(checksum({"name": name}) for name in of.companies)), len(of.companies)),
    )
    for (company, date, _number), content in of.records.items():
        yield ("attendance_records", company, date[:7], "15"), BlockDigest(sha256(checksum(content)), 1)


def test_nodes_come_after_those_below_them_and_the_root_comes_last() -> None:
    one = BlockDigest("0" * 64, 2)
    places: list[Path] = [
        ("a",),
        ("b", "A", "1", "x"),
        ("b", "A", "1", "y"),
        ("b", "A", "2", "x"),
        ("b", "B", "1", "x"),
    ]
    found = list(nodes((place, one) for place in places))
    assert [(node.path, node.count) for node in found] == [
        (("b", "A", "1"), 4),
        (("b", "A", "2"), 2),
        (("b", "A"), 6),
        (("b", "B", "1"), 2),
        (("b", "B"), 2),
        (("b",), 8),
        ((), 10),
    ]


def test_a_tree_of_nothing_is_a_root_without_children() -> None:
    assert list(nodes([])) == [TreeNode((), sha256("[]"), 0)]


@pytest.mark.parametrize("companies", [MOST_CHILDREN, MOST_CHILDREN + 1])
def test_many_companies_are_in_groups(companies: int) -> None:
    days = [blank_day(f"Company {number:05}") for number in range(companies)]
    expected = register(*days)
    *_, root = nodes(blocks(expected))
    assert root.digest == trees.tree(expected).digest
    ungrouped = trees.tree(expected, most=companies)
    assert (root.digest == ungrouped.digest) == (companies <= MOST_CHILDREN)


def test_a_block_is_its_checksums_and_not_when_they_were_made() -> None:
    days = [blank_day(ep_no=f"{number:04}") for number in range(2500)]
    digests = set()
    for created_at in ("2026-11-20T18:40:00.000000Z", "2026-11-21T18:40:00.000000Z"):
        records = [record(key_of(day)[0], key_of(day)[2], created_at=created_at) for day in days]
        digests.add(block_of(lines_of(ATTENDANCE_RECORDS.shape(), records)))
    assert digests == {BlockDigest(sha256("".join(map(checksum, days))), len(days))}
