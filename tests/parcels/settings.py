"""The settings of the parcels: registers on SQLite and PostgreSQL, each with its history."""

import os
from pathlib import Path
from typing import Any

_process = os.environ.get("PYTEST_XDIST_WORKER", "main")
_folder = Path(os.environ["MUSTER_TEST_DIR"])

SECRET_KEY = "of no value: for tests only"
USE_TZ = True
TIME_ZONE = "Asia/Kolkata"
INSTALLED_APPS = ["recordsync", "tests.parcels"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
RECORDSYNC_SCHEMA = "tests.parcels.declared.SCHEMA"
RECORDSYNC_HISTORY = {"default": "history", "pg": "pg_history"}
DATABASE_ROUTERS = ["recordsync.routers.HistoryRouter"]

_sqlite = {
    "ENGINE": "django.db.backends.sqlite3",
    "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF"},
}
DATABASES: dict[str, dict[str, Any]] = {
    alias: {**_sqlite, "NAME": str(_folder / f"parcels_{_process}_{alias}.sqlite3")} for alias in ("default", "history")
}
if "MUSTER_TEST_PG_URL" in os.environ:
    from muster import environment

    DATABASES["pg"] = environment.database("MUSTER_TEST_PG_URL", os.environ["MUSTER_TEST_PG_URL"])
    DATABASES["pg"].update({"CONN_MAX_AGE": 0, "NAME": f"parcels_{_process}"})
    DATABASES["pg_history"] = dict(DATABASES["pg"])
