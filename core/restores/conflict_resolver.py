"""The merge of single records, by the engine's rules. Two edits of one record are merged by it.

A record here is a mapping from field names to texts, as ``BackupService._serialize_record`` returns it. What is
not content (``checksum``, ``created_at``, ``updated_at``, ``id``) is ignored. Nothing touches the database.
"""

from __future__ import annotations

from typing import Any

from core.register.declared import ATTENDANCE_RECORDS, RecordContent
from recordsync.merge import Merged, Side, Strategy, merge, resolve
from recordsync.model.records import Record, checksum
from recordsync.model.schema import Model


class ConflictResolver:
    """Merges two versions of one record (attendance unless another model is given)."""

    def __init__(self, model: Model = ATTENDANCE_RECORDS) -> None:
        self._shape = model.shape()

    def detect_conflicts(
        self, backup_record: RecordContent, db_record: RecordContent, base_record: RecordContent | None = None
    ) -> bool:
        """Whether both sides changed the same unit since the base, each in another way; without a base: whether they
        differ.

        Raises ValueError for records of different keys, KeyError for a missing field.
        """
        return bool(self._merge(backup_record, db_record, base_record).conflicts)

    def apply_merge_strategy(
        self,
        backup_record: RecordContent,
        db_record: RecordContent,
        strategy: str = "backup_wins",
        base_record: RecordContent | None = None,
    ) -> dict[str, Any]:
        """The merged record with its checksum, and with the ``created_at`` of the database's record if it has one.

        Raises ValueError for an unknown strategy, for ``manual`` where there is a conflict that somebody has to
        decide, and for records of different keys.
        """
        merged = self._merge(backup_record, db_record, base_record)
        side = Strategy(strategy).side
        if side is None:
            if merged.conflicts:
                raise ValueError(f"A person has to decide: {', '.join(merged.conflicts)}")
            side = Side.OURS  # nothing to decide
        change = resolve(self._shape, self._shape, merged, lambda unit: side)
        record = self._record(db_record) if change is None or change.after is None else change.after
        content = self._shape.content(record)
        result: dict[str, Any] = {**content, "checksum": checksum(content, self._shape.model.later)}
        if "created_at" in db_record:
            result["created_at"] = db_record["created_at"]
        return result

    def _records_differ(self, record1: RecordContent, record2: RecordContent) -> bool:
        """Whether the content differs. Timestamps and checksums are ignored."""
        return self._record(record1).values != self._record(record2).values

    def _merge(self, backup: RecordContent, database: RecordContent, base: RecordContent | None) -> Merged:
        """The merge of one key: which units only one side changed, and which both. Raises ValueError, KeyError."""
        records = [self._record(content) for content in (backup, database, base) if content is not None]
        if len({record.key for record in records}) != 1:
            raise ValueError(f"These are different records: {sorted({record.key for record in records})}")
        theirs, ours = records[0], records[1]
        (merged,) = merge(self._shape, self._shape, records[2:] or None, [ours], [theirs])
        return merged

    def _record(self, content: RecordContent) -> Record:
        return self._shape.from_mapping(content)
