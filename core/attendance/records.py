"""Attendance records changed by hand: one added, changed or deleted, or all of them deleted."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from django.db import IntegrityError
from django.utils import timezone
from django.utils.translation import gettext as _

from core.attendance.seals import require_all_open, require_open
from core.backups import catalogue
from core.backups.backup_service import BackupService
from core.models import AttendanceQuerySet, AttendanceRecord, Backup, Company, Kind, Operation, Phase, User
from core.operations import holding
from core.operations import queue as jobs
from core.operations import run as operations
from core.operations.by_hand import changing
from core.operations.errors import NOTHING_CHANGED, NOTHING_SAVED, DataMoved, LazyText, OperationFailed, is_taken
from core.operations.results import BackupResult
from core.operations.run import Actor
from core.operations.wording import shown_day
from core.register.database import DEFAULT, Register
from core.register.declared import ATTENDANCE_RECORDS, RecordContent, content_of
from core.services.conflict_resolver import ConflictResolver

logger = logging.getLogger(__name__)


class AlreadyThere(OperationFailed):
    """A record with this key exists."""


class LostUpdate(OperationFailed):
    """Somebody else saved or deleted the record meanwhile, or this person may not change it."""


class Changed(StrEnum):
    """Who changed a field since somebody saw it."""

    MINE = "mine"
    THEIRS = "theirs"
    BOTH = "both"


class Beside(NamedTuple):
    """What a form shows beside a field."""

    by: Changed
    text: str | None
    """What is saved now. Where only somebody else changed the field, the form has that, and this is what the person had
    seen."""


@dataclass(frozen=True)
class Collision:
    """Two edits of one record, merged unit by unit."""

    values: dict[str, Any]
    """What the form shows: what the person typed in the units that they changed, and what is saved in the others."""
    beside: dict[str, Beside]
    """What the form shows beside each field that differs from what is saved."""
    conflicts: tuple[str, ...]
    """The units that both changed, differently. Where it is not known what the person saw, all units that differ."""

    @property
    def is_settled(self) -> bool:
        """Whether everything that the person typed is saved already."""
        return not self.beside


def collide(saved: AttendanceRecord, typed: Mapping[str, Any], seen: RecordContent | None) -> Collision:
    """The merge of what somebody typed with the record as somebody else has saved it meanwhile. Writes nothing.

    ``typed``: the values by field, as Django has them; those of the key are ignored. ``seen``: the content that the
    person saw (None: not known).
    """
    current = content_of(saved)
    fields = ATTENDANCE_RECORDS.fields
    edited = current | {field.name: field.type.to_text(typed[field.name]) for field in fields}
    base = None if seen is None else current | {field.name: seen[field.name] for field in fields}
    resolver = ConflictResolver()
    values: dict[str, Any] = {}
    beside: dict[str, Beside] = {}
    conflicts: list[str] = []
    for unit, names in ATTENDANCE_RECORDS.units.items():
        alone = current | {name: edited[name] for name in names}  # as if they had typed nothing else
        if resolver.detect_conflicts(alone, current, base):
            by = Changed.BOTH
            conflicts.append(unit)
        else:
            merged = resolver.apply_merge_strategy(alone, current, "manual", base)
            by = Changed.MINE if resolver._records_differ(merged, current) else Changed.THEIRS
        for name in names:
            values[name] = getattr(saved, name) if by is Changed.THEIRS else typed[name]
            if edited[name] != current[name]:
                beside[name] = Beside(by, edited[name] if by is Changed.THEIRS else current[name])
    return Collision(values, beside, tuple(conflicts))


class RecordService:
    """Changes that ``user`` makes to records of their own scope (:meth:`AttendanceQuerySet.editable_by`)."""

    def __init__(self, user: User, register: Register = DEFAULT) -> None:
        self.user, self.register = user, register

    @property
    def _editable(self) -> AttendanceQuerySet:
        return self.register.rows(AttendanceRecord).editable_by(self.user)

    def record(self, pk: int) -> AttendanceRecord | None:
        """The record with this id; None where there is none in the person's scope."""
        return self._editable.filter(pk=pk).select_related("company").first()

    def record_of(self, key: tuple[str, str, str]) -> AttendanceRecord | None:
        """The record of this number, company (by name) and day; None where there is none in the person's scope."""
        ep_no, company, day = key
        rows = self._editable.filter(company__name=company, ep_no=ep_no, date=day)
        return rows.select_related("company").first()

    def add(self, record: AttendanceRecord) -> None:
        """Save a new record. Raises AlreadyThere, MonthsAreClosed, OperationFailed; PermissionError for a company
        outside the scope."""
        companies = self.register.rows(Company).visible_to(self.user)
        if self.user.role not in ("root", "admin") or not companies.filter(pk=record.company_id).exists():
            raise PermissionError("This company is not theirs to change.")
        try:
            with changing(self.register, [AttendanceRecord], NOTHING_SAVED):
                require_open([(record.company_id, record.date)], self.register, NOTHING_SAVED)
                record.created_at = record.updated_at = catalogue.stamp(self.register)
                record.save(using=self.register.alias, force_insert=True)
        except IntegrityError as error:
            if not is_taken(error):  # a record refers to nothing but its company
                text = _("%(company)s was deleted meanwhile. Nothing was saved.")
                raise OperationFailed(text % {"company": record.company}) from error
            raise AlreadyThere(
                _("%(company)s already has a record of %(number)s on %(day)s. Nothing was saved.")
                % {"company": record.company, "number": record.ep_no, "day": shown_day(record.date.isoformat())}
            ) from error
        logger.info("%s added %s", self.user, record.pk)

    def change(self, pk: int, seen: dt.datetime, values: dict[str, Any]) -> None:
        """Set these fields of a record, none of its key. ``seen``: its ``updated_at`` when the person saw it.

        Raises LostUpdate, MonthsAreClosed, OperationFailed.
        """
        assert not values.keys() & {"company", "company_id", "ep_no", "date"}
        with changing(self.register, [AttendanceRecord], NOTHING_SAVED):
            self._require_open(pk, NOTHING_SAVED)
            # Later than what was seen, whatever the clock says, so that whoever saves next notices this change.
            now = max(catalogue.stamp(self.register), seen + dt.timedelta(microseconds=1))
            if not self._editable.filter(pk=pk, updated_at=seen).update(**values, updated_at=now):
                raise LostUpdate(
                    _(
                        "This record was saved in another tab or by somebody else while you were editing it. Nothing "
                        "of yours was saved."
                    )
                )
        logger.info("%s changed record %s", self.user, pk)

    def delete(self, pk: int, seen: dt.datetime) -> None:
        """Delete a record. ``seen``: its ``updated_at`` when the person saw it. Raises LostUpdate, MonthsAreClosed,
        OperationFailed."""
        with changing(self.register, [AttendanceRecord], NOTHING_CHANGED):
            self._require_open(pk, NOTHING_CHANGED)
            rows = self._editable.filter(pk=pk, updated_at=seen)
            if not rows._raw_delete(self.register.alias):  # in one statement: nothing refers to a record
                raise LostUpdate(
                    _("This record was saved in another tab or by somebody else since you looked. It was not deleted.")
                )
        logger.info("%s deleted record %s", self.user, pk)

    def _require_open(self, pk: int, undone: LazyText) -> None:
        """Raises MonthsAreClosed where the record with this id is in a closed month."""
        require_open(self._editable.filter(pk=pk).values_list("company_id", "date"), self.register, undone)

    def delete_all(self, operation: Operation | None = None) -> BackupResult:
        """The backup that was taken first. Then all attendance records are deleted. Companies and accounts stay.

        Takes the register's lock. If anything is saved between the backup and the deletion, nothing is deleted:
        raises DataMoved, MonthsAreClosed where any month is closed, OperationFailed; PermissionError for anybody but
        root. ``operation``: the waiting one that asked for it.
        """
        if self.user.role != "root" or not self.user.is_active:
            raise PermissionError("Only root may delete all records.")
        with operations.running(Kind.DELETE_ALL, Actor.of(self.user), self.register, operation=operation) as run:
            require_all_open(self.register, NOTHING_CHANGED)  # before a backup is taken for nothing
            rows = self.register.rows(AttendanceRecord)
            # Records written while the clock was ahead, usually none. Their dates do not say when they were saved.
            ahead = set(rows.filter(updated_at__gt=timezone.now()).values_list("pk", "updated_at"))
            backup = BackupService(user=self.user, register=self.register).create_backup(
                purpose=Backup.Purpose.SAFETY,
                # The backup's own phases, above all its commit, are not those of this operation.
                progress_callback=lambda _phase, done, total: run(Phase.SAFETY, done, total),
            )
            with holding.holding_register(run):
                require_all_open(self.register, NOTHING_CHANGED)
                taken_at = self.register.rows(Backup).get(pk=backup.id).taken_at
                since = rows.filter(updated_at__gte=taken_at).values_list("pk", "updated_at")
                if rows.count() != backup.records or any(row not in ahead for row in since.iterator()):
                    raise DataMoved(_("Records were saved after the backup had begun. Nothing was changed. Try again."))
                run(Phase.DELETE, 0, backup.records)
                run.log.records_deleted = rows.all()._raw_delete(self.register.alias)
                run.log.backup_id, run.log.filename = backup.id, backup.name
                run.complete(backup.records)
            run.operation.result, run.operation.filename = {"id": str(backup.id)}, backup.name
        return backup


def submit_delete_all(user: User, register: Register = DEFAULT) -> Operation:
    """The waiting operation that deletes every attendance record. Writes to the jobs database."""
    return jobs.submit(Kind.DELETE_ALL, Actor.of(user), register=register)


def run_delete_all(operation: Operation) -> None:
    """Delete every attendance record, for a waiting operation. Raises OperationFailed."""
    register = Register(operation.database)
    user = register.rows(User).filter(pk__in=[operation.actor_id], is_active=True, role="root").first()
    if user is None:
        raise OperationFailed(
            _("%(name)s may not delete all records any more. Nothing was changed.") % {"name": operation.actor_name}
        )
    RecordService(user, register).delete_all(operation)
