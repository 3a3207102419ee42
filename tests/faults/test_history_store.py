"""A history store that is lost, another copy's, damaged, read-only or full: each is told in a sentence, the register is
whole, and backups, restores and imports go on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from core.models import AttendanceRecord
from recordsync.history.databases import history_of
from recordsync.models import Block, Head, Node
from tests.builders.big_registers import filled
from tests.conftest import sqlite_suffices
from tests.faults.conftest import Files, SmallDisk
from tests.running import commands, inspection
from tests.running.commands import Ended, run
from tests.running.installation import NewInstallation, ScratchInstallation

LOST = "The history store does not have what the register was at its last snapshot"
NOT_IN_HISTORY = "So no snapshot was taken, and this is in no history until that is mended."


def backed_up(installation: ScratchInstallation, **options: Any) -> tuple[Ended, bool]:
    """How a backup ended, and whether its file is of a snapshot. The file is whole and has the register."""
    path = installation.folder / "full.json"
    ended = run(installation, "backup_data", "--output", path, **options)
    assert ended.code == 0, ended.err
    inspection.assert_valid(path)
    assert inspection.file_content(path) == inspection.content_of(installation)
    metadata = json.loads(path.read_bytes().splitlines()[0].removeprefix(b'{"metadata":').removesuffix(b","))
    return ended, metadata["snapshot"] is not None


def edit(installation: ScratchInstallation) -> None:
    """Change a record, so that there is something to take a snapshot of."""
    with installation.opened() as alias:
        row = AttendanceRecord.objects.using(alias).order_by("pk")[0]
        AttendanceRecord.objects.using(alias).filter(pk=row.pk).update(shift="EDITED")


def lose(installation: ScratchInstallation, *tables: type[Block] | type[Node]) -> None:
    with installation.opened() as alias:
        for table in tables:
            table.objects.using(history_of(alias)).all().delete()


def history_file(installation: ScratchInstallation) -> Path:
    return installation.folder / "muster-history.sqlite3"


def remove_history(installation: ScratchInstallation) -> None:
    for path in installation.folder.glob("muster-history.sqlite3*"):
        if path.is_file():
            path.unlink()


def test_a_store_that_was_emptied_is_made_anew(installation: ScratchInstallation) -> None:
    filled(installation, 300)
    backed_up(installation)
    lose(installation, Block, Node)
    before = inspection.state_of(installation)
    ended, is_of_snapshot = backed_up(installation)
    assert LOST in ended.err
    assert is_of_snapshot
    ended, is_of_snapshot = backed_up(installation)
    assert "Warning" not in ended.err
    assert is_of_snapshot
    assert inspection.state_of(installation) == before


def test_a_file_that_was_deleted_is_told_until_it_is_made_anew(new_installation: NewInstallation) -> None:
    installation = filled(new_installation("sqlite"), 300)
    backed_up(installation)
    remove_history(installation)
    edit(installation)
    ended, is_of_snapshot = backed_up(installation)
    assert f"The history database ({history_file(installation)}) failed; the register is not concerned." in ended.err
    assert "run manage.py migrate" in ended.err
    assert NOT_IN_HISTORY in ended.err
    assert not is_of_snapshot
    assert installation.manage("migrate").returncode == 0
    ended, is_of_snapshot = backed_up(installation)
    assert LOST in ended.err
    assert is_of_snapshot
    assert "Warning" not in backed_up(installation)[0].err


def test_another_copys_store_is_no_danger(new_installation: NewInstallation) -> None:
    installation, other = filled(new_installation("sqlite"), 300), filled(new_installation("sqlite"), 200, version="b")
    for one in (installation, other):
        backed_up(one)
    remove_history(installation)
    shutil.copy(history_file(other), history_file(installation))
    ended, is_of_snapshot = backed_up(installation)
    assert LOST in ended.err
    assert is_of_snapshot
    assert "Warning" not in backed_up(installation)[0].err


@sqlite_suffices
@pytest.mark.parametrize(("table", "column"), [(Block, "data"), (Block, "raw_sha256"), (Node, "body")])
def test_a_flipped_byte_is_found_and_made_anew(
    installation: ScratchInstallation, table: type[Block] | type[Node], column: str
) -> None:
    filled(installation, 300)
    backed_up(installation)
    with installation.opened() as alias:
        rows = table.objects.using(history_of(alias))
        head = Head.objects.using(alias).select_related("snapshot").get().snapshot
        row = rows.get(digest=head.tree) if table is Node else rows.order_by("digest")[0]
        value = getattr(row, column)
        data = bytearray(value.encode() if isinstance(value, str) else value)
        data[len(data) // 2] ^= 1
        rows.filter(pk=row.pk).update(**{column: data.decode() if isinstance(value, str) else bytes(data)})
    before = inspection.state_of(installation)
    ended, is_of_snapshot = backed_up(installation)
    assert "It was made anew from the register." in ended.err
    assert is_of_snapshot
    assert "Warning" not in backed_up(installation)[0].err
    assert inspection.state_of(installation) == before


def fold_history(installation: ScratchInstallation) -> None:
    """Move what is in the journal of the history's file into the file."""
    with installation.opened() as alias, connections[history_of(alias)].cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def read_only(installation: ScratchInstallation, small: Callable[[int], Path]) -> dict[str, Any]:
    history_file(installation).chmod(0o444)
    return commands.bound_by_permissions()


def full(installation: ScratchInstallation, small: Callable[[int], Path]) -> dict[str, Any]:
    disk = small(history_file(installation).stat().st_size // 1024 + 80)
    shutil.copy(history_file(installation), disk / "history.sqlite3")
    installation.env["HISTORY_DATABASE_URL"] = f"sqlite:///{disk / 'history.sqlite3'}"
    return {}


@pytest.mark.parametrize(("spoil", "told"), [(read_only, "read-only"), (full, "disk is full")])
def test_what_cannot_be_written_is_told_and_is_in_nobodys_way(
    new_installation: NewInstallation,
    small_disk: SmallDisk,
    files: Files,
    spoil: Callable[[ScratchInstallation, Callable[[int], Path]], dict[str, Any]],
    told: str,
) -> None:
    installation = filled(new_installation("sqlite"), 2_000, version="b")
    fold_history(installation)
    options = spoil(installation, small_disk)
    ended, is_of_snapshot = backed_up(installation, **options)
    assert told in ended.err
    assert NOT_IN_HISTORY in ended.err
    assert not is_of_snapshot
    restored = run(installation, "restore_data", "--input", files.a, **options)
    assert restored.code == 0, restored.err
    assert told in restored.err
    assert NOT_IN_HISTORY in restored.err
    with installation.opened() as alias:
        assert not Head.objects.using(alias).exists()
    inspection.accounts(installation).assert_settled()


def test_nothing_is_withdrawn_where_that_cannot_be_kept(
    new_installation: NewInstallation, small_disk: SmallDisk, tmp_path: Path
) -> None:
    """Without a snapshot it would be a change like any other, and the next backup would undo it where it came from."""
    office, server = filled(new_installation("sqlite"), 300), new_installation("sqlite")
    for version in ("a", "b"):
        with office.opened() as alias:
            AttendanceRecord.objects.using(alias).update(shift=version)
        file = tmp_path / f"{version}.json"
        assert run(office, "backup_data", "--output", file).code == 0
        assert run(server, "restore_data", "--input", file).code == 0
    fold_history(server)
    options = read_only(server, small_disk)
    before = inspection.state_of(server)
    ended = run(server, "undo", "--yes", "--quiet", **options)
    assert ended.code == 1, ended.err
    for part in ("is read-only", "which could not be taken", "Nothing was changed.", "Or undo it everywhere."):
        assert part in ended.err
    commands.assert_clear(ended.err)
    assert inspection.state_of(server) == before
    ended = run(server, "undo", "--everywhere", "--yes", **options)
    assert (ended.code, NOT_IN_HISTORY in ended.err) == (0, True), ended.err
    before = inspection.state_of(server)
    history_file(server).chmod(0o644)
    run(server, "undo", "--yes", "--quiet").assert_refused("The newest is Undo by", "is in no history", "name it")
    assert inspection.state_of(server) == before
    inspection.accounts(server).assert_settled()
