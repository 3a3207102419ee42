"""The triggers are there and as they were made, or it is said which are not."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO

import pytest
from django.apps import apps
from django.db import connections, transaction
from django.db.migrations import Migration
from django.db.models.signals import post_migrate, pre_migrate

from core.models import AttendanceRecord, Company
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA
from recordsync.apps import MigrationPlan
from recordsync.errors import RecordSyncError
from recordsync.history import marks
from recordsync.history.databases import history_of
from recordsync.history.places import ALL, Place
from recordsync.model.schema import Model, Schema
from recordsync.models import Leaf
from tests.builders.days import ABC, FRIDAY, SATURDAY, XYZ, day
from tests.builders.registers import SMALL, a_company, put, register
from tests.properties.test_snapshots import history, take
from tests.recordsync.history.marks import places
from tests.recordsync.history.marks.places import COMPANIES as ALL_COMPANIES
from tests.recordsync.history.marks.places import Spot, execute, spot
from tests.running.commands import run
from tests.running.installation import PROJECT, NewInstallation
from tests.running.postgres_server import client_programs

TABLE = "core_attendancerecord"
EVERYTHING = {(model.name, Place(ALL, ALL)) for model in SCHEMA}
ON_POSTGRES = pytest.mark.parametrize("engine", [pytest.param("postgres", marks=pytest.mark.postgres)])


@pytest.fixture
def made_again(register_db: str) -> Iterator[None]:
    """For a test that spoils triggers."""
    yield
    if marks.faults(register_db, SCHEMA):
        marks.install(register_db, SCHEMA)


RECORDSYNC = apps.get_app_config("recordsync")
SOME: MigrationPlan = [(Migration("0099_some", "core"), False)]


def migrated(alias: str, plan: MigrationPlan = ()) -> str:
    """What is written by what runs after each migrate."""
    written = StringIO()
    post_migrate.send(sender=RECORDSYNC, app_config=RECORDSYNC, using=alias, verbosity=0, stdout=written, plan=plan)
    return written.getvalue()


FAULTS = {
    "sqlite": {
        "dropped": ["DROP TRIGGER recordsync_mark_attendance_records_update"],
        "replaced by another": [
            "DROP TRIGGER recordsync_mark_attendance_records_update",
            f"CREATE TRIGGER recordsync_mark_attendance_records_update AFTER UPDATE ON {TABLE} BEGIN SELECT 1; END",
        ],
        "on another table": [
            "DROP TRIGGER recordsync_mark_companies_rename",
            f"CREATE TRIGGER recordsync_mark_companies_rename AFTER UPDATE ON {TABLE} BEGIN SELECT 1; END",
        ],
        "without the index": ["DROP INDEX recordsync_mark_index"],
        "with an index that keeps nothing apart": [
            "DROP INDEX recordsync_mark_index",
            "CREATE INDEX recordsync_mark_index ON recordsync_dirty (model, parent, slice, generation)",
        ],
        "with the table that Django makes": [
            "DROP TABLE recordsync_dirty",
            "CREATE TABLE recordsync_dirty (id integer PRIMARY KEY AUTOINCREMENT NOT NULL, model varchar(100) NOT NULL,"
            " parent text NOT NULL, slice varchar(10) NOT NULL, generation bigint DEFAULT 0 NOT NULL)",
            'CREATE UNIQUE INDEX "recordsync_mark_index" ON recordsync_dirty (model, parent, slice, generation)',
        ],
        "of a model that is gone": [
            f"CREATE TRIGGER recordsync_mark_rosters_insert AFTER INSERT ON {TABLE} BEGIN SELECT 1; END"
        ],
    },
    "postgres": {
        "dropped": [f"DROP TRIGGER recordsync_mark_update ON {TABLE}"],
        "dropped with their function": ["DROP FUNCTION recordsync_mark_companies CASCADE"],
        "disabled": [f"ALTER TABLE {TABLE} DISABLE TRIGGER recordsync_mark_truncate"],
        "all disabled": [f"ALTER TABLE {TABLE} DISABLE TRIGGER USER"],
        "enabled by halves": [f"ALTER TABLE {TABLE} ENABLE TRIGGER recordsync_mark_insert"],
        "enabled for replicas": [f"ALTER TABLE {TABLE} ENABLE REPLICA TRIGGER recordsync_mark_insert"],
        "once for a row": [
            f"CREATE OR REPLACE TRIGGER recordsync_mark_insert AFTER INSERT ON {TABLE} "
            "FOR EACH ROW EXECUTE FUNCTION recordsync_mark_attendance_records()",
            f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER recordsync_mark_insert",
        ],
        "with other rows": [
            f"CREATE OR REPLACE TRIGGER recordsync_mark_insert AFTER INSERT ON {TABLE} REFERENCING NEW TABLE AS added "
            "FOR EACH STATEMENT EXECUTE FUNCTION recordsync_mark_attendance_records()",
            f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER recordsync_mark_insert",
        ],
        "with a condition": [
            f"CREATE OR REPLACE TRIGGER recordsync_mark_truncate AFTER TRUNCATE ON {TABLE} "
            "FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION recordsync_mark_attendance_records()",
            f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER recordsync_mark_truncate",
        ],
        "of another table's function": [
            f"CREATE OR REPLACE TRIGGER recordsync_mark_truncate AFTER TRUNCATE ON {TABLE} "
            "FOR EACH STATEMENT EXECUTE FUNCTION recordsync_mark_companies()",
            f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER recordsync_mark_truncate",
        ],
        "with another function's body": [
            "CREATE OR REPLACE FUNCTION recordsync_mark_companies() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
            "SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NULL; END'"
        ],
        "run as whoever writes": ["ALTER FUNCTION recordsync_mark_companies() SECURITY INVOKER"],
        "with another search path": ["ALTER FUNCTION recordsync_mark_companies() SET search_path = public"],
    },
}


@pytest.mark.usefixtures("made_again")
@pytest.mark.parametrize(
    ("engine", "fault"),
    [
        pytest.param(engine, fault, marks=pytest.mark.postgres if engine == "postgres" else ())
        for engine, faults in FAULTS.items()
        for fault in faults
    ],
)
def test_a_fault_is_said_and_mended_by_the_next_migrate(register_db: str, engine: str, fault: str) -> None:
    put(register_db, SMALL)
    places.take(register_db)
    assert marks.faults(register_db, SCHEMA) == []
    for statement in FAULTS[engine][fault]:
        execute(register_db, statement)
    found = marks.faults(register_db, SCHEMA)
    assert found
    named = ("The trigger recordsync_mark_", "The index recordsync_mark_", "The table recordsync_dirty ")
    assert all(one.startswith(named) for one in found)
    assert migrated(register_db) == ""
    assert marks.faults(register_db, SCHEMA) == []
    assert marks.read(register_db) >= EVERYTHING
    # They do what they are for.
    before = places.take(register_db)
    Company.objects.using(register_db).filter(name=ABC).update(name="Renamed")
    AttendanceRecord.objects.using(register_db).filter(company__name=XYZ).delete()
    differing = places.differing(before, places.contents(register_db))
    assert len(differing) == 3
    assert places.covered(differing, marks.read(register_db)) == differing


def test_an_operator_marks_everything_as_the_documentation_says(register_db: str) -> None:
    statement = re.search(r"INSERT INTO recordsync_dirty.*?;", (PROJECT / "docs/operators.md").read_text(), re.DOTALL)
    assert statement
    places.take(register_db)
    for _ in range(2):
        execute(register_db, statement[0])
        assert marks.read(register_db) == EVERYTHING


@pytest.mark.parametrize("engine", ["sqlite"])
def test_the_marks_of_a_deletion_cannot_fail(register_db: str) -> None:
    """Otherwise SQLite keeps all pages that the statement changes, which takes as long as to delete the rows."""
    with connections[register_db].cursor() as cursor:
        cursor.execute(f"EXPLAIN DELETE FROM {TABLE} WHERE shift = 'deleted'")
        steps = {step for _number, step, *_rest in cursor.fetchall()}
    assert "Program" in steps
    assert steps.isdisjoint(("Function", "PureFunc", "HaltIfNull"))


def test_what_is_right_is_not_made_again(register_db: str) -> None:
    places.take(register_db)
    assert migrated(register_db) == ""
    assert marks.read(register_db) == frozenset()


@pytest.mark.usefixtures("made_again")
@ON_POSTGRES
def test_only_the_migrations_of_a_register_make_them(register_db: str) -> None:
    """Its history is another connection to the same database."""
    execute(register_db, f"DROP TRIGGER recordsync_mark_update ON {TABLE}")
    migrated(history_of(register_db))
    assert len(marks.faults(register_db, SCHEMA)) == 1


@pytest.mark.usefixtures("made_again")
@pytest.mark.parametrize("label", [ATTENDANCE_RECORDS.label, COMPANIES.label])
@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_table_that_a_migration_builds_anew_gets_them_back(register_db: str, label: str) -> None:
    put(register_db, SMALL)
    before = places.take(register_db)
    model = apps.get_model(label)
    old = model._meta.get_field("updated_at")
    new = old.clone()
    new.set_attributes_from_name("updated_at")
    new.model, new.null = model, True
    with connections[register_db].schema_editor() as editor:
        editor.alter_field(model, old, new)
    assert any("is missing" in fault for fault in marks.faults(register_db, SCHEMA))
    with connections[register_db].schema_editor() as editor:
        editor.alter_field(model, new, old)
    migrated(register_db)
    assert marks.faults(register_db, SCHEMA) == []
    assert places.covered(before, marks.read(register_db)) == before.keys()


@ON_POSTGRES
def test_a_migration_that_writes_a_column_anew_is_seen(register_db: str) -> None:
    """No trigger sees it. Nor does a snapshot that is taken meanwhile make it unseen."""
    put(register_db, SMALL)
    places.take(register_db)
    with transaction.atomic(using=register_db):
        pre_migrate.send(sender=RECORDSYNC, app_config=RECORDSYNC, using=register_db, verbosity=0, plan=SOME)
        assert marks.read(register_db) == EVERYTHING
        before = places.take(register_db)
        execute(register_db, f"ALTER TABLE {TABLE} ALTER COLUMN shift TYPE varchar(50) USING 'anew'")
        assert migrated(register_db, SOME) == ""
        differing = places.differing(before, places.contents(register_db))
        assert places.covered(differing, marks.read(register_db)) == differing != set()
        transaction.set_rollback(True, using=register_db)


def test_the_tables_of_the_history_are_migrated_back_and_forth(engine: str, new_installation: NewInstallation) -> None:
    """The register can be written meanwhile, whatever tables there are, and everything is marked afterwards."""
    installation = new_installation(engine)
    for number, target in enumerate(["0003", "0001", "0002", ""]):
        installation.manage("migrate", "recordsync", *filter(None, [target]), "--verbosity", "0", check=True)
        with installation.opened() as alias:
            a_company(alias, f"Company {number}")
            if target != "0001":
                assert marks.faults(alias, SCHEMA) == []
                assert marks.read(alias) >= EVERYTHING


@pytest.mark.usefixtures("made_again")
@ON_POSTGRES
def test_where_they_may_not_be_made_it_is_said_and_the_migrations_stand(register_db: str) -> None:
    execute(register_db, f"DROP TRIGGER recordsync_mark_update ON {TABLE}")
    with transaction.atomic(using=register_db):
        execute(register_db, "CREATE ROLE who_owns_nothing")
        execute(register_db, "GRANT ALL ON ALL TABLES IN SCHEMA public TO who_owns_nothing")
        execute(register_db, "SET LOCAL ROLE who_owns_nothing")
        assert "only the owner of the register's tables may make them" in migrated(register_db)
        with pytest.raises(RecordSyncError, match="Migrate as the owner"):
            marks.install(register_db, SCHEMA)
        assert marks.faults(register_db, SCHEMA) == [
            f"The trigger recordsync_mark_update of the table {TABLE} is missing."
        ]
        transaction.set_rollback(True, using=register_db)


@ON_POSTGRES
@pytest.mark.parametrize(
    ("past", "said"),
    [
        (f"CREATE TABLE a_part () INHERITS ({TABLE})", "can be written by way of its parts"),
        (f"CREATE TABLE whole (LIKE {TABLE}); ALTER TABLE {TABLE} INHERIT whole", "can be written by way of its parts"),
        (
            f"INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate) VALUES (1, '{TABLE}'::regclass, 'r')",
            "is written by a replication, past the triggers",
        ),
    ],
)
def test_while_tables_are_written_past_them_everything_is_read(register_db: str, past: str, said: str) -> None:
    put(register_db, SMALL)
    take(register_db)
    with transaction.atomic(using=register_db):
        execute(register_db, past)
        state = history(register_db).state()
        assert set(state.dirty.values()) == {None}
        (note,) = state.notes
        assert note.startswith(f"The table {TABLE} {said}")
        assert marks.faults(register_db, SCHEMA) == []
        transaction.set_rollback(True, using=register_db)
    assert take(register_db).notes == ()


@ON_POSTGRES
def test_who_may_only_write_the_register_marks_it_too(register_db: str) -> None:
    """Also where triggers of others do not run."""
    put(register_db, SMALL)
    before = places.take(register_db)
    with transaction.atomic(using=register_db):
        execute(register_db, "CREATE ROLE a_clerk")
        execute(register_db, f"GRANT SELECT, INSERT, UPDATE, DELETE ON core_company, {TABLE} TO a_clerk")
        execute(register_db, "SET LOCAL session_replication_role = replica")
        execute(register_db, "SET LOCAL search_path = ''")
        execute(register_db, "SET LOCAL ROLE a_clerk")
        execute(register_db, f"UPDATE public.{TABLE} SET shift = 'changed'")
        execute(register_db, "UPDATE public.core_company SET name = 'Renamed' WHERE name = 'ABC Corp'")
        execute(register_db, "RESET ROLE")
        execute(register_db, "SET LOCAL search_path = public")
        differing = places.differing(before, places.contents(register_db))
        assert len(differing) == 3
        assert places.covered(differing, marks.read(register_db)) == differing
        transaction.set_rollback(True, using=register_db)


@ON_POSTGRES
def test_dates_that_no_file_can_hold_are_marked_as_all_of_the_company(register_db: str) -> None:
    company = a_company(register_db)
    with transaction.atomic(using=register_db):
        places.take(register_db)
        put_date = f"INSERT INTO {TABLE} (company_id, date, ep_no, ep_name, shift, status, created_at, updated_at) "
        for number, date in enumerate(("infinity", "0044-03-15 BC", "10000-01-01")):
            values = f"VALUES (%s, '{date}', '{number}', '', '', 'P', now(), now())"
            execute(register_db, put_date + values, company.pk)
        everywhere = ("attendance_records", Place(str(company.pk), ALL))
        assert marks.read(register_db) == {everywhere}
        assert places.mismatches(register_db) == {everywhere}
        transaction.set_rollback(True, using=register_db)


WITHOUT_DATES = replace(ATTENDANCE_RECORDS, partition=("company_name",))
WHOLE = replace(ATTENDANCE_RECORDS, partition=())


@pytest.mark.usefixtures("made_again")
@pytest.mark.parametrize(
    ("model", "of_rows", "of_company"),
    [
        (ATTENDANCE_RECORDS, "{pk} 2026-11-15", "{pk} *"),
        (WITHOUT_DATES, "{pk} ", "{pk} *"),
        (WHOLE, " ", "* *"),
    ],
    ids=["by company and slice", "by company", "whole"],
)
def test_places_are_those_of_the_declaration(register_db: str, model: Model, of_rows: str, of_company: str) -> None:
    schema = SCHEMA if model is ATTENDANCE_RECORDS else Schema((COMPANIES, model))
    put(register_db, register(day(ABC, "E1", FRIDAY), day(ABC, "E1", SATURDAY)))
    if model is not ATTENDANCE_RECORDS:
        assert marks.faults(register_db, schema)
        marks.install(register_db, schema)
    company = Company.objects.using(register_db).get()

    def expected(text: str) -> set[Spot]:
        return {(model.name, Place(*text.format(pk=company.pk).split(" ")))}

    places.take(register_db)
    AttendanceRecord.objects.using(register_db).filter(date=SATURDAY).delete()
    assert marks.read(register_db) == expected(of_rows)
    assert set(marks.mismatches(register_db, schema)) >= expected(of_rows)
    places.take(register_db)
    a_company(register_db, "Another")
    assert marks.read(register_db) == {ALL_COMPANIES}
    company.name = "Renamed"
    company.save()
    its_seals = {("seals", Place(str(company.pk), ALL))} if schema is SCHEMA else set()
    assert marks.read(register_db) == {ALL_COMPANIES} | expected(of_company) | its_seals
    marks.install(register_db, SCHEMA)


@pytest.mark.parametrize("model", [ATTENDANCE_RECORDS, WHOLE], ids=["by company", "whole"])
def test_rows_without_a_company_are_in_no_place(register_db: str, model: Model) -> None:
    schema = SCHEMA if model is ATTENDANCE_RECORDS else Schema((COMPANIES, model))
    put(register_db, SMALL)

    def miscounted() -> int:
        if model is WHOLE:
            leaves = Leaf.objects.using(register_db).filter(model=model.name)
            count = sum(leaf.count for leaf in leaves)
            leaves.delete()
            Leaf.objects.using(register_db).create(model=model.name, parent="", slice="", digest="-", count=count)
        return len([name for name, _place in marks.mismatches(register_db, schema) if name == model.name])

    with transaction.atomic(using=register_db):
        places.take(register_db)
        execute(register_db, "DELETE FROM core_company WHERE name = %s", XYZ)
        assert miscounted() == 1
        places.take(register_db)
        assert miscounted() == 0
        transaction.set_rollback(True, using=register_db)


@pytest.mark.postgres
def test_a_dump_that_is_restored_elsewhere_has_them(new_installation: NewInstallation) -> None:
    """Marks, leaves and counts, too; and where rows were left out, their places are said."""
    programs, old = client_programs(), new_installation("postgres")
    with old.opened() as alias:
        put(alias, SMALL)
        places.take(alias)
        AttendanceRecord.objects.using(alias).filter(company__name=ABC, date=SATURDAY).delete()
        marked, missing = marks.read(alias), places.mismatches(alias)
        written = spot(Company.objects.using(alias).get(name=XYZ).pk, FRIDAY)
    assert marked == missing
    for options in ([], ["--exclude-table-data=core_attendancerecord"]):
        new = new_installation("postgres")
        dump = subprocess.run(
            [str(programs / "pg_dump"), "--clean", "--if-exists", *options, old.database_url],
            capture_output=True,
            check=True,
        )
        psql = [str(programs / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", new.database_url]
        subprocess.run(psql, input=dump.stdout, capture_output=True, check=True)
        with new.opened() as alias:
            assert marks.faults(alias, SCHEMA) == []
            assert marks.read(alias) >= marked
            if options:
                assert places.mismatches(alias) > missing
            else:
                assert places.mismatches(alias) == missing
                AttendanceRecord.objects.using(alias).filter(company__name=XYZ).update(shift="N")
                assert written in marks.read(alias)


def test_an_installation_is_emptied_by_djangos_flush(new_installation: NewInstallation) -> None:
    """It tells of a migration, without a plan. The history that it empties as well begins anew."""
    installation = new_installation("sqlite")
    with installation.opened() as alias:
        put(alias, SMALL)
    for command in (["backup_data"], ["flush", "--no-input"], ["backup_data"]):
        done = run(installation, *command)
        assert done.code == 0, done.err
    assert run(installation, "history", "verify", "--register").out.endswith("Nothing is wrong.\n")
