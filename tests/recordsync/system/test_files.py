"""Files that are whole or not there, and streams with a limit."""

import errno
import fcntl
import gzip
import io
import os
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from recordsync.errors import InvalidFile
from recordsync.system import files
from recordsync.system.files import (
    Compression,
    compressed,
    compression_of_name,
    decompressed,
    hidden_file,
    spooled,
    sync_folder,
    whole_file,
)

needs_dev_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")


def hidden_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


# --- Whole files


def test_a_file_appears_when_it_is_whole_and_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "backup.json"
    before = os.umask(0)
    try:
        with whole_file(path) as stream:
            stream.write(b"content")
            assert not path.exists()
            (hidden,) = tmp_path.iterdir()
            assert hidden.name.startswith(".muster-")
            assert hidden.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)
    assert path.read_bytes() == b"content"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_there_stays_until_the_new_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "backup.json"
    path.write_bytes(b"old")
    path.chmod(0o644)
    with whole_file(path) as stream:
        stream.write(b"new")
        stream.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, OSError])
@pytest.mark.parametrize("there", [True, False])
def test_an_error_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, error: type[BaseException], there: bool
) -> None:
    path = tmp_path / "backup.json"
    if there:
        path.write_bytes(b"old")

    def write() -> None:
        with whole_file(path) as stream:
            stream.write(b"new")
            raise error

    with pytest.raises(error):
        write()
    assert list(tmp_path.iterdir()) == ([path] if there else [])
    assert not there or path.read_bytes() == b"old"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_an_error_of_the_disk_at_the_end_leaves_what_was_there(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "backup.json"
    path.write_bytes(b"old")

    def full(*_args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left"), whole_file(path) as stream:
        stream.write(b"new")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"


def test_it_is_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "backup.json"
    order: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        order.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        fsync(descriptor)

    def noted_replace(source: Any, target: Any) -> None:
        order.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    with whole_file(path) as stream:
        stream.write(b"x")
    assert order == ["file", "rename", "folder"]


@pytest.mark.parametrize(
    ("name", "error"),
    [("missing/backup.json", FileNotFoundError), ("a-file/backup.json", NotADirectoryError), (".", IsADirectoryError)],
)
def test_a_place_where_nothing_can_be_written(tmp_path: Path, name: str, error: type[OSError]) -> None:
    (tmp_path / "a-file").touch()
    with pytest.raises(error), whole_file(tmp_path / name):
        raise AssertionError("nothing to write to")
    assert [path.name for path in tmp_path.iterdir()] == ["a-file"]


def test_a_link_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for target in (folder / "there.json", folder / "not-yet.json"):
        link = tmp_path / f"link-to-{target.name}"
        link.symlink_to(target)
        if target.name == "there.json":
            target.write_bytes(b"old")
        with whole_file(link) as stream:
            stream.write(b"new")
            assert hidden_in(folder), "in the folder of the file: a rename cannot cross file systems"
        assert link.is_symlink()
        assert target.read_bytes() == b"new"
    assert not hidden_in(tmp_path)


@needs_dev_full
def test_a_device_is_written_to_directly() -> None:
    with pytest.raises(OSError, match="No space left") as caught, whole_file(Path("/dev/full")) as stream:
        stream.write(b"x" * 100_000)
    assert caught.value.errno == errno.ENOSPC
    assert not hidden_in(Path("/dev"))
    with whole_file(Path("/dev/null")) as stream:
        stream.write(b"x")


def test_a_pipe_is_written_to_directly(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with whole_file(path) as stream:
            stream.write(b"content")
        assert os.read(reader, 100) == b"content"
    finally:
        os.close(reader)
    assert path.is_fifo()


HOLDER = """
import sys
from pathlib import Path
from recordsync.system.files import hidden_file
with hidden_file(Path(sys.argv[1])) as (hidden, stream):
    stream.write(b"half a file")
    stream.flush()
    print(hidden.name, flush=True)
    sys.stdin.read()
"""


def test_a_hidden_file_is_kept_while_its_process_lives_and_removed_when_it_was_killed(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )
    try:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert hidden_in(tmp_path) == [name]
        with whole_file(tmp_path / "one.json") as stream:
            stream.write(b"1")
        assert hidden_in(tmp_path) == [name]
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert hidden_in(tmp_path) == [name], "a killed process cleans nothing up"
    with whole_file(tmp_path / "two.json") as stream:
        assert name not in hidden_in(tmp_path)
        stream.write(b"2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.json", "two.json"]


def test_only_files_of_ours_are_removed(tmp_path: Path) -> None:
    others = [".muster-notes", ".muster-0.part.bak", "muster-0.part", ".other.part"]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / ".muster-0123456789abcdef.part").touch()
    (tmp_path / ".muster-folder.part").mkdir()
    with whole_file(tmp_path / "backup.json") as stream:
        stream.write(b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, ".muster-folder.part", "backup.json"])


def test_a_hidden_file_taken_for_abandoned_before_it_was_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process looks for abandoned files between the creation and the lock."""
    flock = fcntl.flock
    removed: list[Path] = []

    def late(descriptor: Any, operation: int) -> None:
        if operation == fcntl.LOCK_EX and not removed:
            (hidden,) = tmp_path.iterdir()
            removed.append(hidden)
            hidden.unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with whole_file(tmp_path / "backup.json") as stream:
        stream.write(b"x")
    assert removed
    assert [path.name for path in tmp_path.iterdir()] == ["backup.json"]


def test_a_rename_that_is_refused_names_the_file_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a folder like /tmp, where the file that is there belongs to somebody else."""
    path = tmp_path / "backup.json"

    def refused(source: object, target: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(source), None, str(target))

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(PermissionError) as caught, whole_file(path) as stream:
        stream.write(b"content")
    assert (caught.value.filename, caught.value.filename2) == (str(path), None)
    assert not hidden_in(tmp_path)


def test_a_hidden_file_that_was_not_renamed_is_removed(tmp_path: Path) -> None:
    with hidden_file(tmp_path) as (hidden, stream):
        stream.write(b"x")
        assert hidden.exists()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_durable_is_no_error(tmp_path: Path) -> None:
    """The file that was renamed there is whole."""
    sync_folder(tmp_path / "missing")


def test_what_only_looks_like_a_hidden_file_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("kept")
    (tmp_path / ".muster-link.part").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / ".muster-pipe.part")
    with whole_file(tmp_path / "file") as stream:
        stream.write(b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
    assert (tmp_path / "elsewhere").read_text() == "kept"


# --- Compression

BOTH: list[Compression] = ["gzip", "zstd"]
ALL: list[Compression | None] = [None, *BOTH]
TEXT = b"one line\n" * 5000


def packed(data: bytes, compression: Compression | None) -> bytes:
    out = io.BytesIO()
    with compressed(out, compression) as stream:
        stream.write(data)
    assert not out.closed
    return out.getvalue()


def unpacked(data: bytes, limit: int = 1 << 30) -> bytes:
    with decompressed(io.BytesIO(data), limit) as stream:
        return stream.read()


@pytest.mark.parametrize(
    ("name", "compression"),
    [
        ("full.json", None),
        ("full.json.gz", "gzip"),
        ("FULL.JSON.GZ", "gzip"),
        ("full.zst", "zstd"),
        ("gz", None),
        ("a.gz.json", None),
        ("folder.gz/full.json", None),
        ("full.zip.json", None),
        ("folder.xz/full.json", None),
        ("xz", None),
    ],
)
def test_a_name_asks_for_compression(name: str, compression: Compression | None) -> None:
    assert compression_of_name(name) == compression


@pytest.mark.parametrize(
    ("name", "ending"),
    [("full.json.xz", ".xz"), ("a.ZIP", ".ZIP"), ("a.tar.gz", ".tar.gz"), ("a.tzst", ".tzst"), ("a.json.gpg", ".gpg")],
)
def test_a_name_asks_for_what_is_not_written(name: str, ending: str) -> None:
    with pytest.raises(ValueError, match=f"Files that end in {re.escape(ending)} are not written"):
        compression_of_name(name)


@given(st.binary(max_size=2000), st.sampled_from(ALL))
def test_what_was_compressed_is_recognised_and_read_back(data: bytes, compression: Compression | None) -> None:
    if compression or not data.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")) | (data[1:4] == b"\x2a\x4d\x18"):
        assert unpacked(packed(data, compression)) == data


_SKIPPABLE = st.builds(
    lambda number, data: struct.pack("<II", 0x184D2A50 + number, len(data)) + data,
    st.integers(0, 15),
    st.binary(max_size=300),
)


@given(st.lists(st.one_of(_SKIPPABLE, st.binary(max_size=300).map(lambda data: ("frame", data))), min_size=1))
def test_frames_of_zstd_that_hold_nothing_are_passed_over(parts: list[bytes | tuple[str, bytes]]) -> None:
    """Before the content, as pzstd writes them, between its frames, and after it."""
    written = [part if isinstance(part, bytes) else zstandard.compress(part[1]) for part in parts]
    assert unpacked(b"".join(written)) == b"".join(part[1] for part in parts if not isinstance(part, bytes))


@pytest.mark.parametrize("after", [b'{"metadata": {}}', b"\x04\x22\x4d\x18 as LZ4 has it"])
def test_what_only_begins_like_zstd_is_damaged(after: bytes) -> None:
    with pytest.raises(InvalidFile, match="damaged or cut short"):
        unpacked(b"\x50\x2a\x4d\x18\x01\x00\x00\x00x" + after)


@pytest.mark.parametrize("compression", BOTH)
def test_the_same_input_gives_the_same_bytes(compression: Compression, monkeypatch: pytest.MonkeyPatch) -> None:
    first = packed(TEXT, compression)
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert packed(TEXT, compression) == first
    assert len(first) < len(TEXT) / 50


def test_other_programs_read_it() -> None:
    assert gzip.decompress(packed(TEXT, "gzip")) == TEXT
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed(TEXT, "zstd")) == TEXT


