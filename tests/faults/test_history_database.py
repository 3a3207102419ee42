"""A history database that cannot be opened: what does not need it goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from core.models import AttendanceRecord, Company
from tests.builders.big_registers import filled
from tests.faults.test_held_register import SIGNED_IN
from tests.faults.test_no_room import READ
from tests.running.commands import bound_by_permissions, run
from tests.running.installation import ScratchInstallation
from tests.running.server import serving


def _no_folder(folder: Path) -> None:
    (folder / "history.sqlite3").unlink(missing_ok=True)
    folder.rmdir()


def _text(folder: Path) -> None:
    (folder / "history.sqlite3").write_text("a text\n" * 1000)


def _closed(folder: Path) -> None:
    folder.chmod(0)


def _of_others(installation: ScratchInstallation) -> tuple[str, str]:
    """The address of a database in the same server, by a role that may not connect to it, and its name for people."""
    register = psycopg.conninfo.conninfo_to_dict(installation.database_url)
    name = f"{register['dbname']}_of_others"
    statements = (
        "DROP ROLE IF EXISTS stranger",
        "CREATE ROLE stranger LOGIN",
        f"CREATE DATABASE {name}",
        f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC",
    )
    with psycopg.connect(installation.database_url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)
    return f"postgresql://stranger@/{name}?host={register['host']}", name


LOST: Final[dict[str, tuple[Callable[[Path], None], str]]] = {
    "no folder": (_no_folder, "The database file cannot be opened: check HISTORY_DATABASE_URL, "),
    "not a database": (_text, "The file is not an SQLite database: check HISTORY_DATABASE_URL."),
    "no permission": (_closed, "The database file cannot be opened: check HISTORY_DATABASE_URL, "),
}


@pytest.mark.parametrize("kind", [*LOST, "refused"])
def test_the_register_works_without_its_history(installation: ScratchInstallation, tmp_path: Path, kind: str) -> None:
    filled(installation, 50)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    url, place = f"sqlite:///{folder}/history.sqlite3", f"{folder}/history.sqlite3"
    told = "The connection to the database was lost or refused ("
    bound: dict[str, Any] = {}
    if kind == "refused":
        url, place = "postgresql://muster@127.0.0.1:1/history?connect_timeout=5", "history, 127.0.0.1"
    elif kind == "no permission" and installation.engine == "postgres":
        url, place = _of_others(installation)
    else:
        bound = bound_by_permissions() if kind == "no permission" else {}
        spoil, told = LOST[kind]
        spoil(folder)
    installation.env["HISTORY_DATABASE_URL"] = url
    try:
        for command in ("fingerprint", "renew_installation"):
            ended = run(installation, command, **bound)
            assert ended.code == 0, ended.err
        sentence = run(installation, "migrate", **bound).assert_refused("Nothing was migrated.")
        assert f"Error: The history database ({place}) failed; the register is not concerned. {told}" in sentence
        assert (kind, installation.engine) != ("no permission", "postgres") or "permission denied for data" in sentence
        assert run(installation, "migrate", "--database", "default", **bound).code == 0
    finally:
        if folder.exists():
            folder.chmod(0o700)


def test_pages_work_without_their_history(installation: ScratchInstallation, static_files: Path) -> None:
    filled(installation, 50)
    cookies = f"sessionid={installation.manage('shell', '--no-imports', '-c', SIGNED_IN, check=True).stdout.strip()}"
    installation.env["HISTORY_DATABASE_URL"] = f"sqlite:///{installation.folder}/nowhere/history.sqlite3"
    with installation.opened() as alias:
        record = AttendanceRecord.objects.using(alias).earliest("pk")
        day = {"seen": record.updated_at.isoformat(timespec="microseconds"), "status": "A", "ep_name": "typed"}
        with serving(installation, static_files) as server:
            for path in READ:
                assert server.ask("GET", path, headers={"Cookie": cookies}).status == 200, path
            assert server.sign_in("root", "a good one").status == 302
            assert server.form(f"/attendance/{record.pk}/edit/", day, cookies=cookies).status == 302
            assert server.form("/companies/", {"name": "Typed"}, cookies=cookies).status == 302
        record.refresh_from_db()
        assert record.ep_name == "typed"
        assert Company.objects.using(alias).filter(name="Typed").exists()


def test_the_jobs_database_is_told_apart_too(installation: ScratchInstallation) -> None:
    installation.env["JOBS_DATABASE_URL"] = f"sqlite:///{installation.folder}/nowhere/jobs.sqlite3"
    done = installation.manage("migrate")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Error: The database file cannot be opened: check JOBS_DATABASE_URL, " in done.stderr
    assert not os.path.exists(f"{installation.folder}/nowhere")
