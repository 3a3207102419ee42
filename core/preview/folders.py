"""The folders of previews. Each preview has one, which is named by the id of the operation that made it.

It holds the uploaded file, the plan's lines, and the tables.
"""

from __future__ import annotations

import datetime as dt
import shutil
import time
import uuid
from pathlib import Path
from typing import Final

from django.conf import settings

ABANDONED: Final = dt.timedelta(days=1)
"""How long a preview is kept that nobody touches."""


def folder_of(pk: uuid.UUID) -> Path:
    """The folder of a preview. Nothing but its id is part of the path."""
    return Path(settings.DATA_DIR) / "restores" / str(pk)


def tables_of(pk: uuid.UUID) -> Path:
    """The SQLite file of a preview."""
    return folder_of(pk) / "preview.sqlite3"


def new_folder(pk: uuid.UUID) -> Path:
    """The new folder of a preview. Raises OSError."""
    folder = folder_of(pk)
    folder.mkdir(mode=0o700, parents=True)
    return folder


def remove(pk: uuid.UUID) -> None:
    """Remove the folder of a preview, with the uploaded file."""
    shutil.rmtree(folder_of(pk), ignore_errors=True)


def remove_abandoned(busy: set[str]) -> int:
    """How many folders were removed: those that nobody has touched for a day, except those of ``busy`` operations."""
    root = Path(settings.DATA_DIR) / "restores"
    removed = 0
    for folder in root.iterdir() if root.is_dir() else ():
        touched = max((path.stat().st_mtime for path in (folder, *folder.iterdir())), default=0.0)
        if folder.name not in busy and touched < time.time() - ABANDONED.total_seconds():
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed
