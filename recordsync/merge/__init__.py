"""The merge of three sides (:mod:`.three_way`) and of several bases (:mod:`.bases`), the decision of its conflicts
(:mod:`.decide`), the effects on records (:mod:`.effects`), and the account of all of them (:mod:`.counts`)."""

from recordsync.merge.bases import BaseRecord, merged_bases
from recordsync.merge.counts import Counts
from recordsync.merge.decide import Decide, Side, Strategy, decide_by, effect_and_change, resolve
from recordsync.merge.effects import Effect, effect_of
from recordsync.merge.three_way import EXISTENCE, SEAL, Disputed, Merged, Outcome, addition, is_addition, merge
from recordsync.model.schema import KEY_UNIT

__all__ = [
    "EXISTENCE",
    "KEY_UNIT",
    "SEAL",
    "BaseRecord",
    "Counts",
    "Decide",
    "Disputed",
    "Effect",
    "Merged",
    "Outcome",
    "Side",
    "Strategy",
    "addition",
    "decide_by",
    "effect_and_change",
    "effect_of",
    "is_addition",
    "merge",
    "merged_bases",
    "resolve",
]
