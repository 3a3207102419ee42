"""What tests look at in an installation: digests of its register, its operations and audit rows, its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.apps import apps

from core.models import AttendanceRecord, BackupLog, Company, Operation, Seal, User
from core.operations.traits import UNAUDITED
from core.register.declared import ATTENDANCE_RECORDS, COMPANIES, SCHEMA, SEALS
from recordsync.backupfile import check_backup
from recordsync.model.schema import Field, Model
from tests.running.installation import ScratchInstallation


def state(alias: str) -> str:
    """The digest of every row that a backup or a restore must leave alone: ids and timestamps included."""
    digest = hashlib.sha256()
    for model in (Company, AttendanceRecord, Seal, User):
        for row in model._base_manager.using(alias).order_by("pk").values_list().iterator():
            digest.update(repr(row).encode())
    return digest.hexdigest()


def content(alias: str) -> str:
    """The digest of the register as content: no ids, no timestamps; the same on every engine."""
    lines: list[str] = []
    for model in (ATTENDANCE_RECORDS, SEALS):
        rows = apps.get_model(model.label)._base_manager.using(alias).values_list("company__name", *_columns(model))
        lines += sorted(json.dumps(row, default=str) for row in rows.iterator())
    lines += sorted(Company.objects.using(alias).values_list("name", flat=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _columns(model: Model) -> dict[str, Field]:
    """The fields of a model that refers to companies, by column and without the company."""
    return {field.source: field for field in model.all_fields.values() if not field.references}


def state_of(installation: ScratchInstallation) -> str:
    with installation.opened() as alias:
        return state(alias)


def content_of(installation: ScratchInstallation) -> str:
    with installation.opened() as alias:
        return content(alias)


@contextmanager
def jobs_of(installation: ScratchInstallation) -> Iterator[str]:
    """A database alias that leads to the installation's jobs database."""
    url = installation.database_url
    if installation.engine == "sqlite":
        url = url.replace("muster.sqlite3", "muster-jobs.sqlite3")
    with ScratchInstallation(installation.engine, installation.folder, url).opened() as alias:
        yield alias


@dataclass(frozen=True)
class Accounts:
    """The audited operations of an installation: their outcomes, and the audit rows."""

    outcomes: dict[str, str]
    success: dict[str, bool]
    messages: dict[str, str]

    def assert_settled(self) -> None:
        """Assert that no operation counts as running, and that each has an audit row that agrees with it."""
        assert Operation.State.RUNNING not in self.outcomes.values()
        assert {pk: outcome == Operation.State.SUCCEEDED for pk, outcome in self.outcomes.items()} == self.success
        assert all(self.messages[pk] for pk, success in self.success.items() if not success)


def accounts(installation: ScratchInstallation) -> Accounts:
    with installation.opened() as alias, jobs_of(installation) as jobs:
        logs = list(BackupLog.objects.using(alias))
        return Accounts(
            {
                str(operation.pk): operation.state
                for operation in Operation.objects.using(jobs).exclude(kind__in=UNAUDITED)
            },
            {str(log.operation_id): log.success for log in logs},
            {str(log.operation_id): log.error_message for log in logs},
        )


def last_log(installation: ScratchInstallation) -> BackupLog:
    """The newest audit row."""
    with installation.opened() as alias:
        return BackupLog.objects.using(alias).order_by("-pk")[0]


def assert_whole(folder: Path) -> int:
    """The number of backup files under a final name. Asserts that each is valid."""
    found = list(folder.glob("*.json*"))
    for path in found:
        assert_valid(path)
    return len(found)


def assert_valid(path: Path) -> dict[str, int]:
    """The number of entries in a backup file, by model. Asserts that the file is valid."""
    with path.open("rb") as stream:
        return check_backup(stream, SCHEMA).counts


def file_content(path: Path) -> str:
    """What :func:`content` returns for the register that this full file holds."""
    lines: list[str] = []
    with path.open("rb") as stream:
        file = check_backup(stream, SCHEMA)
        for model in (ATTENDANCE_RECORDS, SEALS):
            columns = _columns(model).values()
            rows = map(model.shape().content, file.records(model))
            values = ([row["company_name"], *(of.type.to_python(row[of.name]) for of in columns)] for row in rows)
            lines += sorted(json.dumps(row, default=str) for row in values)
        lines += [record.key[0] for record in file.records(COMPANIES)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def leftovers(*folders: Path) -> list[Path]:
    """Temporary files of Muster that still exist in these folders."""
    return [path for folder in folders for path in folder.glob("*") if path.name.startswith((".muster-", "tmp"))]
