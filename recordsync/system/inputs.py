"""What commands and pages read: a file by its path, or an open stream, which may be a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from recordsync.errors import printable_path
from recordsync.system.files import spooled
from recordsync.system.progress import Progress

Input = str | Path | IO[bytes]
"""A path, or a binary stream."""


def input_name(source: Input) -> str:
    """The name of an input for people; ``-`` for standard input and for a stream that has none."""
    if isinstance(source, str | Path):
        return printable_path(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) and name != "<stdin>" else "-"


@contextmanager
def opened_input(source: Input, limit: int, progress: Progress) -> Iterator[BinaryIO]:
    """The input as a seekable stream. One that can be read only once is copied to disk first.

    A path is opened and closed here; a stream stays the caller's, and open. ``progress`` is told of the copy's size in
    the phase ``receive``. Raises OSError, and :class:`recordsync.errors.InvalidFile` where the copy has more than
    ``limit`` bytes.
    """
    with ExitStack() as stack:
        stream = stack.enter_context(open(source, "rb")) if isinstance(source, str | Path) else source
        if not stream.seekable():
            stream = stack.enter_context(spooled(stream, limit, lambda size: progress("receive", size, None)))
        yield cast(BinaryIO, stream)
