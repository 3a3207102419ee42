"""A plan: what a snapshot means for a register, made (:mod:`.make`) before anything is written, decided (:mod:`.plan`)
and applied (:mod:`.apply`)."""

from recordsync.plan.adder import adding
from recordsync.plan.apply import Batch, apply_changes, apply_plan, decided_batches
from recordsync.plan.bases import Base, opened_base
from recordsync.plan.changelist import ChangeList, list_changes
from recordsync.plan.guards import MergeDriver, SealOf
from recordsync.plan.incremental import CarriedBases, ChangesDoNotFit, tree_with
from recordsync.plan.lines import Codec
from recordsync.plan.make import make_plan
from recordsync.plan.plan import Account, Plan, differences
from recordsync.plan.references import Held, References
from recordsync.plan.renames import NewName, Renames, Renamings, Shared, names_at, renamed_tree, tree_of_all
from recordsync.plan.source import Align, OurBlocks, Pass, Source, TheirBlock
from recordsync.plan.steps import Additions, Step
from recordsync.plan.trees import TreeSource

__all__ = [
    "Account",
    "Additions",
    "Align",
    "Base",
    "Batch",
    "CarriedBases",
    "ChangeList",
    "ChangesDoNotFit",
    "Codec",
    "Held",
    "MergeDriver",
    "NewName",
    "OurBlocks",
    "Pass",
    "Plan",
    "References",
    "Renames",
    "Renamings",
    "SealOf",
    "Shared",
    "Source",
    "Step",
    "TheirBlock",
    "TreeSource",
    "adding",
    "apply_changes",
    "apply_plan",
    "decided_batches",
    "differences",
    "list_changes",
    "make_plan",
    "names_at",
    "opened_base",
    "renamed_tree",
    "tree_of_all",
    "tree_with",
]
