"""Which tables are where."""

from collections.abc import Callable

import pytest
from django.contrib.sessions.models import Session
from django.db import connections, router
from django.db.models import Model
from pytest_django import Settings
from pytest_django.plugin import DjangoDbBlocker

from core.models import Company, Operation
from recordsync.history.databases import history_of, is_history, is_register
from recordsync.models import Block, Commit, Node, Snapshot
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


HISTORY_TABLES = {"django_migrations", "recordsync_block", "recordsync_commit", "recordsync_node"}


def test_sqlite_keeps_each_table_in_one_file(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock():
        register, jobs, history = (
            set(connections[alias].introspection.table_names()) for alias in ("default", "jobs", "history")
        )
    assert jobs == JOBS_TABLES
    assert history == HISTORY_TABLES
    assert {"core_company", "core_backup", "core_backuplog", "auth_permission", "recordsync_snapshot"} <= register
    everywhere = {"django_migrations", "recordsync_commit"}
    assert register & jobs == register & history == jobs & history == everywhere


def test_models_are_routed() -> None:
    assert router.db_for_write(Session) == router.db_for_read(Operation) == "jobs"
    assert router.db_for_write(Block) == router.db_for_read(Node) == "history"
    assert router.db_for_write(Company) == router.db_for_read(Snapshot) == "default"


@pytest.mark.postgres
def test_postgresql_holds_all_tables_in_one_database(
    new_installation: Callable[[str], ScratchInstallation],
) -> None:
    installation = new_installation("postgres")
    with installation.opened() as alias:
        tables = set(connections[alias].introspection.table_names())
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT attstorage FROM pg_attribute WHERE attrelid = 'recordsync_block'::regclass "
                           "AND attname = 'data'")  # fmt: skip
            assert cursor.fetchone() == ("e",), "what is compressed already is not compressed again"
    assert tables > JOBS_TABLES | HISTORY_TABLES | {"core_company"}
    assert installation.manage("migrate", "--check").returncode == 0


@pytest.mark.postgres
@pytest.mark.parametrize(("alias", "own"), [("jobs", JOBS_TABLES), ("history", HISTORY_TABLES)])
def test_each_database_may_be_one_of_its_own_on_a_server(
    new_installation: Callable[[str], ScratchInstallation], alias: str, own: set[str]
) -> None:
    installation, other = new_installation("postgres"), new_installation("postgres")
    for each in (installation, other):
        with each.opened() as register, connections[register].cursor() as cursor:
            cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    installation.env[f"{alias.upper()}_DATABASE_URL"] = other.database_url
    installation.manage("migrate", check=True)
    with installation.opened() as register, other.opened() as beside:
        assert set(connections[beside].introspection.table_names()) == own
        left = set(connections[register].introspection.table_names()) & own
    assert left == {"django_migrations", "recordsync_commit"}
    assert installation.manage("migrate", "--check").returncode == 0


@pytest.mark.parametrize(("alias", "model"), [("jobs", Operation), ("history", Block)])
def test_one_database_is_migrated_once(settings: Settings, alias: str, model: type[Model]) -> None:
    setattr(settings, f"{alias.upper()}_SHARE_DATABASE", True)
    assert router.allow_migrate_model("default", model)
    assert not router.allow_migrate_model(alias, model)
    assert not router.allow_migrate_model(alias, Commit)
    assert not router.allow_migrate_model(alias, Company)
    assert router.db_for_write(model) == alias


@pytest.mark.parametrize(
    ("app", "where"),
    [("core", "default"), ("recordsync", "default"), ("auth", "default"), ("django_tasks_database", "jobs")],
)
def test_code_of_migrations_goes_with_its_app(app: str, where: str) -> None:
    """RunPython and RunSQL may name no model."""
    assert [alias for alias in ("default", "jobs", "history") if router.allow_migrate(alias, app)] == [where]


def test_a_project_needs_no_history_database(settings: Settings) -> None:
    settings.RECORDSYNC_HISTORY = {}
    assert history_of("default") == "default"
    assert is_register("default")
    assert not is_register("jobs")
    assert not is_history("default")
    assert router.db_for_write(Block) == "default"
    for model in (Block, Snapshot, Commit, Company):
        assert router.allow_migrate_model("default", model)
    assert not router.allow_migrate_model("jobs", Block)


def test_each_register_has_a_history_of_its_own(settings: Settings) -> None:
    settings.RECORDSYNC_HISTORY = {"default": "history", "branch": "branch_history"}
    aliases = ["default", "jobs", "history", "branch", "branch_history"]
    assert [alias for alias in aliases if router.allow_migrate_model(alias, Block)] == ["history", "branch_history"]
    assert [alias for alias in aliases if router.allow_migrate_model(alias, Snapshot)] == ["default", "branch"]
    assert [alias for alias in aliases if router.allow_migrate_model(alias, Commit)] == aliases
