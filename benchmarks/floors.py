"""``python -m benchmarks.floors [--records N]`` measures what no writer or reader of files could save.

A full file needs its blocks to be read from the history store, their frames to be decompressed, and the content to be
hashed for the trailer. A preview of what is all here needs the file to be read, and hashed twice: for the trailer, and
block by block. Only that is done here, on SQLite, by the driver and the libraries alone: no tree, no list of blocks, no
check, nothing of Muster's. Compare it with what a target allows: the CPU seconds of ``dumpdata`` or ``loaddata``,
divided by the target.
"""

from __future__ import annotations

import argparse
import hashlib
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import zstandard

from benchmarks.checkouts import Checkout
from tests.running.installation import PROJECT

_TOGETHER: Final = 300
"""Blocks that one query reads."""
_PIECE: Final = 1 << 20
_TIMES: Final = 5
"""Each floor is measured so often, and the least counts."""


def main() -> None:
    """Seed a register, take a backup of it, and print the floors in CPU seconds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.floors", description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    records = parser.parse_args().records
    with tempfile.TemporaryDirectory() as folder:
        checkout = Checkout(PROJECT, "sqlite", Path(folder) / "floors", None)
        checkout.seed(records)
        store, file = checkout.full.folder / "muster-history.sqlite3", checkout.backup
        frames, sizes = list(_frames(store)), _sizes(store)
        print(f"{records:,} records in {len(frames):,} blocks, {file.stat().st_size:,} bytes; CPU seconds:")
        for name, work in (
            ("the blocks are read", lambda: list(_frames(store))),
            ("their frames are decompressed", lambda: _contents(frames, max(sizes))),
            ("the file is read", lambda: list(_pieces(file))),
            ("the file is read and hashed", lambda: _hashed(_pieces(file))),
            ("the file is read and hashed block by block", lambda: _hashed_by_blocks(file, sizes)),
        ):
            print(f"  {_least(work):.3f}  {name}")


def _least(work: Callable[[], object]) -> float:
    """The least CPU seconds that this work takes."""
    taken = []
    for _ in range(_TIMES):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


def _frames(store: Path) -> Iterator[bytes]:
    with sqlite3.connect(store) as database:
        digests = [digest for (digest,) in database.execute("SELECT digest FROM recordsync_block")]
        for start in range(0, len(digests), _TOGETHER):
            some = digests[start : start + _TOGETHER]
            places = ", ".join("?" * len(some))
            sql = f"SELECT digest, data FROM recordsync_block WHERE digest IN ({places})"
            yield from (frame for _digest, frame in database.execute(sql, some).fetchall())


def _sizes(store: Path) -> list[int]:
    with sqlite3.connect(store) as database:
        return [size for (size,) in database.execute("SELECT size FROM recordsync_block")]


def _contents(frames: list[bytes], most: int) -> None:
    decompress = zstandard.ZstdDecompressor().decompress
    for frame in frames:
        decompress(frame, max_output_size=most)


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while piece := stream.read(_PIECE):
            yield piece


def _hashed(pieces: Iterator[bytes]) -> None:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)


def _hashed_by_blocks(file: Path, sizes: list[int]) -> None:
    with file.open("rb") as stream:
        for size in sizes:
            hashlib.sha256(stream.read(size)).hexdigest()


if __name__ == "__main__":
    main()
