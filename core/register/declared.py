"""The declaration of the models that a backup holds: their natural keys, fields and units.

Everything that the engine knows about attendance comes from here.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from django.db import models
from django.db.models import Exists, OuterRef, Q

from core.models import MINUTE_FIELDS, TIME_FIELDS, AttendanceRecord, Seal, Status
from recordsync.model.fields import Choice, Date, Minutes, Text, Time, Timestamp
from recordsync.model.schema import Field, Model, Schema
from recordsync.stores import Filters

DayText = Annotated[str, msgspec.Meta(pattern=str(Date().json_schema()["pattern"]))]


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the register: some companies (None: all), from one day to another, both inclusive."""

    companies: list[str] | None = None
    date_from: DayText | None = None
    date_to: DayText | None = None


# All fields of a kind share one type, which remembers the texts that it has found legal.
_TIME: Final = Time(nullable=True)
_MINUTES: Final = Minutes(nullable=True)

COMPANIES: Final = Model(
    name="companies", label="core.Company", key=(Field("name", Text(min_length=1, max_length=255)),)
)

ATTENDANCE_RECORDS: Final = Model(
    name="attendance_records",
    label="core.AttendanceRecord",
    key=(
        Field("company_name", Text(min_length=1, max_length=255), column="company", references="companies"),
        Field("date", Date()),
        Field("ep_no", Text(min_length=1, max_length=50)),
    ),
    spelling=("company_name", "ep_no", "date"),
    partition=("company_name", "date"),
    fields=(
        Field("ep_name", Text(max_length=255)),
        Field("shift", Text(max_length=50)),
        Field("status", Choice(Status.values)),
        *(Field(name, _TIME) for name in TIME_FIELDS),
        *(Field(name, _MINUTES) for name in MINUTE_FIELDS),
    ),
    # A merge takes each unit whole from one side, so that it never makes up a day that nobody worked.
    units={
        "name": ("ep_name",),
        "shift": ("shift",),
        "day": ("status", "overstay", *TIME_FIELDS),
        "overtime": ("overtime", "overtime_to_mandays"),
    },
)

SEALS: Final = Model(
    name="seals",
    label="core.Seal",
    key=(
        Field("company_name", Text(min_length=1, max_length=255), column="company", references="companies"),
        Field("month", Date()),
        Field("closed_at", Timestamp()),
    ),
    partition=("company_name",),
    fields=(
        Field("closed_by", Text(min_length=1, max_length=150)),
        Field("closed_as", Text(min_length=1, max_length=255)),
        Field("digest", Text(min_length=64, max_length=64)),
        Field("reopened_at", Timestamp(nullable=True)),
        Field("reopened_by", Text(max_length=150)),
    ),
    units={"closing": ("closed_by", "closed_as", "digest"), "reopening": ("reopened_at", "reopened_by")},
)

SCHEMA: Final = Schema((COMPANIES, ATTENDANCE_RECORDS, SEALS), selection=Selection)

LEFT_OUT: Final = {
    "core.User": "Passwords and rights do not travel: each installation has its own accounts.",
    "core.Installation": "Says which installation this is; a copy of it would be a lie. Every file names its origin.",
    "core.Backup": "The catalogue of this installation's backup files; another one has other files.",
    "core.BackupLog": "The audit trail of what was done here.",
    "core.Operation": "What is running here now.",
    "core.SeenException": "What people here have looked at; whoever works elsewhere looks for themselves.",
    "core.UploadLog": "Sheets that were sent to this installation; their rows are in the backups.",
    "recordsync.Commit": "Which transactions were committed here within the last hour.",
    "recordsync.Block": "The history here, of which files carry what they need.",
    "recordsync.Node": "The history here, of which files carry what they need.",
    "recordsync.Snapshot": "The history here, of which files carry what they need.",
    "recordsync.Head": "Where this register is in its history.",
    "recordsync.HeadMove": "Where this register was in its history.",
    "recordsync.Leaf": "What the head's tree says of this register.",
    "recordsync.Dirty": "Where this register was written to since its head.",
    "recordsync.Generation": "Which marks of this register are new.",
    "auth.Group": "Rights do not travel; Muster grants them by role.",
    "auth.Permission": "Made by the migrations.",
    "contenttypes.ContentType": "Made by the migrations.",
    "admin.LogEntry": "The audit trail of the admin site here.",
    "sessions.Session": "Who is signed in here now.",
    "axes.AccessAttempt": "Wrong passwords tried here.",
    "axes.AccessAttemptExpiration": "Wrong passwords tried here.",
    "axes.AccessFailureLog": "Wrong passwords tried here.",
    "axes.AccessLog": "Who signed in here.",
    "django_tasks_database.DBTaskResult": "The queue of background jobs here.",
}
"""Models that no backup holds, each with the reason. A test checks that every model is either here or declared."""


RecordContent = Mapping[str, str | None]
"""A record's fields as texts, as they stand in a file."""

NOT_CONTENT: Final = frozenset({"checksum", "created_at", "updated_at", "id"})
"""The names in a record of a file that are not fields of its content."""


def content_of(row: models.Model) -> dict[str, str | None]:
    """The content of a company or attendance record: its texts by field name, as they stand in a file."""
    model = next(model for model in SCHEMA if model.label == row._meta.label)
    values = ((name, field, getattr(row, field.source)) for name, field in model.all_fields.items())
    return {name: value.name if field.references else field.type.to_text(value) for name, field, value in values}


def filters(selection: Selection | None = None, changed_since: object = None) -> Filters:
    """The filter of each declared model for the rows that a selection (None: all) includes and that have changed at or
    after ``changed_since`` (a datetime; None: at any time). Reads nothing.

    A company is included if it is selected or if an included record refers to it; with ``changed_since`` also if it
    has changed itself. The seal of a month is included with the whole month.
    """
    records, seals = Q(), Q()
    names = selection.companies if selection else None
    if names is not None:
        records &= Q(company__name__in=names)
        seals &= Q(company__name__in=names)
    if selection and selection.date_from:
        records &= Q(date__gte=selection.date_from)
        seals &= Q(month__gte=selection.date_from)
    if selection and selection.date_to:
        records &= Q(date__lte=selection.date_to)
        seals &= _whole_months_until(selection.date_to)
    dated = bool(selection and (selection.date_from or selection.date_to))
    if changed_since is not None:
        records &= Q(updated_at__gte=changed_since)
        seals &= Q(updated_at__gte=changed_since)
    of_company = {"company": OuterRef("pk")}
    named = Q(Exists(AttendanceRecord.objects.filter(records, **of_company)))
    named |= Q(Exists(Seal.objects.filter(seals, **of_company)))
    companies = Q()
    if names is not None:
        companies &= Q(name__in=names)
    if changed_since is not None:
        companies &= named | Q(updated_at__gte=changed_since)
    elif dated and names is None:
        companies &= named
    return {COMPANIES.name: companies, ATTENDANCE_RECORDS.name: records, SEALS.name: seals}


def _whole_months_until(until: str) -> Q:
    """The filter of the months that end by this day, by their first day."""
    day = dt.date.fromisoformat(until)
    ends = day.day == calendar.monthrange(day.year, day.month)[1]
    return Q(**{"month__lte" if ends else "month__lt": day.replace(day=1)})
