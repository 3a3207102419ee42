"""The fixtures that all other tests stand on: real files, both engines, nothing left behind."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connections, transaction

from core.models import Company, Operation, User
from tests import registers
from tests.installation import PROJECT, ScratchInstallation


def test_the_register_is_empty_on_each_engine(register_db: str, engine: str) -> None:
    assert connections[register_db].vendor == {"sqlite": "sqlite", "postgres": "postgresql"}[engine]
    assert not Company.objects.using(register_db).exists()
    company = Company.objects.using(register_db).create(name="ABC Corp")
    User.objects.db_manager(register_db).create_user("meena", company=company)
    Operation.objects.create(kind="backup_full", actor_name="meena")
    registers.empty(register_db, "jobs")
    assert not Company.objects.using(register_db).exists()
    assert not Operation.objects.exists()


def test_sqlite_registers_are_files_in_wal_mode(register_db: str, engine: str) -> None:
    if engine == "sqlite":
        for alias in ("default", "jobs"):
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


def test_a_started_command_can_be_killed(installation: ScratchInstallation) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with installation.popen("shell", "--no-imports", "-c", "print('up', flush=True); input()", **pipes) as process:
        assert process.stdout
        assert process.stdout.readline() == b"up\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.postgres
def test_the_server_goes_when_its_starter_is_killed() -> None:
    """However a test run ends, no server and no folder stay behind."""
    program = "from tests.postgres_server import PostgresServer; print(PostgresServer().folder, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as starter:
        assert starter.stdout
        folder = Path(starter.stdout.readline().decode().strip())
        assert (folder / "data").is_dir()
        starter.kill()
    deadline = time.monotonic() + 30
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not folder.exists()
