"""``manage.py renew_installation``."""

from pathlib import Path

from core.models import Installation
from tests.running import commands
from tests.running.commands import run
from tests.running.installation import ScratchInstallation


def identity(installation: ScratchInstallation) -> tuple[str, str]:
    with installation.opened() as alias:
        here = Installation.current(alias)
        return str(here.id), here.name


def test_a_copy_becomes_an_installation_of_its_own(small_sqlite: ScratchInstallation) -> None:
    small_sqlite.env.pop("INSTALLATION_NAME", None)  # which would win
    assert run(small_sqlite, "renew_installation", "--name", "Site A").code == 0
    first = identity(small_sqlite)
    ended = run(small_sqlite, "renew_installation")
    second = identity(small_sqlite)
    assert ended.code == 0, ended.err
    assert ended.out == f"This installation is now {second[0]} (Site A).\n"
    assert second[0] != first[0]
    assert (first[1], second[1]) == ("Site A", "Site A")


def test_a_name_that_would_not_be_used_is_refused(small_sqlite: ScratchInstallation) -> None:
    before = identity(small_sqlite)
    ended = run(small_sqlite, "renew_installation", "--name", "Site A")
    assert ended.code == 2
    assert "INSTALLATION_NAME, Scratch, wins" in ended.sentence
    assert "Nothing was changed." in ended.sentence
    assert identity(small_sqlite) == before
    assert run(small_sqlite, "renew_installation", "--name", "Scratch").code == 0
    assert identity(small_sqlite)[0] != before[0]


def test_what_cannot_be_is_told_in_a_sentence(small_sqlite: ScratchInstallation, tmp_path: Path) -> None:
    small_sqlite.env.pop("INSTALLATION_NAME")
    before = identity(small_sqlite)
    for name in ("", " ", "x" * 101):
        ended = run(small_sqlite, "renew_installation", "--name", name)
        assert ended.code == 2, ended.err
        assert "--name" in ended.sentence
        assert "Nothing was changed." in ended.sentence
    ended = run(small_sqlite, "renew_installation", "--name", "Site\nA")
    assert ended.code == 2
    assert "argument --name: 'Site\\nA' holds a line break" in ended.err
    assert identity(small_sqlite) == before
    small_sqlite.env["DATABASE_URL"] = f"sqlite:///{tmp_path}/empty.sqlite3"
    ended = run(small_sqlite, "renew_installation")
    ended.assert_refused("run manage.py migrate first", "Nothing was changed.")
    commands.assert_clear(ended.err)
