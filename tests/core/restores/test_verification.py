"""Verifying a file of the catalogue, as the page asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.storage import storages

from core.backups.backup_service import BackupService
from core.models import Backup, BackupLog, Operation
from core.operations.run import Actor
from core.restores import verification
from tests.builders.registers import SMALL, put
from tests.running.work_queue import perform

# The web works on the register of DATABASE_URL alone; the services themselves are tested on both engines.
pytestmark = pytest.mark.parametrize("engine", ["sqlite"])


def taken() -> Backup:
    return Backup.objects.get(pk=BackupService().create_backup().id)


def verified(backup: Backup) -> Operation:
    operation = verification.submit_verify(Actor("Meena"), backup)
    perform(operation.pk)
    operation.refresh_from_db()
    backup.refresh_from_db()
    return operation


def test_verifying_reads_the_whole_file(register_db: str, storage: Path) -> None:
    put(register_db, SMALL)
    backup = taken()
    seen = [backup.verified_at]
    assert verified(backup).state == Operation.State.SUCCEEDED
    seen.append(backup.verified_at)
    assert [moment is None for moment in seen] == [True, False]
    path = Path(storages["backups"].path(backup.file))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"shift":"GS"', b'"shift":"GX"', 1))
    damaged = verified(backup)
    assert damaged.state == Operation.State.FAILED
    assert "not a valid backup" in damaged.message
    assert damaged.result["errors"][0]["field"] == "checksum"
    path.write_bytes(Path(storages["backups"].path(taken().file)).read_bytes())
    swapped = verified(backup)
    assert "it was replaced" in swapped.message
    assert backup.verified_at is None, "what was verified once is not there any more"
    assert not BackupLog.objects.filter(operation="verify").exists()
