"""External merge sort (Knuth, *The Art of Computer Programming*, volume 3, section 5.4): sorted runs in a temporary
file, which are merged when they are read."""

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
    """The items in the order of ``key``. Items with equal keys keep their order.

    Reads all of ``items`` before it returns the first. An item is something that JSON can hold; a tuple comes back as a
    list. ``spill`` is an empty temporary file, which is written only if there is more than one run of ``run_length``
    items (:data:`RUN_LENGTH`).
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
        batch.clear()  # never two runs in memory
        batch = sorted(islice(stream, run_length), key=key)
    yield from merge(*(stored(spill, start, end) for start, end in bounds), key=key)


def stored(spill: IO[bytes], start: int, end: int) -> Iterator[Any]:
    """The JSON values, one a line, between two positions of a file.

    Keeps its own position, so that several of these can read one file in turns.
    """
    rest = b""
    while start < end:
        spill.seek(start)
        block = spill.read(min(_BLOCK, end - start))
        start += len(block)
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield orjson.loads(line)
