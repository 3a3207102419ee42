"""What a long-lived process does so that SQLite databases stay readable on a full disk."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from muster import environment as env

_open: list[sqlite3.Connection] = []


def keep_readable() -> None:
    """Keep one connection to each SQLite database for as long as this process lives.

    Readers share a small file beside the database (``-shm``), which the last connection removes when it closes. On a
    full disk nobody could create it again, or read the database. A file that is no database is left alone.
    """
    for config in settings.DATABASES.values():
        if config["ENGINE"] == env.SQLITE:
            with suppress(sqlite3.Error):  # pages say what is wrong with the file
                connection = sqlite3.connect(f"{Path(config['NAME']).as_uri()}?mode=rw", uri=True)
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
                _open.append(connection)
