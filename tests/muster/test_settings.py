"""The settings as processes of their own see them: defaults that run, and defaults that are safe."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.running.installation import PROJECT, ScratchInstallation


@pytest.fixture
def small(new_installation: Callable[[str], ScratchInstallation]) -> ScratchInstallation:
    return new_installation("sqlite")


READ = """
import json, sys
from muster import settings
print(json.dumps({name: getattr(settings, name) for name in sys.argv[1:]}, default=str))
"""


def run(folder: Path, *command: str, **env: str) -> "subprocess.CompletedProcess[str]":
    minimal = {"PATH": os.environ["PATH"], "DATA_DIR": str(folder / "var")}
    return subprocess.run(
        [sys.executable, *command], cwd=PROJECT, env=minimal | env, capture_output=True, text=True, check=False
    )


def read(folder: Path, *names: str, **env: str) -> dict[str, Any]:
    done = run(folder, "-c", READ, *names, **env)
    assert done.returncode == 0, done.stderr
    values: dict[str, Any] = json.loads(done.stdout)
    return values


BESIDE = ["jobs", "history"]
"""The databases beside the register's."""


def test_defaults_are_safe_and_local(tmp_path: Path) -> None:
    values = read(tmp_path, "DEBUG", "ALLOWED_HOSTS", "HTTPS", "SECRET_KEY", "DATABASES", "BACKUP_DIR")
    assert values["DEBUG"] is False
    assert values["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
    assert values["HTTPS"] is False
    assert values["DATABASES"]["default"]["NAME"] == str(tmp_path / "var/muster.sqlite3")
    assert values["DATABASES"]["jobs"]["NAME"] == str(tmp_path / "var/muster-jobs.sqlite3")
    assert values["DATABASES"]["history"]["NAME"] == str(tmp_path / "var/muster-history.sqlite3")
    assert "synchronous=FULL" in values["DATABASES"]["history"]["OPTIONS"]["init_command"]
    assert values["BACKUP_DIR"] == str(tmp_path / "var/backups")
    assert stat.S_IMODE((tmp_path / "var").stat().st_mode) == 0o700
    assert read(tmp_path, "SECRET_KEY") == {"SECRET_KEY": values["SECRET_KEY"]}


def test_other_hosts_need_https(tmp_path: Path) -> None:
    names = ("SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_HSTS_SECONDS")
    assert all(read(tmp_path, *names, ALLOWED_HOSTS="muster.example").values())
    assert not any(read(tmp_path, *names, ALLOWED_HOSTS="192.168.1.5", HTTPS="0").values())


@pytest.mark.parametrize("alias", BESIDE)
def test_two_registers_in_one_folder_share_nothing_beside_them(tmp_path: Path, alias: str) -> None:
    found = {
        read(tmp_path, "DATABASES", DATABASE_URL=f"sqlite:///{tmp_path}/{name}.sqlite3")["DATABASES"][alias]["NAME"]
        for name in ("one", "two")
    }
    assert found == {f"{tmp_path}/one-{alias}.sqlite3", f"{tmp_path}/two-{alias}.sqlite3"}


@pytest.mark.parametrize("alias", BESIDE)
def test_postgresql_holds_all_unless_told_otherwise(tmp_path: Path, alias: str) -> None:
    main = "postgresql://muster@db.internal/register"
    share, variable = f"{alias.upper()}_SHARE_DATABASE", f"{alias.upper()}_DATABASE_URL"
    assert read(tmp_path, share, DATABASE_URL=main) == {share: True}
    for other in ("postgresql://muster@db.internal/other", f"sqlite:///{tmp_path}/other.sqlite3"):
        assert read(tmp_path, share, DATABASE_URL=main, **{variable: other}) == {share: False}
    assert read(tmp_path, share, **{variable: main}) == {share: False}, "a register on SQLite"


@pytest.mark.parametrize("alias", BESIDE)
def test_one_sqlite_file_for_both_is_refused(tmp_path: Path, alias: str) -> None:
    url, variable = f"sqlite:///{tmp_path}/muster.sqlite3", f"{alias.upper()}_DATABASE_URL"
    done = run(tmp_path, "manage.py", "check", DATABASE_URL=url, **{variable: url})
    assert done.returncode == 1
    assert f"{variable} must name another SQLite file" in done.stderr
    (tmp_path / "link.sqlite3").symlink_to("muster.sqlite3")
    link = f"sqlite:///{tmp_path}/link.sqlite3"
    done = run(tmp_path, "manage.py", "migrate", DATABASE_URL=url, **{variable: link})
    assert done.stderr == f"Error: {variable} must name another SQLite file than DATABASE_URL.\n"
    assert not (tmp_path / "muster.sqlite3").exists()


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"HISTORY_DATABASE_URL": "sqlite:///{}/muster-jobs.sqlite3"}, "SQLite file than JOBS_DATABASE_URL"),
        ({"JOBS_DATABASE_URL": "sqlite:///{}/muster-history.sqlite3"}, "SQLite file than JOBS_DATABASE_URL"),
        (
            {
                "DATABASE_URL": "postgresql://muster@db.internal/register",
                "JOBS_DATABASE_URL": "postgresql://muster@db.internal/beside",
                "HISTORY_DATABASE_URL": "postgresql://muster@db.internal/beside",
            },
            "database than JOBS_DATABASE_URL, or that of DATABASE_URL",
        ),
    ],
)
def test_jobs_and_history_are_not_kept_together(tmp_path: Path, env: dict[str, str], told: str) -> None:
    named = {"DATABASE_URL": f"sqlite:///{tmp_path}/muster.sqlite3"} | {
        name: url.format(tmp_path) for name, url in env.items()
    }
    done = run(tmp_path, "manage.py", "migrate", **named)
    assert done.stderr == f"Error: HISTORY_DATABASE_URL must name another {told}.\n"


