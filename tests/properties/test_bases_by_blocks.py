"""A plan with a base that goes by blocks is the plan that reads all records."""

from __future__ import annotations

import io
from unittest.mock import patch

from hypothesis import event
from hypothesis import strategies as st

from core.register.database import Register
from core.register.declared import SCHEMA
from recordsync.backupfile import Limits, UncheckedFile
from recordsync.history.databases import history_of
from recordsync.history.store import HistoryStore, StoredTree
from recordsync.history.trees import nodes
from recordsync.merge import Counts, Side
from recordsync.plan import Base, make_plan
from recordsync.plan.bases import MergedBase, StoredBase
from recordsync.plan.trees import TreeSource
from recordsync.stores import Store
from tests.builders.registers import RegisterData, empty, put
from tests.builders.trees import snapshot_file
from tests.properties.laws import for_all, for_some
from tests.properties.test_plans_by_blocks import Ours
from tests.running import databases
from tests.running.bases import RecordsAsBase
from tests.strategies.registers import Parts, edited, parts
from tests.strategies.registers import registers as any_register

History = tuple[RegisterData, ...]


def stored(alias: str, register: RegisterData) -> StoredTree:
    """The tree of a register, of which the history store then has all nodes and blocks."""
    put(alias, register)
    history = HistoryStore(history_of(alias))
    with Register(alias).read() as store, history.writing(databases.LONG) as writer:
        placed = (
            ((model.name, *partition), writer.put(lines))
            for model in SCHEMA
            for partition, lines in store.blocks(model)
        )
        *_, root = nodes(placed, (), writer.put_node)
    empty(alias)
    return StoredTree(history, root.digest, SCHEMA)


def planned(
    store: Store, theirs: bytes | TreeSource, base: Base | Side | None, ours: Ours | None
) -> tuple[str, bytes, dict[str, Counts], object]:
    """All that a plan says. ``theirs``: a file, or the tree of a snapshot."""
    with io.BytesIO() as items:
        source = theirs if isinstance(theirs, TreeSource) else UncheckedFile(io.BytesIO(theirs), SCHEMA, Limits())
        plan = make_plan(store, source, base, items, ours=ours)
        return plan.digest, items.getvalue(), plan.settled, plan.held


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A register, and what four places made of it."""
    of: Parts = draw(parts())
    below = draw(any_register(of, min_records=2))
    return (below, *(draw(edited(below, of)) for _place in range(4)))


def same_plans(alias: str, base: Base, ours: RegisterData, theirs: RegisterData, most: int) -> None:
    put(alias, ours)
    data = snapshot_file(theirs).encode()
    with Register(alias).read() as store:
        expected = planned(store, data, RecordsAsBase(base, base.identity), None)
        with patch("recordsync.plan.make._PARTS", most):
            found = planned(store, data, base, Ours(store, HistoryStore(history_of(alias))))
    assert found == expected
    event(f"{'conflicts' if b'conflict' in found[1] else 'none'}")


@for_some(history=histories(), most=st.sampled_from([0, 2]))
def test_one_base(alias: str, history: History, most: int) -> None:
    """For all registers and files that come from one base."""
    below, ours, theirs, *_ = history
    same_plans(alias, StoredBase(stored(alias, below)), ours, theirs, most)


@for_some(history=histories(), most=st.sampled_from([0, 2]), is_known=st.booleans())
def test_bases_that_are_merged(alias: str, history: History, most: int, is_known: bool) -> None:
    """For all registers and files that come from two bases, whose own base is known or not."""
    below, ours, theirs, *two = history
    one, other = (StoredBase(stored(alias, register)) for register in two)
    base = MergedBase(one, other, StoredBase(stored(alias, below)) if is_known else None)
    same_plans(alias, base, ours, theirs, most)


@for_all(
    history=histories(),
    most=st.sampled_from([0, 2]),
    of=st.sampled_from(["none", "ours", "theirs", "one", "two", "two without a base"]),
    is_damaged=st.booleans(),
)
def test_trees_of_both_sides(alias: str, history: History, most: int, of: str, is_damaged: bool) -> None:
    """For all registers and snapshots whose trees the history store has: with any base, and where our own tree is
    damaged, which is then read block by block."""
    below, ours, theirs, *two = history
    tree, our_root = TreeSource(stored(alias, theirs)), stored(alias, ours).root
    one, other, shared = (StoredBase(stored(alias, register)) for register in (*two, below))
    bases: dict[str, Base | Side | None] = {
        "none": None,
        "ours": Side.OURS,
        "theirs": Side.THEIRS,
        "one": shared,
        "two": MergedBase(one, other, shared),
        "two without a base": MergedBase(one, other, None),
    }
    base = bases[of]
    records = base if base is None or isinstance(base, Side) else RecordsAsBase(base, base.identity)
    put(alias, ours)
    history_store = HistoryStore(history_of(alias))
    if is_damaged:
        our_root = "0" * 64
    with Register(alias).read() as store:
        expected = planned(store, tree, records, None)
        with patch("recordsync.plan.make._PARTS", most):
            assert planned(store, tree, base, Ours(store, history_store)) == expected
            assert planned(store, tree, base, Ours(store, history_store, our_root)) == expected
    event(of)
