"""The tables: companies, accounts and attendance; months that were closed; exceptions that were looked at; backups and
the audit trail; operations and uploads.

The query sets say who sees which rows (``visible_to``).

Every model here is either declared in :mod:`core.register.declared` as part of a backup, or listed there as
left out, with the reason. A test checks this.

Timestamps use ``default=timezone.now`` and explicit values, never ``auto_now``: bulk writes would
replace an explicit ``auto_now_add`` value and would never refresh an ``auto_now`` one.
"""

from core.models.accounts import MusterUserManager, Role, User
from core.models.attendance import (
    MINUTE_FIELDS,
    MISSING_PUNCH,
    TIME_FIELDS,
    AttendanceQuerySet,
    AttendanceRecord,
    Company,
    CompanyQuerySet,
    Status,
    days_visible_to,
)
from core.models.backups import Backup, BackupLog
from core.models.constraints import AsWritten, length_between, one_of
from core.models.exceptions import ExceptionKind, SeenException
from core.models.installation import Installation
from core.models.kinds import Kind, Phase
from core.models.operations import JOBS, Operation, UploadLog
from core.models.seals import Seal, SealQuerySet

__all__ = [
    "JOBS",
    "MINUTE_FIELDS",
    "MISSING_PUNCH",
    "TIME_FIELDS",
    "AsWritten",
    "AttendanceQuerySet",
    "AttendanceRecord",
    "Backup",
    "BackupLog",
    "Company",
    "CompanyQuerySet",
    "ExceptionKind",
    "Installation",
    "Kind",
    "MusterUserManager",
    "Operation",
    "Phase",
    "Role",
    "Seal",
    "SealQuerySet",
    "SeenException",
    "Status",
    "UploadLog",
    "User",
    "days_visible_to",
    "length_between",
    "one_of",
]
