"""Reading the history again, to see that it holds what it says, and that the register is what it says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from recordsync.errors import HistoryDamaged
from recordsync.history import leaves
from recordsync.history.blocks import BlockDigest, block_of
from recordsync.history.snapshots import History, header_of
from recordsync.history.state import RegisterState
from recordsync.history.store import SEPARATOR, StoredBlock, pieces
from recordsync.history.trees import children_of, reach
from recordsync.model.digests import content_digest, snapshot_id
from recordsync.model.records import Partition
from recordsync.model.schema import Model
from recordsync.models import Snapshot
from recordsync.stores import Store
from recordsync.streams import join
from recordsync.streams.lines import checksums_of
from recordsync.system.progress import Progress, no_progress

PHASE: Final = "verify"
"""The phase in which something is verified, for progress."""
_TOGETHER: Final = 300


@dataclass
class Verified:
    """What was read again, and what was found wrong with it, a sentence each."""

    snapshots: int = 0
    lost: int = 0
    """Of the history store: how many other snapshots that are to be kept it has nothing of."""
    blocks: int = 0
    records: int = 0
    errors: list[str] = field(default_factory=list)
    dirty: int = 0
    """Of the register: how many blocks were written to since the head, so that nothing is known of them."""
    is_compared: bool = True
    """Of the register: whether there is a head with which it could be compared."""


def verify_store(history: History, progress: Progress = no_progress) -> Verified:
    """What reading all headers, trees and blocks again finds: every header is compared with its id, and every node and
    every block with its digest.

    A snapshot of which the store has nothing is counted and is no error, unless it is the head: the store was deleted
    or replaced once, which an operation has said, and nobody can make that snapshot anew.

    Reads the history store whole, and of the register's database the headers. Raises Error where a database fails.
    """
    found = Verified(errors=list(_wrong_headers(history)))
    digests: set[str] = set()
    head = history.head()
    history.store.has_node("" if head is None else head.tree)  # it has to answer, even if there is nothing to read
    kept = Snapshot.objects.using(history.using).filter(is_kept=True)
    roots = history.store.known_nodes(set(kept.values_list("tree", flat=True)))
    for snapshot in kept.order_by("order").iterator():
        if snapshot.tree not in roots and snapshot != head:
            found.lost += 1
            continue
        try:
            _reach_blocks(history, snapshot, digests)
            found.snapshots += 1
        except HistoryDamaged as damage:
            number = "a merge" if snapshot.number is None else f"number {snapshot.number}"
            found.errors.append(f"Snapshot {snapshot.pk[:10]} ({number}) cannot be shown. {damage}")
    total = len(digests)
    while digests:
        some = [digests.pop() for _number in range(min(_TOGETHER, len(digests)))]
        described = history.store.described(some)
        found.errors += [
            str(HistoryDamaged(digest, "a block is missing or damaged")) for digest in some if digest not in described
        ]
        blocks = [described[digest] for digest in some if digest in described]
        for block, frame in zip(blocks, history.store.frames(blocks), strict=True):
            try:
                _require_right(block, frame)
            except HistoryDamaged as damage:
                found.errors.append(str(damage))
            found.blocks += 1
            found.records += block.count
        progress(PHASE, total - len(digests), total)
    return found


def _wrong_headers(history: History) -> Iterator[str]:
    """A sentence about each header that is not what its id says, or names a parent that has none. A backup that holds
    such a snapshot, or a later one, would be refused by its readers."""
    rows = Snapshot.objects.using(history.using)
    known = set(rows.values_list("id", flat=True))
    for row in rows.order_by("order").iterator():
        if row.says is None:
            if row.pk != snapshot_id(row.said, row.parents):
                yield f"The header of snapshot {row.pk[:10]} is damaged."
            elif not known.issuperset(row.parents):
                yield f"The header of a parent of snapshot {row.pk[:10]} is missing."
            continue
        try:
            of = header_of(row)
        except msgspec.ValidationError:
            yield f"The header of snapshot {row.pk[:10]} is damaged."
            continue
        said = content_digest(msgspec.to_builtins(of.says))
        if (said, of.says.tree, of.id) != (row.said, row.tree, snapshot_id(said, of.parents)):
            yield f"The header of snapshot {row.pk[:10]} is damaged."
        elif not known.issuperset(of.parents):
            yield f"The header of a parent of snapshot {row.pk[:10]} is missing."


def _reach_blocks(history: History, snapshot: Snapshot, blocks: set[str]) -> None:
    """Add the digests of a snapshot's blocks. Reads its nodes. Raises HistoryDamaged."""
    models = {model.name: model for model in history.schema}
    for name, digest, _count in children_of(history.store.nodes, snapshot.tree):
        reach(history.store.nodes, digest, models[name].levels, blocks, set())


def _require_right(block: StoredBlock, frame: bytes) -> None:
    """Raises HistoryDamaged where a frame does not have the block's lines."""
    raw, digest, count = hashlib.sha256(), hashlib.sha256(), 0
    rest = b""
    for piece in pieces(block, frame):
        raw.update(piece)
        *lines, rest = (rest + piece).split(SEPARATOR)
        digest.update(b"".join(checksums_of(lines)))
        count += len(lines)
    digest.update(b"".join(checksums_of([rest])))
    if (raw.hexdigest(), digest.hexdigest(), count + 1) != (block.raw_sha256, block.digest, block.count):
        raise HistoryDamaged(block.digest, f"a block of {block.count:,} records is damaged")


def verify_register(history: History, store: Store, progress: Progress = no_progress) -> Verified:
    """What reading the register again finds: every block in which nothing was written since the head, by its marks, is
    compared with the head.

    Reads everything in the current transaction. Raises what :meth:`Store.lines` raises.
    """
    state = history.state()
    found = Verified(errors=list(state.notes), is_compared=state.head is not None)
    total = sum(store.count(model) for model in store.schema)
    progress(PHASE, 0, total)
    for model in store.schema:
        for partition, here, at_head in _compared(history, store, model):
            if here is not None:
                found.records += here.count
                progress(PHASE, found.records, total)
            found.blocks += 1
            if _is_dirty(store, state, model, partition):
                found.dirty += 1
            elif here != at_head:
                found.errors.append(_differs(model, partition, here, at_head))
    return found


def _compared(
    history: History, store: Store, model: Model
) -> Iterator[tuple[Partition, BlockDigest | None, BlockDigest | None]]:
    """Each partition with its block as it is now and as it was at the head (None: it had no records)."""
    now = ((partition, block_of(lines)) for partition, lines in store.blocks(model))
    then = ((leaf.partition(model), leaf.block) for leaf in leaves.leaves(history.using, model))
    for here, at_head in join(now, then):
        known = here or at_head
        yield known[0], here and here[1], at_head and at_head[1]


def _is_dirty(store: Store, state: RegisterState, model: Model, partition: Partition) -> bool:
    dirty = state.dirty[model.name]
    return dirty is None or (bool(dirty) and store.places(model).place(partition) in dirty)


def _differs(model: Model, partition: Partition, here: BlockDigest | None, at_head: BlockDigest | None) -> str:
    counts = [0 if block is None else block.count for block in (here, at_head)]
    place = " · ".join(partition) or "all"
    return (
        f"{model.name} {place}: {counts[0]:,} records are here, and {counts[1]:,} were at the head. They are not the "
        "same, and nothing says that they were changed: something wrote past the marks."
    )
