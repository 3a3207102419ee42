"""An installation of an older version is updated with all that it holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction

from core.models import AttendanceRecord, Company
from tests.builders.days import ABC, FRIDAY, SATURDAY, XYZ, day
from tests.builders.registers import put, register
from tests.running.installation import NewInstallation

BEFORE = "0013_operation_state"
UPDATED = "The program was updated before it finished. Nothing was changed."
KILLED = "The process was killed before it finished. Nothing was changed."

OLD_SHEETS = f"""
import uuid
from django.db import IntegrityError, connections, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
apps = MigrationExecutor(connections["default"]).loader.project_state([("core", "{BEFORE}")]).apps
def one(name, state, message="", imported="", **known):
    now = timezone.now()
    if imported:
        pk = uuid.uuid4()
        apps.get_model("core", "Operation").objects.using("jobs").create(
            id=pk, kind="import", state=imported, message=message, actor_name="meena", log_id=1, started_at=now,
            heartbeat_at=now, finished_at=None if imported == "running" else now,
        )
        known["operation_id"] = pk
    apps.get_model("core", "UploadLog").objects.using("jobs").create(
        id=uuid.uuid4(), actor_id=1, actor_name="meena", filename=name, file="x", size=1, state=state, message=message,
        summary={{"added": 1, "date_order": "month"}}, created_at=now, **known
    )
one("waits", "waiting")
one("is checked", "checking", done=7)
one("checked", "checked")
one("moved", "checked", "The register changed.", "failed")
one("queued", "queued")
one("begins", "applying")
one("died", "applying", imported="running")
one("imported", "imported", imported="succeeded")
one("refused", "failed", "It is no sheet.", finished_at=timezone.now())
one("busy", "failed", "It was in use.", "failed")
one("cancelled", "put_away", "It was cancelled. Nothing was changed.", "cancelled")
one("put away", "put_away", "It was put away. Nothing was changed.")
one("forgotten", "put_away", "Nobody decided about it. Nothing was changed.")
"""

SHEETS = """
import json
from core.models import BackupLog, UploadLog
from core.operations import recovery
recovery.settle_accounts()
sheets = {one.filename: [one.stage, one.message] for one in UploadLog.objects.all()}
known = {(one.date_order, one.actor_name, *one.summary) for one in UploadLog.objects.all()}
print(json.dumps([sheets, sorted(known), list(BackupLog.objects.values_list("success", flat=True))]))
"""

OLD_STATES = f"""
import json
from collections import Counter
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
apps = MigrationExecutor(connections["default"]).loader.project_state([("core", "{BEFORE}")]).apps
print(json.dumps(Counter(apps.get_model("core", "UploadLog").objects.using("jobs").values_list("state", flat=True))))
"""


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_sheets_of_before_stand_as_they_stood(new_installation: NewInstallation, engine: str) -> None:
    """What was at work has failed, and may be tried again; of an import that had begun, its operation tells."""
    installation = new_installation(engine)
    if engine == "sqlite":
        for path in installation.folder.glob("*.sqlite3*"):
            path.unlink()
        installation.manage("migrate", "core", BEFORE, "--database", "jobs", check=True)
    else:
        with installation.opened() as alias, connections[alias].cursor() as cursor:
            cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    installation.manage("migrate", "core", BEFORE, "--database", "default", check=True)
    installation.manage("shell", "--no-imports", "-c", OLD_SHEETS, check=True)
    installation.manage("migrate", check=True)
    done = installation.manage("shell", "--no-imports", "-c", SHEETS, check=True)
    sheets, known, logs = json.loads(done.stdout)
    assert sheets == {
        "waits": ["failed", UPDATED],
        "is checked": ["failed", UPDATED],
        "checked": ["checked", ""],
        "moved": ["checked", "The register changed."],
        "queued": ["failed", UPDATED],
        "begins": ["failed", UPDATED],
        "died": ["failed", KILLED],
        "imported": ["imported", ""],
        "refused": ["failed", "It is no sheet."],
        "busy": ["failed", "It was in use."],
        "cancelled": ["put_away", "It was cancelled. Nothing was changed."],
        "put away": ["put_away", "It was put away. Nothing was changed."],
        "forgotten": ["put_away", "Nobody decided about it. Nothing was changed."],
    }
    assert known == [["month", "meena", "added"]]
    assert logs == [False], "the audit trail is told of the import that died, and of nothing else"
    database = "jobs" if engine == "sqlite" else "default"
    installation.manage("migrate", "core", BEFORE, "--database", database, check=True)
    done = installation.manage("shell", "--no-imports", "-c", OLD_STATES, check=True)
    assert json.loads(done.stdout) == {"failed": 9, "imported": 1, "put_away": 3}, "an older program goes on with them"


BY_EMPLOYEE, BY_DATE = ["company_id", "ep_no", "date"], ["company_id", "date", "ep_no"]
DAYS = register(
    *(
        day(company, number, date)
        for company in (XYZ, ABC)
        for number in ("E10", "E9", "é")
        for date in (SATURDAY, FRIDAY)
    ),
    companies=("Nobody's",),
)


def _rows(alias: str) -> list[list[Any]]:
    return [
        list(model._base_manager.using(alias).order_by("pk").values_list()) for model in (Company, AttendanceRecord)
    ]


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_the_key_is_put_in_another_order_and_the_rows_stay(new_installation: NewInstallation, engine: str) -> None:
    """SQLite rebuilds the table for it, twice; forwards and backwards every row stays as it was, its id too."""
    installation = new_installation(engine)
    with installation.opened() as alias:
        put(alias, DAYS)
        before = _rows(alias)
        for migration, unique in (("0016_backup_type", BY_EMPLOYEE), ("0017_key_order", BY_DATE)):
            connections[alias].close()
            installation.manage("migrate", "core", migration, "--database", "default", check=True)
            assert _rows(alias) == before
            with connections[alias].cursor() as cursor:
                found = connections[alias].introspection.get_constraints(cursor, AttendanceRecord._meta.db_table)
            assert found["attendance_natural_key"]["columns"] == unique
            assert found["attendance_natural_key"]["unique"]
            assert ("attendance_employee" in found, "attendance_company_day" in found) == (
                (True, False) if unique is BY_DATE else (False, True)
            )
            kept = {name for name, one in found.items() if one["check"]}
            assert {"attendance_date_is_a_day", "attendance_status_is_known"} <= kept
            same = AttendanceRecord.objects.using(alias).earliest("pk")
            with pytest.raises(IntegrityError), transaction.atomic(using=alias):
                AttendanceRecord.objects.using(alias).create(
                    company_id=same.company_id, ep_no=same.ep_no, date=same.date, status="P"
                )
