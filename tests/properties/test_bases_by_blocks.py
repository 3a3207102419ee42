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
from recordsync.merge import Counts
from recordsync.plan import Base, make_plan
from recordsync.plan.bases import MergedBase, StoredBase
from recordsync.stores import Store
from tests.builders.registers import RegisterData, empty, put
from tests.builders.trees import snapshot_file
from tests.properties.laws import for_all
from tests.properties.test_plans_by_blocks import Ours
from tests.running import databases
from tests.running.bases import RecordsAsBase
from tests.strategies.registers import Parts, edited, parts
from tests.strategies.registers import registers as any_register

History = tuple[RegisterData, ...]


def stored(alias: str, register: RegisterData) -> StoredBase:
    """The base that a register is, of which the history store then has all blocks."""
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
    return StoredBase(StoredTree(history, root.digest, SCHEMA))


def planned(store: Store, data: bytes, base: Base, ours: Ours | None) -> tuple[str, bytes, dict[str, Counts], object]:
    """All that a plan says."""
    with io.BytesIO() as items:
        file = UncheckedFile(io.BytesIO(data), SCHEMA, Limits())
        plan = make_plan(store, file, base, items, ours=ours)
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


@for_all(history=histories(), most=st.sampled_from([0, 2]))
def test_one_base(alias: str, history: History, most: int) -> None:
    """For all registers and files that come from one base."""
    below, ours, theirs, *_ = history
    same_plans(alias, stored(alias, below), ours, theirs, most)


@for_all(history=histories(), most=st.sampled_from([0, 2]), is_known=st.booleans())
def test_bases_that_are_merged(alias: str, history: History, most: int, is_known: bool) -> None:
    """For all registers and files that come from two bases, whose own base is known or not."""
    below, ours, theirs, *two = history
    one, other = (stored(alias, register) for register in two)
    base = MergedBase(one, other, stored(alias, below) if is_known else None)
    same_plans(alias, base, ours, theirs, most)
