"""Small batches for all properties, so that small registers cross the borders of batches."""

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:  # as in tests/conftest.py
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(autouse=True)
def small_batches() -> Iterator[None]:
    with (
        patch("recordsync.plan.EVERY", 3),
        patch("recordsync.backupfile.reader.EVERY", 2),
        patch("recordsync.backupfile.writer.EVERY", 3),
        patch("recordsync.store._LOOKUP", 2),
    ):
        yield
