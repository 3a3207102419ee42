"""The fixtures that all other tests stand on: real files, both engines, nothing left behind."""

import json
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from django.db import connections, transaction

from core.models import Company, Operation, User
from recordsync.history.databases import history_of
from recordsync.models import Node
from tests.running import databases
from tests.running.installation import PROJECT, ScratchInstallation
from tests.running.zygote import Process


def test_the_register_is_empty_on_each_engine(register_db: str, engine: str) -> None:
    assert connections[register_db].vendor == {"sqlite": "sqlite", "postgres": "postgresql"}[engine]
    assert not Company.objects.using(register_db).exists()
    company = Company.objects.using(register_db).create(name="ABC Corp")
    User.objects.db_manager(register_db).create_user("meena", company=company)
    Operation.objects.create(kind="backup_full", actor_name="meena")
    nodes = Node.objects.using(history_of(register_db))
    nodes.create(digest="0" * 64, body=b"[]")
    databases.empty(register_db, "jobs")
    assert not nodes.exists()
    assert not Company.objects.using(register_db).exists()
    assert not Operation.objects.exists()


def test_sqlite_registers_are_files_in_wal_mode(register_db: str, engine: str) -> None:
    if engine == "sqlite":
        for alias in ("default", "jobs", "history"):
            with connections[alias].cursor() as cursor:
                assert cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert Path(connections[alias].settings_dict["NAME"]).is_file()


def test_commits_are_real(register_db: str) -> None:
    with transaction.atomic(using=register_db):
        Company.objects.using(register_db).create(name="ABC Corp")
    connections[register_db].close()
    assert Company.objects.using(register_db).get().name == "ABC Corp"


def test_installation_runs_commands_in_a_database_of_its_own(installation: ScratchInstallation) -> None:
    made = "from core.models import Company; Company.objects.create(name='ABC Corp')"
    installation.manage("shell", "-c", made, check=True)
    with installation.opened() as alias:
        assert [company.name for company in Company.objects.using(alias)] == ["ABC Corp"]
    with pytest.raises(subprocess.CalledProcessError):
        installation.manage("no_such_command", check=True)


def test_installations_share_nothing(
    new_installation: Callable[[str], ScratchInstallation], installation: ScratchInstallation
) -> None:
    with installation.opened() as alias:
        Company.objects.using(alias).create(name="ABC Corp")
    with new_installation(installation.engine).opened() as alias:
        assert not Company.objects.using(alias).exists()


PIPES: Final = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


@pytest.fixture(params=[True, False], ids=["forked", "started"])
def start(
    request: pytest.FixtureRequest, new_installation: Callable[[str], ScratchInstallation]
) -> Callable[..., Process]:
    """Starts a program in Python, quickly and as a person does: both ways give what means the same."""
    installation = new_installation("sqlite")

    def started(program: str, **streams: Any) -> Process:
        script = installation.folder / "program.py"
        script.write_text(program)
        return installation.python(script, forked=request.param, **streams)

    return started


def test_a_started_process_can_be_killed(start: Callable[..., Process]) -> None:
    with start("print('up', flush=True); input()", **PIPES) as process:
        assert process.stdout
        assert process.stdout.readline() == b"up\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.05)
        process.kill()
    assert process.returncode == process.poll() == process.wait() == -signal.SIGKILL
    process.send_signal(signal.SIGTERM)  # whoever has its id now is not hit


def test_a_process_is_given_and_says_more_than_a_pipe_holds(start: Callable[..., Process]) -> None:
    program = "import sys; given = sys.stdin.read(); sys.stderr.write(given[::-1]); print(given, end=''); sys.exit(3)"
    said = b"".join(b"%d\n" % number for number in range(50_000))
    process = start(program, **PIPES)
    assert process.communicate(said, timeout=60) == (said, said[::-1])
    assert process.returncode == 3
    for stream in (process.stdin, process.stdout, process.stderr):
        assert stream
        assert stream.closed


def test_a_process_writes_to_what_it_is_given(start: Callable[..., Process], tmp_path: Path) -> None:
    path = tmp_path / "said"
    with path.open("wb") as file:
        process = start("print(repr(input())); import sys; sys.exit('lost')", stdin=-1, stdout=file, stderr=-3)
        process.communicate(b"one line\n", timeout=60)
    assert path.read_text() == "'one line'\n"
    assert process.returncode == 1


