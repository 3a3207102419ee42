"""Muster's settings for the tests: all files in the run's own folder, and the register also on PostgreSQL.

Each process of the run has databases of its own, which `tests/conftest.py` makes.

``default``, its ``history`` and ``jobs`` are SQLite files (not memory: other processes and WAL are part of what is
tested). ``pg``, where there is a server, is a second register beside them on PostgreSQL, and ``pg_history`` another
connection to its database; ``jobs`` serves both.
"""

import os
from pathlib import Path

# What the machine's own environment sets for a real installation must not reach the tests.
for _name in (
    "ALLOWED_HOSTS",
    "BACKUP_DIR",
    "CSRF_TRUSTED_ORIGINS",
    "DATABASE_URL",
    "DEBUG",
    "HISTORY_DATABASE_URL",
    "HISTORY_KEEP",
    "HSTS_SECONDS",
    "HTTPS",
    "INSTALLATION_COLOUR",
    "INSTALLATION_NAME",
    "JOBS_DATABASE_URL",
    "LOCK_WAIT_SECONDS",
    "LOG_LEVEL",
    "MUSTER_MAX_FILE_BYTES",
    "MUSTER_MAX_SHEET_BYTES",
    "MUSTER_MAX_SHEET_UPLOAD_BYTES",
    "MUSTER_MAX_UPLOAD_BYTES",
    "MUSTER_REFERENCE_STORE",
    "SAVE_WAIT_SECONDS",
    "TIME_ZONE",
    "TRUSTED_PROXIES",
):
    os.environ.pop(_name, None)
_process = os.environ.get("PYTEST_XDIST_WORKER", "main")
_folder = Path(os.environ["MUSTER_TEST_DIR"]) / _process
os.environ["DATA_DIR"] = str(_folder / "var")
os.environ["SECRET_KEY"] = "of no value: for tests only"

from muster.settings import *  # noqa: E402, F403
from muster.settings import DATABASES, RECORDSYNC_HISTORY, STATIC_ROOT, STORAGES  # noqa: E402

for _alias in ("default", "jobs", "history"):
    DATABASES[_alias]["NAME"] = str(_folder / f"{_alias}.sqlite3")
    # A test run that a power cut ends is run again.
    DATABASES[_alias]["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF"

if "MUSTER_TEST_PG_URL" in os.environ:
    from muster import environment

    DATABASES["pg"] = environment.database("MUSTER_TEST_PG_URL", os.environ["MUSTER_TEST_PG_URL"])
    DATABASES["pg"] |= {"CONN_MAX_AGE": 0, "NAME": f"muster_test_{_process}"}
    DATABASES["pg_history"] = dict(DATABASES["pg"])
    RECORDSYNC_HISTORY["pg"] = "pg_history"

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Static files straight from the source; collecting them, with hashed names, has a test of its own.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True  # else every test client looks through all of them first
STATIC_ROOT.mkdir(exist_ok=True)
