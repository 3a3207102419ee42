"""The pytest plugin that provides the databases' surroundings before Django's settings are read.

It makes the run's folder and starts one PostgreSQL server, for all processes of the run. It passes their places on in
environment variables, which :mod:`tests.settings` reads: ``MUSTER_TEST_DIR``, and ``MUSTER_TEST_PG_URL`` if there is a
server. Without one, tests marked ``postgres`` are skipped with the reason; where ``CI`` is set the run fails instead.
"""

import os
import shutil
import tempfile
from collections.abc import Generator

import pytest

from tests.running.postgres_server import PostgresServer, ServerUnavailableError

DIR = "MUSTER_TEST_DIR"
PG_URL = "MUSTER_TEST_PG_URL"
WHY_NO_SERVER = "MUSTER_TEST_WHY_NO_PG"

IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
"""One of the processes that xdist starts: it has the environment of the one that started it."""


class Surroundings:
    """What one test run has: a folder, and a server or the reason why there is none."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="muster-test-")
        self.server: PostgresServer | None = None
        os.environ[DIR] = self.folder
        try:
            self.server = PostgresServer()
        except (ServerUnavailableError, OSError) as error:
            os.environ[WHY_NO_SERVER] = f"no PostgreSQL for the tests: {error}"
        else:
            os.environ[PG_URL] = self.server.url()

    def remove(self) -> None:
        if self.server:
            self.server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    """Before pytest-django reads the settings in the same hook."""
    if not IS_WORKER:
        early_config.add_cleanup(Surroundings().remove)
    if (reason := os.environ.get(WHY_NO_SERVER)) and os.environ.get("CI"):
        raise pytest.UsageError(reason)
    return (yield)


def pytest_report_header() -> str:
    return os.environ.get(WHY_NO_SERVER) or "PostgreSQL: a server of this test run's own"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if reason := os.environ.get(WHY_NO_SERVER):
        for item in items:
            if item.get_closest_marker("postgres"):
                item.add_marker(pytest.mark.skip(reason=reason))
