"""A worker killed (``kill -9``) during its work: the register is old or new, and the page tells the truth."""

from __future__ import annotations

import json
import signal
from typing import Any

from core.operations.traits import traits_of
from core.worker.handlers import HANDLERS
from tests.conftest import DEEP, sqlite_suffices
from tests.faults.conftest import Files
from tests.faults.test_in_a_write import in_a_write
from tests.running import commands, inspection
from tests.running.commands import injected
from tests.running.installation import NewInstallation, ScratchInstallation

CHECK = """
from core.restores import jobs as restore_jobs
from core.operations.run import Actor
from recordsync.merge import Strategy
from django.core.management import call_command
pk = restore_jobs.receive([open({path!r}, "rb").read()], 1 << 30)
restore_jobs.submit_check(Actor("Meena"), Strategy.BACKUP_WINS, uploaded=pk, name="a.json")
call_command("db_worker", reload=False, batch=True, startup_delay=False, verbosity=0)
"""
APPLY = """
from core.models import Operation
from core.restores import jobs as restore_jobs
from core.preview import stored as stored_preview
from core.operations.run import Actor
with stored_preview.opened(Operation.objects.get(kind="check").pk) as preview:
    restore_jobs.free_if_ended(preview)
    restore_jobs.submit_apply(Actor("Meena"), preview)
"""
TRUTH = """
from core.models import Operation
from core.operations import recovery
recovery.settle_accounts()
print([(one.state, one.message) for one in Operation.objects.filter(kind="restore").order_by("started_at")])
"""
WORK = ("db_worker", "--no-reload", "--batch", "--no-startup-delay")


def shell(installation: ScratchInstallation, script: str) -> str:
    return installation.manage("shell", "--no-imports", "-c", script, check=True).stdout


def played(installation: ScratchInstallation, call: str) -> list[dict[str, Any]]:
    """The rounds of :mod:`tests.faults.killed_workers`."""
    program = f"from tests.faults import killed_workers as k; k.{call}; sys.exit()"
    ended = commands.end(injected(installation, program), timeout=600)
    assert ended.code == 0, ended.out + ended.err
    print(ended.out)
    return [json.loads(line.removeprefix("ROUND ")) for line in ended.out.splitlines() if line.startswith("ROUND ")]


@sqlite_suffices
def test_killed_at_random_moments_of_an_apply(installation: ScratchInstallation, files: Files) -> None:
    rounds = 30 if DEEP else 1
    paths, contents = [str(files.a), str(files.b)], [files.content[files.a], files.content[files.b]]
    found = played(installation, f"main({paths!r}, {contents!r}, {rounds})")
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
            assert "What was done" in one["page"], one


def test_whatever_is_killed_says_so_and_can_be_asked_for_again(new_installation: NewInstallation, files: Files) -> None:
    """Every kind of operation that a worker does, in the middle of its work."""
    found = played(new_installation("sqlite"), f"every_kind({str(files.a)!r}, {str(files.b)!r})")
    assert {one["kind"] for one in found} == HANDLERS.keys()
    for one in found:
        assert one["state"] == "failed", one
        told = f"The process was killed before it finished. {traits_of(one['kind']).undone_if_killed}"
        assert told in one["page"], one
        assert one["is_as_before"], one
        assert one["again"] == "succeeded", one


def test_a_worker_killed_while_it_writes_and_after_the_commit(new_installation: NewInstallation, files: Files) -> None:
    """Always in the middle of the transaction, and always between its end and the last word about it."""
    installation = new_installation("sqlite")
    before = inspection.state_of(installation)
    shell(installation, CHECK.format(path=str(files.a)) + APPLY)
    in_the_middle = commands.at_phase("apply", "os.kill(os.getpid(), signal.SIGKILL)")
    assert commands.end(injected(installation, in_the_middle, *WORK)).code == -signal.SIGKILL
    assert inspection.state_of(installation) == before
    told = shell(installation, TRUTH + APPLY)
    assert "failed" in told
    assert "Nothing was changed" in told
    at_the_end = (
        "import signal\nfrom core.operations import run as operations\n"
        "operations.Run.finish = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert commands.end(injected(installation, at_the_end, *WORK)).code == -signal.SIGKILL
    assert inspection.content_of(installation) == files.content[files.a]
    assert "succeeded" in shell(installation, TRUTH)


SHEET = """
import io
from django.core.files.base import ContentFile
from core.models import User
from core.sheets import uploads
user, _made = User.objects.get_or_create(username="meena", role="root")
rows = ["EP NO,EP NAME,COMPANY NAME,DATE,SHIFT,OVERSTAY,STATUS"]
rows += [f"{number:06},Meena,Asha Builders,2026-11-{day:02},GS,,P" for number in range(200) for day in range(1, 12)]
upload = uploads.receive(user, ContentFile("\\n".join(rows).encode(), "november.csv"))
"""
DECIDE = """
from core.models import UploadLog, User
from core.sheets import uploads
uploads.decide(UploadLog.objects.get(), User.objects.get())
"""
UPLOAD = """
from core.models import Operation, UploadLog
from core.operations import recovery
recovery.settle_accounts()
upload = UploadLog.objects.get()
print(upload.stage, upload.message, [one.state for one in Operation.objects.filter(kind="import")])
"""


@sqlite_suffices
def test_a_worker_killed_while_it_imports_a_sheet(installation: ScratchInstallation) -> None:
    """When 500 rows of the second batch have gone to the database."""
    shell(installation, SHEET)
    assert commands.end(injected(installation, "", *WORK)).code == 0
    assert "checked" in shell(installation, UPLOAD + DECIDE)
    before = inspection.state_of(installation)
    fault = in_a_write(f"os.kill(os.getpid(), {int(signal.SIGKILL)})")
    assert commands.end(injected(installation, fault, *WORK)).code == -signal.SIGKILL
    assert inspection.state_of(installation) == before
    told = shell(installation, UPLOAD)
    assert told.startswith("failed The process was killed before it finished. Nothing was changed.")
    assert "['failed']" in told
