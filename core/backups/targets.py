"""Where a backup file is written: a path, an open stream, or the ``backups`` storage."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from django.core.files import File
from django.core.files.storage import Storage, storages
from django.db import connections
from django.utils.translation import gettext as _

from core.models import JOBS
from core.operations.errors import OperationFailed
from recordsync.errors import printable_path
from recordsync.system import locks
from recordsync.system.files import (
    Compression,
    compressed,
    flush_to_disk,
    hidden_file,
    leads_to_database,
    sync_folder,
    whole_file,
)

_SECONDS_TO_WAIT_FOR_A_NAME = 60


@dataclass
class Target:
    """An open target. ``stream`` takes the uncompressed file; the rest is known when the block has ended.

    ``file``: where the file is, as people read it. ``name``: its name in the backups storage; blank if it is elsewhere.
    ``size``: its bytes as stored.
    """

    stream: IO[bytes]
    file: str
    name: str = ""
    size: int = 0


@dataclass
class _Counted:
    """A stream that counts the bytes that are written to it."""

    out: IO[bytes]
    size: int = field(default=0)

    def write(self, data: bytes) -> int:
        self.size += len(data)
        return self.out.write(data)

    def flush(self) -> None:
        self.out.flush()


@contextmanager
def opened(output: Path | IO[bytes] | None, name: str, compression: Compression | None) -> Iterator[Target]:
    """A target whose file exists, whole, if the block ends without an error, and does not exist otherwise.

    ``output``: a path; a stream, which stays open; None: the ``backups`` storage under ``name``, or under a similar
    name if that is taken. Raises OSError; OperationFailed for the path of a database of this installation.
    """
    if output is None:
        with _in_storage(storages["backups"], name, compression) as target:
            yield target
    elif isinstance(output, Path):
        _refuse_databases(output)
        file = printable_path(output.absolute())
        with whole_file(output) as out, _compressed(out, file, compression) as target:
            yield target
    else:
        with _compressed(output, "-", compression) as target:
            yield target
        output.flush()


def _refuse_databases(output: Path) -> None:
    """Raises OperationFailed for the files of our own databases, which a backup must not replace."""
    for connection in connections.all():
        database = Path(str(connection.settings_dict["NAME"]))
        if connection.vendor == "sqlite" and leads_to_database(output, database):
            raise OperationFailed(
                _("%(path)s is a database of this installation. No backup was written.")
                % {"path": printable_path(os.path.realpath(output))}
            )


@contextmanager
def _compressed(out: IO[bytes], file: str, compression: Compression | None) -> Iterator[Target]:
    counted = _Counted(out)
    with compressed(counted, compression) as stream:  # type: ignore[arg-type] # it needs only write and flush
        target = Target(stream, file)
        yield target
    target.size = counted.size


class _Movable(File[bytes]):
    """A file on disk that a local storage may rename instead of copying."""

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        super().__init__(stream, name=path.name)
        self._path = path

    def temporary_file_path(self) -> str:
        return str(self._path)


@contextmanager
def _in_storage(storage: Storage, name: str, compression: Compression | None) -> Iterator[Target]:
    try:
        folder = Path(storage.path(""))  # a rename within one folder is atomic
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        local = True
    except NotImplementedError:
        folder, local = Path(tempfile.gettempdir()), False
    with hidden_file(folder) as (hidden, out):
        with _compressed(out, "", compression) as target:
            yield target
        flush_to_disk(out)
        with hidden.open("rb") as content:
            file: File[bytes] = _Movable(hidden, content) if local else File(content, name=name)
            # Choosing a free name and taking it are two steps, between which nobody else may take it.
            with locks.held("backup-name", JOBS, wait=_SECONDS_TO_WAIT_FOR_A_NAME):
                target.name = storage.save(name, file)
        target.file = storage.path(target.name) if local else target.name
    if local:
        sync_folder(folder)
