"""What is kept on disk is for the installation's own user alone, whoever made it."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders.big_registers import filled
from tests.running import commands
from tests.running.installation import PROJECT, NewInstallation, ScratchInstallation


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_to_others(folder: Path, *but: str) -> list[str]:
    """What is in a folder, and itself, that others may do anything with."""
    found = [folder, *(path for path in folder.rglob("*") if not set(but) & set(path.relative_to(folder).parts))]
    return [str(path.relative_to(folder)) for path in found if not path.is_symlink() and mode(path) & 0o077]


def opened(folder: Path) -> None:
    """As if somebody had made everything by hand, with the umask that most systems have."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(mode(path) | (0o055 if path.is_dir() else 0o044))


@pytest.fixture
def by_hand(new_installation: NewInstallation) -> ScratchInstallation:
    """An SQLite installation with one of everything, all of it readable by everybody."""
    installation = filled(new_installation("sqlite"), 10)
    installation.manage("backup_data", check=True)
    for name in ("muster.log.1", "secret_key", "muster.sqlite3-journal"):
        (installation.folder / name).write_text("")
    for name in ("uploads/a.sheet", "restores/one/upload", "restores/one/deeper/items", "changes/a.jsonl.gz"):
        (installation.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (installation.folder / name).write_text("")
    (installation.folder / "muster.sqlite3.locks").mkdir(exist_ok=True)
    opened(installation.folder)
    return installation


def test_any_command_closes_what_was_made_by_hand(by_hand: ScratchInstallation) -> None:
    assert len(open_to_others(by_hand.folder)) > 15
    (by_hand.folder / "static").mkdir()
    (by_hand.folder / "static").chmod(0o755)
    elsewhere = by_hand.folder.with_name("elsewhere")
    elsewhere.write_text("")
    elsewhere.chmod(0o644)
    (by_hand.folder / "uploads" / "link").symlink_to(elsewhere)
    (by_hand.folder / "uploads" / "dangling").symlink_to("nothing")
    assert commands.run(by_hand, "showmigrations", set_up=False).code == 0
    assert open_to_others(by_hand.folder, "static") == []
    assert mode(by_hand.folder / "static") == 0o755  # nothing in it is a secret
    assert mode(elsewhere) == 0o644
    assert by_hand.manage("backup_data", check=True).stdout


def test_what_is_made_is_closed(new_installation: NewInstallation) -> None:
    """Whatever the umask of whoever starts it."""
    installation = new_installation("sqlite")
    made = (
        "import os; os.umask(0); import sys; sys.argv = ['manage.py', 'backup_data'];"
        f"sys.path.insert(0, {str(PROJECT)!r}); import manage; manage.main()"
    )
    (installation.folder / "muster.log").unlink(missing_ok=True)
    made_again = [installation.folder / f"muster-{name}.sqlite3" for name in ("jobs", "history")]
    for path in made_again:
        path.unlink()
    script = installation.folder.with_name("open.py")
    script.write_text(made.replace("backup_data'", "migrate', '--verbosity', '0'"))
    assert installation.python(script).wait(60) == 0
    script.write_text(made)
    assert installation.python(script).wait(60) == 0
    assert all(path.exists() for path in made_again)
    assert (installation.folder / "muster.log").exists()
    assert open_to_others(installation.folder) == []


def test_a_web_server_closes_it_as_well(by_hand: ScratchInstallation) -> None:
    code = "import muster.wsgi, os; print(oct(os.umask(0)))"
    env = by_hand.env | {"DEBUG": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == "0o77\n"
    assert open_to_others(by_hand.folder) == []


def _check(installation: ScratchInstallation) -> str:
    installation.env |= {"ALLOWED_HOSTS": "muster.example", "TRUSTED_PROXIES": "127.0.0.1"}
    return installation.manage("check", "--deploy", "--tag", "security").stderr


def test_folders_that_hold_other_things_are_left_to_their_owner_and_named(by_hand: ScratchInstallation) -> None:
    """A folder of backups, and one of the database: the files are closed, and the check says what closes the folder."""
    shared = by_hand.folder.with_name("it's shared")
    shared.mkdir()
    (shared / "readme").write_text("")
    (by_hand.folder / "muster.sqlite3").rename(shared / "muster.sqlite3")
    (shared / "backup_full_1.json").write_text("")
    opened(shared)
    shared.chmod(0o777)
    by_hand.env |= {"BACKUP_DIR": str(shared), "DATABASE_URL": f"sqlite:///{shared}/muster.sqlite3".replace(" ", "%20")}
    told = _check(by_hand)
    assert mode(shared) == 0o777
    assert mode(shared / "readme") == 0o644
    assert mode(shared / "muster.sqlite3") == mode(shared / "backup_full_1.json") == 0o600
    assert "muster.W002" in told
    for change in ("g-w,o=", "go-w"):
        command = f"chmod {change} {shlex.quote(str(shared))}"
        assert command in told
        subprocess.run(command, shell=True, check=True)  # noqa: S602 # as a person would type it
    assert "muster.W002" not in _check(by_hand)
    shared.chmod(0o750)  # a group may look into it
    assert "muster.W002" not in _check(by_hand)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another user")
def test_what_belongs_to_somebody_else_is_named(by_hand: ScratchInstallation) -> None:
    """As after a command that root ran: the service's own user cannot close it, and goes on."""
    theirs = by_hand.folder / "uploads" / "of another"
    theirs.write_text("")
    theirs.chmod(0o644)
    os.chown(theirs, 1234, 1234)
    by_hand.env |= {"ALLOWED_HOSTS": "muster.example", "TRUSTED_PROXIES": "127.0.0.1"}
    ended = commands.run(by_hand, "check", "--deploy", "--tag", "security", **commands.bound_by_permissions())
    assert f"{theirs} is open to other users of this machine." in ended.err
    assert f"chmod go= '{theirs}'" in ended.err
    assert ended.err.count("muster.W002") == 1
    assert open_to_others(by_hand.folder) == ["uploads/of another"]
