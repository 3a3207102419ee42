"""The permissions of the files and folders of this installation: only its own user may use them.

A folder that was made by hand, a database that was copied into it, a log of an earlier version: each may be open to
every user of the machine. :func:`close` closes those that belong to Muster when a process starts.
``manage.py check --deploy`` names those that it cannot close.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from django.conf import settings
from django.db import connections

from recordsync.system.files import files_of_database

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_CLOSED_BY: Final = {
    _OTHERS: "go=",
    stat.S_IWGRP | stat.S_IRWXO: "g-w,o=",
    stat.S_IWGRP | stat.S_IWOTH: "go-w",
}


class PrivatePath(NamedTuple):
    """A file or folder, and the permissions that nobody else may have on it."""

    path: Path
    forbidden: int = _OTHERS
    is_ours: bool = True
    """Whether Muster closes it. A folder that may hold other things is closed by its owner."""

    @property
    def command(self) -> str:
        """The shell command that closes it."""
        return f"chmod {_CLOSED_BY[self.forbidden]} {shlex.quote(str(self.path))}"


def close() -> None:
    """Close existing files and folders to other users, and let this process create new ones for its own user alone.

    Each entry point calls it. Raises nothing: a command has to run even where a file belongs to another user.
    """
    os.umask(_OTHERS)
    with suppress(OSError):
        Path(settings.FILE_UPLOAD_TEMP_DIR).mkdir(mode=0o700, parents=True, exist_ok=True)
    for place, mode in _open_places():
        if place.is_ours:
            with suppress(OSError):
                place.path.chmod(stat.S_IMODE(mode) & ~_OTHERS)


def still_open() -> list[PrivatePath]:
    """The files and folders that other users of the machine can read or change."""
    return list(dict.fromkeys(place for place, _mode in _open_places()))


def _open_places() -> Iterator[tuple[PrivatePath, int]]:
    for place in _places():
        with suppress(OSError):
            mode = place.path.stat().st_mode
            # A folder with the sticky bit, such as /tmp, is shared with everybody on purpose.
            if mode & place.forbidden and not mode & stat.S_ISVTX:
                yield place, mode


def _places() -> Iterator[PrivatePath]:
    data, backups = (Path(os.path.realpath(path)) for path in (settings.DATA_DIR, settings.BACKUP_DIR))
    yield PrivatePath(data)
    yield from (
        PrivatePath(path) for path in _entries(data) if path.is_file()
    )  # the secret key, the log and its old ones
    folders = [Path(settings.FILE_UPLOAD_TEMP_DIR), *(data / name for name in ("uploads", "restores", "changes"))]
    if backups.is_relative_to(data):
        folders.append(backups)
    else:  # a group may read it on purpose, and it may hold other things
        yield PrivatePath(backups, stat.S_IWGRP | stat.S_IRWXO, is_ours=False)
        yield from (PrivatePath(path) for path in _entries(backups) if path.name.startswith("backup_"))
    for database in (Path(str(c.settings_dict["NAME"])) for c in connections.all() if c.vendor == "sqlite"):
        files = files_of_database(database)
        yield from (PrivatePath(file) for file in files)
        if files[0].parent != data:  # who may write to the folder can replace the file
            yield PrivatePath(files[0].parent, stat.S_IWGRP | stat.S_IWOTH, is_ours=False)
        folders.append(database.with_name(f"{database.name}.locks"))
    for folder in folders:
        yield from _within(folder)


def _within(folder: Path) -> Iterator[PrivatePath]:
    """A folder and everything in it. Links are not followed, because what they lead to is elsewhere."""
    yield PrivatePath(folder)
    for path in _entries(folder):
        if path.is_dir():
            yield from _within(path)
        else:
            yield PrivatePath(path)


def _entries(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.is_symlink()]
    except OSError:
        return []
