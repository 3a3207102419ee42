"""A plan that passes over blocks which both sides have is the plan that reads everything."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import event
from hypothesis import strategies as st

from core.register.database import Register
from core.register.declared import SCHEMA
from recordsync.backupfile import Limits, UncheckedFile
from recordsync.errors import CheckNeeded, OutOfOrder
from recordsync.history.blocks import BlockDigest, block_of
from recordsync.history.databases import history_of
from recordsync.history.receiving import Receiving
from recordsync.history.store import HistoryStore, StoredBlock, StoredTree, pieces
from recordsync.merge import Counts
from recordsync.model.records import Partition
from recordsync.model.schema import Model
from recordsync.models import Block
from recordsync.plan import adding, make_plan
from recordsync.stores import Store
from tests.builders.registers import RegisterData, put, rows
from tests.builders.trees import snapshot_file, tree
from tests.properties.laws import for_all, for_some
from tests.properties.test_change_lists import NOW
from tests.running import databases
from tests.strategies.damage import damaged
from tests.strategies.registers import pairs
from tests.strategies.registers import registers as any_register


class Ours:
    """The blocks of a register, computed now, and the history store in which some of them are. ``root``: see
    :class:`recordsync.plan.OurBlocks`."""

    def __init__(self, store: Store, history: HistoryStore, root: str | None = None) -> None:
        self._store, self._history, self.root = store, history, root

    def blocks(self, model: Model) -> Iterator[tuple[Partition, BlockDigest]]:
        for partition, lines in self._store.blocks(model):
            yield partition, block_of(lines)

    def described(self, digests: Collection[str]) -> Mapping[str, StoredBlock]:
        return self._history.described(digests)

    def lines(self, blocks: Iterable[BlockDigest]) -> Iterator[list[bytes] | None]:
        return self._history.lines(blocks)


def kept(store: Store, alias: str) -> HistoryStore:
    """A history store that has the register's blocks, and no others."""
    databases.empty(history_of(alias))
    history = HistoryStore(history_of(alias))
    with history.writing(databases.LONG) as writer:
        for model in SCHEMA:
            for _partition, lines in store.blocks(model):
                writer.put(lines)
    return history


def planned(store: Store, data: bytes, ours: Ours | None) -> tuple[str, bytes, dict[str, Counts], object] | None:
    """All that a plan says; None where the file has to be checked first."""
    try:
        with io.BytesIO() as items:
            file = UncheckedFile(io.BytesIO(data), SCHEMA, Limits())
            plan = make_plan(store, file, None, items, ours=ours)
            return plan.digest, items.getvalue(), plan.settled, plan.held
    except (CheckNeeded, OutOfOrder):
        return None


@for_some(sides=pairs(), parts=st.sampled_from([0, 2]), data=st.data())
def test_a_plan_by_blocks_is_the_plan_of_all_records(
    alias: str, sides: tuple[RegisterData, RegisterData], parts: int, data: st.DataObject
) -> None:
    """For all registers and files with blocks, whatever the history store has, and however much differs."""
    ours, theirs = sides
    put(alias, ours)
    of = snapshot_file(theirs)
    with Register(alias).read() as store:
        history = kept(store, alias)
        stored = sorted(Block.objects.using(history.alias).values_list("digest", flat=True))
        fates = data.draw(st.lists(st.sampled_from(["kept", "gone", "other bytes"]), max_size=len(stored)))
        for digest, fate in zip(stored, fates, strict=False):
            block = Block.objects.using(history.alias).filter(digest=digest)
            if fate == "gone":
                block.delete()
            elif fate == "other bytes":
                other = replace(history.described([digest])[digest], raw_sha256="0" * 64)
                block.update(raw_sha256=other.raw_sha256, crc32=other.crc32)
        found = planned(store, of.encode(), None)
        assert found
        with patch("recordsync.plan.make._PARTS", parts):
            assert planned(store, of.encode(), Ours(store, history)) == found


@for_all(sides=pairs(), data=st.data())
def test_property_20_damage_is_noticed_where_blocks_are_passed_over(
    alias: str, sides: tuple[RegisterData, RegisterData], data: st.DataObject
) -> None:
    """For all files with blocks that are good but for one place: no plan, whatever of it is ours."""
    theirs = data.draw(st.sampled_from([side for side in sides if side.records] or [RegisterData()]))
    if not theirs.records:
        return
    put(alias, sides[0])
    damage = data.draw(damaged(snapshot_file(theirs)))
    with Register(alias).read() as store, patch("recordsync.plan.make._PARTS", 0):
        assert planned(store, damage.data, Ours(store, kept(store, alias))) is None
    event(damage.what.split()[0])


class _RolledBack(Exception):
    """Ends a transaction whose result was seen."""


@for_some(theirs=any_register(stamped=True))
def test_the_blocks_of_a_file_are_received_while_it_fills_a_register(alias: str, theirs: RegisterData) -> None:
    """For all files: the history store has their blocks, and the register their records, as without."""
    of = snapshot_file(theirs)
    history = HistoryStore(history_of(alias))
    databases.empty(history.alias)
    found = []
    for receives in (False, True):
        with ExitStack() as stack, suppress(_RolledBack), Register(alias).write() as store:
            file = UncheckedFile(of.stream(), SCHEMA, Limits())
            receiving = Receiving(history, databases.LONG, stack) if receives else None
            file.receiver = receiving
            with adding(store, file, NOW) as adder, io.BytesIO() as items:
                plan = make_plan(store, file, None, items, adder=adder)
                written = {name: dict(names) for name, names in plan.written.items()}
            content = rows(alias)
            records = {key: replace(row, pk=0) for key, row in content.records.items()}
            found.append((plan.digest, plan.size, plan.settled, written, sorted(content.companies), records))
            if receiving is None:
                raise _RolledBack
            assert receiving.keep()
            placed = [
                ((block["model"], *block["partition"]), BlockDigest(block["digest"], block["count"]))
                for block in of.blocks or []
            ]
            assert placed == [
                ((model.name, *partition), block) for model in SCHEMA for partition, block in receiving.blocks(model)
            ]
            taken = StoredTree(history, tree(theirs).digest, SCHEMA)
            lines = [
                line
                for model in SCHEMA
                for _partition, block in taken.blocks(model)
                for line in b"".join(pieces(block, next(history.frames([block])))).split(b",\n")
            ]
            assert lines == [line for model in SCHEMA for line in store.lines(model)]
            raise _RolledBack
    assert found[0] == found[1]


@for_some(theirs=any_register(min_records=1), data=st.data())
def test_nothing_of_a_damaged_file_is_received(alias: str, theirs: RegisterData, data: st.DataObject) -> None:
    history = HistoryStore(history_of(alias))
    databases.empty(history.alias)
    damage = data.draw(damaged(snapshot_file(theirs)))
    with ExitStack() as stack, suppress(CheckNeeded, OutOfOrder), Register(alias).write() as store:
        file = UncheckedFile(io.BytesIO(damage.data), SCHEMA, Limits())
        file.receiver = Receiving(history, databases.LONG, stack)
        with adding(store, file, NOW) as adder, io.BytesIO() as items:
            make_plan(store, file, None, items, adder=adder)
        pytest.fail("it is damaged")
    assert not Block.objects.using(history.alias).exists()
    assert not rows(alias).records