def test_a_process_that_does_not_read_is_no_error(start: Callable[..., Process]) -> None:
    process = start("", stdin=subprocess.PIPE)
    process.communicate(b"x" * 1_000_000, timeout=60)
    assert process.returncode == 0


def test_a_process_is_asked_to_end(start: Callable[..., Process]) -> None:
    program = "print('up', flush=True); import time; time.sleep(60)"
    with start(program, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.read(1)
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(timeout=0.05)
        process.terminate()
    assert process.returncode == -signal.SIGTERM


SELF: Final = """
import gc, json, logging, os, random, re, resource, signal, sys, threading, time
sys.path.insert(0, sys.argv[1])
import django
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "muster.settings")
django.setup()
from django.conf import settings
from django.db import connections
told = lambda value: re.sub(" at 0x[0-9a-f]+", "", repr(value))
handlers = [handler for logger in (None, "core", "django") for handler in logging.getLogger(logger).handlers]
print(json.dumps({
    "its own": [os.getpid(), random.random(), os.urandom(9).hex()],
    "arguments": sys.argv,
    "environment": dict(os.environ),
    "folder": os.getcwd(),
    "session": [os.getsid(0) == os.getpgid(0) == os.getpid(), os.getppid()],
    "umask": os.umask(0),
    "files": [number for number in range(256) if os.path.exists(f"/proc/self/fd/{number}")],
    "streams": [[s.encoding, s.errors, s.line_buffering, s.isatty()] for s in (sys.stdin, sys.stdout, sys.stderr)],
    "signals": [told(signal.getsignal(number)) for number in signal.valid_signals()],
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "limits": [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")],
    "threads": threading.active_count(),
    "collects": gc.isenabled(),
    "zone": [time.tzname, time.localtime(0).tm_hour],
    "connected": [told(connection.connection) for connection in connections.all()],
    "settings": {name: told(getattr(settings, name)) for name in dir(settings) if name.isupper()},
    "log": [[type(handler).__name__, handler.stream in (None, sys.stderr)] for handler in handlers],
}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: elsewhere nothing is forked")
def test_a_process_forked_with_django_set_up_is_as_one_started(
    new_installation: Callable[[str], ScratchInstallation],
) -> None:
    installation = new_installation("sqlite")
    script = installation.folder / "program.py"
    script.write_text(SELF)

    def told(**how: Any) -> dict[str, Any]:
        script.chmod(0o644)
        process = installation.python(script, PROJECT, "an argument", **how | PIPES)
        out, err = process.communicate(b"", timeout=120)
        assert (process.returncode, err) == (0, b"")
        assert stat.S_IMODE(script.stat().st_mode) == 0o600  # each closes what others may read
        return dict(json.loads(out))

    processes = [told(set_up=True), told(set_up=True), told(forked=False)]
    own = [value for process in processes for value in process.pop("its own")]
    assert len(set(own)) == len(own)
    assert processes[0] == processes[1] == processes[2]
    installation.env["TIME_ZONE"] = "Asia/Kolkata"
    assert told(set_up=True)["zone"] == told(forked=False)["zone"] == [["IST", "IST"], 5]


HEAVY: Final = {"openpyxl", "et_xmlfile", "ijson", "rich", "gunicorn", "psycopg"}
"""Libraries that take long to load, and that a backup of SQLite into a file does not need."""


def test_a_backup_loads_no_library_that_it_does_not_need(
    new_installation: Callable[[str], ScratchInstallation],
) -> None:
    """Nor does the start of any command: loading them took a fifth of it."""
    installation = new_installation("sqlite")
    program = (
        "import sys; from django.core.management import execute_from_command_line as run\n"
        "run(['manage.py', 'backup_data', '--output', 'full.json', '--quiet'])\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=installation.folder,
        env=installation.env | {"PYTHONPATH": str(PROJECT), "DJANGO_SETTINGS_MODULE": "muster.settings"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert {"core", "recordsync"} <= loaded
    assert not loaded & HEAVY


@pytest.mark.postgres
def test_the_server_goes_when_its_starter_is_killed() -> None:
    """However a test run ends, no server and no folder stay behind."""
    program = (
        "from tests.running.postgres_server import PostgresServer; print(PostgresServer().folder, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as starter:
        assert starter.stdout
        folder = Path(starter.stdout.readline().decode().strip())
        assert (folder / "data").is_dir()
        starter.kill()
    deadline = time.monotonic() + 120
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not folder.exists()
