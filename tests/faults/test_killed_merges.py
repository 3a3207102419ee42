"""Killed (``kill -9``) in a merge, an exact restore or an undo: the register is the old or the new one, its history is
whole, what was not done is done the next time, and the exchange goes on until both sides hold the same."""

from __future__ import annotations

import datetime as dt
import signal
from pathlib import Path

from core.models import AttendanceRecord
from core.register.database import Register
from recordsync.models import Head
from tests.builders.big_registers import filled
from tests.conftest import DEEP, sqlite_suffices
from tests.faults import test_killed_history as history
from tests.running import commands, inspection
from tests.running.commands import Moments, injected
from tests.running.installation import NewInstallation, ScratchInstallation

WAYS = {
    "merge": ("restore_data", "--strategy", "manual", "--quiet"),
    "withdraw": ("undo", "--yes", "--quiet"),
    "exact": ("restore_data", "--mode", "exact", "--yes", "--quiet"),
    "everywhere": ("undo", "--everywhere", "--yes", "--quiet"),
}
TIMES = 10 if DEEP else 1
COMMITS = 8
"""No command has more: a call that never comes is the end of the command, where it is killed, too."""
POINTS = [
    "recordsync.history.snapshots:History.know",
    "recordsync.history.snapshots:History._record",
    "recordsync.history.receiving:Receiving.keep",
    "recordsync.history.leaves:replace",
    "recordsync.history.marks:clear",
    "recordsync.stores.sql:SqlStore._update",
    "core.operations.snapshots:Keeper.take_in",
    "core.operations.snapshots:Keeper.after",
]

Rows = dict[tuple[str, str, dt.date], str]
"""The shift of each record, by key."""


def rows_of(installation: ScratchInstallation) -> Rows:
    with installation.opened() as alias:
        rows = AttendanceRecord.objects.using(alias).values_list("company__name", "ep_no", "date", "shift")
        return {(company, ep_no, date): shift for company, ep_no, date, shift in rows}


def edit(installation: ScratchInstallation, edits: Rows) -> None:
    with installation.opened() as alias:
        for (company, ep_no, date), shift in edits.items():
            rows = AttendanceRecord.objects.using(alias).filter(company__name=company, ep_no=ep_no, date=date)
            assert rows.update(shift=shift) == 1


def done(installation: ScratchInstallation, *words: object) -> None:
    """Run a command to its end, which has nothing to warn of."""
    ended = commands.end(injected(installation, history.QUICK, *words))
    assert (ended.code, ended.err) == (0, ""), ended.err


def head_of(installation: ScratchInstallation) -> str:
    with installation.opened() as alias:
        return str(Head.objects.using(alias).get().snapshot_id)


@sqlite_suffices
def test_what_was_killed_is_old_or_new_and_the_exchange_goes_on(
    installation: ScratchInstallation, new_installation: NewInstallation, tmp_path: Path
) -> None:
    moments = Moments(f"killed merges on {installation.engine}")
    office, server = filled(new_installation("sqlite"), 600), installation
    file, back = tmp_path / "office.json", tmp_path / "server.json"
    done(office, "backup_data", "--output", file, "--quiet")
    done(server, "restore_data", "--input", file, "--quiet")
    keys = iter(moments.shuffled(sorted(rows_of(office))))
    pending: Rows = {}
    for number, way in enumerate([*WAYS] * TIMES):
        theirs, edits = {next(keys): f"THEIRS {number}"}, {next(keys): f"OURS {number}"}
        edit(office, theirs)
        edit(server, edits)
        pending |= theirs
        done(office, "backup_data", "--output", file, "--quiet")
        before = expected = rows_of(server)
        if "restore_data" in WAYS[way]:
            words = (*WAYS[way], "--input", file)
            expected = rows_of(office) if way == "exact" else before | pending
            pending = {}
        else:
            done(server, *WAYS["merge"], "--input", file)
            before = before | pending
            pending = pending if way == "withdraw" else {}
            words = WAYS[way]
        point, call = moments.choice([*POINTS, *[history.COMMIT] * len(POINTS)]), 1
        if point == history.COMMIT:
            call = moments.choice(range(1, COMMITS + 1))
        fault = history.killing(point, call, is_before=moments.choice([True, False]))
        print(way, fault.splitlines()[-1])
        ended = commands.end(injected(server, fault, *words))
        assert ended.code == -signal.SIGKILL, ended.err
        with server.opened() as alias:
            history.wait_for_the_dead(alias)
            history.assert_whole(Register(alias).history)
        after = rows_of(server)
        assert after in (before, expected)
        if after != expected:
            done(server, *words)
            assert rows_of(server) == expected
    for _crossing in range(2):
        for one, other, path in ((server, office, back), (office, server, file)):
            done(one, "backup_data", "--output", path, "--quiet")
            done(other, *WAYS["merge"], "--input", path)
    assert rows_of(server) == rows_of(office) == expected | pending
    assert head_of(server) == head_of(office)
    with server.opened() as alias:
        assert Head.objects.using(alias).get().snapshot.tree == history.root_of(Register(alias))
        history.assert_nothing_is_left_over(Register(alias).history)
    inspection.accounts(server).assert_settled()
