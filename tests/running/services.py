"""The services, run on streams in memory, and the rows that they leave in the database."""

from __future__ import annotations

import io
import sqlite3
import uuid
from typing import Any

import psycopg
from django.db import OperationalError

from core.backups.backup_service import BackupService
from core.models import JOBS, BackupLog, Installation, Operation
from core.operations.results import BackupResult, RestoreResult
from core.register.database import Register
from core.restores.restore_service import RestoreService
from core.sheets.import_service import ImportResult, ImportService
from tests.builders.files import File, file
from tests.builders.registers import RegisterData
from tests.builders.sheets import as_csv, table


def backup(alias: str, *args: Any, **options: Any) -> BackupResult:
    options.setdefault("output", io.BytesIO())
    return BackupService(register=Register(alias)).create_backup(*args, **options)


def backup_bytes(alias: str, *args: Any, **options: Any) -> tuple[bytes, BackupResult]:
    """The bytes of a backup of this register, and the result of the service."""
    out = io.BytesIO()
    result = backup(alias, *args, output=out, **options)
    return out.getvalue(), result


def restore(alias: str, file: File | bytes, *args: Any, **options: Any) -> RestoreResult:
    """The result of a restore, which merges a file into this register."""
    data = file if isinstance(file, bytes) else file.encode()
    return RestoreService(register=Register(alias)).restore_backup(io.BytesIO(data), *args, **options)


def imported(alias: str, *rows: dict[str, str], **options: Any) -> ImportResult:
    return ImportService(register=Register(alias)).apply(as_csv(table(*rows, **options)))


def the_log(alias: str) -> BackupLog:
    return BackupLog.objects.using(alias).get()


def the_operation() -> Operation:
    return Operation.objects.using(JOBS).get()


def own_file(alias: str, content: RegisterData, **metadata: Any) -> File:
    """A file that names this installation as its maker."""
    return file(content, installation={"id": str(Installation.current(alias).id), "name": "Here"}, **metadata)


def some_id() -> str:
    return str(uuid.uuid4())


def database_error(code: str | type[psycopg.Error], text: str = "पाठ") -> OperationalError:
    """The error that Django raises for an SQLite error of this name, or for this PostgreSQL error. Its text may be in
    any language."""
    error = OperationalError(text)
    if isinstance(code, str):
        error.__cause__ = sqlite3.OperationalError(text)
        error.__cause__.sqlite_errorname = code
    else:
        error.__cause__ = code(text)
    return error
