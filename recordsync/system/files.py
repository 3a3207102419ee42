"""Files that appear whole or not at all, and streams that compress and decompress."""

from __future__ import annotations

import fcntl
import gzip
import io
import os
import secrets
import stat
import tempfile
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, Literal, cast

import zstandard

from recordsync.errors import FileError, InvalidFile

Compression = Literal["gzip", "zstd"]

SUFFIXES: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd"}
"""File name endings that ask for a compression."""

_NOT_WRITTEN = frozenset({
    ".7z", ".age", ".asc", ".br", ".bz", ".bz2", ".cab", ".enc", ".gpg", ".gzip", ".lz", ".lz4", ".lzma", ".lzo",
    ".pgp", ".rar", ".sz", ".tar", ".tbz", ".tbz2", ".tgz", ".txz", ".tzst", ".xz", ".z", ".zip", ".zipx", ".zstd",
})  # fmt: skip
"""File name endings of archives, of encryption, and of compressions that Muster does not write."""

_SQLITE_ENDINGS = ("", "-wal", "-shm", "-journal")
_CHUNK = 1 << 20
_HIDDEN = ".muster-"
_ZSTD_MAX_WINDOW = 1 << 27  # what `zstd -22` uses; a frame that asks for more memory is refused
_FRAME_PIECE = 1 << 16
"""Bytes of a frame that are decompressed together."""
_AT_ONCE = 1 << 20
"""Bytes of content up to which a frame is decompressed at once, which takes less time."""


def compression_of_name(name: str) -> Compression | None:
    """The compression that a file name asks for; None: plain.

    Raises ValueError, whose text is a sentence for people, for an ending that promises something that is not written.
    """
    path = Path(name)
    compression = SUFFIXES.get(path.suffix.lower())
    inner = Path(path.stem).suffix if compression else path.suffix  # x.tar.gz is an archive, too
    if inner.lower() in _NOT_WRITTEN:
        ending = inner if inner == path.suffix else inner + path.suffix
        raise ValueError(
            f"Files that end in {ending} are not written: a name that ends in .gz or .zst is compressed, "
            "any other is plain."
        )
    return compression


@contextmanager
def compressed(out: IO[bytes], compression: Compression | None) -> Iterator[IO[bytes]]:
    """A stream that writes compressed to ``out``. The same input gives the same bytes. ``out`` stays open."""
    if compression == "gzip":
        with gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=6, mtime=0) as stream:
            yield cast(IO[bytes], stream)
    elif compression == "zstd":
        frames = FrameWriter(out)
        yield cast(IO[bytes], frames)
        frames.end()
    else:
        yield out


class FrameWriter:
    """A stream that compresses what is written to it with zstd, and takes whole frames as they are."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._compressor = _compressor()
        self._open: zstandard.ZstdCompressionWriter | None = None

    def write(self, data: bytes) -> int:
        """Compress the data into the frame that is open, or a new one."""
        if self._open is None:
            self._open = self._compressor.stream_writer(self._out, closefd=False)
        return self._open.write(data)

    def add_frames(self, frames: bytes) -> None:
        """Write whole frames, after the one that is open."""
        self.end()
        self._out.write(frames)

    def end(self) -> None:
        """End the frame that is open. The stream below stays open."""
        if self._open is not None:
            self._open.flush(zstandard.FLUSH_FRAME)
            self._open = None


def frame_of(data: bytes) -> bytes:
    """The zstd frame with this content."""
    return _compressor().compress(data)


def _compressor() -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=3, write_checksum=True)


class FrameReader:
    """Decompresses zstd frames, one after another. It is made once, because that costs as much as a small frame."""

    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor()

    def content(self, frame: bytes, size: int) -> Iterator[bytes]:
        """The content of one frame, in pieces: at once, if its ``size`` is small. Raises ValueError, whose text says
        why, unless the frame is whole. Whether the content has this size is for the caller to see."""
        if size <= _AT_ONCE:
            try:
                whole = self._decompressor.decompress(frame, max_output_size=size, allow_extra_data=False)
            except zstandard.ZstdError:
                pass  # to read it in pieces tells why
            else:
                yield whole
                return
        try:
            content = self._decompressor.decompressobj()
            view = memoryview(frame)
            for start in range(0, len(frame), _FRAME_PIECE):
                yield content.decompress(view[start : start + _FRAME_PIECE])
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from error
        if not content.eof:
            raise ValueError("it is cut short")
        if content.unused_data:
            raise ValueError("something follows it")


@contextmanager
def decompressed(source: BinaryIO, limit: int) -> Iterator[BinaryIO]:
    """A buffered stream of the content, decompressed.

    The first bytes tell gzip (RFC 1952) and zstd (RFC 8878) from plain content. ``source`` is read from its
    start and stays open. Reading raises :class:`InvalidFile` where the compression is damaged, and past ``limit`` bytes
    of content.
    """
    source.seek(0)
    magic = source.read(4)
    source.seek(0)
    raw: IO[bytes]
    if magic[:2] == b"\x1f\x8b":
        raw = cast(IO[bytes], gzip.GzipFile(fileobj=source, mode="rb"))
    elif magic == b"\x28\xb5\x2f\xfd" or _begins_skippable_frame(magic):
        raw = zstandard.ZstdDecompressor(max_window_size=_ZSTD_MAX_WINDOW).stream_reader(
            source, read_across_frames=True, closefd=False
        )
    else:
        raw = source
    yield cast(BinaryIO, io.BufferedReader(_Bounded(raw, limit), 1 << 18))


def _begins_skippable_frame(magic: bytes) -> bool:
    """Whether a zstd file begins with a skippable frame (RFC 8878, 3.1.2). ``pzstd`` writes one before the content."""
    return magic[:1] in b"PQRSTUVWXYZ[\\]^_" and magic[1:] == b"\x2a\x4d\x18"


class _Bounded(io.RawIOBase):
    """A stream that ends with InvalidFile at a limit, and where the decompressor finds damage."""

    def __init__(self, raw: IO[bytes], limit: int) -> None:
        self._raw = raw
        self._left = limit
        self._limit = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # typeshed wants any buffer
        try:
            data = self._raw.read(len(buffer))
        except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
            raise InvalidFile([FileError(f"the compressed file is damaged or cut short ({error})")]) from error
        self._left -= len(data)
        if self._left < 0:
            raise InvalidFile([FileError(f"the file holds more than the limit of {self._limit:,} bytes")])
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A stream whose content appears at ``path`` (mode 0600) if the block ends without an error, and otherwise not.

    The content is written under a hidden name in the same folder, flushed to the disk, and renamed to ``path``, where
    it replaces what was there. An error removes the hidden file. If the process is killed, the next write to the
    folder removes it. A pipe or a device is written to directly. Raises OSError.
    """
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        with path.open("wb") as device:
            yield device
        return
    path = Path(os.path.realpath(path))
    with hidden_file(path.parent) as (hidden, stream):
        yield stream
        flush_to_disk(stream)
        with _named(path):
            os.replace(hidden, path)
    sync_folder(path.parent)


