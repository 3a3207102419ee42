"""Backups of a register whose headers of snapshots are damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core.backups.backup_service import BackupService
from core.history.verification import verify
from core.models import AttendanceRecord
from core.register.database import Register
from recordsync.models import Snapshot
from tests.builders.days import day
from tests.builders.registers import put, register
from tests.running import inspection


def flipped(digest: str) -> str:
    return digest[:-1] + ("0" if digest[-1] != "0" else "1")


def other_author(header: Snapshot) -> None:
    header.says = {**(header.says or {}), "author": "somebody"}


def no_kind(header: Snapshot) -> None:
    header.says = {}


def other_digest(header: Snapshot) -> None:
    header.said = flipped(header.said)


def other_parent(header: Snapshot) -> None:
    header.parents = [flipped(parent) for parent in header.parents]


@pytest.mark.parametrize(
    ("damage", "of"),
    [(other_author, "head"), (no_kind, "head"), (other_parent, "head"), (other_digest, "ancestor")],
)
def test_a_backup_is_taken_and_says_that_it_is_in_no_history(
    register_db: str, tmp_path: Path, damage: Callable[[Snapshot], None], of: str
) -> None:
    put(register_db, register(day()))
    service, path = BackupService(register=Register(register_db)), tmp_path / "full.json"
    service.create_backup(output=tmp_path / "first.json")
    Register(register_db).rows(AttendanceRecord).update(shift="EDITED")
    assert service.create_backup(output=path).metadata.snapshot is not None
    assert not verify(register=Register(register_db)).errors
    ancestor, head = Snapshot.objects.using(register_db).order_by("order")
    header = head if of == "head" else ancestor
    damage(header)
    header.save(using=register_db)
    result = service.create_backup(output=path)
    assert result.metadata.snapshot is None
    assert inspection.assert_valid(path) == {"companies": 1, "attendance_records": 1, "seals": 0}
    (warning,) = result.warnings
    assert warning.startswith("The headers of the register's snapshots are damaged (")
    (error,) = verify(register=Register(register_db)).errors
    assert header.pk[:10] in error
