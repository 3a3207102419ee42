"""Every byte of a small file changed, every length it can be cut to: refused; and compressed files likewise."""

import gzip
import io
from collections.abc import Callable, Iterator
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.register.declared import ATTENDANCE_RECORDS, COMPANIES
from recordsync.system.files import Compression, compressed
from tests.builders.records import company, deletion, record, sections, written
from tests.conftest import DEEP
from tests.recordsync.support import checked

FILE: Final = written(
    sections(
        [company("A"), company("é")],
        [record("A", "1", in_time="09:00:00", ep_name='"\\'), record("é", "1", status="L")],
        [deletion(COMPANIES, company("B"))],
        [deletion(ATTENDANCE_RECORDS, record("A", "2"))],
    )
)
EMPTY: Final = written(sections())


def changed_at(file: bytes, at: int) -> Iterator[bytes]:
    """The file with one byte changed, in several ways."""
    byte = file[at]
    others = {byte ^ 0x20, ord('"')}
    if DEEP:
        others |= {(byte + 1) % 256, ord("\n"), ord(" "), ord("}"), ord(","), 0, 0xFF}
    for other in others - {byte}:
        yield file[:at] + bytes([other]) + file[at + 1 :]
    yield file[:at] + file[at + 1 :]
    yield file[: at + 1] + file[at:]


@pytest.mark.parametrize("file", [FILE, EMPTY], ids=["records", "empty"])
def test_the_files_are_valid_as_they_are(file: bytes) -> None:
    assert checked(file).valid


@pytest.mark.untraced
@pytest.mark.parametrize("file", [FILE, EMPTY], ids=["records", "empty"])
def test_every_byte_changed_is_refused(file: bytes) -> None:
    tried = 0
    for at in range(len(file)):
        for damaged in changed_at(file, at):
            tried += 1
            report = checked(damaged)
            assert not report.valid, (at, damaged[max(0, at - 20) : at + 20])
            assert report.errors
            assert str(report.errors[0])
    assert tried > 3 * len(file)


@pytest.mark.untraced
@pytest.mark.parametrize("file", [FILE, EMPTY], ids=["records", "empty"])
def test_every_cut_length_is_refused(file: bytes) -> None:
    for length in range(len(file)):
        report = checked(file[:length])
        assert not report.valid, length
        assert report.errors[-1].message.startswith(("the file ends in", "this is not a backup file")), length


def test_a_file_after_the_file_is_refused() -> None:
    assert [error.message for error in checked(FILE + FILE).errors] == ["something follows the trailer"]


def packed(file: bytes, compression: Compression) -> bytes:
    out = io.BytesIO()
    with compressed(out, compression) as stream:
        stream.write(file)
    return out.getvalue()


@pytest.mark.untraced
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_damaged_compressed_file_is_refused_or_holds_what_it_held(compression: Compression) -> None:
    """A compressed file has bytes that say nothing of the content (a time, a flag): what counts is the content."""
    whole = packed(FILE, compression)
    digest = checked(whole).digest
    refused = 0
    for at in range(len(whole)):
        for damaged in changed_at(whole, at):
            report = checked(damaged)
            refused += not report.valid
            assert not report.valid or report.digest == digest
    assert refused > 3 * len(whole)


@pytest.mark.untraced
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_cut_compressed_file_is_refused_or_holds_what_it_held(compression: Compression) -> None:
    """The last four bytes of a zstd frame are a checksum of its content, which the file's own digest covers."""
    whole = packed(FILE, compression)
    digest = checked(whole).digest
    valid = [length for length in range(len(whole)) if checked(whole[:length]).valid]
    assert len(valid) <= (0 if compression == "gzip" else 4)
    assert all(checked(whole[:length]).digest == digest for length in valid)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"garbage",
        lambda data: data + data,
        lambda data: data + packed(b"more", "gzip"),
        lambda data: data + packed(b"more", "zstd"),
        lambda data: data + b"\n",
        lambda data: packed(data, "gzip"),
        lambda data: b"\n" + data,
    ],
    ids=["garbage", "again", "gzip after it", "zstd after it", "newline after it", "twice compressed", "newline first"],
)
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_compressed_file_with_something_else_is_refused(
    compression: Compression, change: Callable[[bytes], bytes]
) -> None:
    assert not checked(change(packed(FILE, compression))).valid


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_compressed_content_is_checked_like_plain_content(compression: Compression) -> None:
    assert checked(packed(FILE, compression)).valid
    damaged = FILE.replace(b"09:00:00", b"09:00:01")
    report = checked(packed(damaged, compression))
    assert [error.field for error in report.errors] == ["checksum", "sha256"]


def test_gzip_members_one_after_the_other_are_one_content() -> None:
    middle = len(FILE) // 2
    assert checked(gzip.compress(FILE[:middle]) + gzip.compress(FILE[middle:])).valid


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_refused(data: bytes) -> None:
    assert not checked(data).valid
    assert not checked(b"\x1f\x8b" + data).valid
    assert not checked(b"\x28\xb5\x2f\xfd" + data).valid


@given(st.data())
def test_pieces_of_a_file_in_another_order_are_refused(data: st.DataObject) -> None:
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(FILE))] * 2)))
    to = data.draw(st.integers(0, len(FILE)))
    rest = FILE[:start] + FILE[end:]
    moved = rest[:to] + FILE[start:end] + rest[to:]
    assert checked(moved).valid == (moved == FILE)
