"""Lines that are kept until they are read again, on disk where they are many."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from typing import Final

_IN_MEMORY: Final = 1 << 22
"""Bytes up to which lines are held in memory."""
_PIECE: Final = 1 << 16


class SpooledLines:
    """Lines, of which none has a line end. They can be read several times, and in turns."""

    def __init__(self) -> None:
        self._spool = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 # close() closes it
        self._end = 0

    def add_lines(self, lines: Iterable[bytes]) -> None:
        """Add lines, which are joined in memory."""
        self.add_text(b"\n".join((*lines, b"")))

    def add_text(self, text: bytes) -> None:
        """Add lines, each with its end."""
        self._spool.seek(self._end)
        self._end += self._spool.write(text)

    def lines(self) -> Iterator[bytes]:
        """The lines, in the order in which they were added."""
        start, rest = 0, b""
        while start < self._end:
            self._spool.seek(start)
            piece = self._spool.read(_PIECE)
            start += len(piece)
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines

    def close(self) -> None:
        """Remove what is on disk."""
        self._spool.close()
