"""How long a writer waits while somebody else writes to the register.

A command or the worker waits for ``LOCK_WAIT_SECONDS``. A person at a page waits ``SAVE_WAIT_SECONDS``, and only a few
people do so at once: each keeps a thread of the web server busy, and readers need the others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper

from core.register.database import usual_wait

_PEOPLE: Final = 2
"""How many people may wait in one process: half of the threads that the Procfile gives it."""

_MOMENT: Final = 1.5
"""Seconds for whoever else would wait, where nobody is known to hold the register: others save just now."""

_at_a_page: ContextVar[bool] = ContextVar("at_a_page", default=False)
_turns = threading.BoundedSemaphore(_PEOPLE)


@contextmanager
def at_a_page() -> Iterator[None]:
    """In the block, a person waits for what is done."""
    token = _at_a_page.set(True)
    try:
        yield
    finally:
        _at_a_page.reset(token)


@contextmanager
def patience(is_held: Callable[[], bool]) -> Iterator[float]:
    """The seconds that may be waited in the block for other writers.

    ``is_held``: whether somebody holds the register who takes longer; asked where too many people wait already.
    """
    if not _at_a_page.get():
        yield usual_wait()
    elif _turns.acquire(blocking=False):
        try:
            yield settings.SAVE_WAIT_SECONDS
        finally:
            _turns.release()
    else:
        yield 0 if is_held() else min(_MOMENT, settings.SAVE_WAIT_SECONDS)


def limit(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Let no statement of a new connection wait longer than a person at a page; for other connections nothing changes.

    For the few writes that no service makes, as of sessions. By default PostgreSQL would wait for ever.
    """
    if _at_a_page.get():
        milliseconds = int(1000 * settings.SAVE_WAIT_SECONDS) or 1  # 0 would be for ever
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute(f"SET lock_timeout = {milliseconds}")
            else:
                cursor.execute(f"PRAGMA busy_timeout = {milliseconds}")
