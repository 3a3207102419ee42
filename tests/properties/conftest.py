"""Small batches for all properties, so that small registers cross the borders of batches."""

from collections.abc import Iterator
from unittest.mock import patch

import pytest


@pytest.fixture(autouse=True)
def small_batches() -> Iterator[None]:
    with (
        patch("recordsync.plan.plan.EVERY", 3),
        patch("recordsync.plan.make.EVERY", 3),
        patch("recordsync.plan.apply.EVERY", 3),
        patch("recordsync.backupfile.scanner.EVERY", 2),
        patch("recordsync.history.blocks.EVERY", 3),
        patch("recordsync.backupfile.blocks.EVERY", 3),
        patch("recordsync.stores.orm.LOOKUP", 2),
    ):
        yield
