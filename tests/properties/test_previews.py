"""A stored preview counts and shows what its plan is, whatever both sides are known to have shared."""

from __future__ import annotations

import io
import tempfile
import uuid
from collections import Counter
from random import Random

import pytest
from django.conf import settings
from hypothesis import event
from hypothesis import strategies as st

from core.operations.closed import ClosedChoice
from core.operations.results import BaseSummary, Origin, Preview
from core.preview import stored as stored_preview
from core.preview import writing
from core.preview.filters import Filter
from core.preview.folders import folder_of, new_folder
from core.register.database import Register
from core.register.declared import ATTENDANCE_RECORDS, SCHEMA
from recordsync.backupfile import check_backup
from recordsync.merge import Decide, Effect, Side, Strategy, decide_by
from recordsync.model.records import Key, Record
from recordsync.model.schema import Model
from recordsync.plan import Plan, make_plan
from recordsync.system.progress import no_progress
from tests.builders import files
from tests.builders.registers import RegisterData, put
from tests.properties.laws import for_some
from tests.properties.test_restore import MEMORY
from tests.running.bases import RecordsAsBase
from tests.strategies.registers import Merge, merges


def days_in(preview: stored_preview.StoredPreview) -> dict[tuple[str, str], int]:
    return {month: change.days for month, change in preview.sealed_months().items()}


@for_some(
    merge=merges(),
    base=st.sampled_from(["part", "part", "part", "both", "theirs", "ours", "none"]),
    drop=st.sampled_from([True, True, False]),
    strategy=st.sampled_from(list(Strategy)),
    closed=st.sampled_from([None, "", "0"]),
    decided=st.randoms(use_true_random=False),
)
def test_a_stored_preview_counts_what_its_plan_counts(
    alias: str, merge: Merge, base: str, drop: bool, strategy: Strategy, closed: str | None, decided: Random
) -> None:
    """For all registers, files, bases, strategies, closed months and decisions, made in part: the counts are the
    plan's, in all, by company and by closed month; and a deletion is shown as blocked where the plan says so.
    ``closed``: how the days end whose months are taken as closed; blank: any."""
    put(alias, merge.ours)
    theirs, described = merge.theirs, merge.file
    if drop:  # a company, and all of it
        kept = {key: content for key, content in theirs.records.items() if key[0] not in merge.ours.companies[:1]}
        theirs = RegisterData().having(kept)
        described = files.file(theirs)
    both = merge.ours.having({**theirs.records, **merge.ours.records})
    part = merge.ours.having(dict(list(merge.ours.records.items())[::2]))
    known = {"none": None, "ours": merge.ours, "theirs": theirs, "both": both, "part": part}[base]
    file = check_backup(io.BytesIO(described.encode()), SCHEMA)
    shared = None if known is None else RecordsAsBase(check_backup(io.BytesIO(files.file(known).encode()), SCHEMA))

    def seal_of(model: Model, key: Key, ours: Record | None) -> str:
        return "a seal" if model is ATTENDANCE_RECORDS and key[1].endswith(str(closed)) else ""

    def months(plan: Plan, decide: Decide) -> Counter[tuple[str, str]]:
        return Counter(
            (step.merged.key[0], step.merged.key[1][:7]) for step in plan.sealed_steps(decide) if step.merged
        )

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        patch.setattr(settings, "DATA_DIR", folder)
        pk = uuid.uuid4()
        new_folder(pk)
        with (folder_of(pk) / "items").open("w+b") as items:
            with Register(alias).read() as store:
                plan = make_plan(store, file, shared, items, seal_of=None if closed is None else seal_of)
            counts, closed_days = plan.counts(decide_by(strategy)), months(plan, decide_by(strategy))
            said = file.metadata, Origin("", "", ""), "", counts, BaseSummary("")
            writing.write(pk, Preview(*said, plan, strategy), no_progress)
        with stored_preview.opened(pk) as preview:
            assert preview.counts() == counts
            assert days_in(preview) == closed_days
            if choice := decided.choice([None, *ClosedChoice]):
                preview.choose_closed(choice)
            for line in preview.page(Filter()).lines:
                for unit in line.units:
                    if side := decided.choice([*Side, None]):
                        preview.decide(side, line.id, unit.name, seen=preview.version)
            steps = list(preview.plan.steps(preview.decisions()))
            counts = preview.plan.counts(preview.decisions())
            assert preview.counts() == counts
            assert days_in(preview) == months(preview.plan, preview.decisions())
            asked = {(line.id, unit.name) for line in preview.page(Filter(undecided=True)).lines for unit in line.units}
            assert bool(asked) == bool(preview.undecided)
            of_records = [step for step in steps if step.model is ATTENDANCE_RECORDS]
            for effect in (Effect.ADD, Effect.UPDATE, Effect.DELETE, Effect.KEEP, Effect.UNDECIDED):
                in_all = sum(one[effect] for one in preview.results_by_company())
                assert in_all == sum(step.effect is effect for step in of_records)
            blocked = {step.merged.key for step in steps if step.blocked and step.merged}
            shown = {line.key for line in preview.page(Filter()).lines if line.stays}
            assert blocked <= shown
            absent = any(one.absent_deleted + one.absent_kept + one.absent_undecided for one in counts.values())
            event(f"blocked {bool(blocked)}, absent {absent}")