def test_one_database_of_a_server_under_two_addresses_is_refused(
    new_installation: Callable[[str], ScratchInstallation], tmp_path: Path
) -> None:
    """Each alias would leave some tables to the other, which finds its migrations done."""
    installation, other = new_installation("postgres"), new_installation("postgres")
    socket = str(psycopg.conninfo.conninfo_to_dict(installation.database_url)["host"])
    (tmp_path / "s").symlink_to(socket)
    plain = dict(installation.env)
    for variables, urls, sentence in (
        (["JOBS"], [installation], "leads to the database of DATABASE_URL by another address. Write both addresses"),
        (["HISTORY"], [installation], "leads to the database of DATABASE_URL by another address. Write both addresses"),
        (["JOBS", "HISTORY"], [other, other], "leads to the database of JOBS_DATABASE_URL by another address. Name an"),
    ):
        named = dict(
            zip((f"{name}_DATABASE_URL" for name in variables), (one.database_url for one in urls), strict=True)
        )
        last = f"{variables[-1]}_DATABASE_URL"
        installation.env = plain | named | {last: named[last].replace(socket, str(tmp_path / "s"))}
        done = installation.manage("migrate")
        assert done.returncode == 1
        assert done.stdout == ""
        assert f"{last} {sentence}" in done.stderr
    for variable in ("JOBS_DATABASE_URL", "HISTORY_DATABASE_URL"):
        installation.env = plain | {variable: installation.database_url}
        assert installation.manage("migrate", "--check").returncode == 0


@pytest.mark.parametrize(("value", "told"), [("0", "from 1 on"), ("-1", "whole number"), ("9" * 20, "too large")])
def test_at_least_one_snapshot_is_kept(tmp_path: Path, value: str, told: str) -> None:
    assert read(tmp_path, "HISTORY_KEEP") == {"HISTORY_KEEP": 100}
    assert read(tmp_path, "HISTORY_KEEP", HISTORY_KEEP="1") == {"HISTORY_KEEP": 1}
    done = run(tmp_path, "manage.py", "check", HISTORY_KEEP=value)
    assert done.returncode == 1
    assert "HISTORY_KEEP is" in done.stderr
    assert told in done.stderr


