"""A worker killed (``kill -9``) during a restore: the register is old or new, and the page tells the truth."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from tests.conftest import DEEP
from tests.faults import support
from tests.faults.conftest import Files
from tests.faults.support import injected
from tests.installation import ScratchInstallation

CHECK = """
from core.services import restore_jobs
from core.services.operations import Actor
from recordsync.merge import Strategy
from django.core.management import call_command
pk = restore_jobs.receive([open({path!r}, "rb").read()], 1 << 30)
restore_jobs.submit_check(Actor("Meena"), Strategy.BACKUP_WINS, uploaded=pk, name="a.json")
call_command("db_worker", reload=False, batch=True, startup_delay=False, verbosity=0)
"""
APPLY = """
from core.models import Operation
from core.services import restore_jobs, stored_preview
from core.services.operations import Actor
with stored_preview.opened(Operation.objects.get(kind="check").pk) as preview:
    restore_jobs.free_if_ended(preview)
    restore_jobs.submit_apply(Actor("Meena"), preview)
"""
TRUTH = """
from core.models import Operation
from core.services import operations
operations.settle_accounts()
print([(one.outcome, one.message) for one in Operation.objects.filter(kind="restore").order_by("started_at")])
"""
WORK = ("db_worker", "--no-reload", "--batch", "--no-startup-delay")


def shell(installation: ScratchInstallation, script: str) -> str:
    return installation.manage("shell", "--no-imports", "-c", script, check=True).stdout


def played(installation: ScratchInstallation, files: Files, rounds: int) -> list[dict[str, Any]]:
    """The rounds of :mod:`tests.faults.killed_workers`, each killed at a random moment."""
    paths, contents = [str(files.a), str(files.b)], [files.content[files.a], files.content[files.b]]
    program = f"from tests.faults import killed_workers as k; k.main({paths!r}, {contents!r}, {rounds}); sys.exit()"
    ended = support.end(injected(installation, program), timeout=600)
    assert ended.code == 0, ended.out + ended.err
    print(ended.out)
    return [json.loads(line.removeprefix("ROUND ")) for line in ended.out.splitlines() if line.startswith("ROUND ")]


@pytest.mark.parametrize(("engine", "rounds"), [("sqlite", 3), pytest.param("postgres", 2, marks=pytest.mark.postgres)])
def test_killed_at_random_moments_of_an_apply(
    new_installation: support.NewInstallation, files: Files, engine: str, rounds: int
) -> None:
    installation = new_installation(engine)
    rounds = 30 if DEEP else rounds
    found = played(installation, files, rounds)
    assert len(found) == rounds
    for one in found:
        if one["state"] == one["before"]:
            assert one["killed"], one
            assert one["outcome"] == "failed", one
            assert "Failed." in one["page"], one
            assert "killed before it" in one["page"], one
            assert "Nothing was changed" in one["page"], one
            assert "Try again" in one["page"], one
        else:
            assert one["content"] == one["target"], one
            assert one["outcome"] == "succeeded", one
            assert "Done." in one["page"], one
            assert "What was done with each entry of the file" in one["page"], one


def test_a_worker_killed_while_it_writes_and_after_the_commit(
    new_installation: support.NewInstallation, files: Files
) -> None:
    """Always in the middle of the transaction, and always between its end and the last word about it."""
    installation = new_installation("sqlite")
    before = support.state_of(installation)
    shell(installation, CHECK.format(path=str(files.a)) + APPLY)
    in_the_middle = support.at_phase("apply", "os.kill(os.getpid(), signal.SIGKILL)")
    assert support.end(injected(installation, in_the_middle, *WORK)).code == -signal.SIGKILL
    assert support.state_of(installation) == before
    told = shell(installation, TRUTH + APPLY)
    assert "failed" in told
    assert "Nothing was changed" in told
    at_the_end = (
        "import signal\nfrom core.services import operations\n"
        "operations.Run.finish = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert support.end(injected(installation, at_the_end, *WORK)).code == -signal.SIGKILL
    assert support.content_of(installation) == files.content[files.a]
    assert "succeeded" in shell(installation, TRUTH)
