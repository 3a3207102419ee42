"""Streams in key order: what changes, how several are joined, how one is sorted that does not fit into memory."""

from recordsync.streams.changes import Change, Deletion
from recordsync.streams.join import are_in_order, in_order, join
from recordsync.streams.stretches import Stretch, stretches

__all__ = ["Change", "Deletion", "Stretch", "are_in_order", "in_order", "join", "stretches"]
