"""Faults in the middle of the fast stores' one write: rows have gone to the database, and more were to follow."""

from __future__ import annotations

import signal

import pytest

from core.models import Operation
from tests.faults.conftest import Files
from tests.faults.test_database_lost import LOST
from tests.running import inspection
from tests.running.commands import end, injected, run
from tests.running.installation import NewInstallation, ScratchInstallation

ENGINES = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


def in_a_write(action: str) -> str:
    """Source for :func:`injected`: do ``action`` (one line) when 500 rows of the second batch have been sent."""
    return (
        "import signal\n"
        "from django.db import connections\n"
        "from recordsync.plan import adder\n"
        "from recordsync.stores.sql import SqlStore\n"
        "adder._BATCH = 1000\n"
        "_rows, _batches = SqlStore._rows_to_add, []\n"
        "def rows(self, records, natives, now):\n"
        "    _batches.append(len(records))\n"
        "    for at, row in enumerate(_rows(self, records, natives, now)):\n"
        "        if len(_batches) == 3 and at == 500:\n"  # companies, a first batch of records, a second
        f"            {action}\n"
        "        yield row\n"
        "SqlStore._rows_to_add = rows\n"
    )


TERMINATED = (
    "pid = connections['default'].connection.info.backend_pid; "
    "connections['jobs'].cursor().execute('SELECT pg_terminate_backend(%s, 5000)', [pid])"
)
CANCELLED = "from core.models import Operation; Operation.objects.using('jobs').update(cancel_requested=True)"


@pytest.mark.postgres
def test_the_connection_is_lost(new_installation: NewInstallation, files: Files) -> None:
    installation = new_installation("postgres")
    before = inspection.state_of(installation)
    ended = end(injected(installation, in_a_write(TERMINATED), "restore_data", "--input", files.a))
    ended.assert_refused(LOST, "Nothing was changed")
    assert_as_before_and_it_works(installation, before, files)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("action", "words"),
    [(f"os.kill(os.getpid(), {int(signal.SIGINT)})", "nterrupted"), (CANCELLED, "ancelled")],
    ids=["Ctrl-C", "cancel"],
)
def test_it_is_stopped(new_installation: NewInstallation, files: Files, engine: str, action: str, words: str) -> None:
    installation = new_installation(engine)
    before = inspection.state_of(installation)
    ended = end(injected(installation, in_a_write(action), "restore_data", "--input", files.a))
    ended.assert_refused(words, "Nothing was changed")
    assert_as_before_and_it_works(installation, before, files)


@pytest.mark.parametrize("engine", ENGINES)
def test_it_is_killed(new_installation: NewInstallation, files: Files, engine: str) -> None:
    installation = new_installation(engine)
    before = inspection.state_of(installation)
    fault = in_a_write(f"os.kill(os.getpid(), {int(signal.SIGKILL)})")
    assert end(injected(installation, fault, "restore_data", "--input", files.a)).code == -signal.SIGKILL
    assert_as_before_and_it_works(installation, before, files)


def assert_as_before_and_it_works(installation: ScratchInstallation, before: str, files: Files) -> None:
    assert inspection.state_of(installation) == before
    again = run(installation, "restore_data", "--input", files.a)
    assert again.code == 0, again.err
    assert inspection.content_of(installation) == files.content[files.a]
    accounts = inspection.accounts(installation)
    accounts.assert_settled()
    assert Operation.State.RUNNING not in accounts.outcomes.values()
