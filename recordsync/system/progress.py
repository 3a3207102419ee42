"""How a piece of work reports its progress to its caller."""

from __future__ import annotations

from typing import Final, Protocol

EVERY: Final = 1000
"""Records after which progress is reported, and which are written in one batch."""


class Progress(Protocol):
    """Called with the phase (a word), how many are done, and of how many (None: not known yet).

    It may raise to stop the work, and then nothing is changed. The phase ``commit`` is the point of no return: it is
    reported once, just before the change becomes permanent.
    """

    def __call__(self, phase: str, done: int, total: int | None, /) -> None: ...


def no_progress(phase: str, done: int, total: int | None, /) -> None:
    """Report to nobody."""
