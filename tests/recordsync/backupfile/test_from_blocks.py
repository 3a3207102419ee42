"""A file put together from stored blocks is, byte for byte, the file that the description of the format gives."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tracemalloc
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import msgspec
import pytest
import zstandard
from hypothesis import strategies as st

from core.register.declared import SCHEMA
from recordsync.backupfile import Written, write_from_blocks
from recordsync.backupfile.metadata import parse_metadata
from recordsync.errors import HistoryDamaged, RecordSyncError
from recordsync.history.databases import history_of
from recordsync.history.store import HistoryStore, StoredBlock
from recordsync.models import Block, Node
from recordsync.system.files import Compression, compressed
from recordsync.system.progress import Progress, no_progress
from tests.builders.ancestry import header, says
from tests.builders.days import day
from tests.builders.files import File, canonical, sha256, unpacked
from tests.builders.registers import RegisterData, register
from tests.builders.trees import snapshot_file
from tests.properties.laws import for_some
from tests.recordsync.backupfile.test_json_schema import VALIDATOR
from tests.recordsync.support import opened, stored
from tests.strategies.registers import registers

DAYS: Final = register(
    day(date="2026-11-01"), day(date="2026-11-07"), day(date="2026-11-08"), day(company_name="New", date="2026-11-30")
)
FILE: Final = snapshot_file(DAYS)
LAST: Final = (FILE.blocks or [])[-1]
COMPRESSIONS: Final[list[Compression | None]] = [None, "gzip", "zstd"]


def written(
    of: File, store: HistoryStore, compression: Compression | None = None, progress: Progress = no_progress
) -> tuple[bytes, Written]:
    """The file, written from blocks, as it is stored; and what is told of it."""
    out = io.BytesIO()
    with compressed(out, compression) as stream:
        told = write_from_blocks(stream, SCHEMA, parse_metadata(of.metadata, SCHEMA), store, progress)
    return out.getvalue(), told


@pytest.fixture
def store(register_db: str) -> HistoryStore:
    """A history store with the blocks of ``FILE``."""
    return stored(FILE, history_of(register_db))


def put_frame(store: HistoryStore, block: dict[str, Any], frame: bytes) -> None:
    Block.objects.using(store.alias).filter(digest=block["digest"]).update(data=frame)


@for_some(of=registers(), compression=st.sampled_from(COMPRESSIONS))
def test_it_is_the_file_that_the_format_describes(
    alias: str, of: RegisterData, compression: Compression | None
) -> None:
    theirs = snapshot_file(of)
    data, told = written(theirs, stored(theirs, history_of(alias)), compression)
    assert unpacked(data, compression) == theirs.encode()
    file = opened(data)
    assert told == Written(file.digest, file.counts, 0)
    VALIDATOR.validate(json.loads(theirs.encode()))


def test_frames_are_copied_as_they_are_stored(store: HistoryStore) -> None:
    data, _told = written(FILE, store, "zstd")
    for frame in Block.objects.using(store.alias).values_list("data", flat=True):
        assert bytes(frame) in data


@pytest.mark.skipif(not shutil.which("zstd"), reason="no zstd on this machine")
def test_another_reader_of_zstd_reads_the_whole(store: HistoryStore, tmp_path: Path) -> None:
    path = tmp_path / "full.json.zst"
    path.write_bytes(written(FILE, store, "zstd")[0])
    assert subprocess.run(["zstd", "-dc", path], capture_output=True, check=True).stdout == FILE.encode()


@for_some(of=registers(min_records=1), data=st.data(), compression=st.sampled_from(COMPRESSIONS))
def test_a_damaged_frame_is_named(
    alias: str, of: RegisterData, data: st.DataObject, compression: Compression | None
) -> None:
    theirs = snapshot_file(of)
    store = stored(theirs, history_of(alias))
    block = data.draw(st.sampled_from(theirs.blocks or []))
    frame = bytes(Block.objects.using(store.alias).get(digest=block["digest"]).data)
    at = data.draw(st.integers(0, len(frame) - 1))
    if data.draw(st.booleans()):
        damage = frame[:at]
    else:
        damage = frame[:at] + bytes([frame[at] ^ 1 << data.draw(st.integers(0, 7))]) + frame[at + 1 :]
    put_frame(store, block, damage)
    try:
        found = unpacked(written(theirs, store, compression)[0], compression)
    except HistoryDamaged as error:
        refused = error
    else:  # a bit of the frame's header that says nothing of the content
        assert found == theirs.encode()
        return
    assert refused.digest == block["digest"]
    assert " · ".join(block["partition"]) in str(refused)


def frame_of(text: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(text)


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (b"", "it is cut short"),
        (frame_of(b"x" * 100)[:-1], "it is cut short"),
        (frame_of(b"x"), "it has 1 bytes, and"),
        (frame_of(b"x" * 1000), "bytes, and"),
        (frame_of(b"x") + frame_of(b"y"), "something follows it"),
        (b"x" * 100, "Unknown frame descriptor"),
    ],
)
@pytest.mark.django_db(databases=["default", "jobs", "history"])
def test_what_is_wrong_with_a_block_is_said(frame: bytes, why: str) -> None:
    store = stored(FILE, "history")
    put_frame(store, LAST, frame)
    for compression in (None, "zstd"):
        with pytest.raises(HistoryDamaged, match=f"the block of attendance_records New · 2026-11 · 22 is .*{why}"):
            written(FILE, store, cast(Compression, compression))


@pytest.mark.django_db(databases=["default", "jobs", "history"])
def test_what_is_missing_is_said() -> None:
    store = stored(FILE, "history")
    Block.objects.using("history").filter(digest=LAST["digest"]).delete()
    with pytest.raises(HistoryDamaged, match="a block of 1 records is missing or damaged"):
        written(FILE, store)
    Node.objects.using("history").all().delete()
    with pytest.raises(HistoryDamaged, match="a node of a tree is missing"):
        written(FILE, store)


@pytest.mark.parametrize("said", [{"count": 7}, {"size": 7}, {"raw_sha256": "0" * 64}, {"crc32": 7}])
@pytest.mark.django_db(databases=["default", "jobs", "history"])
def test_what_the_store_says_falsely_of_a_block_is_noticed(said: dict[str, Any]) -> None:
    store = stored(FILE, "history")
    Block.objects.using("history").filter(digest=LAST["digest"]).update(**said)
    with pytest.raises(HistoryDamaged, match="a block of 1 records is missing or damaged") as raised:
        written(FILE, store)
    assert raised.value.digest == LAST["digest"]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"total_companies": 3}, "does not have the snapshot as it was"),
        ({"snapshot": None, "ancestors": None}, "Only a file of a snapshot"),
        ({"created_by": "x" * 151}, "No reader would accept"),
        ({"fields": {"companies": ["name"]}}, "No reader would accept"),
    ],
)
@pytest.mark.django_db(databases=["default", "jobs", "history"])
def test_a_file_that_no_reader_accepts_is_not_written(changed: dict[str, object], why: str) -> None:
    store = stored(FILE, "history")
    metadata = parse_metadata(FILE.metadata, SCHEMA)
    if "total_companies" in changed:
        changed = {"totals": metadata.totals | {"companies": 3}}
    if "snapshot" in changed:
        metadata = msgspec.structs.replace(metadata, snapshot=None, ancestors=None)
    out = io.BytesIO()
    with pytest.raises(RecordSyncError, match=why):
        write_from_blocks(out, SCHEMA, msgspec.structs.replace(metadata, **changed), store)
    assert out.getvalue() == b""


@pytest.mark.django_db(databases=["default", "jobs", "history"])
def test_a_file_with_other_fields_has_no_blocks() -> None:
    fields = FILE.metadata["fields"]
    fewer = [name for name in fields["attendance_records"] if name != "shift"]
    narrow = replace(FILE, metadata=FILE.metadata | {"fields": fields | {"attendance_records": fewer}})
    with pytest.raises(RecordSyncError, match="every field of attendance_records"):
        written(narrow, HistoryStore("history"))


@pytest.mark.django_db(databases=["default", "jobs", "history"])
def test_an_empty_register_is_a_file() -> None:
    empty = snapshot_file(register())
    assert written(empty, stored(empty, "history"))[0] == empty.encode()


@pytest.mark.django_db(databases=["default", "jobs", "history"])
def test_progress_is_reported_about_every_thousand_records_and_can_stop_the_work() -> None:
    days = [day(date=f"2026-{month:02}-{first:02}", ep_no=f"{number:03}")
            for month in range(1, 13) for first in (1, 8, 15, 22) for number in range(50)]  # fmt: skip
    of = snapshot_file(register(*days))
    store = stored(of, "history")
    seen: list[tuple[str, int, int | None]] = []
    written(of, store, progress=lambda *told: seen.append(told))
    assert [done for _phase, done, _total in seen] == [0, 1001, 2001, 2401]
    assert {(phase, total) for phase, _done, total in seen} == {("write", 2401)}

    def stop(phase: str, done: int, total: int | None) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        written(of, store, progress=stop)


class Nowhere(io.RawIOBase):
    """Takes everything and keeps nothing."""

    def write(self, data: Any) -> int:
        return len(data)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.django_db(databases=["default", "jobs", "history"])
def test_a_large_block_is_never_whole_in_memory(compression: Compression | None) -> None:
    count, packed = 60_000, zstandard.ZstdCompressor(level=1, write_checksum=True).compressobj()
    lines = [b'{"checksum":"%b","name":"%0300d"}' % (sha256(str(number)).encode(), number) for number in range(count)]
    size = len(lines[0]) * count + 2 * (count - 1)
    frame = packed.compress(b",\n".join(lines)) + packed.flush()
    del lines
    digest, tree = "0" * 64, canonical([["companies", "0" * 64, count]])
    store = HistoryStore("history")
    said = StoredBlock(digest, digest, size, count)
    Block.objects.using("history").create(**asdict(said), crc32=said.crc32, data=frame)
    Node.objects.using("history").create(digest=sha256(tree), body=tree.encode())
    snapshot = header(says(tree=sha256(tree)))
    of = replace(FILE, metadata=FILE.metadata | {
        "snapshot": snapshot, "total_companies": count, "total_attendance_records": 0
    })  # fmt: skip
    with compressed(cast(BinaryIO, Nowhere()), compression) as stream:
        tracemalloc.start()
        write_from_blocks(stream, SCHEMA, parse_metadata(of.metadata, SCHEMA), store)
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < size / 3, (peak, size, len(frame))
