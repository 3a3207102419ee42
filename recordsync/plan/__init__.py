"""A plan: what a snapshot means for a register, made (:mod:`.make`) before anything is written, decided (:mod:`.plan`)
and applied (:mod:`.apply`)."""

from recordsync.plan.adder import adding
from recordsync.plan.apply import Batch, apply_changes, apply_plan, decided_batches
from recordsync.plan.bases import Base, MergedBase, StoredBase
from recordsync.plan.changelist import ChangeList, list_changes
from recordsync.plan.lines import Codec
from recordsync.plan.make import make_plan
from recordsync.plan.plan import Account, Plan, differences
from recordsync.plan.references import Held, References
from recordsync.plan.source import Adopt, Align, OurBlocks, Pass, Source
from recordsync.plan.steps import Additions, Step

__all__ = [
    "Account",
    "Additions",
    "Adopt",
    "Align",
    "Base",
    "Batch",
    "ChangeList",
    "Codec",
    "Held",
    "MergedBase",
    "OurBlocks",
    "Pass",
    "Plan",
    "References",
    "Source",
    "Step",
    "StoredBase",
    "adding",
    "apply_changes",
    "apply_plan",
    "decided_batches",
    "differences",
    "list_changes",
    "make_plan",
]
