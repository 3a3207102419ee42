"""Tables, in Markdown, of what was measured beside the goals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

FLOOR = "process start (`manage.py version`)"
FULL = "full backup"
PREVIEW = "preview, identical"
IDENTICAL = "restore, identical"
CHANGED = "restore, 1% changed"
EMPTY = "restore into empty"
INCREMENTAL = "incremental of 1,000 changed"
DUMPDATA = "Django `dumpdata`"
LOADDATA = "Django `loaddata` into empty"
DUMP = {"sqlite": "`sqlite3 .dump`", "postgres": "`pg_dump`"}
COPY = "`psql \\copy` into empty"

OURS = (FULL, PREVIEW, IDENTICAL, CHANGED, EMPTY, INCREMENTAL)
"""The steps of Muster that the goal for memory is about."""


class Measure(NamedTuple):
    """The cost of a finished process: wall seconds, CPU seconds, those of the PostgreSQL server, and peak memory."""

    wall: float
    cpu: float
    server_cpu: float
    megabytes: float


Medians = Mapping[str, Measure]
"""The medians of one engine at one size, by step."""


def medians(runs: Mapping[str, Sequence[Measure]]) -> dict[str, Measure]:
    return {
        step: Measure(*(statistics.median(values) for values in zip(*measures, strict=True)))
        for step, measures in runs.items()
    }


class Goal(NamedTuple):
    """A goal. ``figure`` computes its figure from the seconds of each step; KeyError if a step was not measured."""

    text: str
    limit: float
    figure: Callable[[Mapping[str, float]], float]
    unit: str = "×"
    at_least: bool = False
    engine: str | None = None

    def met(self, figure: float) -> bool:
        return figure >= self.limit if self.at_least else figure <= self.limit


GOALS = (
    Goal("full backup: 12 × `dumpdata` or more", 12, lambda s: s[DUMPDATA] / s[FULL], at_least=True),
    Goal("full backup: within 4 × of `sqlite3 .dump`", 4, lambda s: s[FULL] / s[DUMP["sqlite"]], engine="sqlite"),
    Goal("full backup: within 6 × of `pg_dump`", 6, lambda s: s[FULL] / s[DUMP["postgres"]], engine="postgres"),
    Goal("restore into empty: 20 × `loaddata` or more", 20, lambda s: s[LOADDATA] / s[EMPTY], at_least=True),
    Goal("restore into empty: within 1.5 × of `\\copy`", 1.5, lambda s: s[EMPTY] / s[COPY], engine="postgres"),
    Goal("restore of identical: 40 × `loaddata` or more", 40, lambda s: s[LOADDATA] / s[IDENTICAL], at_least=True),
    Goal("preview of identical: 40 × `loaddata` or more", 40, lambda s: s[LOADDATA] / s[PREVIEW], at_least=True),
    Goal("restore with 1% changed: within 1.3 × of identical", 1.3, lambda s: s[CHANGED] / s[IDENTICAL]),
    Goal("incremental of 1,000: under 1 s more than process start", 1, lambda s: s[INCREMENTAL] - s[FLOOR], " s"),
)
MEMORY = 150
"""The most megabytes that a process of Muster may take."""
FLATNESS = 1.15
"""How many times the memory at the second largest size the largest may take."""


def steps_table(records: int, measured: Medians) -> str:
    """The table of every step of one engine at one size."""
    server = any(one.server_cpu for one in measured.values())
    titles = ["step", "wall s", "CPU s", *(["server's CPU s"] if server else []), "records/s", "peak MB"]
    lines = [_row(titles), _row(["---"] + ["---:"] * (len(titles) - 1))]
    for step, one in measured.items():
        cells = [step, f"{one.wall:.2f}", f"{one.cpu:.2f}"]
        if server:
            cells.append(f"{one.server_cpu:.2f}")
        cells.append("" if step in (FLOOR, INCREMENTAL) else f"{records / one.wall:,.0f}")
        unknown = step in (*DUMP.values(), COPY) or math.isnan(one.megabytes)
        cells.append("" if unknown else f"{one.megabytes:.0f}")
        lines.append(_row(cells))
    return "\n".join(lines)


def goals_table(measured: Mapping[tuple[str, int], Medians]) -> str:
    """The table of every goal on every engine, at every size that was measured.

    Wall seconds decide whether a goal is met. The figure in brackets is by CPU seconds, including those of the server,
    which other work on the machine disturbs less.
    """
    sizes = sorted({size for _engine, size in measured})
    engines = list(dict.fromkeys(engine for engine, _size in measured))
    lines = [_row(["target", "engine", *(f"{size:,}" for size in sizes)]), _row(["---"] * (2 + len(sizes)))]
    for target in GOALS:
        for engine in engines:
            if target.engine in (None, engine):
                cells = [_judged(target, measured.get((engine, size), {})) for size in sizes]
                lines.append(_row([target.text, engine, *cells]))
    for engine in engines:
        peaks = {size: _peak(measured[engine, size]) for size in sizes if (engine, size) in measured}
        cells = [_verdict(f"{peaks[size]:.0f} MB", peaks[size] <= MEMORY) if size in peaks else "" for size in sizes]
        lines.append(_row([f"peak memory: {MEMORY} MB or less", engine, *cells]))
        cells = [""] * len(sizes)
        if len(peaks) > 1:
            before, greatest = sorted(peaks)[-2:]
            times = peaks[greatest] / peaks[before]
            cells[sizes.index(greatest)] = _verdict(f"{times:.2f} ×", times <= FLATNESS)
        lines.append(_row([f"peak memory: within {FLATNESS} × of the size before", engine, *cells]))
    return "\n".join(lines)


def _judged(target: Goal, measured: Medians) -> str:
    try:
        wall = target.figure({step: one.wall for step, one in measured.items()})
    except KeyError:
        return ""
    cpu = target.figure({step: one.cpu + one.server_cpu for step, one in measured.items()})
    return _verdict(f"{wall:.2f}{target.unit} ({cpu:.2f})", target.met(wall))


def _verdict(figure: str, met: bool) -> str:
    return f"{figure} met" if met else f"**{figure} missed**"


def _peak(measured: Medians) -> float:
    return max(one.megabytes for step, one in measured.items() if step in OURS)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
