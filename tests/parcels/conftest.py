"""The databases of the parcels, made once."""

import os
from collections.abc import Iterator

import hypothesis
import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections, transaction
from django.test import override_settings
from psycopg import sql
from pytest_django.plugin import DjangoDbBlocker

from recordsync.stores import tables
from tests.parcels.declared import SCHEMA

DEEP = os.environ.get("MUSTER_TEST_DEEP") == "1"
hypothesis.settings.register_profile(
    "parcels",
    max_examples=100 if DEEP else 12,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("parcels")
FEW = hypothesis.settings(max_examples=50 if DEEP else 6)
"""For laws whose examples take long."""


@pytest.fixture(scope="session")
def migrated(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """All databases, with their tables."""
    with django_db_blocker.unblock():
        if "pg" in settings.DATABASES:
            name = sql.Identifier(settings.DATABASES["pg"]["NAME"])
            with psycopg.connect(os.environ["MUSTER_TEST_PG_URL"], autocommit=True) as connection:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(name))
                connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        for alias in ("default", "history"):
            call_command("migrate", database=alias, run_syncdb=True, verbosity=0)
        if "pg" in settings.DATABASES:  # where the history is another connection to the register's database
            with override_settings(HISTORY_SHARE_DATABASE=True):
                call_command("migrate", database="pg", run_syncdb=True, verbosity=0)
        yield
        connections.close_all()


@pytest.fixture(params=["default", pytest.param("pg", marks=pytest.mark.postgres)])
def alias(request: pytest.FixtureRequest, migrated: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The alias of an empty register on each engine in turn."""
    with django_db_blocker.unblock():
        empty(request.param)
        yield request.param


@pytest.fixture
def aliases(migrated: None, django_db_blocker: DjangoDbBlocker) -> Iterator[tuple[str, ...]]:
    """The alias of a register on each engine that there is."""
    with django_db_blocker.unblock():
        yield tuple(alias for alias in ("default", "pg") if alias in settings.DATABASES)


def empty(alias: str) -> None:
    """Delete every row of what is declared."""
    with transaction.atomic(using=alias):
        for table in reversed(tables(SCHEMA)):
            table._base_manager.using(alias).all().delete()
