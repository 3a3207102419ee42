"""Additions that are written while a plan is made: the same register, the same account, or nothing."""

from __future__ import annotations

import io
import sys
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace

import pytest
from hypothesis import event
from hypothesis import strategies as st

from core.operations.errors import FileRefused
from core.register.database import Register
from core.register.declared import SCHEMA
from core.restores.restore_service import RestoreService
from recordsync.backupfile import check_backup
from recordsync.merge import Counts, Strategy, decide_by
from recordsync.plan import Additions, Plan, adder, adding, apply_plan, make_plan
from recordsync.streams import stretches_of_lines
from tests.builders.files import file
from tests.builders.registers import Rows, everything, put, rows
from tests.properties.laws import for_some
from tests.properties.test_change_lists import NOW
from tests.strategies.damage import damaged
from tests.strategies.registers import Merge, merges
from tests.strategies.registers import registers as any_register


class _RolledBack(Exception):
    """Ends a transaction whose result was seen."""


@dataclass
class _Left:
    """All that a restore leaves, in its transaction."""

    digest: str
    counts: dict[str, Counts]
    rows: Rows
    written: int


def _left(alias: str, merge: Merge, strategy: Strategy, *, at_once: bool) -> _Left:
    found: list[_Left] = []
    snapshot = check_backup(io.BytesIO(merge.file.encode()), SCHEMA)
    decide = decide_by(strategy)
    with suppress(_RolledBack), Register(alias).write() as store, io.BytesIO() as items:
        with adding(store, snapshot, NOW) if at_once else nullcontext() as writer:
            plan = make_plan(store, snapshot, None, items, adder=writer)
            counts = apply_plan(plan, store, decide, NOW)
        found.append(_Left(plan.digest, counts, _without_ids(rows(alias)), plan.changes - plan.size))
        raise _RolledBack
    return found[0]


def _without_ids(found: Rows) -> Rows:
    """The rows as they are; PostgreSQL does not give an id again that was rolled back."""
    companies = {name: replace(row, pk=0) for name, row in found.companies.items()}
    return Rows(companies, {key: replace(row, pk=0) for key, row in found.records.items()}, found.seals)


@for_some(merge=merges(), strategy=st.sampled_from([Strategy.BACKUP_WINS, Strategy.DATABASE_WINS]))
def test_written_at_once_or_afterwards_is_the_same(alias: str, merge: Merge, strategy: Strategy) -> None:
    """For all registers and files: the same digest, account, number of changes and rows; and no addition waits."""
    put(alias, merge.ours)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adder, "_BATCH", 2)
        afterwards = _left(alias, merge, strategy, at_once=False)
        at_once = _left(alias, merge, strategy, at_once=True)
    added = sum(counts.added for counts in at_once.counts.values())
    assert (afterwards.written, at_once.written - sum(c.created for c in at_once.counts.values())) == (0, added)
    assert at_once.digest == afterwards.digest
    assert at_once.counts == afterwards.counts
    assert at_once.rows == afterwards.rows
    event(f"{added > 2}")


@for_some(data=st.data())
def test_a_damaged_file_leaves_an_empty_register_empty(alias: str, data: st.DataObject) -> None:
    """For all files, and all places and ways to damage one, also after most of it was written."""
    damage = data.draw(damaged(data.draw(any_register(min_records=3).map(file))))
    before = everything(alias)
    written = 0

    def counted(self: adder.Adder, plan: Plan, additions: Additions) -> None:
        nonlocal written
        written += len(additions.theirs)
        add(self, plan, additions)

    add = adder.Adder.add
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adder.Adder, "add", counted)
        patch.setattr(adder, "_BATCH", 1)
        patch.setattr(sys.modules[stretches_of_lines.__module__], "EVERY", 1)
        with pytest.raises(FileRefused):
            RestoreService(register=Register(alias)).restore_backup(io.BytesIO(damage.data))
    assert everything(alias) == before
    event("something was written" if written else "nothing was written")