@contextmanager
def hidden_file(folder: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file (mode 0600) under a hidden name, and its stream. The block's end removes it unless it was renamed.

    This process holds a lock on it while it is open. Hidden files of the folder that no process holds any more are
    removed first. Raises OSError.
    """
    remove_abandoned_files(folder)
    hidden = folder / f"{_HIDDEN}{secrets.token_hex(8)}.part"
    with _named(folder):
        descriptor = _created_and_locked(hidden)
    with os.fdopen(descriptor, "wb") as stream:
        try:
            yield hidden, stream
        finally:
            with suppress(FileNotFoundError):
                hidden.unlink()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """An OSError of the block names ``path``: nobody knows the hidden name."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def _created_and_locked(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Between the two calls another process may have removed the file as abandoned.
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)


def remove_abandoned_files(folder: Path) -> None:
    """Remove the hidden files in a folder that no process holds any more."""
    for hidden in folder.glob(f"{_HIDDEN}*.part"):
        with suppress(OSError):
            # Anybody can put anything there under such a name: do not wait for a pipe, do not follow a link.
            descriptor = os.open(hidden, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                hidden.unlink()


def leads_to(path: Path, file: Path) -> bool:
    """Whether ``path`` and ``file`` are one file under two names: a link, a hard link, another spelling.

    Names of files that do not exist yet are compared without case and in one Unicode normalization, because some file
    systems do so.
    """
    if os.path.exists(path) and os.path.exists(file):
        return os.path.samefile(path, file)
    path, file = (Path(os.path.realpath(name)) for name in (path, file))
    if _folded(path.name) != _folded(file.name):
        return False
    if os.path.exists(path.parent) and os.path.exists(file.parent):
        return os.path.samefile(path.parent, file.parent)
    return path.parent == file.parent


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def leads_to_database(path: Path, database: Path) -> bool:
    """Whether ``path`` is the SQLite file ``database``, or one of those that SQLite keeps beside it."""
    return any(leads_to(path, file) for file in files_of_database(database))


def files_of_database(database: Path) -> list[Path]:
    """The paths of a SQLite database: its file, and those that SQLite creates beside it."""
    real = os.path.realpath(database)
    return [Path(f"{real}{ending}") for ending in _SQLITE_ENDINGS]


def flush_to_disk(stream: IO[bytes]) -> None:
    """Have the system write to the disk what was written to the file."""
    stream.flush()
    os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Have the system write the names in a folder to the disk, where it can. A file is whole in either case."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def spooled(stream: IO[bytes], limit: int, progress: Callable[[int], None] | None = None) -> Iterator[BinaryIO]:
    """A seekable copy on disk of a stream that can be read only once. It has no name, and the block's end removes it.

    ``progress`` is called with the number of bytes read so far. Raises :class:`InvalidFile` past ``limit`` bytes.
    """
    with tempfile.TemporaryFile() as copy:
        size = 0
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            if size > limit:
                raise InvalidFile([FileError(f"the file holds more than the limit of {limit:,} bytes")])
            copy.write(chunk)
            if progress:
                progress(size)
        copy.seek(0)
        yield cast(BinaryIO, copy)
