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
"""How many people may wait in one process: half of the threads that gunicorn.conf.py gives it."""

_MOMENT: Final = 1.5
"""Seconds that other people may wait if nobody is known to hold the register: somebody is saving just then."""

_at_a_page: ContextVar[bool] = ContextVar("at_a_page", default=False)
_turns = threading.BoundedSemaphore(_PEOPLE)


@contextmanager
def at_a_page() -> Iterator[None]:
    """A block during which a person waits for a page."""
    token = _at_a_page.set(True)
    try:
        yield
    finally:
        _at_a_page.reset(token)


@contextmanager
def patience(is_held: Callable[[], bool]) -> Iterator[float]:
    """The seconds that the block may wait for other writers.

    ``is_held``: tells whether somebody holds the register for longer. It is called if too many people wait already.
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
    """Limit how long statements of a new connection wait, if it is made for a page.

    This is for the few writes that no service makes, such as those of sessions. By default PostgreSQL would wait for
    ever.
    """
    if _at_a_page.get():
        milliseconds = int(1000 * settings.SAVE_WAIT_SECONDS) or 1  # 0 would mean for ever
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute(f"SET lock_timeout = {milliseconds}")
            else:
                cursor.execute(f"PRAGMA busy_timeout = {milliseconds}")
