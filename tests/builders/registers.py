"""Registers as plain data, which Django's ORM alone writes to a database and reads back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import connections

from core.models import AttendanceRecord, BackupLog, Company, Installation, Seal, User
from tests.builders.days import ABC, MINUTES, SATURDAY, TIMES, XYZ, Content, Key, day, key_of
from tests.running import databases

LONG_AGO = dt.datetime(2020, 5, 1, 6, 30, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Stamps:
    """A row's timestamps."""

    created_at: dt.datetime = LONG_AGO
    updated_at: dt.datetime = LONG_AGO


@dataclass(frozen=True)
class RegisterData:
    """Companies by name, records by key, seals, and the timestamps of each row that are not ``LONG_AGO``."""

    companies: tuple[str, ...] = ()
    records: Mapping[Key, Content] = field(default_factory=dict)
    seals: tuple[Content, ...] = ()
    company_stamps: Mapping[str, Stamps] = field(default_factory=dict)
    record_stamps: Mapping[Key, Stamps] = field(default_factory=dict)

    def company_stamp(self, name: str) -> Stamps:
        return self.company_stamps.get(name, Stamps())

    def record_stamp(self, key: Key) -> Stamps:
        return self.record_stamps.get(key, Stamps())

    def having(self, records: Mapping[Key, Content]) -> RegisterData:
        """A register with these records instead, and with every company that they need."""
        names = {*self.companies, *(key[0] for key in records)}
        return replace(self, companies=tuple(sorted(names)), records=records)


def register(*days: Content, companies: tuple[str, ...] = ()) -> RegisterData:
    """The register of these days: their companies, and these ``companies``, which may have no days."""
    return RegisterData(companies).having({key_of(content): content for content in days})


SMALL = register(day(), day(date=SATURDAY), day(XYZ, shift="N", in_time="22:00:00", out_time="06:00:00"))


def put(alias: str, register: RegisterData) -> None:
    """Add the rows of a register to a database."""
    companies = [Company(name=name, **_stamps(register.company_stamp(name))) for name in sorted(register.companies)]
    Company.objects.using(alias).bulk_create(companies)
    ids = dict(Company.objects.using(alias).values_list("name", "pk"))
    rows = [
        AttendanceRecord(**columns(content, ids), **_stamps(register.record_stamp(key)))
        for key, content in register.records.items()
    ]
    AttendanceRecord.objects.using(alias).bulk_create(rows)
    for content in register.seals:
        Seal.objects.using(alias).create(**seal_columns(content, ids), **_stamps(Stamps()))


def put_day(alias: str, content: Content) -> AttendanceRecord:
    """The row of this day, whose register is added to an empty database."""
    put(alias, register(content))
    return AttendanceRecord.objects.using(alias).get()


def columns(content: Content, company_ids: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the model's fields for a record that is given as texts."""
    values: dict[str, Any] = dict(content)
    values["company_id"] = company_ids[values.pop("company_name")]
    values["date"] = dt.date.fromisoformat(values["date"])
    for name in TIMES:
        values[name] = None if values[name] is None else dt.time.fromisoformat(values[name])
    for name in MINUTES:
        if values[name] is not None:
            hours, minutes = values[name].split(":")
            values[name] = int(hours) * 60 + int(minutes)
    return values


def seal_columns(content: Content, company_ids: Mapping[str, Any]) -> dict[str, Any]:
    """As :func:`columns`, for a seal."""
    values: dict[str, Any] = dict(content)
    values["company_id"] = company_ids[values.pop("company_name")]
    values["month"] = dt.date.fromisoformat(values["month"])
    for name in ("closed_at", "reopened_at"):
        values[name] = None if values[name] is None else dt.datetime.fromisoformat(values[name])
    return values


def _stamps(stamps: Stamps) -> dict[str, dt.datetime]:
    return {"created_at": stamps.created_at, "updated_at": stamps.updated_at}


@dataclass(frozen=True)
class Row:
    """One row as it is in the database. ``content`` is empty for a company."""

    pk: Any
    created_at: dt.datetime
    updated_at: dt.datetime
    content: Content


@dataclass(frozen=True)
class Rows:
    """A register as it is in a database."""

    companies: Mapping[str, Row]
    records: Mapping[Key, Row]
    seals: Mapping[Key, Content] = field(default_factory=dict)

    @property
    def contents(self) -> dict[Key, Content]:
        return {key: row.content for key, row in self.records.items()}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.companies))


def rows(alias: str) -> Rows:
    """Every company and every record of a database."""
    companies = {
        company.name: Row(company.pk, company.created_at, company.updated_at, {})
        for company in Company.objects.using(alias)
    }
    assert len(companies) == Company.objects.using(alias).count()
    names = {row.pk: name for name, row in companies.items()}
    records: dict[Key, Row] = {}
    for record in AttendanceRecord.objects.using(alias):
        content = texts(record, names[record.company_id])
        records[key_of(content)] = Row(record.pk, record.created_at, record.updated_at, content)
    assert len(records) == AttendanceRecord.objects.using(alias).count(), "two rows of one key"
    seals: dict[Key, Content] = {}
    for seal in Seal.objects.using(alias):
        content = seal_texts(seal, names[seal.company_id])
        seals[str(content["company_name"]), str(content["month"]), str(content["closed_at"])] = content
    return Rows(companies, records, seals)


def texts(record: AttendanceRecord, company_name: str) -> Content:
    """The content of a row as texts."""
    content: dict[str, str | None] = {
        "ep_no": record.ep_no,
        "ep_name": record.ep_name,
        "company_name": company_name,
        "date": record.date.isoformat(),
        "shift": record.shift,
        "status": record.status,
    }
    for name in TIMES:
        time = getattr(record, name)
        content[name] = None if time is None else time.isoformat()
    for name in MINUTES:
        minutes = getattr(record, name)
        content[name] = None if minutes is None else f"{minutes // 60:02}:{minutes % 60:02}"
    return content


def seal_texts(seal: Seal, company_name: str) -> Content:
    """The content of a seal as texts."""
    moments = {"closed_at": seal.closed_at, "reopened_at": seal.reopened_at}
    return {
        "company_name": company_name,
        "month": seal.month.isoformat(),
        **{name: moment and f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}" for name, moment in moments.items()},
        **{name: getattr(seal, name) for name in ("closed_by", "closed_as", "digest", "reopened_by")},
    }


def everything(alias: str) -> dict[str, list[Any]]:
    """Every row of every table of a database, with ids and timestamps, but without what an operation leaves that
    changes nothing: the audit trail, the engine's own tables, and what the installation is called."""
    connection = connections[alias]
    found: dict[str, list[Any]] = {}
    with connection.cursor() as cursor:
        for table in databases.tables(alias):
            if table not in _OF_OPERATIONS and not table.startswith("recordsync_"):
                cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)} ORDER BY 1")
                found[table] = cursor.fetchall()
    return found


_OF_OPERATIONS = (BackupLog._meta.db_table, Installation._meta.db_table)
_TABLES = (
    "core_attendancerecord",
    "core_seal",
    "core_user",
    "core_company",
    "core_backup",
    "core_backuplog",
    "core_installation",
)


def empty(alias: str) -> None:
    """Empty the tables of a register that a test of the services writes. This is quicker than emptying all tables."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        for table in _TABLES:
            cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")


def an_account(alias: str, company: str) -> User:
    """An account of a company. The company then cannot be deleted."""
    return User.objects.using(alias).create(username="meena", company=Company.objects.using(alias).get(name=company))


def a_company(alias: str, name: str = ABC) -> Company:
    return Company.objects.using(alias).create(name=name)
