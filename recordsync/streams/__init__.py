"""Streams in key order: changes, the join of several, and the sort of one that does not fit into memory."""

from recordsync.streams.changes import Change, Deletion
from recordsync.streams.join import are_in_order, in_order, join
from recordsync.streams.stretches import Stretch, Unparsed, stretches, stretches_of_lines

__all__ = [
    "Change",
    "Deletion",
    "Stretch",
    "Unparsed",
    "are_in_order",
    "in_order",
    "join",
    "stretches",
    "stretches_of_lines",
]
