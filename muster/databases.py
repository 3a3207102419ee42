"""What a long-lived process does so that SQLite databases can be read whatever happens to their disk."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from muster import environment as env

_open: list[sqlite3.Connection] = []


def keep_readable() -> None:
    """Keep one connection to each SQLite database for as long as this process lives.

    Readers share a small file beside the database (``-shm``), and whoever closes the last connection removes it. On a
    disk without a free byte it could not be made again: nobody could even read. What is no database is left alone.
    """
    for config in settings.DATABASES.values():
        if config["ENGINE"] == env.SQLITE:
            with suppress(sqlite3.Error):  # pages say what is wrong with it
                connection = sqlite3.connect(f"{Path(config['NAME']).as_uri()}?mode=rw", uri=True)
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
                _open.append(connection)
