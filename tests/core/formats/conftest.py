"""Small batches and runs, as for the properties, so that small registers cross their borders."""

import pytest

from recordsync.streams import sort
from tests.properties.conftest import small_batches

__all__ = ["small_batches"]


@pytest.fixture(autouse=True)
def small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sort, "RUN_LENGTH", 3)
