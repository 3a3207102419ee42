"""``history verify`` and ``history --size`` as somebody uses them who wants to know whether the history is whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.db import connections

from core.models import AttendanceRecord
from recordsync.history import marks
from recordsync.history.databases import history_of, schema
from recordsync.models import Block, Dirty, Node
from tests.builders.big_registers import filled
from tests.core.management.test_backup_data import KEYS
from tests.running.commands import run
from tests.running.installation import ScratchInstallation


@pytest.fixture
def kept(installation: ScratchInstallation) -> ScratchInstallation:
    """An installation with a snapshot."""
    filled(installation, 300)
    assert run(installation, "backup_data").code == 0
    return installation


def test_it_finds_nothing_wrong_with_what_is_whole(kept: ScratchInstallation) -> None:
    done = run(kept, "history", "verify", "--register")
    assert done.code == 0, done.err
    assert "with 308 records of 1 snapshot.\n" in done.out
    assert "with 308 records of the register; 0 blocks written to since.\n" in done.out
    assert done.out.endswith("Nothing is wrong.\n")
    summary = json.loads(run(kept, "history", "verify", "--register", "--json").out)
    assert summary.keys() >= KEYS
    assert (summary["ok"], summary["error_count"], summary["register"]["records"]) == (True, 0, 308)


def test_it_finds_a_byte_that_was_flipped(kept: ScratchInstallation) -> None:
    with kept.opened() as alias:
        rows = Block.objects.using(history_of(alias))
        row = rows.order_by("-size")[0]
        data = bytearray(row.data)
        data[len(data) // 2] ^= 1
        rows.filter(pk=row.pk).update(data=bytes(data))
    done = run(kept, "history", "verify")
    assert done.code == 1
    assert f"a block of {row.count} records is damaged" in done.out
    assert done.err == "Error: 1 thing is wrong with the history.\n"


def test_it_finds_what_was_written_past_the_marks(kept: ScratchInstallation) -> None:
    """And the next snapshot then reads it."""
    with kept.opened() as alias:
        row = AttendanceRecord.objects.using(alias).order_by("pk")[0]
        AttendanceRecord.objects.using(alias).filter(pk=row.pk).update(shift="PAST")
        Dirty.objects.using(alias).all().delete()
        assert not marks.faults(alias, schema())
    assert run(kept, "history", "verify").code == 0
    done = run(kept, "history", "verify", "--register")
    assert done.code == 1
    assert "something wrote past the marks." in done.out
    assert f" {row.date:%Y-%m} " in done.out.replace(" · ", " ")
    assert run(kept, "backup_data").code == 0
    assert run(kept, "history", "verify", "--register").code == 0
    assert run(kept, "history").out.startswith("2 snapshots")


def test_how_much_it_takes(kept: ScratchInstallation) -> None:
    done = run(kept, "history", "--size")
    assert done.code == 0, done.err
    assert done.out.startswith("1 snapshot of 1 can be shown. ")
    summary = json.loads(run(kept, "history", "--size", "--json").out)
    assert summary.keys() >= KEYS
    assert 0 < summary["stored"] < min(summary["raw"], summary["on_disk"])
    if kept.engine == "sqlite":
        with kept.opened() as alias:
            file = Path(str(connections[history_of(alias)].settings_dict["NAME"]))
        assert summary["on_disk"] == file.stat().st_size
    assert (summary["shown"], summary["records"], summary["kept"]) == (1, 308, 0)


def test_snapshots_that_went_with_a_store_are_said_and_are_no_error(kept: ScratchInstallation) -> None:
    """Once the register is in a store again: nobody can make the others anew."""
    with kept.opened() as alias:
        for table in (Block, Node):
            table._default_manager.using(history_of(alias)).all().delete()
    assert run(kept, "history", "verify").code == 1
    assert run(kept, "history", "--size").out.startswith("0 snapshots of 1 can be shown. The history has 0 blocks")
    with kept.opened() as alias:
        AttendanceRecord.objects.using(alias).update(shift="EDITED")
    assert run(kept, "backup_data").code == 0
    done = run(kept, "history", "verify", "--register")
    assert done.code == 0, done.out
    assert "The history store has nothing of 1 snapshot, which cannot be shown any more" in done.err
    summary = json.loads(run(kept, "history", "verify", "--json").out)
    assert (summary["store"]["snapshots"], summary["store"]["lost"], len(summary["warnings"])) == (1, 1, 1)
    assert run(kept, "history", "--size").out.startswith("1 snapshot of 2 can be shown. ")


def test_a_register_without_a_snapshot_is_read_and_not_compared(small_sqlite: ScratchInstallation) -> None:
    done = run(small_sqlite, "history", "verify", "--register")
    assert done.code == 0, done.err
    assert "of the register; there is no snapshot yet to compare them with.\n" in done.out


def test_it_names_the_database_that_fails(small_sqlite: ScratchInstallation, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    stranger.write_bytes(b"not a database" * 1000)
    small_sqlite.env["HISTORY_DATABASE_URL"] = f"sqlite:///{stranger}"
    for args in (["--size"], ["verify"]):
        sentence = run(small_sqlite, "history", *args).assert_refused("check HISTORY_DATABASE_URL")
        assert sentence.startswith(f"Error: The history database ({stranger}) failed; the register is not concerned.")


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--register"], "--register is for verify"),
        (["show", "0", "--register"], "--register is for verify"),
        (["verify", "0"], "it takes --register only"),
        (["verify", "--size"], "it takes --register only"),
        (["show", "0", "--size"], "are for the list"),
    ],
)
def test_what_is_used_wrongly_is_refused(small_sqlite: ScratchInstallation, args: list[str], sentence: str) -> None:
    done = run(small_sqlite, "history", *args)
    assert done.code == 2
    assert sentence in done.err
