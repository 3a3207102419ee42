"""What benchmarks measure, how they count it, and that README shows the same figures."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.costs import Cost, Meter
from benchmarks.figures import BenchGroup, RawFigures, Round
from benchmarks.steps import BenchStep
from benchmarks.table import README, RESULTS
from benchmarks.targets import TARGETS, is_whole, shown_in, targets_table
from tests.running.installation import PROJECT


def cost(seconds: float, server: float = 0.0, megabytes: float = 70.0) -> Cost:
    return Cost(seconds, seconds, server, megabytes)


def kept(folder: Path, *rounds: dict[BenchStep, Cost], group: BenchGroup = BenchGroup.RESTORE) -> list[Round]:
    """Rounds of a group on PostgreSQL, as they are read back from a folder."""
    figures = RawFigures(folder, "2026-11-30, commit abc", "2 processors")
    for number, costs in enumerate(rounds, 1):
        figures.keep(group, "postgres", 1000, number, costs=costs)
    return figures.rounds()


def restores(start: float, copy: Cost, empty: Cost) -> dict[BenchStep, Cost]:
    starts = {BenchStep.START_RESTORE: cost(start), BenchStep.START_PSQL: cost(start)}
    return starts | {BenchStep.COPY_INDEXED: copy, BenchStep.EMPTY: empty}


def cell(rounds: list[Round], target: str) -> str:
    """What the table says of a target."""
    row = next(line for line in targets_table(rounds).splitlines() if line.startswith(f"| {target} |"))
    return row.split(" | ")[-1].removesuffix(" |")


COPY = "restore into empty ÷ `\\copy`, indexes in place"


def test_ratios_are_taken_within_rounds_less_the_start_with_the_servers_seconds(tmp_path: Path) -> None:
    rounds = kept(
        tmp_path,
        restores(1, cost(3), cost(3, server=0.4)),  # 2.4 ÷ 2
        restores(2, cost(9, server=3), cost(13)),  # 11 ÷ 10; 3 ÷ 2 by the medians of all rounds
        restores(3, cost(4), cost(6)),  # 3 ÷ 1
    )
    assert cell(rounds, COPY) == "1.20 × (1.10 to 3.00, 3 rounds) met"


def test_a_miss_is_marked_and_what_was_not_measured_is_said(tmp_path: Path) -> None:
    loaddata = {BenchStep.START_LOADDATA: cost(1), BenchStep.LOADDATA: cost(92)}
    loaddata[BenchStep.IDENTICAL] = cost(2)
    rounds = kept(tmp_path, restores(1, cost(2), cost(2.61)) | loaddata, restores(1, cost(2), cost(2.63)))
    assert cell(rounds, COPY) == "**1.62 × (1.61 to 1.63, 2 rounds) missed**"
    assert cell(rounds, "`loaddata` ÷ restore, identical") == "**91.00 × (1 round) missed**"
    assert cell(rounds, "`loaddata` ÷ preview, identical") == "not measured"
    assert cell(rounds, "pages, p95") == "not measured"


def test_memory_is_the_worst_of_our_own_steps(tmp_path: Path) -> None:
    ours = restores(1, cost(2, megabytes=190), cost(2, megabytes=151))
    rounds = kept(tmp_path, ours | {BenchStep.LOADDATA: cost(9, megabytes=900)})
    assert cell(rounds, "peak memory, all steps") == "**151 MB (restore into empty) missed**"


def test_a_limit_may_differ_by_size() -> None:
    goal = next(one for one in TARGETS if one.text == "`dumpdata` ÷ full backup")
    assert goal.limit("sqlite") == "≥ 35 / 60 ×"
    assert (goal.met("sqlite", 100_000, 40), goal.met("sqlite", 1_000_000, 40)) == (True, False)


def test_an_edit_is_counted_in_milliseconds(tmp_path: Path) -> None:
    costs = {BenchStep.EDIT: cost(0.5, server=0.2), BenchStep.EDIT_UNMARKED: cost(0.5)}
    rounds = kept(tmp_path, costs, group=BenchGroup.MARKS)
    assert cell(rounds, "one edit, more with marks than without") == "**0.40 ms (1 round) missed**"


def test_a_later_run_measures_what_is_not_kept(tmp_path: Path) -> None:
    rounds = kept(tmp_path, restores(1, cost(2), cost(2)))
    figures = RawFigures(tmp_path, "2026-12-01, commit def", "2 processors")
    assert figures.missing(BenchGroup.RESTORE, "postgres", 1000, 3) == [2, 3]
    assert figures.missing(BenchGroup.RESTORE, "sqlite", 1000, 1) == [1]
    assert rounds[0].costs == restores(1, cost(2), cost(2))
    assert not is_whole(rounds)


def test_a_process_is_measured_and_must_not_fail() -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    found = Meter(None).cost("busy", lambda: subprocess.Popen([sys.executable, "-c", busy]))
    assert found.cpu >= 0.3
    assert found.megabytes > 1
    with pytest.raises(SystemExit, match="status 3"):
        Meter(None).cost("failing", lambda: subprocess.Popen([sys.executable, "-c", "exit(3)"]))


def test_readme_shows_the_figures_of_the_results() -> None:
    assert shown_in(README.read_text(encoding="utf-8")) == shown_in(RESULTS.read_text(encoding="utf-8"))


def bench(*options: object) -> str:
    """What ``python -m benchmarks`` writes."""
    words = [sys.executable, "-m", "benchmarks", *map(str, options)]
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return subprocess.run(words, cwd=PROJECT, env=env, stdout=subprocess.PIPE, check=True, text=True).stdout


def test_it_says_how_it_is_used() -> None:
    assert "--loaddata-rounds" in bench("--help")


@pytest.mark.deep
def test_a_part_is_measured_and_written_beside_its_figures(tmp_path: Path) -> None:
    part = (
        "--steps",
        "backup",
        "restore",
        "company",
        "companies",
        "marks",
        "--sizes",
        200,
        "--engines",
        "sqlite",
        "--rounds",
        1,
    )
    options = (*part, "--old", "HEAD", "--figures", tmp_path)
    before = RESULTS.read_bytes()
    written = bench(*options)
    assert written == (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "restore into empty" in written
    assert "## SQLite, 200 records of one company" in written
    assert RESULTS.read_bytes() == before
    kept_rounds = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    assert len(kept_rounds) == 5
    assert bench(*options) == written
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")} == kept_rounds
