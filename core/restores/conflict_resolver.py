"""The merge of single records, by the engine's rules, for records as they stand in a 2.0 file.

A record here is a mapping from field names to texts, as ``BackupService._serialize_record`` gives; what is
not content (``checksum``, ``created_at``, ``updated_at``, ``id``) is left aside. Nothing touches the database.
"""

from __future__ import annotations

from typing import Any

from core.register.declared import ATTENDANCE_RECORDS
from recordsync.merge import Merged, Side, Strategy, merge, resolve
from recordsync.model.records import Record, checksum
from recordsync.model.schema import Model


class ConflictResolver:
    """Merges two versions of one record (attendance unless another model is given)."""

    def __init__(self, model: Model = ATTENDANCE_RECORDS) -> None:
        self._shape = model.shape()

    def detect_conflicts(
        self, backup_record: dict[str, Any], db_record: dict[str, Any], base_record: dict[str, Any] | None = None
    ) -> bool:
        """Whether both sides changed the same unit since the base, differently; with no base: whether they differ.

        Raises ValueError for records of different keys, KeyError for a missing field.
        """
        return bool(self.merge(backup_record, db_record, base_record).conflicts)

    def apply_merge_strategy(
        self,
        backup_record: dict[str, Any],
        db_record: dict[str, Any],
        strategy: str = "backup_wins",
        base_record: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The merged record, with its checksum and the ``created_at`` of the database's.

        Raises ValueError for an unknown strategy, for ``manual`` where there is a conflict that somebody has to
        decide, and for records of different keys.
        """
        merged = self.merge(backup_record, db_record, base_record)
        side = Strategy(strategy).side
        if side is None:
            if merged.conflicts:
                raise ValueError(f"A person has to decide: {', '.join(merged.conflicts)}")
            side = Side.OURS  # nothing to decide
        change = resolve(self._shape, self._shape, merged, lambda unit: side)
        record = self._record(db_record) if change is None or change.after is None else change.after
        content = self._shape.content(record)
        result: dict[str, Any] = {**content, "checksum": checksum(content)}
        if "created_at" in db_record:
            result["created_at"] = db_record["created_at"]
        return result

    def _records_differ(self, record1: dict[str, Any], record2: dict[str, Any]) -> bool:
        """Whether the content differs; timestamps and checksums left aside."""
        return self._record(record1).values != self._record(record2).values

    def merge(self, backup: dict[str, Any], database: dict[str, Any], base: dict[str, Any] | None = None) -> Merged:
        """The merge of two versions of one record: which units only one side changed, and which both.

        Raises ValueError for records of different keys, KeyError for a missing field.
        """
        records = [self._record(one) for one in (backup, database, base) if one is not None]
        if len({record.key for record in records}) != 1:
            raise ValueError(f"These are different records: {sorted({record.key for record in records})}")
        theirs, ours = records[0], records[1]
        (merged,) = merge(self._shape, self._shape, records[2:] or None, [ours], [theirs])
        return merged

    def _record(self, content: dict[str, Any]) -> Record:
        return self._shape.from_mapping(content)