def test_a_setting_that_is_not_text_is_one_sentence(small: ScratchInstallation) -> None:
    names = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', (PROJECT / "muster/settings.py").read_text("utf-8")))
    documented = re.findall(r"^\| `([A-Z_]+)` \|", (PROJECT / "docs/settings.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(documented) == sorted(names)
    plain = dict(small.env)
    for name in names:
        for value, told in (("\udcc4BC", "is not text in UTF-8"), ("a\nb", "holds a line break")):
            small.env = plain | {"ALLOWED_HOSTS": "muster.example", name: value}
            done = small.manage("backup_data", "--quiet")
            assert done.returncode == 1
            assert done.stderr.startswith(f"Error: {name} {told}"), done.stderr
            assert done.stderr.count("\n") == 1
    small.env = plain | dict.fromkeys(names - {"DATA_DIR", "DATABASE_URL"}, " ")
    assert small.manage("backup_data", "--quiet").returncode == 0, "blank is not set"


@pytest.mark.parametrize(
    "wrong",
    [
        ("seed_demo", "--password", "\udcc4BC"),
        ("renew_installation", "--name=\udcc4BC"),
        ("createsuperuser", "--noinput", "--username", "\udcc4BC"),
        ("db_worker", "--batch", "--queue-name", "\udcc4BC"),
    ],
    ids=lambda args: args[0],
)
def test_an_argument_that_is_not_text_is_one_sentence(small: ScratchInstallation, wrong: tuple[str, ...]) -> None:
    done = small.manage(*wrong)
    assert done.returncode == 2
    sentence = f"Error: argument {len(wrong) - 1} of {wrong[0]} is not text in UTF-8. Nothing was done.\n"
    assert done.stderr == sentence


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file")
    done = run(tmp_path, "manage.py", "check")
    assert done.returncode == 1
    assert f"{tmp_path / 'var'}) cannot be used" in done.stderr


def test_a_server_starts_with_its_static_files_or_says_how_to_get_them(tmp_path: Path) -> None:
    """Every file that a style sheet or script refers to is collected, and then the production check is clean. Commands,
    and a server with DEBUG, need none."""

    def check() -> "subprocess.CompletedProcess[str]":
        env = {"ALLOWED_HOSTS": "muster.example", "TRUSTED_PROXIES": "127.0.0.1"}
        return run(tmp_path, "manage.py", "check", "--deploy", "--fail-level", "INFO", **env)

    def start(**env: str) -> "subprocess.CompletedProcess[str]":
        return run(tmp_path, "-W", "ignore", "-c", "import muster.wsgi", **env)

    static = tmp_path / "var/static"
    sentence = f"The static files in {static} are not those of this version: "  # the first that is found is named
    remedy = "Run manage.py collectstatic --noinput"
    refused = check()
    assert refused.returncode == 1
    assert sentence in refused.stderr
    assert remedy in refused.stderr
    told = start().stderr.splitlines()[-1]
    assert sentence in told
    assert remedy in told
    assert start(DEBUG="1").returncode == 0
    assert run(tmp_path, "manage.py", "check").returncode == 0
    done = run(tmp_path, "manage.py", "collectstatic", "--noinput", "--verbosity", "0")
    assert done.returncode == 0, done.stderr
    assert list(static.glob("muster.*.css.gz"))
    done = check()
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout
    assert start().stderr == ""
    manifest = json.loads((static / "staticfiles.json").read_text())
    del manifest["paths"]["theme.js"]  # as an upgrade brings a file that was not there before
    (static / "staticfiles.json").write_text(json.dumps(manifest))
    assert "theme.js is not among them" in start().stderr


@pytest.mark.parametrize("level", ["", "INFO"])
def test_a_command_logs_to_the_file_and_to_the_terminal_only_on_request(tmp_path: Path, level: str) -> None:
    log = "import logging; logging.getLogger('core.thing').info('it happened'); logging.getLogger('core').debug('no')"
    done = run(tmp_path, "manage.py", "shell", "--no-imports", "-c", log, LOG_LEVEL=level)
    assert done.returncode == 0
    line = (tmp_path / "var/muster.log").read_text()
    assert line.endswith("] it happened\n")
    assert line.count("\n") == 1
    assert done.stderr == (line if level else "")


def test_times_follow_time_zone(tmp_path: Path) -> None:
    code = "import django, time; django.setup(); print(time.strftime('%z'))"
    env = {"DJANGO_SETTINGS_MODULE": "muster.settings", "TIME_ZONE": "Asia/Kolkata"}
    assert run(tmp_path, "-c", code, **env).stdout == "+0530\n"


def test_migrate_brings_all_databases_up_to_date(installation: ScratchInstallation) -> None:
    """The fixture has migrated; nothing is left to do in any, and ``--database`` still chooses one."""
    assert installation.manage("migrate", "--check").returncode == 0
    done = installation.manage("migrate", "--database", "default")
    assert done.stdout.count("Running migrations") == 1
    for app, alias in (("core", "jobs"), ("recordsync", "history")) if installation.engine == "sqlite" else ():
        done = installation.manage("migrate", app, "zero", "--database", alias)
        assert done.returncode == 0, done.stderr
        assert installation.manage("migrate", "--check").returncode == 1
        assert installation.manage("migrate").returncode == 0
        assert installation.manage("migrate", "--check").returncode == 0
