"""The list of blocks in a file: a right one is taken, and a false one refuses the file and names the block."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.register.declared import COMPANIES
from tests.builders.ancestry import header, says
from tests.builders.days import day
from tests.builders.files import File, canonical, sha256
from tests.builders.registers import RegisterData, register
from tests.builders.trees import snapshot_file
from tests.recordsync.support import checked, opened
from tests.running.services import restore
from tests.strategies.registers import registers

DAYS: Final = register(
    day(date="2026-11-01"), day(date="2026-11-07"), day(date="2026-11-08"), day(company_name="New", date="2026-11-30")
)
FILE: Final = snapshot_file(DAYS)
BLOCKS: Final = FILE.blocks or []
FIRST: Final = 3
"""The number of the line with the first block: of the companies."""


@given(registers())
def test_a_snapshot_of_any_register_is_valid_and_read_like_any_file(of: RegisterData) -> None:
    theirs = snapshot_file(of)
    file = opened(theirs.encode())
    assert file.counts == {name: len(lines) for name, lines in theirs.records.items()}
    assert [record.key[0] for record in file.records(COMPANIES)] == sorted(of.companies)


@given(registers(min_records=1), st.data())
def test_a_list_that_is_false_in_one_place_is_refused(of: RegisterData, data: st.DataObject) -> None:
    theirs = snapshot_file(of)
    blocks = theirs.blocks or []
    at = data.draw(st.integers(0, len(blocks) - 1))
    how = data.draw(st.sampled_from(["value", "gone", "twice"]))
    if how == "value":
        name = data.draw(st.sampled_from(sorted(blocks[at])))
        value = blocks[at][name]
        other = value + 1 if isinstance(value, int) else [*value, "x"] if isinstance(value, list) else sha256(value)
        blocks[at] = blocks[at] | {name: other}
    elif how == "gone":
        del blocks[at]
    else:
        blocks.insert(at, blocks[at])
    errors = checked(theirs.encode()).errors
    assert {error.line for error in errors} & {2, FIRST + at, FIRST + at + 1}


def changed(position: int, **values: Any) -> File:
    """The file with another block in its list."""
    blocks = [*BLOCKS]
    blocks[position] = blocks[position] | values
    return replace(FILE, blocks=blocks)


def retreed(of: File) -> File:
    """The file with the tree of its list of blocks, whether they are false or not."""
    tree: dict[str, Any] = {}
    for block in of.blocks or []:
        place = tree
        for name in [block["model"], *block["partition"]][:-1]:
            place = place.setdefault(name, {})
        place[[block["model"], *block["partition"]][-1]] = (block["digest"], block["count"])
    digest, _count = _node(tree)
    return replace(of, metadata=of.metadata | {"snapshot": header(says(tree=digest))})


def _node(below: Any) -> tuple[str, int]:
    if isinstance(below, tuple):
        return below
    children = [[name, *_node(child)] for name, child in sorted(below.items())]
    return sha256(canonical(children)), sum(child[2] for child in children)


ZERO: Final = "0" * 64
FALSE: Final = {
    "bytes": (changed(1, bytes=1), FIRST + 1, "bytes"),
    "bytes of another block": (changed(1, raw_sha256=ZERO), FIRST + 1, "raw_sha256"),
    "digest": (retreed(changed(1, digest=ZERO)), FIRST + 1, "digest"),
    "digest that the tree has not": (changed(1, digest=ZERO), 2, "blocks"),
    "another slice": (retreed(changed(1, partition=["ABC Corp", "2026-11", "02"])), FIRST + 1, "partition"),
    "another month": (retreed(changed(1, partition=["ABC Corp", "2026-10", "01"])), FIRST + 1, "partition"),
    "another company": (retreed(changed(3, partition=["Newer", "2026-11", "22"])), FIRST + 3, "partition"),
    "a part too many": (changed(1, partition=["ABC Corp", "2026-11", "01", "x"]), FIRST + 1, "partition"),
    "a part too few": (changed(1, partition=["ABC Corp", "2026-11"]), FIRST + 1, "partition"),
    "no section": (changed(1, model="people"), FIRST + 1, "model"),
    "no records": (changed(1, count=0), FIRST + 1, "count"),
    "no bytes": (changed(1, bytes=0), FIRST + 1, "bytes"),
    "a count too high": (retreed(changed(1, count=3)), 2, "count"),
    "no digest": (changed(1, digest="x"), FIRST + 1, "digest"),
    "out of order": (replace(FILE, blocks=[BLOCKS[0], BLOCKS[2], BLOCKS[1], BLOCKS[3]]), FIRST + 2, "partition"),
    "none": (replace(FILE, blocks=None), 2, "blocks"),
    "none of the companies": (replace(FILE, blocks=BLOCKS[1:]), 2, "count"),
    "a list without a snapshot": (
        replace(FILE, metadata=FILE.metadata | {"snapshot": None, "ancestors": None}), 2, "blocks"),
    "a tree that is another": (
        replace(FILE, metadata=FILE.metadata | {"snapshot": header(says(tree=ZERO))}), 2, "blocks"),
}  # fmt: skip


@pytest.mark.parametrize("what", FALSE)
def test_what_is_false_is_named(what: str) -> None:
    file, line, field = FALSE[what]
    errors = checked(file.encode()).errors
    assert (line, field) in [(error.line, error.field) for error in errors]


def test_records_that_are_counted_to_another_block_are_named() -> None:
    """The counts add up, and two blocks are cut at another place."""
    blocks = [BLOCKS[0], BLOCKS[1] | {"count": 1}, BLOCKS[2] | {"count": 2}, BLOCKS[3]]
    errors = checked(retreed(replace(FILE, blocks=blocks)).encode()).errors
    assert {(error.key, error.section) for error in errors} == {
        (("ABC Corp", "2026-11", first), "attendance_records") for first in ("01", "08")
    }


def test_it_is_restored_like_any_other(register_db: str) -> None:
    summary = restore(register_db, FILE)
    assert (summary.companies.added, summary.records.added) == (2, 4)
    assert restore(register_db, FILE).records.skipped == 4


def test_an_empty_register_has_no_blocks() -> None:
    empty = snapshot_file(register())
    assert b'"blocks":[],\n' in empty.encode()
    assert checked(empty.encode()).valid
