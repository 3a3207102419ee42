"""Muster's settings, with an SQLite that waits a second for a lock instead of twenty."""

from muster.settings import *  # noqa: F403
from muster.settings import DATABASES

for _database in DATABASES.values():
    if "timeout" in _database.get("OPTIONS", {}):
        _database["OPTIONS"]["timeout"] = 1
