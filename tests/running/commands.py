"""Commands of an installation: to run them, to interrupt them, and to inject faults into them."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.utils.text import capfirst

from core.models import Operation, Phase
from tests.running.inspection import jobs_of
from tests.running.installation import PROJECT, ScratchInstallation
from tests.running.zygote import Process

SECONDS = 180
"""No command takes so long, however busy the machine is: a test gives it up."""
SEED = int(os.environ.get("MUSTER_TEST_SEED", "0")) or random.randrange(1, 1 << 32)
"""The seed of random moments. It is printed; MUSTER_TEST_SEED sets it."""


@dataclass
class Ended:
    """The outcome of a command."""

    code: int
    out: str
    err: str
    seconds: float = 0.0
    peak: int = 0
    """Its largest resident memory in bytes."""

    @property
    def sentence(self) -> str:
        """The one line on standard error that is not progress."""
        lines = [line for line in self.err.splitlines() if not line.startswith(PROGRESS)]
        assert len(lines) == 1, self.err
        return lines[0]

    def assert_refused(self, *words: str) -> str:
        """The command's sentence. Asserts that it exited with status 1, and that one clear sentence has these words."""
        assert self.code == 1, (self.code, self.err)
        assert_clear(self.err)
        for word in words:
            assert word in self.sentence, self.err
        return self.sentence


PROGRESS = tuple(capfirst(str(phase.label)) for phase in Phase)


def assert_clear(err: str) -> None:
    """Assert that the text has nothing that only a programmer understands."""
    for word in ("Traceback", "Exception", "psycopg", "sqlite3.", "Unexpected error", "Errno", "object at 0x"):
        assert word not in err, err


def start(installation: ScratchInstallation, *args: Any, **options: Any) -> Process:
    """A command that was just started, with its output in pipes."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return installation.popen(*args, **options)


def end(process: Process, timeout: float = SECONDS) -> Ended:
    """The outcome of a started command, which it waits for."""
    out, err = process.communicate(timeout=timeout)
    return Ended(process.returncode, out.decode(), err.decode())


def run(installation: ScratchInstallation, *args: Any, **options: Any) -> Ended:
    """The outcome of a command, which it runs to its end and measures."""
    started = time.monotonic()
    process = start(installation, *args, **options)
    ended = end(process)
    ended.seconds = time.monotonic() - started
    return ended


def signalled(
    installation: ScratchInstallation, args: tuple[Any, ...], seconds: float, number: signal.Signals, **options: Any
) -> Ended:
    """The outcome of a command that gets a signal after so many seconds, if it still runs then: maybe as it starts."""
    process = start(installation, *args, set_up=False, **options)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    return end(process)


@contextmanager
def worker(installation: ScratchInstallation) -> Iterator[Process]:
    """A worker that waits for operations, until the end of the block."""
    process = start(installation, "db_worker", "--no-reload", "--no-startup-delay", "--interval", "0.2")
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        ended = end(process)
    assert ended.code == 0, ended.err


def take_backup(installation: ScratchInstallation) -> None:
    """Queue a backup, and wait until the installation's worker has taken it."""
    script = (
        "from core.backups import jobs as backup_jobs;from core.operations import run as operations;"
        "backup_jobs.submit_backup(operations.Actor('Meena'), backup_jobs.BackupRequest())"
    )
    installation.manage("shell", "--no-imports", "-c", script, check=True)
    deadline = time.monotonic() + SECONDS
    with jobs_of(installation) as jobs:
        while (operation := Operation.objects.using(jobs).order_by("-started_at")[0]).state in ("waiting", "running"):
            assert time.monotonic() < deadline, operation
            time.sleep(0.05)
    assert operation.state == "succeeded", operation.message


def injected(installation: ScratchInstallation, fault: str, *args: Any, **options: Any) -> Process:
    """A started command in whose process ``fault``, Python source, runs as soon as Django is set up."""
    program = (
        "import os, sys\n"
        f"sys.path.insert(0, {str(PROJECT)!r})\n"
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'muster.settings')\n"
        "import django\ndjango.setup()\n"
        f"{fault}\n"
        "sys.argv[0] = 'manage.py'\n"
        "from django.core.management import execute_from_command_line\n"
        "execute_from_command_line(sys.argv)\n"
    )
    script = installation.folder.with_name(f"{installation.folder.name}-{uuid.uuid4().hex}.py")
    script.write_text(program, encoding="utf-8")
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return installation.python(script, *args, **{"set_up": True} | options)


def at_phase(phase: str, action: str) -> str:
    """Source for :func:`injected` that does ``action`` (one line) when the operation first reports the phase."""
    return (
        "import time, signal\n"
        "from core.operations import run as operations\n"
        "_report, _seen = operations.Run.__call__, []\n"
        "def _call(self, phase, done, total, /):\n"
        "    _report(self, phase, done, total)\n"
        f"    if phase == {phase!r} and not _seen:\n"
        "        _seen.append(phase)\n"
        f"        {action}\n"
        "operations.Run.__call__ = _call\n"
    )


UNTIL_TOLD = f"[time.sleep(0.02) for _ in range({50 * SECONDS}) if not os.path.exists('go-on')]"
"""An action for :func:`at_phase` that waits for :func:`tell_to_go_on`."""


def tell_to_go_on(installation: ScratchInstallation) -> None:
    (installation.folder / "go-on").touch()


def wait_for_phase(installation: ScratchInstallation, phase: str) -> None:
    """Wait until the running operation reports the phase."""
    deadline = time.monotonic() + SECONDS
    with jobs_of(installation) as jobs:
        running = Operation.objects.using(jobs).filter(state=Operation.State.RUNNING, phase=phase)
        while not running.exists():
            assert time.monotonic() < deadline, f"no operation came to {phase}"
            time.sleep(0.02)


class Moments:
    """Random moments within the measured duration of a command, from the printed seed."""

    def __init__(self, name: str) -> None:
        print(f"{name}: MUSTER_TEST_SEED={SEED}")
        self._random = random.Random(f"{SEED}-{name}")

    def within(self, seconds: float, start: float = 0.0) -> float:
        return self._random.uniform(start, seconds * 1.02)

    def choice(self, values: Sequence[Any]) -> Any:
        return self._random.choice(values)

    def shuffled(self, values: Sequence[Any]) -> list[Any]:
        return self._random.sample(values, len(values))


def bound_by_permissions() -> dict[str, Any]:
    """Options for start and run under which file permissions bind the process, even if the user is root."""
    capabilities = (1, 2, 3)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER of linux/capability.h
    drop = 24  # PR_CAPBSET_DROP of linux/prctl.h

    def give_up() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in capabilities:
            if libc.prctl(drop, capability, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "prctl")

    return {"preexec_fn": give_up} if os.geteuid() == 0 else {}
