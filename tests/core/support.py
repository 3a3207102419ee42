"""A small register to take backups of, and the services on it."""

from __future__ import annotations

import io
import sqlite3
import uuid
from typing import Any

import psycopg
from django.db import OperationalError

from core.backups.backup_service import BackupService
from core.models import BackupLog, Company, Installation, Operation
from core.operations.results import BackupResult, RestoreResult
from core.operations.run import JOBS
from core.register import database
from core.restores.restore_service import RestoreService
from tests.properties.files import File, a_file
from tests.properties.registers_content import Content, Register, key_of

FRIDAY, SATURDAY = "2026-11-20", "2026-11-21"
ABC, XYZ = "ABC Corp", "XYZ Ltd"


def day(company: str = ABC, ep_no: str = "E1", date: str = FRIDAY, **fields: str | None) -> Content:
    """A record's content: a day's work, or as ``fields`` say."""
    worked: dict[str, str | None] = {
        "company_name": company, "ep_no": ep_no, "date": date, "ep_name": "Meena", "shift": "GS", "status": "P",
        "in_time": "09:00:00", "out_time": "18:00:00", "in_time_2": None, "out_time_2": None, "in_time_3": None,
        "out_time_3": None, "overstay": None, "overtime": "01:30", "overtime_to_mandays": None,
    }  # fmt: skip
    return {**worked, **fields}


def register(*days: Content, companies: tuple[str, ...] = ()) -> Register:
    return Register(companies).having({key_of(content): content for content in days})


SMALL = register(day(), day(date=SATURDAY), day(XYZ, shift="N", in_time="22:00:00", out_time="06:00:00"))


def backup(alias: str, *args: Any, **options: Any) -> BackupResult:
    options.setdefault("output", io.BytesIO())
    return BackupService(register=database.Register(alias)).create_backup(*args, **options)


def restore(alias: str, file: File, *args: Any, **options: Any) -> RestoreResult:
    return RestoreService(register=database.Register(alias)).restore_backup(file.stream(), *args, **options)


def the_log(alias: str) -> BackupLog:
    return BackupLog.objects.using(alias).get()


def the_operation() -> Operation:
    return Operation.objects.using(JOBS).get()


def own_file(alias: str, content: Register, **metadata: Any) -> File:
    """A file that says that this installation wrote it."""
    return a_file(content, installation={"id": str(Installation.current(alias).id), "name": "Here"}, **metadata)


def a_company(alias: str, name: str = ABC) -> Company:
    return Company.objects.using(alias).create(name=name)


def some_id() -> str:
    return str(uuid.uuid4())


def database_error(code: str | type[psycopg.Error], text: str = "पाठ") -> OperationalError:
    """What Django makes of an error that SQLite calls by this name, or of one of PostgreSQL's; its text is in any
    language."""
    error = OperationalError(text)
    if isinstance(code, str):
        error.__cause__ = sqlite3.OperationalError(text)
        error.__cause__.sqlite_errorname = code
    else:
        error.__cause__ = code(text)
    return error
