"""Sorting more than fits into memory: sorted runs in a temporary file, merged when they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import islice
from typing import IO, Any, Final

import orjson

RUN_LENGTH = 20_000
"""Items in one run, held in memory while it is sorted."""
_BLOCK: Final = 1 << 16
"""Bytes read ahead of each run."""


def sorted_on_disk(
    items: Iterable[Any], spill: IO[bytes], key: Callable[[Any], Any], run_length: int | None = None
) -> Iterator[Any]:
    """The items in order of ``key``; equal ones in the order they came.

    Consumes ``items`` (what JSON can hold; tuples come back as lists) before the first is given back. ``spill``: an
    empty temporary file, written only if there is more than one run, of ``run_length`` items (:data:`RUN_LENGTH`).
    """
    run_length = run_length or RUN_LENGTH
    stream = iter(items)
    batch = sorted(islice(stream, run_length), key=key)
    if len(batch) < run_length:
        yield from batch
        return
    bounds: list[tuple[int, int]] = []
    while batch:
        start = spill.tell()
        spill.writelines(orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE) for item in batch)
        bounds.append((start, spill.tell()))
        batch.clear()  # before the next one is made: never two in memory
        batch = sorted(islice(stream, run_length), key=key)
    yield from merge(*(stored(spill, start, end) for start, end in bounds), key=key)


def stored(spill: IO[bytes], start: int, end: int) -> Iterator[Any]:
    """What stands, a JSON value a line, between two places of a file. Keeps its own place, so that several can be read
    in turns."""
    rest = b""
    while start < end:
        spill.seek(start)
        block = spill.read(min(_BLOCK, end - start))
        start += len(block)
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield orjson.loads(line)
