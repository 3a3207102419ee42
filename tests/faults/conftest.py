"""Fixtures of the fault tests."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.builders.big_registers import filled
from tests.conftest import DEEP
from tests.running import inspection
from tests.running.installation import Installations

RECORDS = 6_000 if DEEP else 2_400
ROUNDS = 50 if DEEP else 5

SmallDisk = Callable[[int], Path]
"""The type of the fixture ``small_disk``."""


@dataclass(frozen=True)
class Files:
    """Two full backups of the same keys, whose values differ in every other record: each restores over the other."""

    a: Path
    b: Path
    content: dict[Path, str]

    def other(self, path: Path) -> Path:
        return self.b if path == self.a else self.a


@pytest.fixture(scope="session")
def files(
    installations: Installations, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker
) -> Files:
    folder = tmp_path_factory.mktemp("files")
    content: dict[Path, str] = {}
    for version in "ab":
        path = folder / f"{version}.json"
        installation = installations.new("sqlite", folder / version)
        with django_db_blocker.unblock():
            filled(installation, RECORDS, version)
            content[path] = inspection.content_of(installation)
        installation.manage("backup_data", "--output", path, check=True)
        installation.remove()
        assert inspection.file_content(path) == content[path]
    a, b = content
    return Files(a, b, content)


@pytest.fixture
def small_disk() -> Iterator[SmallDisk]:
    """Makes a file system of so many kilobytes; skips with the reason where mounting is not permitted."""
    mounted: list[Path] = []

    def make(kilobytes: int) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="muster-disk-", dir="/tmp"))  # where PostgreSQL's user reaches it
        command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            pytest.skip(f"no mount here: {error}")
        if done.returncode:
            folder.rmdir()
            pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=True)
        folder.rmdir()
