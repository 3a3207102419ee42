"""docs/traceability.md names what there is, and leaves no number out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.running.installation import PROJECT

TEXT = (PROJECT / "docs" / "traceability.md").read_text(encoding="utf-8")

TASKS = {1: 0, 2: 3, 3: 1, 4: 2, 5: 2, 6: 4, 7: 3, 11: 1, 16: 1, 17: 3}
"""How many sub-tasks each task of the plan has; none where it is not named."""
REQUIREMENTS = {1: 4, 2: 5, 3: 6, 4: 5, 5: 5, 6: 5, 7: 5, 8: 5, 9: 5, 10: 5}


def _rows(title: str) -> dict[str, list[str]]:
    """The table under a heading: its rows' other cells, by the first."""
    section = TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    numbers = [row[0] for row in rows[2:]]
    assert len(numbers) == len(set(numbers)), "a number twice"
    assert {len(row) for row in rows[2:]} == {len(rows[0])}, "a row with other columns"
    return {row[0]: row[1:] for row in rows[2:]}


def test_no_number_is_missing() -> None:
    tasks = {str(n) for n in range(1, 22)} | {f"{n}.{m}" for n, count in TASKS.items() for m in range(1, count + 1)}
    assert set(_rows("Tasks")) == tasks
    assert set(_rows("Requirements")) == {f"{n}.{m}" for n, count in REQUIREMENTS.items() for m in range(1, count + 1)}
    assert set(_rows("Properties")) == {f"P{n}" for n in range(1, 21)}


def test_every_row_names_a_test() -> None:
    for title in ("Tasks", "Requirements", "Properties"):
        for number, cells in _rows(title).items():
            assert "::test_" in cells[-1], number
            assert "/test_" not in "".join(cells[:-1]), f"{number}: a test outside the column of tests"


def _references() -> Iterator[tuple[str, str]]:
    """File and name (blank: the file itself) of all that is named; a bare ``::name`` is in the file named last."""
    for line in TEXT.splitlines():
        path = ""
        for quoted in re.findall(r"`([^`]+)`", line):
            file, separator, name = quoted.partition("::")
            if "/" in file or (file == "Makefile"):
                path = file
            elif not separator:
                continue
            assert path, f"{quoted}: in which file?"
            yield path, name


@cache
def _names(path: Path) -> frozenset[str]:
    """What a module defines: functions, classes, their methods (``Class.method``), variables."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)}
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return frozenset(found)


def test_everything_that_is_named_exists() -> None:
    missing = []
    for path, name in _references():
        file = PROJECT / path
        if not file.is_file() or (name and name not in _names(file)):
            missing.append(f"{path}::{name}")
    assert not missing


def test_every_property_that_bears_a_number_is_named() -> None:
    """A numbered test that is not in the table would prove something that nobody finds."""
    named = {name for _path, name in _references()}
    for path in (PROJECT / "tests" / "properties").glob("test_*.py"):
        for name in _names(path):
            if name.startswith("test_property_"):
                assert name in named, name
