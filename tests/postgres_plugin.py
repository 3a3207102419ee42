"""The pytest plugin that provides the databases' surroundings before Django's settings are read.

It makes the run's folder for SQLite files, and starts one PostgreSQL server. It passes their places on in environment
variables, which :mod:`tests.settings` reads: ``MUSTER_TEST_DIR``, and ``MUSTER_TEST_PG_URL`` if there is a server.
Without a server, tests marked ``postgres`` are skipped with the reason; where ``CI`` is set the run fails instead.
"""

import os
import shutil
import tempfile
from collections.abc import Generator

import pytest

from tests.postgres_server import PostgresServer, ServerUnavailableError

DIR = "MUSTER_TEST_DIR"
PG_URL = "MUSTER_TEST_PG_URL"


class Surroundings:
    """What one test run has: a folder, and a server or the reason why there is none."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="muster-test-")
        self.server: PostgresServer | None = None
        self.why_no_server = ""
        os.environ[DIR] = self.folder
        try:
            self.server = PostgresServer()
        except (ServerUnavailableError, OSError) as error:
            self.why_no_server = f"no PostgreSQL for the tests: {error}"
        else:
            os.environ[PG_URL] = self.server.url()

    def remove(self) -> None:
        if self.server:
            self.server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


surroundings_key = pytest.StashKey[Surroundings]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    """Before pytest-django reads the settings in the same hook."""
    surroundings = early_config.stash[surroundings_key] = Surroundings()
    early_config.add_cleanup(surroundings.remove)
    if surroundings.why_no_server and os.environ.get("CI"):
        raise pytest.UsageError(surroundings.why_no_server)
    return (yield)


def pytest_report_header(config: pytest.Config) -> str:
    return config.stash[surroundings_key].why_no_server or "PostgreSQL: a server of this test run's own"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if reason := config.stash[surroundings_key].why_no_server:
        for item in items:
            if item.get_closest_marker("postgres"):
                item.add_marker(pytest.mark.skip(reason=reason))
