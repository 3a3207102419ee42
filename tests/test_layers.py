"""Dependencies point one way, as ``make lint`` checks it too. Tests lie as their rooms do. A type has its own name."""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.running.installation import PROJECT


def test_the_layers_hold() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-logo"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_engine_has_no_web_and_no_terminal() -> None:
    command = [str(Path(sys.executable).parent / "ruff"), "check", "--select", "T20,TID251", "recordsync"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_tests_are_made_of_shares_no_code_with_the_engine() -> None:
    """What the engine does wrong must not hide itself. Its own tests need its records."""
    folders = [PROJECT / "tests" / name for name in ("builders", "strategies")]
    plain = [path for folder in folders for path in folder.glob("*.py") if path.name != "records.py"]
    assert plain
    for path in (*plain, PROJECT / "tests" / "properties" / "merge_table.py"):
        assert not re.search(
            r"^ *(from|import) (recordsync|tests\.builders\.records)\b", path.read_text(), re.MULTILINE
        ), path


TESTED_ELSEWHERE = {
    "core/migrations",  # every test's database is made by them
    "core/services",  # names only, for what lies in other rooms
    "core/templatetags",  # by the pages' tests
    "recordsync/migrations",
}


@pytest.mark.parametrize("package", ["core", "recordsync"])
def test_the_tests_have_the_rooms_of_the_package(package: str) -> None:
    """Whoever looks for the tests of a room finds them under its name."""

    def rooms(folder: Path) -> set[str]:
        return {path.parent.name for path in folder.glob("*/*.py")}

    tested = rooms(PROJECT / "tests" / package)
    elsewhere = {room.partition("/")[2] for room in TESTED_ELSEWHERE if room.startswith(f"{package}/")}
    assert tested | elsewhere == rooms(PROJECT / package)
    for room in tested:
        assert list((PROJECT / "tests" / package / room).glob("test_*.py")), room


PACKAGES: Final = ("benchmarks", "core", "muster", "recordsync")
SHARED_NAMES: Final = {
    "Command": "Django runs each command by this name",
    "Meta": "Django reads the options of each model and form by this name",
    "Migration": "Django runs each migration by this name",
}


def types_of(tree: ast.Module) -> Iterator[str]:
    """The public classes of a module, nested ones included, and its public aliases of types, which are in CamelCase."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                if isinstance(target, ast.Name) and target.id[:1].isupper() and not target.id.isupper():
                    is_short_name = isinstance(statement.value, ast.Attribute) and statement.value.attr == target.id
                    if not is_short_name:
                        yield target.id


def defined_twice(folder: Path) -> dict[str, list[str]]:
    """The names of types that modules of the packages define more than once, with the modules."""
    places: dict[str, list[str]] = defaultdict(list)
    for package in PACKAGES:
        for path in sorted((folder / package).rglob("*.py")):
            for name in types_of(ast.parse(path.read_text(encoding="utf-8"))):
                places[name].append(str(path.relative_to(folder)))
    return {name: paths for name, paths in places.items() if len(paths) > 1}


@pytest.mark.untraced
def test_every_type_has_a_name_of_its_own() -> None:
    twice = defined_twice(PROJECT)
    assert {name: paths for name, paths in twice.items() if name not in SHARED_NAMES} == {}
    assert twice.keys() == SHARED_NAMES.keys(), "no exception without need"


def test_a_name_that_is_given_twice_is_found(tmp_path: Path) -> None:
    for package, text in (
        (
            "core",
            "class Source:\n    class Kind: ...\n_Part = int\nPath = str\nLIMIT = 1\nState = Source.State\n",
        ),
        ("recordsync", "Source = str\nclass _Part: ...\nKind: object = int\nLIMIT = 1\nclass State: ...\n"),
    ):
        (tmp_path / package).mkdir()
        (tmp_path / package / "module.py").write_text(text)
    both = ["core/module.py", "recordsync/module.py"]
    assert defined_twice(tmp_path) == {"Source": both, "Kind": both}
