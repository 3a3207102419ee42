"""Fixtures for all tests. What they need of databases is made by :mod:`tests.postgres_plugin`.

Three ways to test against a database:

- ``register_db``: once on SQLite and once on PostgreSQL, with real transactions; its value is the alias. For what
  commits, locks or opens connections of its own, and for Hypothesis (call ``databases.empty`` in each example).
- ``@pytest.mark.django_db(databases=["default", "jobs", "history"])``: SQLite in a transaction rolled back at the end.
  For pages.
- ``installation``: once on SQLite and once on PostgreSQL, a migrated installation of its own to run commands in.
"""

import gc
import itertools
import os
import pkgutil
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.db import connections
from hypothesis import is_hypothesis_test
from pytest_django import Settings
from pytest_django.plugin import DjangoDbBlocker

from recordsync.history.databases import history_of
from tests.postgres_plugin import DIR, PG_URL
from tests.running import databases
from tests.running.installation import Installations, ScratchInstallation
from tests.running.wire import Wire, wired_register
from tests.running.zygote import Zygote

collect_ignore = ["parcels"]  # another project: tests/test_parcels.py runs its tests
DEEP = os.environ.get("MUSTER_TEST_DEEP") == "1"
ENGINES = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]

sqlite_suffices = pytest.mark.parametrize(
    "engine", ["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.deep])], indirect=True
)
"""For what is one and the same on both engines and takes long: on PostgreSQL in `make test-deep`."""

# A hundred examples reach no more code than the tests by example do, what runs in processes of its own is not traced at
# all, and of the demo nobody asks how much is covered. The files take long, and reach little that no other test does:
# the tests of restores, backups and sheets 1.4 % of core and 0.1 % of recordsync, the others 0.4 % and 0.3 %.
UNTRACED = [
    Path(__file__).parent / place
    for place in (
        "browser",
        "core/backups/test_catalogue.py",
        "core/backups/test_clock.py",
        "core/demo",
        "core/management",
        "core/models",
        "core/operations/test_answers_lost.py",
        "core/register/test_database.py",
        "core/restores/test_closed_months.py",
        "core/restores/test_seals_in_merges.py",
        "core/restores/test_seals_travel.py",
        "core/restores/test_undo.py",
        "core/sheets/test_sheet_costs.py",
        "core/sheets/test_workbooks.py",
        "core/web/test_backup_pages.py",
        "faults",
        "muster/test_routers.py",
        "properties",
        "recordsync/backupfile/test_blocks_on_the_way.py",
        "recordsync/backupfile/test_damage.py",
        "recordsync/backupfile/test_reader.py",
        "recordsync/history/test_relation.py",
        "recordsync/merge/test_merge.py",
        "recordsync/stores/test_lines.py",
    )
]

# What runs a second time, on PostgreSQL, in `make test-deep` alone: the engine decides little of it, and is seen by the
# laws and by the tests of recordsync, of commands, of locks and of work at the same time, which always run on both.
REPEATED = [
    Path(__file__).parent / place
    for place in (
        "core/attendance",
        "core/backups",
        "core/demo",
        "core/formats",
        "core/restores",
        "core/sheets",
        "faults/test_admin_site.py",
        "faults/test_closing.py",
        "faults/test_disk.py",
        "faults/test_history_database.py",
        "faults/test_signals.py",
        "faults/test_strangers.py",
    )
]

ENGINE = Path(__file__).parent / "recordsync"

# Whoever is started in the background by a shell inherits that Ctrl-C is ignored, and so would the commands under test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart() -> None:
    """What our modules do when they are imported is traced, and then nothing before the first test: to collect them all
    would take twice as long."""
    for name in ("core", "muster", "recordsync"):
        for module in pkgutil.walk_packages(import_module(name).__path__, f"{name}."):
            if not module.name.startswith("core.migrations."):
                import_module(module.name)
    _tracing.stop()


def pytest_collection_finish() -> None:
    gc.freeze()  # what is loaded by now stays: not to be gone through at every collection
    gc.set_threshold(10_000, 20, 20)  # Hypothesis makes so much that a tenth of the time of its tests was collecting


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    on_sqlite = {item.nodeid for item in items if "sqlite" in item.nodeid}
    for item in items:
        if not DEEP and (item.get_closest_marker("deep") or _is_repeated(item, on_sqlite)):
            item.add_marker(pytest.mark.skip(reason="only in make test-deep"))
    # What takes longest begins first, so that no process is left alone with it at the end.
    items.sort(key=lambda item: item.path.name not in ("test_memory.py", "test_parcels.py"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    is_generated = isinstance(item, pytest.Function) and is_hypothesis_test(item.obj)
    places = (item.path, *item.path.parents)
    is_untraced = item.get_closest_marker("untraced") or any(place in places for place in UNTRACED)
    if is_generated or is_untraced or _is_traced_on_sqlite(item):
        return (yield)
    _tracing.resume()
    try:
        return (yield)
    finally:
        _tracing.pause()


def _is_repeated(item: pytest.Item, on_sqlite: set[str]) -> bool:
    """Whether the same test runs on SQLite, too, which suffices. Who asks for it alone gets it on PostgreSQL."""
    is_on_postgres = isinstance(item, pytest.Function) and "postgres" in item.nodeid
    return (
        is_on_postgres
        and item.nodeid.replace("postgres", "sqlite") in on_sqlite
        and not set(REPEATED).isdisjoint((item.path, *item.path.parents))
    )


def _is_traced_on_sqlite(item: pytest.Item) -> bool:
    """Whether the same test runs on SQLite, too, where it reaches the same code: all but the engine is one for both."""
    engines = (
        [str(value) for value in item.callspec.params.values()]
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
        else []
    )
    return any(engine.startswith("postgres") for engine in engines) and ENGINE not in item.path.parents


class _Tracing:
    """Coverage's tracing, which doubles the time of all code that runs: wanted for the tests that reach new code, and
    for nothing around them once everything is imported.

    Not by pytest-cov's ``no_cover``: in a process of xdist it starts two tracers, and to stop one resumes the other.
    """

    def __init__(self) -> None:
        self._traces: tuple[Any, Any] = None, None

    def stop(self) -> None:
        """Pause what the run began with, to be resumed."""
        self._traces = sys.gettrace(), threading.gettrace()
        self.pause()

    def pause(self) -> None:
        sys.settrace(None)
        threading.settrace(None)

    def resume(self) -> None:
        sys.settrace(self._traces[0])
        threading.settrace(self._traces[1])


_tracing = _Tracing()


@pytest.fixture(scope="session")
def django_db_setup(
    installations: Installations, django_test_environment: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """This process's databases, migrated: copies, where pytest-django's own fixture would migrate each of them."""
    engines = [engine for engine, alias in databases.ALIASES.items() if alias in connections]
    installations.migrate(*engines)
    installations.new_files(
        *(Path(connections[alias].settings_dict["NAME"]) for alias in ("default", "jobs", "history"))
    )
    if "postgres" in engines:
        installations.new_database(connections["pg"].settings_dict["NAME"])
    yield
    with django_db_blocker.unblock():
        connections.close_all()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """``sqlite`` and ``postgres`` in turn."""
    return str(request.param)


@pytest.fixture
def register_db(engine: str, django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The alias of an empty register on each engine in turn, outside any transaction; its history and ``jobs`` are
    empty too."""
    alias = databases.ALIASES[engine]
    with django_db_blocker.unblock():
        databases.empty(alias, "jobs")
        yield alias
        for used in (alias, history_of(alias), "jobs"):
            assert not connections[used].in_atomic_block, "the test left a transaction open"
        databases.empty(alias, "jobs")


@pytest.fixture
def wired_db(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[tuple[Wire, str]]:
    """A wire to an empty register on PostgreSQL, and the register's alias over it; history and ``jobs`` are empty."""
    with django_db_blocker.unblock():
        databases.empty("pg", "jobs")
        with wired_register() as (wire, alias):
            yield wire, alias
        databases.empty("pg", "jobs")


@pytest.fixture(scope="session")
def installations() -> Iterator[Installations]:
    """The templates of installations, each migrated once in a run."""
    zygote = Zygote() if sys.platform == "linux" else None
    yield Installations(Path(os.environ[DIR]) / "templates", os.environ.get(PG_URL, ""), zygote)
    if zygote is not None:
        zygote.close()


@pytest.fixture
def new_installation(
    installations: Installations, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker
) -> Iterator[Callable[[str], ScratchInstallation]]:
    """Makes as many installations as a test needs: ``new_installation("sqlite")``; they are removed at its end."""
    made: list[ScratchInstallation] = []
    # Each test has them where the test before had its own: a zygote that is set up for one serves all of them.
    parent = tmp_path_factory.getbasetemp() / "installations"
    parent.mkdir(exist_ok=True)

    def make(engine: str) -> ScratchInstallation:
        folders = (parent / f"{engine}-{number}" for number in itertools.count())
        made.append(installations.new(engine, next(folder for folder in folders if not folder.exists())))
        return made[-1]

    with django_db_blocker.unblock():
        yield make
    for installation in made:
        installation.remove()


@pytest.fixture
def installation(engine: str, new_installation: Callable[[str], ScratchInstallation]) -> ScratchInstallation:
    """A fresh installation on each engine in turn."""
    return new_installation(engine)


@pytest.fixture
def storage(tmp_path: Path, settings: Settings) -> Path:
    """The folder of the ``backups`` storage."""
    folder = tmp_path / "backups"
    options = {**settings.STORAGES["backups"]["OPTIONS"], "location": folder}
    settings.STORAGES = {**settings.STORAGES, "backups": {**settings.STORAGES["backups"], "OPTIONS": options}}
    return folder


@pytest.fixture(scope="session")
def static_files(installations: Installations, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What collectstatic makes, for web servers of installations."""
    folder = tmp_path_factory.mktemp("collected")
    installation = ScratchInstallation("sqlite", folder, f"sqlite:///{folder / 'none.sqlite3'}")
    installation.manage("collectstatic", "--noinput", "--verbosity", "0", check=True)
    return folder / "static"


hypothesis.settings.register_profile(
    "muster",
    max_examples=200 if DEEP else 30,
    deadline=None,  # an example that writes to a database takes what it takes
    # A database fixture serves all examples of a test, each of which empties it first.
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("muster")
MANY = hypothesis.settings(max_examples=500)
"""For laws of functions that need no database."""
