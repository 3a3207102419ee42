"""The targets, and the results, in Markdown, written from raw figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.costs import Cost, median_cost
from benchmarks.figures import BenchGroup, Round, rounds_of
from benchmarks.pages import table as pages_table
from benchmarks.steps import EDITS, LEFT_OUT, PEERS, UNMARKED, BenchStep, net

SIZES = (100_000, 1_000_000)
"""The sizes that the targets are for."""
ENGINES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
MEMORY = 150
"""The most megabytes that a process of Muster may take."""
MISSES = Path(__file__).with_name("misses.md")
PAGE_NOTES = Path(__file__).with_name("pages.md")
BEGIN, END = "<!-- how fast: from benchmarks/RESULTS.md -->", "<!-- /how fast -->"
"""What the table stands between that README shows too."""
READING = (
    "Whole processes in rounds. Within each, every step runs once, and ratios are taken within it. A cell has the"
    " median of the rounds' ratios, and the least and the greatest. Ratios are of CPU seconds: user and system "
    "time of the process and its children, and on PostgreSQL of the server meanwhile, less the start of the "
    "program, which is measured in the same round: of `manage.py` by `COMMAND --help`, of `sqlite3`, `psql` and "
    "`pg_dump` by `--version`. A first backup finds no history; the next ones put the file together from its blocks. "
    "A day is imported in a copy of the register, and each backup after a change follows the one before; *1% changed* "
    "is by SQL, of 1% of all records, spread over all or over the last 30 of 365 days. An import takes its snapshot "
    "itself. An edit is one `save()` of a record, and writes with marks and without are within a process, on "
    "registers of their own. An import is also counted less the reading of its sheet; 5 % count as no slower. "
    "All have the same content, which was written just before and is in the system's cache, and the same "
    "settings. Everything syncs to disk as by default: SQLite in WAL with `synchronous=FULL`, PostgreSQL with "
    "`fsync` on. PostgreSQL runs without autovacuum; the register is vacuumed before each round, with a "
    "checkpoint before each step. `loaddata` loads what `dumpdata` wrote of the same register into an empty one, "
    "also where a restore of identical is beside it. `\\copy` is one transaction; *afterwards* means that it drops"
    " and makes all indexes and foreign keys of the records, as `pg_dump` does. Peak memory is of the command's "
    "process, not of the server; Linux shows none below that of the process that starts it, some 70 MB."
)


Limit = float | tuple[float | None, float | None] | None
"""A limit at all sizes, or one at each of SIZES; None: the figure is shown for comparison."""


class Goal(NamedTuple):
    """A target of one group. ``figure`` computes its figure from a round; KeyError if a step was not measured.

    ``limits``: by engine; those of the first size are for all sizes but the second.
    """

    text: str
    group: BenchGroup
    limits: Mapping[str, Limit]
    figure: Callable[[Round], float]
    at_least: bool = False
    unit: str = "×"

    def met(self, engine: str, size: int, figure: float) -> bool | None:
        """Whether the figure, as it is shown, is within the limit; None without a limit."""
        limit = self._limits(engine)[size == SIZES[1]]
        if limit is None:
            return None
        return round(figure, 2) >= limit if self.at_least else round(figure, 2) <= limit

    def limit(self, engine: str) -> str:
        """The limit as the table shows it."""
        limits = self._limits(engine)
        if limits == (None, None):
            return ""
        shown = " / ".join(dict.fromkeys("–" if limit is None else f"{limit:g}" for limit in limits))
        return f"{'≥' if self.at_least else '≤'} {shown} {self.unit}"

    def _limits(self, engine: str) -> tuple[float | None, float | None]:
        limit = self.limits[engine]
        return limit if isinstance(limit, tuple) else (limit, limit)


def _times(more: BenchStep, less: BenchStep) -> Callable[[Round], float]:
    return lambda one: net(one.costs, more) / net(one.costs, less)


def _times_older(step: BenchStep) -> Callable[[Round], float]:
    return lambda one: net(one.costs, step) / net(one.older, step)


def _more_than_start(step: BenchStep) -> Callable[[Round], float]:
    return lambda one: net(one.costs, step)


def _milliseconds_more(step: BenchStep) -> Callable[[Round], float]:
    return lambda one: (net(one.costs, step) - net(one.costs, UNMARKED[step])) / EDITS * 1000


BACKUP, RESTORE, VERSIONS, MARKS = BenchGroup.BACKUP, BenchGroup.RESTORE, BenchGroup.VERSIONS, BenchGroup.MARKS
EXCHANGED = (BenchStep.INCREMENTAL, BenchStep.MERGE_PREVIEW, BenchStep.MERGE, BenchStep.UNDO)
"""The steps of an exchange."""
GROWTH = 3
"""How many times as much as among the fewest records an exchange may take among the most."""
SMALL_ONLY = (VERSIONS, MARKS, BenchGroup.COMPANIES)
"""The groups that are measured at the first size only."""


def _of_dumpdata(step: BenchStep, sqlite: Limit, postgres: Limit) -> Goal:
    limits = {"sqlite": sqlite, "postgres": postgres}
    return Goal(f"`dumpdata` ÷ {step}", BACKUP, limits, _times(BenchStep.DUMPDATA, step), at_least=True)


def _of_loaddata(step: BenchStep, sqlite: Limit, postgres: Limit) -> Goal:
    limits = {"sqlite": sqlite, "postgres": postgres}
    return Goal(f"`loaddata` ÷ {step}", RESTORE, limits, _times(BenchStep.LOADDATA, step), at_least=True)


TARGETS = (
    _of_dumpdata(BenchStep.FIRST, 11, 7),
    _of_dumpdata(BenchStep.FULL, (35, 60), (25, 50)),
    Goal("full backup ÷ `sqlite3 .dump`", BACKUP, {"sqlite": (None, 1)}, _times(BenchStep.FULL, BenchStep.SQLITE_DUMP)),
    Goal("full backup ÷ `pg_dump`", BACKUP, {"postgres": (None, 1)}, _times(BenchStep.FULL, BenchStep.PG_DUMP)),
    _of_dumpdata(BenchStep.FULL_ZST, (65, 95), (50, 85)),
    _of_dumpdata(BenchStep.AFTER_DAY, (32, 45), (25, 35)),
    _of_dumpdata(BenchStep.AFTER_RECENT, (30, 35), (20, 25)),
    _of_dumpdata(BenchStep.AFTER_ANYWHERE, (12, 10), (9, 7)),
    _of_loaddata(BenchStep.PREVIEW, 400, 400),
    _of_loaddata(BenchStep.IDENTICAL, 400, 400),
    _of_loaddata(BenchStep.CHANGED_RECENT, 100, 100),
    _of_loaddata(BenchStep.CHANGED, None, None),
    _of_loaddata(BenchStep.EMPTY, 20, None),
    *(
        Goal(f"{step} ÷ `\\copy`, {how}", RESTORE, {"postgres": limit}, _times(step, copy))
        for step, wanted in ((BenchStep.EMPTY, 1.6), (BenchStep.EMPTY_ALONE, None))
        # The target is set beside a plain `\copy` into the tables as they are.
        for copy, how, limit in (
            (BenchStep.COPY_INDEXED, "indexes in place", wanted),
            (BenchStep.COPY, "indexes made afterwards", None),
        )
    ),
    *(
        Goal(step, BenchGroup.EXCHANGE, {"sqlite": 1.5, "postgres": 2.5}, _more_than_start(step), unit="s")
        for step in EXCHANGED
    ),
    *(
        Goal(f"{step}, with marks ÷ without", MARKS, {"sqlite": 1.1, "postgres": 1.2}, _times(step, UNMARKED[step]))
        for step in (BenchStep.ADD, BenchStep.FILL, BenchStep.CHANGE, BenchStep.DELETE)
    ),
    Goal(
        "one edit, more with marks than without",
        MARKS,
        {"sqlite": 0.2, "postgres": 0.3},
        _milliseconds_more(BenchStep.EDIT),
        unit="ms",
    ),
    Goal(
        "`history verify --register` ÷ first backup",
        BACKUP,
        {"sqlite": 1, "postgres": 1},
        _times(BenchStep.VERIFY, BenchStep.FIRST),
    ),
    Goal(
        "snapshot after one edit, as many companies as records",
        BenchGroup.COMPANIES,
        {"sqlite": 1, "postgres": 1},
        _more_than_start(BenchStep.SNAPSHOT),
        unit="s",
    ),
    *(
        Goal(f"{step} ÷ the older version's", VERSIONS, {"sqlite": 1.05, "postgres": 1.05}, _times_older(step))
        for step in (BenchStep.IMPORT_CSV, BenchStep.IMPORT_XLSX, BenchStep.IMPORT_MORE)
    ),
)
PEAKS: Mapping[str, tuple[BenchGroup, ...]] = {
    "peak memory, all steps": (BACKUP, RESTORE, BenchGroup.EXCHANGE, VERSIONS),
    "peak memory, one company, an employee for each 20 records": (BenchGroup.COMPANY,),
    "peak memory, as many companies as records": (BenchGroup.COMPANIES,),
}
"""Whose memory is shown together."""
HOW_FAST = (
    BenchStep.FIRST,
    BenchStep.FULL,
    BenchStep.FULL_ZST,
    BenchStep.AFTER_RECENT,
    BenchStep.PREVIEW,
    BenchStep.IDENTICAL,
    BenchStep.CHANGED_RECENT,
    BenchStep.CHANGED,
    BenchStep.EMPTY,
    BenchStep.DUMPDATA,
    BenchStep.LOADDATA,
)


def results(rounds: Sequence[Round]) -> str:
    """The results of all commands."""
    engines, sizes = _measured(rounds)
    parts = ["# Results", _origin(rounds), READING, "## Targets", targets_table(rounds)]
    parts += [MISSES.read_text(encoding="utf-8").strip(), "## How fast", how_fast(rounds)]
    for engine in engines:
        for size in sizes:
            of_size = [r for group in (BACKUP, RESTORE) for r in rounds_of(rounds, group, engine, size)]
            parts += _section(f"## {ENGINES[engine]}, {size:,} records", [one.costs for one in of_size], size)
            company = [one.costs for one in rounds_of(rounds, BenchGroup.COMPANY, engine, size)]
            parts += _section(f"## {ENGINES[engine]}, {size:,} records of one company", company, size)
            exchanges = [one.costs for one in rounds_of(rounds, BenchGroup.EXCHANGE, engine, size)]
            parts += _section(f"## {ENGINES[engine]}, an exchange among {size:,} records", exchanges, size)
            companies = [one.costs for one in rounds_of(rounds, BenchGroup.COMPANIES, engine, size)]
            parts += _section(f"## {ENGINES[engine]}, {size:,} records of as many companies", companies, size)
            writes = [one.costs for one in rounds_of(rounds, MARKS, engine, size)]
            parts += _section(f"## {ENGINES[engine]}, writes of {size:,} records", writes, size)
    for engine in engines:
        for size in sizes:
            if versions := rounds_of(rounds, VERSIONS, engine, size):
                parts += [f"## {ENGINES[engine]}, commit {versions[0].older_commit} beside this one, {size:,} records"]
                parts += [versions_table(versions)]
    return "\n\n".join(parts) + "\n"


def pages(rounds: Sequence[Round]) -> str:
    """The results of the pages."""
    parts = [
        "# Pages",
        f"{_origin(rounds)} One request at a time. The server's time for a whole request, without the network, in "
        "milliseconds; *of* is the target for p95, and *slowest* the address with the worst median, with that median. "
        "*CPU* is the web process's, which other work on the machine disturbs less; SQLite works in it, PostgreSQL "
        "beside it.",
    ]
    engines, sizes = _measured(rounds)
    for size in sizes:
        found = {engine: rounds_of(rounds, BenchGroup.PAGES, engine, size) for engine in engines}
        timings = {engine: of_engine[-1].pages for engine, of_engine in found.items() if of_engine}
        parts += [f"## {size:,} records", pages_table(timings)] if timings else []
    parts.append(PAGE_NOTES.read_text(encoding="utf-8").strip())
    return "\n\n".join(parts) + "\n"


def is_whole(rounds: Sequence[Round]) -> bool:
    """Whether every target was measured on both engines at every size it is for."""
    cells = [
        (group, engine, size)
        for group in BenchGroup
        for engine in ENGINES
        for size in SIZES
        if group not in SMALL_ONLY or size == SIZES[0]
    ]
    return all(rounds_of(rounds, *cell) for cell in cells)


def targets_table(rounds: Sequence[Round]) -> str:
    """The table of every target on every engine that was measured, at every size."""
    engines, sizes = _measured(rounds)
    lines = [_row(["target", "engine", "limit", *(f"{size:,}" for size in sizes)]), _row(["---"] * (3 + len(sizes)))]
    for target in TARGETS:
        for engine in engines:
            if engine in target.limits:
                cells = [_judged(target, engine, rounds, size) for size in sizes]
                lines.append(_row([target.text, ENGINES[engine], target.limit(engine), *cells]))
    for engine in engines:
        for step in EXCHANGED:
            figure = _growth(step, engine, rounds)
            lines.append(
                _row(
                    [
                        f"{step}: the most records ÷ the fewest",
                        ENGINES[engine],
                        f"≤ {GROWTH} ×",
                        *[""] * (len(sizes) - 1),
                        figure,
                    ]
                )
            )
    for engine in engines:
        for text, groups in PEAKS.items():
            of_groups = [one for one in rounds if one.group in groups]
            cells = [_peak(of_groups, groups, engine, size) for size in sizes]
            lines.append(_row([text, ENGINES[engine], f"≤ {MEMORY} MB", *cells]))
    for engine in engines:
        cells = [_judged_pages(rounds_of(rounds, BenchGroup.PAGES, engine, size)) for size in sizes]
        lines.append(_row(["pages, p95", ENGINES[engine], "of each page", *cells]))
    return "\n".join(lines)


def how_fast(rounds: Sequence[Round]) -> str:
    """The table that README shows too, between its marks."""
    engines, sizes = _measured(rounds)
    columns = [(engine, size) for engine in engines for size in sizes]
    lines = [
        BEGIN,
        "",
        f"Records per second by the size of the register, for the whole process with its start; medians of the rounds. "
        f"{_origin(rounds)}",
        "",
        _row(["", *(f"{ENGINES[engine]}, {size:,}" for engine, size in columns)]),
        _row(["---", *["---:"] * len(columns)]),
    ]
    for step in HOW_FAST:
        cells = []
        for engine, size in columns:
            walls = [
                one.costs[step].wall
                for one in rounds
                if one.group in (BACKUP, RESTORE) and (one.engine, one.records) == (engine, size) and step in one.costs
            ]
            cells.append(f"{size / median(walls):,.0f}" if walls else "")
        lines.append(_row([step, *cells]))
    return "\n".join([*lines, "", END])


def shown_in(document: str) -> str:
    """What a document has of the table that README shows too. Raises ValueError if it has none."""
    return document[document.index(BEGIN) : document.index(END) + len(END)]


def versions_table(rounds: Sequence[Round]) -> str:
    """The table of the steps of the older version and of this."""
    lines = [
        _row(["step", "older, CPU s", "this, CPU s", "ratio", "records/s"]),
        _row(["---", *["---:"] * 4]),
    ]
    for step in LEFT_OUT:
        if all(step in one.costs for one in rounds):
            old = median(net(one.older, step) for one in rounds)
            new = median(net(one.costs, step) for one in rounds)
            ratio = _spread([_times_older(step)(one) for one in rounds])
            lines.append(_row([step, f"{old:.2f}", f"{new:.2f}", ratio, f"{rounds[0].records / new:,.0f}"]))
    return "\n".join(lines)


def _section(title: str, costs: Sequence[Mapping[BenchStep, Cost]], records: int) -> list[str]:
    """A title with the table of every step that was measured; nothing if none was."""
    if not costs:
        return []
    titles = ["step", "rounds", "CPU s less start", "CPU s", "server's CPU s", "wall s", "records/s", "peak MB"]
    lines = [_row(titles), _row(["---", *["---:"] * (len(titles) - 1)])]
    for step in BenchStep:
        having = [one for one in costs if step in one]
        if having:
            cost = median_cost([one[step] for one in having])
            own = median(net(one, step) for one in having) if step in LEFT_OUT else None
            cells = [
                "" if own is None else f"{own:.2f}",
                f"{cost.cpu:.2f}",
                f"{cost.server_cpu:.2f}",
                f"{cost.wall:.2f}",
            ]
            cells.append("" if own is None else f"{records / cost.wall:,.0f}")
            is_ours = step in LEFT_OUT and step not in PEERS
            cells.append(f"{max(one[step].megabytes for one in having):.0f}" if is_ours else "")
            lines.append(_row([step, str(len(having)), *cells]))
    return [title, "\n".join(lines)]


def _judged(target: Goal, engine: str, rounds: Sequence[Round], size: int) -> str:
    of_size = rounds_of(rounds, target.group, engine, size)
    figures = []
    for one in of_size:
        try:
            figures.append(target.figure(one))
        except KeyError:
            continue
    if not figures:
        return _not_measured(target.group, size)
    return _verdict(_spread(figures, target.unit), target.met(engine, size, median(figures)))


def _growth(step: BenchStep, engine: str, rounds: Sequence[Round]) -> str:
    """How many times as much a step takes among the most records as among the fewest, by their medians."""
    seconds = [
        median(net(one.costs, step) for one in of_size)
        for size in SIZES
        if (of_size := rounds_of(rounds, BenchGroup.EXCHANGE, engine, size))
    ]
    if len(seconds) < len(SIZES):
        return "not measured"
    figure = seconds[1] / seconds[0]
    return _verdict(f"{figure:.2f} ×", figure <= GROWTH)


def _not_measured(group: BenchGroup, size: int) -> str:
    return "" if group in SMALL_ONLY and size > SIZES[0] else "not measured"


def _spread(figures: Sequence[float], unit: str = "×") -> str:
    """The median of the rounds, the least and the greatest, or that it is of one round."""
    if len(figures) == 1:
        return f"{figures[0]:.2f} {unit} (1 round)"
    return f"{median(figures):.2f} {unit} ({min(figures):.2f} to {max(figures):.2f}, {len(figures)} rounds)"


def _peak(rounds: Sequence[Round], groups: Sequence[BenchGroup], engine: str, size: int) -> str:
    """The greatest memory of any of Muster's steps in any round of the groups, with the step."""
    peaks = [
        (cost.megabytes, step)
        for one in rounds
        if (one.engine, one.records) == (engine, size)
        for step, cost in one.costs.items()
        if step in LEFT_OUT and step not in PEERS
    ]
    if not peaks:
        return _not_measured(groups[0], size)
    megabytes, step = max(peaks)
    return _verdict(f"{megabytes:.0f} MB ({step})", round(megabytes) <= MEMORY)


def _judged_pages(rounds: Sequence[Round]) -> str:
    if not rounds:
        return "not measured"
    timings = rounds[-1].pages
    missed = [one for one in timings if one.p95 > one.target]
    names = "".join(f"; {one.title}: {one.p95 * 1000:.0f} ms of {one.target * 1000:.0f}" for one in missed)
    return _verdict(f"{len(timings) - len(missed)} of {len(timings)} within theirs{names}", not missed)


def _verdict(figure: str, met: bool | None) -> str:
    if met is None:
        return figure
    return f"{figure} met" if met else f"**{figure} missed**"


def _measured(rounds: Sequence[Round]) -> tuple[list[str], list[int]]:
    """The engines and the sizes that were measured."""
    engines = {one.engine for one in rounds}
    return [engine for engine in ENGINES if engine in engines], sorted({one.records for one in rounds})


def _origin(rounds: Sequence[Round]) -> str:
    """When, at which commit and on what the rounds were measured."""
    when = "; ".join(sorted({one.measured_at for one in rounds}))
    where = "; ".join(sorted({one.platform for one in rounds}))
    return f"Measured by `make bench` on {when}. {where}."


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
