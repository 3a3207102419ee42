"""The documentation says what is so."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

PROJECT = Path(__file__).resolve().parent.parent
DOCS = PROJECT / "docs"
PAGES = [PROJECT / "README.md", *sorted(DOCS.glob("*.md"))]


def _example(name: str) -> str:
    text = (DOCS / "file-format.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {name} -->\n```\w*\n(.*)\n```", text)
    assert found, name
    return found[1]


def test_the_worked_checksum_is_the_checksum() -> None:
    content = json.loads(_example("worked-content"))
    checksum = hashlib.sha256(_example("worked-content").encode()).hexdigest()
    assert checksum == _example("worked-checksum")
    assert json.loads(_example("worked-record")) == content | {
        "checksum": checksum,
        "created_at": "2026-11-20T18:00:00.000000Z",
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_that_is_named_exists(page: Path) -> None:
    for name, arguments in re.findall(r"manage\.py (\w+)([^`\n#>]*)", page.read_text(encoding="utf-8")):
        app = get_commands()[name]
        parser = load_command_class(app if isinstance(app, str) else app.label, name).create_parser("manage.py", name)
        for option in re.findall(r"(?<!\S)\[?(--[a-z-]+)", arguments):
            assert option in parser.format_help(), f"{name} {option}"


SETTINGS = [PROJECT / "muster" / name for name in ("settings.py", "environment.py")]


def _documented() -> list[str]:
    return re.findall(r"^\| `([A-Z_]+)`", (DOCS / "settings.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_every_setting_is_in_the_table_once() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in SETTINGS)
    assert sorted(_documented()) == sorted(set(re.findall(r'env\.\w+\("([A-Z_]+)"', text)))


def test_every_setting_has_one_meaning() -> None:
    """A second assignment would silently take the place of the first."""
    assigned = re.findall(r"^([A-Z_]+)(?:: .+)? = ", SETTINGS[0].read_text(encoding="utf-8"), re.MULTILINE)
    assert len(assigned) == len(set(assigned))


def test_the_tests_are_rid_of_every_setting_of_the_machine() -> None:
    text = (PROJECT / "tests" / "settings.py").read_text(encoding="utf-8")
    assert set(_documented()) == set(re.findall(r'"([A-Z_]+)",\n', text)) | {"DATA_DIR", "SECRET_KEY"}


def test_settings_are_read_from_the_environment_in_one_place() -> None:
    """What the table says is everything there is."""
    for package in ("core", "muster", "recordsync"):
        for path in (PROJECT / package).rglob("*.py"):
            if path not in SETTINGS:
                assert not re.search(r"os\.(getenv|environ\b(?!\.setdefault))", path.read_text(encoding="utf-8")), path
