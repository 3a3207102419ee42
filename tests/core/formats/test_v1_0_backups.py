"""Backups as 1.0 files: what is refused, how they stand in the catalogue, and what is done with them there."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import uuid
from typing import Any, cast

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage, storages
from django.test import Client
from pytest_django import Settings

from core.models import JOBS, AttendanceRecord, Backup, Operation, User
from core.operations.errors import OperationFailed
from core.operations.run import Actor
from core.register.database import Register
from core.register.declared import Selection
from core.restores import verification
from core.restores.restore_service import RestoreService
from recordsync.system.files import decompressed
from tests.builders.days import ABC, XYZ
from tests.builders.registers import SMALL, put
from tests.running.services import backup, the_log
from tests.running.work_queue import perform

SINCE = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


@pytest.fixture
def storage(settings: Settings) -> InMemoryStorage:
    memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    settings.STORAGES = {**settings.STORAGES, "backups": memory}
    return cast(InMemoryStorage, storages["backups"])


@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
def test_a_file_and_its_entry_say_the_same(register_db: str, compression: Any) -> None:
    put(register_db, SMALL)
    out = io.BytesIO()
    result = backup(register_db, output=out, file_format="1.0", compression=compression)
    with decompressed(out, 1 << 20) as stream:
        content = stream.read()
    document = json.loads(content)
    assert document["metadata"]["version"] == "1.0"
    assert [r["ep_no"] for r in document["attendance_records"]] == ["E1"] * 3
    assert {r["updated_at"] for r in document["attendance_records"]} == {"2020-05-01T06:30:00.000000+00:00"}
    found = RestoreService(register=Register(register_db)).validate_backup(out)
    assert found.valid
    assert found.metadata is not None
    entry = Backup.objects.using(register_db).get()
    assert found.digest == entry.digest == result.digest == hashlib.sha256(content).hexdigest()
    assert found.metadata.id == str(entry.pk) == str(result.id)
    assert (entry.version, entry.backup_type, entry.parent, entry.since) == ("1.0", "full", None, None)
    assert (entry.companies_count, entry.records_count, entry.size) == (2, 3, len(out.getvalue()))
    assert (entry.taken_at, entry.created_by) == (
        dt.datetime.fromisoformat(document["metadata"]["created_at"]),
        result.metadata.created_by,
    )
    log = the_log(register_db)
    assert (log.backup_id, log.digest, log.backup_type, log.records_count) == (entry.pk, entry.digest, "full", 3)


def test_since_a_moment(register_db: str) -> None:
    put(register_db, SMALL)
    AttendanceRecord.objects.using(register_db).filter(company__name=XYZ).update(updated_at=SINCE)
    out = io.BytesIO()
    backup(register_db, "incremental", SINCE, output=out, file_format="1.0")
    document = json.loads(out.getvalue())
    assert document["metadata"]["backup_type"] == "incremental"
    assert document["metadata"]["since_date"] == "2026-11-01T00:00:00.000000+00:00"
    assert [company["name"] for company in document["companies"]] == [XYZ]
    (record,) = document["attendance_records"]
    assert record["updated_at"] == document["metadata"]["since_date"]
    entry = Backup.objects.using(register_db).get()
    assert (entry.backup_type, entry.since, entry.parent) == ("incremental", SINCE, None)


def test_the_first_incremental_does_not_continue_a_1_0_file(register_db: str) -> None:
    put(register_db, SMALL)
    backup(register_db, file_format="1.0")
    with pytest.raises(OperationFailed, match="no backup yet"):
        backup(register_db, "incremental")
    assert backup(register_db).metadata.parent is None


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"selection": Selection(companies=[ABC])}, "selection"),
        ({"selection": Selection(date_from="2026-11-20")}, "selection"),
        ({"backup_type": "incremental"}, "needs a moment"),
        ({"backup_type": "full", "since_date": SINCE}, "no starting date"),
    ],
)
def test_what_a_1_0_file_cannot_say_is_refused(register_db: str, asked: dict[str, Any], why: str) -> None:
    put(register_db, SMALL)
    backup(register_db)
    out = io.BytesIO()
    with pytest.raises(OperationFailed, match=f"{why}.*No backup was written.$"):
        backup(register_db, output=out, file_format="1.0", **asked)
    assert out.getvalue() == b""
    assert Backup.objects.using(register_db).count() == 1


def test_no_other_version_is_written(register_db: str) -> None:
    with pytest.raises(ValueError, match=r"'3.0' is not a version"):
        backup(register_db, file_format="3.0")


def test_one_in_the_storage_is_verified_there(register_db: str, storage: InMemoryStorage) -> None:
    put(register_db, SMALL)
    result = backup(register_db, output=None, file_format="1.0")
    entry = Backup.objects.using(register_db).get(pk=result.id)

    def verified() -> Operation:
        operation = verification.submit_verify(Actor("Meena"), entry)
        Operation.objects.using(JOBS).filter(pk=operation.pk).update(database=register_db)
        perform(operation.pk)
        return Operation.objects.using(JOBS).get(pk=operation.pk)

    assert verified().state == Operation.State.SUCCEEDED
    assert Backup.objects.using(register_db).get(pk=result.id).verified_at is not None
    with storage.open(result.name, "rb") as file:
        laid_out_anew = json.dumps(json.load(file)).encode()
    storage.delete(result.name)
    storage.save(result.name, ContentFile(laid_out_anew))
    assert "was replaced" in verified().message


@pytest.mark.django_db(databases=["default", "jobs", "history"])
def test_the_page_of_backups_names_the_version(client: Client, storage: InMemoryStorage) -> None:
    client.force_login(User.objects.create_superuser("root"))
    row = {
        "installation_id": uuid.uuid4(), "installation_name": "Here", "backup_type": "full", "size": 2,
        "digest": "0" * 64, "companies_count": 0, "records_count": 0, "taken_at": SINCE,
    }  # fmt: skip
    Backup.objects.create(id=uuid.uuid4(), file="new.json", **row)
    assert "Version" not in client.get("/backup/").content.decode()
    old = Backup.objects.create(id=uuid.uuid4(), file="old.json", version="1.0", **row)
    assert "Version 1.0" in client.get("/backup/").content.decode()
    storage.save("old.json", ContentFile(b"{}"))
    answer = client.get(f"/backup/download/{old.pk}/")
    assert b"".join(answer.streaming_content) == b"{}"  # type: ignore[attr-defined]
