"""Locks that are lost while their holder lives: an idle connection that is cut, a server that restarts, a folder that
somebody clears. Nobody is taken for dead who lives, and nothing is done that was called failed."""

from __future__ import annotations

import shutil
import time

import psycopg
import pytest

from core.models import Operation
from tests.faults.conftest import Files
from tests.faults.test_worker_killed import TRUTH, shell
from tests.running import inspection
from tests.running.commands import (
    SECONDS,
    UNTIL_TOLD,
    at_phase,
    end,
    injected,
    take_backup,
    tell_to_go_on,
    wait_for_phase,
    worker,
)
from tests.running.installation import ScratchInstallation


def cut_locks(installation: ScratchInstallation) -> int:
    """End the connections that hold nothing but a lock, or remove the lock files; how many there were."""
    if installation.engine == "sqlite":
        folders = list(installation.folder.glob("*.locks"))
        files = sum(len(list(folder.iterdir())) for folder in folders)
        for folder in folders:
            shutil.rmtree(folder)
        return files
    with psycopg.connect(installation.database_url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' "
            "AND mode = 'ExclusiveLock' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return len(found.fetchall())


@pytest.mark.parametrize("phase", ["check", "apply"])
def test_a_restore_that_loses_its_locks_is_never_called_failed(
    installation: ScratchInstallation, files: Files, phase: str
) -> None:
    """Others look at it at once, and when it has them again."""
    before = inspection.state_of(installation)
    process = injected(installation, at_phase(phase, UNTIL_TOLD), "restore_data", "--input", files.a)
    wait_for_phase(installation, phase)
    assert cut_locks(installation) == (1 if phase == "check" else 3)  # of the operation, the register, its history
    assert "running" in shell(installation, TRUTH)
    time.sleep(1.5)
    assert "running" in shell(installation, TRUTH)
    tell_to_go_on(installation)
    ended = end(process)
    if installation.engine == "sqlite" and phase == "apply":
        ended.assert_refused("was removed while it was in use", "Nothing was changed")
        assert inspection.state_of(installation) == before
    else:
        assert ended.code == 0, ended.err
        assert inspection.content_of(installation) == files.content[files.a]
    accounts = inspection.accounts(installation)
    accounts.assert_settled()
    assert len(accounts.outcomes) == 1


@pytest.mark.parametrize("phase", ["check", "compare"])
def test_what_was_called_failed_is_not_done(installation: ScratchInstallation, files: Files, phase: str) -> None:
    """It could not be seen for so long that somebody was told that it failed."""
    before = inspection.state_of(installation)
    process = injected(installation, at_phase(phase, UNTIL_TOLD), "restore_data", "--input", files.a)
    wait_for_phase(installation, phase)
    with inspection.jobs_of(installation) as jobs:
        Operation.objects.using(jobs).update(state=Operation.State.FAILED, message="The process was killed.")
    tell_to_go_on(installation)
    end(process).assert_refused("counted as failed", "Nothing was changed")
    assert inspection.state_of(installation) == before
    inspection.accounts(installation).assert_settled()


def test_a_worker_that_loses_its_lock_goes_on(installation: ScratchInstallation) -> None:
    with worker(installation):
        take_backup(installation)
        assert cut_locks(installation) == 1
        take_backup(installation)
        deadline = time.monotonic() + SECONDS
        while cut_locks(installation) != 1:
            assert time.monotonic() < deadline, "it was not taken again"
            time.sleep(0.1)
    inspection.accounts(installation).assert_settled()
