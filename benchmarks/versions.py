"""Compares this checkout with an older commit, by the same commands on installations of each.

Each version migrates and seeds its own installations, with the same demo register. In each round both versions run
every step once, in turns; the older version is first in one round and last in the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.checkouts import Checkout
from benchmarks.commands import backup_steps, restore_steps
from benchmarks.costs import Cost
from benchmarks.sheets import cost_of_reading
from benchmarks.steps import BenchStep


def versions_round(
    old: Checkout, new: Checkout, records: int, sheets: Mapping[BenchStep, Path], *, old_first: bool
) -> tuple[dict[BenchStep, Cost], dict[BenchStep, Cost]]:
    """The costs of every step by the older and by this version, which run in turns."""
    of_old: dict[BenchStep, Cost] = {}
    of_new: dict[BenchStep, Cost] = {}
    order = [(old, of_old), (new, of_new)] if old_first else [(new, of_new), (old, of_old)]
    (first, of_first), (last, of_last) = order
    both = (_steps(version, records, sheets) for version in (first, last))
    for (step, cost), (_step, other) in zip(*both, strict=True):
        of_first[step], of_last[step] = cost, other
    return of_old, of_new


def _steps(checkout: Checkout, records: int, sheets: Mapping[BenchStep, Path]) -> Iterator[tuple[BenchStep, Cost]]:
    """The costs of each step by one version. ``sheets``: of as many rows, by the step that reads it."""
    checkout.vacuum()
    yield from backup_steps(checkout, records)
    yield from restore_steps(checkout, records)
    for step, sheet in sheets.items():
        yield step, cost_of_reading(checkout, step, sheet)
    yield BenchStep.START_IMPORT, checkout.cost_of_start(BenchStep.START_IMPORT, "import_attendance")
    csv, xlsx = (("import_attendance", sheets[step]) for step in (BenchStep.READ_CSV, BenchStep.READ_XLSX))
    with checkout.scratch() as empty:
        yield BenchStep.IMPORT_CSV, checkout.cost(BenchStep.IMPORT_CSV, empty, *csv, added=records)
        yield BenchStep.IMPORT_AGAIN, checkout.cost(BenchStep.IMPORT_AGAIN, empty, *csv, skipped=records)
    with checkout.scratch() as empty:
        yield BenchStep.IMPORT_XLSX, checkout.cost(BenchStep.IMPORT_XLSX, empty, *xlsx, added=records)
    with checkout.scratch(full=True) as full:
        yield BenchStep.IMPORT_MORE, checkout.cost(BenchStep.IMPORT_MORE, full, *csv, added=records)
