"""A file with blocks that is checked on the way: blocks that are known are passed over, and damage is noticed."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from core.register.declared import COMPANIES, SCHEMA
from recordsync.backupfile import Limits, UncheckedFile
from recordsync.errors import CheckNeeded
from recordsync.history.store import StoredBlock
from recordsync.model.records import Record
from recordsync.system.files import compressed
from tests.builders.days import day
from tests.builders.files import File
from tests.builders.registers import RegisterData, register
from tests.builders.trees import snapshot_file
from tests.recordsync.backupfile.test_blocks import retreed
from tests.recordsync.support import checked, opened
from tests.strategies.damage import damaged
from tests.strategies.registers import registers

Known = Mapping[tuple[str, ...], StoredBlock]
"""What is known of the block at each path."""

DAYS: Final = register(*[day(date=f"2026-11-{number:02}", ep_no=f"{no}") for number in range(1, 29) for no in range(3)])
FILE: Final = snapshot_file(DAYS)


def known(of: File) -> Known:
    return {
        (block["model"], *block["partition"]): StoredBlock(
            block["digest"], block["raw_sha256"], block["bytes"], block["count"]
        )
        for block in of.blocks or []
    }


@dataclass
class Found:
    """What a pass reads: the digest of the file, the records of the blocks that are not known, how many are passed
    over or checked alone."""

    digest: str = ""
    records: list[Record] = field(default_factory=list)
    passed: int = 0
    checked: int = 0


def read(data: bytes, ours: Known) -> Found | None:
    """What one pass reads of a file; None where it has to be checked first."""
    found = Found()
    try:
        file = UncheckedFile(io.BytesIO(data), SCHEMA, Limits())
        with file.open() as reader:
            for model in SCHEMA:
                blocks = reader.blocks(model)
                assert blocks is not None
                for block in blocks:
                    our = ours.get((model.name, *block.partition))
                    if our is None or our.digest != block.content.digest:
                        rows, parse = block.unparsed()
                        found.records += parse(list(rows))
                    elif block.is_as(our):
                        block.pass_over()
                        found.passed += block.content.count
                    else:
                        block.check()
                        found.checked += block.content.count
    except CheckNeeded:
        return None
    found.digest = file.digest
    return found


@given(registers(), registers(), st.sets(st.integers(0, 30)))
def test_what_is_not_known_is_read_and_the_rest_passed_over(
    theirs: RegisterData, ours: RegisterData, lacking: set[int]
) -> None:
    """Of ours, some blocks are those of theirs, some are others, and some have the same content in other bytes."""
    of = snapshot_file(theirs)
    paths = list(known(of))
    ours_known = {**known(snapshot_file(ours)), **known(of)}
    for position in lacking:
        if position < len(paths):
            del ours_known[paths[position]]
    for path in paths[::3]:
        if path in ours_known:
            ours_known[path] = replace(ours_known[path], raw_sha256="0" * 64)
    found = read(of.encode(), ours_known)
    file = opened(of.encode())
    assert found is not None
    assert found.digest == file.digest
    assert found.passed + found.checked + len(found.records) == sum(file.counts.values())
    everything = {record for model in SCHEMA for record in file.records(model)}
    assert everything.issuperset(found.records)
    assert len(found.records) == sum(known(of)[path].count for path in paths if path not in ours_known)


@pytest.mark.parametrize("piece", [1, 7, 1 << 18])
@pytest.mark.parametrize("knows", [known(FILE), {}, dict(list(known(FILE).items())[::2])])
def test_wherever_a_piece_ends(monkeypatch: pytest.MonkeyPatch, piece: int, knows: Known) -> None:
    monkeypatch.setattr("recordsync.backupfile.scanner._PIECE", piece)
    found = read(FILE.encode(), knows)
    assert found is not None
    assert found.digest == opened(FILE.encode()).digest


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_compressed_file(compression: str) -> None:
    out = io.BytesIO()
    with compressed(out, compression) as stream:  # type: ignore[arg-type] # one of its names
        stream.write(FILE.encode())
    found = read(out.getvalue(), known(FILE))
    assert found is not None
    assert found.passed == FILE.size


@given(registers(min_records=1), st.data())
def test_property_14_damage_is_noticed_whatever_is_known(of: RegisterData, data: st.DataObject) -> None:
    """For all files with blocks that are good but for one place, and all blocks that somebody knows: the pass leaves
    the file to the check, which refuses it."""
    theirs = snapshot_file(of)
    ours = dict(known(theirs))
    for path in data.draw(st.sets(st.sampled_from(sorted(ours)))):
        del ours[path]
    damage = data.draw(damaged(theirs))
    assert not checked(damage.data).valid
    assert read(damage.data, ours) is None
    event(damage.what.split()[0])


@pytest.mark.parametrize("knows", [known(FILE), {}], ids=["known", "not known"])
@pytest.mark.parametrize("bit", range(0, 8, 3))
def test_property_14_each_flipped_bit_is_noticed(knows: Known, bit: int) -> None:
    data = FILE.encode()
    for at in range(bit, len(data), 97):
        flipped = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
        assert read(flipped, knows) is None, at


def test_a_digest_that_is_ours_elsewhere_does_not_count() -> None:
    """Two blocks change places in the file: both are ours, and each is in the wrong place."""
    blocks = FILE.blocks or []
    lines = FILE.records["attendance_records"]
    swapped = [*lines[blocks[1]["count"] :][: blocks[2]["count"]], *lines[: blocks[1]["count"]]]
    rest = lines[len(swapped) :]
    moved = replace(FILE, records={**FILE.records, "attendance_records": [*swapped, *rest]})
    listed = [blocks[0], blocks[2] | {"partition": blocks[1]["partition"]}]
    listed += [blocks[1] | {"partition": blocks[2]["partition"]}, *blocks[3:]]
    false = retreed(replace(moved, blocks=listed)).encode()
    assert not checked(false).valid
    assert read(false, known(FILE)) is None


def test_a_block_that_nobody_reads_is_not_proven() -> None:
    file = UncheckedFile(FILE.stream(), SCHEMA, Limits())
    with pytest.raises(CheckNeeded), file.open():
        pass


def test_a_block_without_an_end_of_line_is_refused_before_it_fills_the_memory() -> None:
    long = b"x" * 1_000_000
    data = FILE.encode().replace(b'{"checksum"', b'{"checksum' + long, 1)
    with pytest.raises(CheckNeeded), UncheckedFile(io.BytesIO(data), SCHEMA, Limits(line=100_000)).open() as reader:
        list(reader.rows(COMPANIES))
