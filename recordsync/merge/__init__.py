"""The merge: what three sides come to (:mod:`.three_way`), who decides conflicts (:mod:`.decide`), what becomes of
records then (:mod:`.effects`), and how everything is accounted for (:mod:`.counts`)."""

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
