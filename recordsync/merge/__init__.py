"""The merge of three sides (:mod:`.three_way`), the decision of its conflicts (:mod:`.decide`), the effects on records
(:mod:`.effects`), and the account of all of them (:mod:`.counts`)."""

from recordsync.merge.counts import Counts
from recordsync.merge.decide import Decide, Side, Strategy, decide_by, effect_and_change, resolve
from recordsync.merge.effects import Effect, effect_of
from recordsync.merge.three_way import EXISTENCE, Merged, Outcome, addition, merge

__all__ = [
    "EXISTENCE",
    "Counts",
    "Decide",
    "Effect",
    "Merged",
    "Outcome",
    "Side",
    "Strategy",
    "addition",
    "decide_by",
    "effect_and_change",
    "effect_of",
    "merge",
    "resolve",
]