@pytest.mark.parametrize("compression", ALL)
def test_the_limit_is_on_the_content(compression: Compression | None) -> None:
    data = packed(TEXT, compression)
    assert unpacked(data, len(TEXT)) == TEXT
    with pytest.raises(InvalidFile, match=f"more than the limit of {len(TEXT) - 1:,} bytes"):
        unpacked(data, len(TEXT) - 1)


@pytest.mark.untraced
@pytest.mark.parametrize("compression", BOTH)
def test_a_bomb_is_given_up_at_the_limit(compression: Compression) -> None:
    out = io.BytesIO()
    with compressed(out, compression) as stream:
        for _ in range(256):
            stream.write(bytes(1 << 20))
    assert len(out.getvalue()) < 1 << 20
    read: list[int] = []
    with decompressed(out, 1 << 20) as content, pytest.raises(InvalidFile):
        read.extend(map(len, iter(lambda: content.read(1 << 16), b"")))
    assert sum(read) <= 1 << 20


def test_a_zstd_frame_that_asks_for_too_much_memory_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=False)
    out = io.BytesIO()
    with zstandard.ZstdCompressor(compression_params=parameters).stream_writer(out, closefd=False) as stream:
        stream.write(b"x")
        stream.flush()
        stream.write(b"y")
    with pytest.raises(InvalidFile, match="damaged"):
        unpacked(out.getvalue())


