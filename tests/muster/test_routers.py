"""Which tables are where."""

from collections.abc import Callable

import pytest
from django.contrib.sessions.models import Session
from django.db import connections, router
from pytest_django import Settings
from pytest_django.plugin import DjangoDbBlocker

from core.models import Company, Operation
from muster.routers import JobsRouter
from tests.running.installation import ScratchInstallation

JOBS_TABLES = {
    "axes_accessattempt",
    "axes_accessattemptexpiration",
    "axes_accessfailurelog",
    "axes_accesslog",
    "core_operation",
    "core_uploadlog",
    "django_migrations",
    "django_session",
    "django_tasks_database_dbtaskresult",
    "recordsync_commit",
}


def test_sqlite_keeps_each_table_in_one_file(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock():
        jobs = set(connections["jobs"].introspection.table_names())
        register = set(connections["default"].introspection.table_names())
    assert jobs == JOBS_TABLES
    assert {"core_company", "core_backup", "core_backuplog", "auth_permission"} <= register
    assert register & jobs == {"django_migrations", "recordsync_commit"}


def test_models_are_routed() -> None:
    assert router.db_for_write(Session) == router.db_for_read(Operation) == "jobs"
    assert router.db_for_write(Company) == "default"


@pytest.mark.postgres
def test_postgresql_holds_all_tables_in_one_database(
    new_installation: Callable[[str], ScratchInstallation],
) -> None:
    with new_installation("postgres").opened() as alias:
        tables = set(connections[alias].introspection.table_names())
    assert tables > JOBS_TABLES | {"core_company"}


def test_one_database_is_migrated_once(settings: Settings) -> None:
    settings.JOBS_SHARE_DATABASE = True
    assert JobsRouter().allow_migrate("default", "sessions")
    assert not JobsRouter().allow_migrate("jobs", "sessions")
    assert JobsRouter().db_for_write(Operation) == "jobs"


def test_code_of_migrations_goes_with_its_app() -> None:
    """RunPython and RunSQL may name no model."""
    assert JobsRouter().allow_migrate("default", "core")
    assert not JobsRouter().allow_migrate("jobs", "core")
    assert JobsRouter().allow_migrate("jobs", "django_tasks_database")
    assert not JobsRouter().allow_migrate("default", "django_tasks_database")
