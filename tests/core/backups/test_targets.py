"""Where a backup goes: a path, a stream, the storage; compressed or not; whole or not at all."""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import zstandard
from django.core.files.storage import InMemoryStorage, storages
from django.db import connections
from django.utils import timezone

from core.backups.backup_service import BackupService
from core.models import JOBS, Backup, Operation, Phase
from core.operations.errors import OperationFailed, RegisterBusy
from core.register.database import Register
from tests.builders.registers import SMALL, put
from tests.running.services import backup


def _content(data: bytes) -> Any:
    return json.loads(data)["attendance_records"]


def test_two_backups_in_one_second_get_different_names(register_db: str, storage: Path) -> None:
    put(register_db, SMALL)
    now = timezone.now()
    with patch("core.backups.backup_service.timezone.localtime", return_value=now):
        results = [backup(register_db, output=None) for _ in range(3)]
    names = {result.name for result in results}
    assert len(names) == 3
    assert f"backup_full_{now:%Y%m%d_%H%M%S}.json" in names
    assert names == {path.name for path in storage.iterdir()}
    for result in results:
        assert Path(result.file) == storage / result.name
        assert len(_content(Path(result.file).read_bytes())) == 3
        assert stat.S_IMODE(Path(result.file).stat().st_mode) == 0o600
        entry = Backup.objects.using(register_db).get(pk=result.id)
        assert (entry.file, entry.location, entry.size) == (result.name, "", Path(result.file).stat().st_size)


def test_a_storage_that_is_no_folder(register_db: str) -> None:
    put(register_db, SMALL)
    memory = InMemoryStorage()
    with patch.object(type(storages), "__getitem__", return_value=memory):
        result = backup(register_db, output=None, compression="zstd")
    assert result.name.endswith(".json.zst")
    with memory.open(result.name) as stored:
        data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(stored.read())).read()
    assert len(_content(data)) == 3


def test_a_path(register_db: str, tmp_path: Path) -> None:
    put(register_db, SMALL)
    path = tmp_path / "full.json.gz"
    path.write_bytes(b"an older backup")
    result = backup(register_db, output=path, compression="gzip")
    assert result.file == str(path)
    assert (result.name, result.size) == ("", path.stat().st_size)
    assert len(_content(gzip.decompress(path.read_bytes()))) == 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [child.name for child in tmp_path.iterdir()] == ["full.json.gz"]
    assert Backup.objects.using(register_db).get().location == str(path)


def test_a_stream_stays_open(register_db: str) -> None:
    put(register_db, SMALL)
    out = io.BytesIO()
    result = BackupService(register=Register(register_db)).create_backup(output=out, compression="zstd")
    data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(out.getvalue())).read()
    assert len(_content(data)) == 3
    assert (result.file, result.size) == ("-", len(out.getvalue()))


@pytest.mark.parametrize("phase", ["write", "commit"])
@pytest.mark.parametrize("where", ["path", "storage"])
def test_a_backup_that_fails_leaves_no_file(
    register_db: str, storage: Path, tmp_path: Path, phase: str, where: str
) -> None:
    put(register_db, SMALL)
    path = tmp_path / "full.json"
    path.write_bytes(b"an older backup")

    def fail(at: str, done: int, total: int | None, /) -> None:
        if at == phase:
            raise OSError(28, "No space left on device")

    with pytest.raises(OperationFailed, match=r"The disk is full\. No backup was written\."):
        backup(register_db, output=path if where == "path" else None, progress_callback=fail)
    assert path.read_bytes() == b"an older backup"
    left = [child for child in tmp_path.rglob("*") if child.is_file()]
    assert left == [path]
    assert not Backup.objects.using(register_db).exists()


def test_a_folder_that_is_not_there(register_db: str, tmp_path: Path) -> None:
    folder = tmp_path / "nowhere"
    with pytest.raises(OperationFailed) as caught:
        backup(register_db, output=folder / "full.json")
    assert str(caught.value) == f"{folder}: there is no such file or folder. No backup was written."


@pytest.mark.parametrize("alias", ["jobs", "history"])
@pytest.mark.parametrize("ending", ["", "-wal"])
def test_a_backup_never_replaces_a_database(register_db: str, tmp_path: Path, alias: str, ending: str) -> None:
    put(register_db, SMALL)
    database = Path(str(connections[alias].settings_dict["NAME"]) + ending)
    link = tmp_path / "link.json"
    link.symlink_to(database)
    for path in (database, link):
        with pytest.raises(OperationFailed, match="is a database of this installation"):
            BackupService(register=Register(register_db)).create_backup(output=path)
    assert backup(register_db).records == 3


def test_a_path_that_is_not_utf_8(register_db: str, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.json"))
    result = BackupService(register=Register(register_db)).create_backup(output=path)
    assert result.file.endswith("caf\\xe9.json")
    assert path.exists()


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), RegisterBusy("Somebody is at it."), ValueError("a bug")])
def test_a_finished_file_that_cannot_be_entered_is_told(register_db: str, tmp_path: Path, stop: BaseException) -> None:
    path = tmp_path / "full.json"
    with (
        patch("core.backups.catalogue.add", side_effect=stop),
        pytest.raises(OperationFailed, match=r"written and whole \(.*full\.json\), but it is not in the catalogue"),
    ):
        BackupService(register=Register(register_db)).create_backup(output=path)
    assert path.exists()
    assert not Backup.objects.using(register_db).exists()


def test_a_cancel_that_comes_too_late_is_none(register_db: str, tmp_path: Path) -> None:
    def cancel_at_the_end(phase: str, done: int, total: int | None, /) -> None:
        if phase == Phase.COMMIT:
            Operation.objects.using(JOBS).update(cancel_requested=True)

    result = BackupService(register=Register(register_db)).create_backup(
        output=tmp_path / "full.json", progress_callback=cancel_at_the_end
    )
    assert Backup.objects.using(register_db).get().pk == result.id