@pytest.mark.parametrize("length", [3, 9, 10, 15, -1, -4, -8, -9])
def test_a_truncated_gzip_is_damaged(length: int) -> None:
    with pytest.raises(InvalidFile, match="damaged or cut short"):
        unpacked(packed(TEXT, "gzip")[:length])


def test_a_truncated_zstd_never_gives_what_was_not_there() -> None:
    """Its reader cannot tell that a frame is not finished: whoever reads must know where the content ends."""
    data = packed(TEXT, "zstd")
    for length in range(4, len(data)):
        try:
            assert TEXT.startswith(unpacked(data[:length]))
        except InvalidFile:
            continue


@pytest.mark.parametrize("compression", BOTH)
def test_damage_is_noticed(compression: Compression) -> None:
    data = packed(TEXT, compression)
    for at in range(12, len(data)):
        try:
            assert unpacked(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]) == TEXT
        except InvalidFile:
            continue


@pytest.mark.parametrize("compression", BOTH)
def test_garbage_after_the_end_is_damage(compression: Compression) -> None:
    with pytest.raises(InvalidFile, match="damaged"):
        unpacked(packed(TEXT, compression) + b"garbage")
    assert unpacked(packed(TEXT, compression) * 2) == TEXT * 2


@pytest.mark.parametrize("start", [b"\x1f\x8b", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfd\xff"])
def test_a_beginning_without_more_is_damage_or_nothing(start: bytes) -> None:
    try:
        assert unpacked(start) == b""
    except InvalidFile:
        assert start[:1] in b"\x1f\x28"


def test_a_source_is_read_from_its_start_and_stays_open() -> None:
    source = io.BytesIO(packed(TEXT, "gzip"))
    source.seek(5)
    with decompressed(source, 1 << 30) as stream:
        assert stream.readline() == b"one line\n"
        assert stream.readable()
    assert not source.closed


def test_an_error_of_the_source_stays_itself() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise OSError(errno.EIO, "Input/output error")
            return super().read(size)

    for data in (TEXT, packed(TEXT * 100, "gzip"), packed(os.urandom(1 << 20), "zstd")):
        with decompressed(Broken(data), 1 << 30) as stream, pytest.raises(OSError, match="Input/output"):
            stream.read()


@needs_dev_full
@pytest.mark.parametrize("compression", ALL)
def test_a_full_disk_under_compression_is_its_own_error(compression: Compression | None) -> None:
    noise = os.urandom(1 << 20)
    with (
        pytest.raises(OSError, match="No space left"),
        open("/dev/full", "wb", buffering=0) as full,
        compressed(full, compression) as stream,
    ):
        stream.write(noise)


# --- Spooling


class Once(io.RawIOBase):
    """A stream that can be read only once, in small pieces."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 1000))


def test_a_stream_that_can_be_read_once_is_spooled() -> None:
    seen: list[int] = []
    with spooled(cast(IO[bytes], Once(TEXT)), len(TEXT), seen.append) as copy:
        assert copy.read() == TEXT
        copy.seek(9)
        assert copy.readline() == b"one line\n"
        kept: BinaryIO = copy
    assert kept.closed
    assert seen == [*range(1000, len(TEXT) + 1, 1000)]


def test_a_spooled_stream_has_a_limit() -> None:
    with pytest.raises(InvalidFile, match="more than the limit of 44,999 bytes"), spooled(io.BytesIO(TEXT), 44_999):
        raise AssertionError("never reached")


def test_a_spooled_copy_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with spooled(io.BytesIO(TEXT), 1 << 30):
        assert not list(tmp_path.iterdir())


def test_the_window_limit_is_what_the_strongest_level_uses() -> None:
    data = zstandard.ZstdCompressor(level=22).compress(TEXT)
    assert unpacked(data) == TEXT
    assert files._ZSTD_MAX_WINDOW == 1 << 27
