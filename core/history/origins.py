"""With which operation a record became what it is."""

from __future__ import annotations

from django.db import Error

from core.models import AttendanceRecord
from core.operations.traits import WRITERS
from core.register.database import DEFAULT, Register
from core.register.declared import ATTENDANCE_RECORDS, SCHEMA, content_of
from recordsync.errors import HistoryDamaged, HistoryUnusable
from recordsync.history.databases import history_of
from recordsync.history.store import HistoryStore, StoredTree
from recordsync.model.records import checksum
from recordsync.model.slices import parts, slice_of
from recordsync.models import HeadMove, Snapshot


def came_with(record: AttendanceRecord, register: Register = DEFAULT) -> HeadMove | None:
    """The move of the head by the operation with which a record became what it is; None where that is not proven.

    Clocks only say which move to look at: the first one after the record was last changed. It is told if an operation
    that writes many records made it, and the record stands in the snapshot after it as it is now, and not in the one
    before. Reads two blocks of the history.
    """
    moves = register.rows(HeadMove).filter(moment__gte=record.updated_at).select_related("before", "after")
    move = moves.order_by("pk").first()
    if move is None or move.operation is None or move.before is None or move.cause not in WRITERS:
        return None
    try:
        proven = _stands_in(move.after, record, register) and not _stands_in(move.before, record, register)
    except (HistoryUnusable, HistoryDamaged, Error):
        return None
    return move if proven else None


def _stands_in(snapshot: Snapshot, record: AttendanceRecord, register: Register) -> bool:
    """Whether a record is in a snapshot with the content that it has. Raises HistoryDamaged, HistoryUnusable."""
    content = content_of(record)
    tree = StoredTree(HistoryStore(history_of(register.alias)), snapshot.tree, SCHEMA)
    partition = (record.company.name, *parts(slice_of(record.date.isoformat())))
    wanted = checksum(content).encode()  # of its key, too
    blocks = tree.lines(tree.at(ATTENDANCE_RECORDS, partition))
    return any(wanted in line for lines in blocks for line in lines)
