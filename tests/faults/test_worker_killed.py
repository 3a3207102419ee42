"""A worker killed (``kill -9``) in the middle of a restore: the register as before, and its operation says failed."""

from __future__ import annotations

import signal

from tests.faults import support
from tests.faults.conftest import Files
from tests.faults.support import injected
from tests.installation import ScratchInstallation

CHECK = """
from core.services import restore_jobs
from core.services.operations import Actor
from recordsync.merge import Strategy
pk = restore_jobs.receive([open({path!r}, "rb").read()], 1 << 30)
restore_jobs.submit_check(Actor("Meena"), Strategy.BACKUP_WINS, uploaded=pk, name="a.json")
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


def test_a_worker_killed_while_it_writes(new_installation: support.NewInstallation, files: Files) -> None:
    installation = new_installation("sqlite")
    before = support.state_of(installation)
    shell(installation, CHECK.format(path=str(files.a)))
    installation.manage(*WORK, check=True)
    shell(installation, APPLY)
    fault = support.at_phase("apply", "os.kill(os.getpid(), signal.SIGKILL)")
    assert support.end(injected(installation, fault, *WORK)).code == -signal.SIGKILL
    assert support.state_of(installation) == before
    told = shell(installation, TRUTH)
    assert "failed" in told
    assert "Nothing was changed" in told
    shell(installation, APPLY)
    installation.manage(*WORK, check=True)
    assert support.content_of(installation) == files.content[files.a]
    assert "succeeded" in shell(installation, TRUTH)
