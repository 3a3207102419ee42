"""The list that a restore by the web keeps: exactly what it changed, there and back."""

from __future__ import annotations

import datetime as dt
import io
import tempfile
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from django.conf import settings
from hypothesis import event
from hypothesis import strategies as st

from core.models import JOBS, Kind, Operation
from core.operations import queue as jobs
from core.operations.run import Actor
from core.preview import changes as preview_changes
from core.preview import stored as stored_preview
from core.preview.filters import Filter
from core.register.database import Register
from core.register.declared import SCHEMA
from core.restores import jobs as restore_jobs
from core.restores.restore_service import RestoreService
from recordsync.merge import Side, Strategy
from recordsync.plan import Batch, ChangeList, apply_changes, apply_plan
from recordsync.streams import Change
from tests.builders.registers import put, rows
from tests.properties.laws import clear, for_some
from tests.properties.test_restore import MEMORY
from tests.running.work_queue import perform
from tests.strategies.registers import Merge, merges

NOW = dt.datetime(2030, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
Told = dict[str, tuple[Any, ...]]


def told(alias: str) -> tuple[Told, dict[Any, tuple[Any, ...]], set[Any]]:
    """Everything that a register has but for ids and when rows were last changed; and which rows are new or changed."""
    found = rows(alias)
    companies = {name: (row.created_at,) for name, row in found.companies.items()}
    records = {key: (row.created_at, row.content) for key, row in found.records.items()}
    every = [*found.companies.items(), *found.records.items()]
    return companies, records, {key for key, row in every if row.updated_at == NOW}


def applied(alias: str, batches: Iterable[Batch]) -> None:
    with Register(alias).write() as store:
        for _done in apply_changes(store, batches, NOW):
            pass


def undone(batches: Iterable[Batch]) -> list[Batch]:
    """The changes that lead back."""
    turned = [
        (model, [Change(key, after, before) for key, before, after in reversed(changes)]) for model, changes in batches
    ]
    return turned[::-1]


@for_some(merge=merges(), strategy=st.sampled_from(list(Strategy)), decided=st.randoms(use_true_random=False))
def test_the_kept_list_is_what_the_restore_changed(
    alias: str, merge: Merge, strategy: Strategy, decided: Random
) -> None:
    """For all registers, files and decisions: a restore by its list changes what its plan says; the kept list, applied
    to the register as it was before, gives exactly the one after the restore, creation times included; and applied
    backwards it gives the one before."""
    put(alias, merge.ours)
    before = told(alias)[:2]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        patch.setattr(settings, "DATA_DIR", folder)
        patch.setattr("core.backups.catalogue.stamp", lambda register: NOW)
        pk = restore_jobs.receive([merge.file.encode()], 1 << 30)
        parameters = {"strategy": strategy.value, "backup": None}
        jobs.submit(Kind.CHECK, Actor("Meena"), register=Register(alias), pk=pk, parameters=parameters)
        perform(pk)
        with stored_preview.opened(pk) as preview:
            for line in preview.page(Filter()).lines:
                for unit in line.units:
                    preview.decide(decided.choice(list(Side)), line.id, unit.name, seen=preview.version)
            preview.decide_many(decided.choice(list(Side)), Filter(undecided=True))
            lines = preview.page(Filter()).lines
            sides = {(one.key, unit.name): Side(unit.side) for one in lines for unit in one.units}
            operation = restore_jobs.submit_apply(Actor("Meena"), preview, Register(alias))
        perform(operation.pk)
        done = Operation.objects.using(JOBS).get(pk=operation.pk)
        assert done.state == Operation.State.SUCCEEDED, done.message
        kept = preview_changes.changes_file(operation.pk).read_bytes()
        assert [path.name for path in Path(folder, "changes").iterdir()] == [f"{operation.pk}.jsonl.gz"]
    after = told(alias)
    changes = ChangeList(io.BytesIO(kept), SCHEMA)
    event(f"{min(changes.count, 3)} changes")
    clear(alias)
    put(alias, merge.ours)
    applied(alias, changes.batches())
    assert told(alias) == after
    applied(alias, undone(changes.batches()))
    assert told(alias)[:2] == before
    with (
        RestoreService(register=Register(alias)).preview_changes(io.BytesIO(merge.file.encode())) as again,
        Register(alias).write() as store,
    ):
        apply_plan(again.plan, store, lambda model, merged, unit: sides[merged.key, unit], NOW)
    assert told(alias) == after
