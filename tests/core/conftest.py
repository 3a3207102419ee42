"""Fixtures of the services' tests."""

import pytest

from recordsync.system import locks


@pytest.fixture(autouse=True)
def no_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is free counts at once as a dead holder's: nobody loses one here. ``tests/faults`` has who does."""
    monkeypatch.setattr(locks, "_SECONDS_TO_TAKE_AGAIN", 0.0)
