"""Progress of a piece of work, as the worker reports it to its caller."""

from __future__ import annotations

from typing import Final, Protocol

EVERY: Final = 1000
"""Progress is reported at least this often, in records; and what is written is written in batches of it."""


class Progress(Protocol):
    """Called with the phase (a word), how many are done, and of how many (None: not known yet).

    It may raise to stop the work: nothing is then changed. The phase ``commit`` is the point of no
    return: it is reported once, just before the change becomes permanent.
    """

    def __call__(self, phase: str, done: int, total: int | None, /) -> None: ...


def no_progress(phase: str, done: int, total: int | None, /) -> None:
    """Nobody asked."""
