"""What a plan reads where the blocks of both sides are known: nothing that both have, and little beside it."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

import pytest
from django.db.models import Q

from core.register.declared import ATTENDANCE_RECORDS, SCHEMA
from recordsync.backupfile import Limits, UncheckedFile, check_backup
from recordsync.history.blocks import BlockDigest, block_of
from recordsync.history.store import StoredBlock
from recordsync.model.records import Partition, Record
from recordsync.model.schema import Model
from recordsync.plan import Source, make_plan
from tests.builders.days import day
from tests.builders.files import File
from tests.builders.records import Sections
from tests.builders.registers import RegisterData, register
from tests.builders.trees import snapshot_file, with_blocks
from tests.recordsync.support import MemoryStore, opened

DAYS: Final = [day(date=f"2026-{month:02}-{first:02}") for month in (1, 2, 3) for first in (1, 8, 15, 22)]
FILE: Final = snapshot_file(register(*DAYS))


class CountingStore(MemoryStore):
    """A store that counts what is read of attendance records."""

    def __init__(self, of: Sections) -> None:
        super().__init__(of)
        self.read: Counter[str] = Counter()

    def records(self, model: Model, where: Q | None = None) -> Iterator[Record]:
        for record in super().records(model, where):
            self.read[model.name] += 1
            yield record

    def partition(self, model: Model, partition: Partition) -> Iterator[bytes]:
        lines = list(super().partition(model, partition))
        self.read["partitions"] += 1
        self.read[model.name] = 0
        return iter(lines)


class Ours:
    """The blocks that a register has, and what is stored of those of a file."""

    root = None

    def __init__(self, of: RegisterData, stored: File) -> None:
        self._store = store_of(of)
        self._stored = stored

    def blocks(self, model: Model) -> Iterator[tuple[Partition, BlockDigest]]:
        for partition, lines in self._store.blocks(model):
            yield partition, block_of(lines)

    def lines(self, blocks: Iterable[BlockDigest]) -> Iterator[None]:
        """None: what differs is not stored."""
        return (None for _block in blocks)

    def described(self, digests: Collection[str]) -> Mapping[str, StoredBlock]:
        return {
            block["digest"]: StoredBlock(block["digest"], block["raw_sha256"], block["bytes"], block["count"])
            for block in self._stored.blocks or []
            if block["digest"] in digests
        }


def store_of(of: RegisterData) -> CountingStore:
    content = opened(snapshot_file(of).encode())
    return CountingStore(Sections({model.name: list(content.records(model)) for model in SCHEMA}))


def counted(store: CountingStore, theirs: Source, ours: Ours | None) -> tuple[Counter[str], int, int]:
    """What is read of the register, how many records are skipped, and how many lines the plan has."""
    plan = make_plan(store, theirs, None, io.BytesIO(), ours=ours)
    return store.read, plan.settled["attendance_records"].skipped, plan.size


def unchecked(of: File) -> UncheckedFile:
    return UncheckedFile(of.stream(), SCHEMA, Limits())


def test_what_both_have_is_read_from_neither_side(monkeypatch: pytest.MonkeyPatch) -> None:
    store, ours = store_of(register(*DAYS)), Ours(register(*DAYS), FILE)
    monkeypatch.setattr("recordsync.backupfile.parsers.RecordParser.keys", None)
    monkeypatch.setattr("recordsync.backupfile.parsers.RecordParser.records", None)
    found = counted(store, unchecked(FILE), ours)
    assert found == ({"companies": 1}, 12, 0)  # the names of the companies are always read


def test_what_only_ours_has_is_not_read() -> None:
    ours = register(*DAYS, day(company_name="Only here"), day(date="2026-12-31"))
    store = store_of(ours)
    _read, skipped, size = counted(store, unchecked(FILE), Ours(ours, FILE))
    assert store.read["attendance_records"] == 0
    assert (skipped, size) == (12, 0)


def test_of_what_differs_one_partition_is_read() -> None:
    ours = register(*DAYS[1:], {**DAYS[0], "shift": "N"})
    store = store_of(ours)
    _read, skipped, size = counted(store, unchecked(FILE), Ours(ours, FILE))
    assert store.read["partitions"] == 1
    assert (skipped, size) == (11, 1)


@pytest.mark.parametrize(("changed", "partitions"), [(6, 6), (7, 0)])
def test_where_more_than_half_differs_everything_is_read_in_one_pass(changed: int, partitions: int) -> None:
    ours = register(*[{**one, "shift": "N"} for one in DAYS[:changed]], *DAYS[changed:])
    store = store_of(ours)
    _read, skipped, size = counted(store, unchecked(FILE), Ours(ours, FILE))
    assert store.read["partitions"] == partitions
    assert (store.read["attendance_records"] == 12) == (not partitions)
    assert (skipped, size) == (12 - changed, changed)


def test_bytes_that_are_not_ours_are_checked_and_count_as_the_same() -> None:
    """The same content, created at another time."""
    lines = [line | {"created_at": "2020-01-01T00:00:00.000000Z"} for line in FILE.records["attendance_records"]]
    other = snapshot_file(register(*DAYS))
    other.records["attendance_records"] = lines
    store = store_of(register(*DAYS))
    found = counted(store, unchecked(with_blocks(other)), Ours(register(*DAYS), FILE))
    assert found[0]["attendance_records"] == 0
    assert found[1:] == (12, 0)


def test_a_file_that_was_checked_is_read_as_before() -> None:
    store = store_of(register(*DAYS))
    assert counted(store, check_backup(FILE.stream(), SCHEMA), Ours(register(*DAYS), FILE))[1:] == (12, 0)
    assert store.read[ATTENDANCE_RECORDS.name] == 12
