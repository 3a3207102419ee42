"""The check that finds code which only tests call."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.running.installation import PROJECT
from tests.unused_code import read

APP = """
    from package.tools import Tool, helper

    class Base:
        def __init__(self):
            self.size = 1
            self.weight = 2

        def asked(self):
            return self.size

        def count(self):
            return 0

    class Named:
        pass

    LIMIT = 3

    def even(number):
        return number == 0 or odd(number - 1)

    def odd(number):
        return number != 0 and even(number - 1)

    def main():
        return helper(Tool().render().asked(), "package.app.Named")

    if __name__ == "__main__":
        main()
"""
TOOLS = """
    from package import app

    @app.register
    def registered():
        return _behind()

    def _behind():
        return app.Base()

    class Tool:
        colour = "red"
        title = "shown by a template"

        def render(self):
            return app.Base()

        def only_tests(self):
            return only_it()

    def only_it():
        return app.LIMIT

    def helper(*_):
        local = only_tests = 1
        return local
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "app.py").write_text(textwrap.dedent(APP))
    (folder / "tools.py").write_text(textwrap.dedent(TOOLS))
    return folder


def unused(package: Path, *words: str, allowed: tuple[str, ...] = ()) -> list[str]:
    code = read(package.parent, package.rglob("*.py"))
    return [str(name).removeprefix("package.") for name in code.unused(words, allowed)]


def test_it_finds_what_nothing_reaches(package: Path) -> None:
    assert unused(package, "title") == [
        "app.Base.count",
        "app.Base.weight",
        "app.LIMIT",  # a use in code that is not used itself
        "app.even",  # they call each other
        "app.odd",
        "tools.Tool.colour",
        "tools.Tool.only_tests",
        "tools.only_it",
    ]


def test_what_is_allowed_brings_what_it_uses(package: Path) -> None:
    found = unused(package, "title", allowed=("*.Tool.only_tests",))
    assert found == ["app.Base.count", "app.Base.weight", "app.even", "app.odd", "tools.Tool.colour"]


def test_a_name_is_followed_through_a_package(package: Path) -> None:
    (package / "__init__.py").write_text("from package.app import LIMIT, odd\n")
    (package / "other.py").write_text("from package import LIMIT\nprint(LIMIT)\n")
    assert "app.LIMIT" not in unused(package)
    assert "app.odd" in unused(package)  # exported, and wanted by nobody


def test_the_program_has_no_code_that_only_tests_call() -> None:
    command = [sys.executable, "-m", "tests.unused_code"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
