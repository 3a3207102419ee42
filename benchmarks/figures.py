"""The raw figures of finished rounds, one file each, which results are written from and a later run goes on from."""

from __future__ import annotations

import os
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

import msgspec

from benchmarks.costs import Cost
from benchmarks.pages import Timing
from benchmarks.steps import BenchStep

FOLDER = Path(__file__).with_name("raw")
"""The folders of raw figures, one for each commit, which Git ignores."""


class BenchGroup(StrEnum):
    """What is measured together, within one round."""

    BACKUP = "backup"
    RESTORE = "restore"
    EXCHANGE = "exchange"
    COMPANY = "company"
    COMPANIES = "companies"
    MARKS = "marks"
    VERSIONS = "versions"
    PAGES = "pages"


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """A finished round of one group on one engine at one size.

    ``costs`` are by step; ``older`` the costs of the older version, if the group compares two.
    """

    group: BenchGroup
    engine: str
    records: int
    number: int
    measured_at: str
    platform: str
    costs: dict[BenchStep, Cost] = {}
    older: dict[BenchStep, Cost] = {}
    older_commit: str = ""
    pages: list[Timing] = []


class RawFigures:
    """The rounds in a folder. ``measured_at`` and ``platform`` are noted in each round that is kept."""

    def __init__(self, folder: Path, measured_at: str, platform: str) -> None:
        self.folder = folder
        self._measured_at = measured_at
        self._platform = platform
        folder.mkdir(parents=True, exist_ok=True)

    def missing(self, group: BenchGroup, engine: str, records: int, rounds: int) -> list[int]:
        """The numbers, from 1 to ``rounds``, of the rounds that are not here."""
        return [n for n in range(1, rounds + 1) if not self._path(group, engine, records, n).exists()]

    def keep(
        self,
        group: BenchGroup,
        engine: str,
        records: int,
        number: int,
        *,
        costs: dict[BenchStep, Cost] | None = None,
        older: dict[BenchStep, Cost] | None = None,
        older_commit: str = "",
        pages: list[Timing] | None = None,
    ) -> None:
        """Write a round that is finished. A file gets its name only when it is whole."""
        found = Round(
            group=group,
            engine=engine,
            records=records,
            number=number,
            measured_at=self._measured_at,
            platform=self._platform,
            costs=costs or {},
            older=older or {},
            older_commit=older_commit,
            pages=pages or [],
        )
        path = self._path(group, engine, records, number)
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.format(msgspec.json.encode(found)))
        os.replace(part, path)

    def rounds(self) -> list[Round]:
        """All rounds, by group, engine, size and number."""
        found = (msgspec.json.decode(path.read_bytes(), type=Round) for path in self.folder.glob("*.json"))
        groups = list(BenchGroup)
        return sorted(found, key=lambda one: (groups.index(one.group), one.engine != "sqlite", one.records, one.number))

    def _path(self, group: BenchGroup, engine: str, records: int, number: int) -> Path:
        return self.folder / f"{group}-{engine}-{records}-{number}.json"


def rounds_of(rounds: Iterable[Round], group: BenchGroup, engine: str, records: int) -> list[Round]:
    """The rounds of one group on one engine at one size."""
    return [one for one in rounds if (one.group, one.engine, one.records) == (group, engine, records)]
