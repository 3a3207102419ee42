"""One attendance record at a time, by hand: adding, changing, deleting. And all at once: delete all."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any, Final

from django.db import IntegrityError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import tasks
from core.models import AttendanceQuerySet, AttendanceRecord, Backup, Company, Operation, User
from core.services import catalogue, jobs, operations
from core.services.backup_service import BackupService
from core.services.by_hand import changing
from core.services.errors import DataMoved, OperationFailed
from core.services.operations import Actor
from core.services.results import BackupResult

logger = logging.getLogger(__name__)

DELETE_ALL: Final = "delete_all"
_NOTHING: Final = gettext_lazy("Nothing was changed.")
_UNSAVED: Final = gettext_lazy("Nothing was saved.")


class AlreadyThere(OperationFailed):
    """A record with this key exists."""


class LostUpdate(OperationFailed):
    """Somebody saved or deleted the record in between, or it is not the person's to change."""


class RecordService:
    """Changes by ``user`` in their own scope (:meth:`AttendanceQuerySet.editable_by`)."""

    def __init__(self, user: User, using: str = "default") -> None:
        self.user, self.using = user, using

    @property
    def _editable(self) -> AttendanceQuerySet:
        return AttendanceRecord.objects.using(self.using).editable_by(self.user)

    def add(self, record: AttendanceRecord) -> None:
        """Save a new record. Raises AlreadyThere, OperationFailed, and PermissionError outside the person's scope."""
        companies = Company.objects.using(self.using).visible_to(self.user)
        if self.user.role not in ("root", "admin") or not companies.filter(pk=record.company_id).exists():
            raise PermissionError("This company is not theirs to change.")
        try:
            with changing(self.using, [AttendanceRecord], str(_UNSAVED)):
                record.created_at = record.updated_at = catalogue.stamp(self.using)
                record.save(using=self.using, force_insert=True)
        except IntegrityError as error:
            raise AlreadyThere(
                _("%(company)s already has a record of %(number)s on %(day)s. Nothing was saved. Edit that one.")
                % {"company": record.company, "number": record.ep_no, "day": record.date}
            ) from error
        logger.info("%s added %s", self.user, record.pk)

    def change(self, pk: int, seen: dt.datetime, values: dict[str, Any]) -> None:
        """Set these fields, none of the key, of the record as it was ``seen`` (its ``updated_at`` then).

        Raises LostUpdate, OperationFailed.
        """
        assert not values.keys() & {"company", "company_id", "ep_no", "date"}
        with changing(self.using, [AttendanceRecord], str(_UNSAVED)):
            # Later than what was seen, whatever the clock says: the next one to save must be able to tell.
            now = max(catalogue.stamp(self.using), seen + dt.timedelta(microseconds=1))
            if not self._editable.filter(pk=pk, updated_at=seen).update(**values, updated_at=now):
                raise LostUpdate(
                    _(
                        "Somebody else changed or deleted this record while you were editing it. Your changes were not "
                        "saved. Below is what it says now; enter your changes again if they still apply."
                    )
                )
        logger.info("%s changed record %s", self.user, pk)

    def delete(self, pk: int, seen: dt.datetime) -> None:
        """Delete the record as it was ``seen``. Raises LostUpdate, OperationFailed."""
        with changing(self.using, [AttendanceRecord], str(_NOTHING)):
            rows = self._editable.filter(pk=pk, updated_at=seen)
            if not rows._raw_delete(self.using):  # in one statement: nothing refers to a record
                raise LostUpdate(
                    _(
                        "Somebody else changed or deleted this record meanwhile. It was not deleted by you. "
                        "Look at what it says now."
                    )
                )
        logger.info("%s deleted record %s", self.user, pk)

    def delete_all(self, operation: Operation | None = None) -> BackupResult:
        """Delete every attendance record, after a full backup of them that is kept; companies and accounts stay.

        Takes the register's lock. If anything is saved between the backup and the deletion, nothing is deleted:
        raises DataMoved, OperationFailed; PermissionError for anybody but root. ``operation``: the waiting one that
        asked for it.
        """
        if self.user.role != "root" or not self.user.is_active:
            raise PermissionError("Only root may delete all records.")
        with operations.running(
            DELETE_ALL, Actor.of(self.user), self.using, consequence=str(_NOTHING), operation=operation
        ) as run:
            rows = AttendanceRecord.objects.using(self.using)
            # Written while the clock was ahead; none, as a rule. Such a date says nothing about what was saved since.
            ahead = set(rows.filter(updated_at__gt=timezone.now()).values_list("pk", "updated_at"))
            backup = BackupService(user=self.user, using=self.using).create_backup(
                purpose=Backup.Purpose.SAFETY,
                # Its own phases, its commit above all, are none of this operation.
                progress_callback=lambda _phase, done, total: run(operations.SAFETY, done, total),
            )
            with operations.holding_register(run, str(_NOTHING)):
                taken_at = Backup.objects.using(self.using).get(pk=backup.id).taken_at
                since = rows.filter(updated_at__gte=taken_at).values_list("pk", "updated_at")
                if rows.count() != backup.records or any(row not in ahead for row in since.iterator()):
                    raise DataMoved(_("Records were saved after the backup had begun. Nothing was changed. Try again."))
                run("delete", 0, backup.records)
                run.log.records_deleted = rows.all()._raw_delete(self.using)
                run.log.backup_id, run.log.filename = backup.id, backup.name
                run.complete(backup.records)
            run.operation.result, run.operation.filename = {"id": str(backup.id)}, backup.name
        return backup


def submit_delete_all(user: User, using: str = "default") -> Operation:
    """Have every attendance record deleted in the background, after a backup of them."""
    return jobs.submit(tasks.delete_all, DELETE_ALL, Actor.of(user), using=using)


def run_delete_all(operation: Operation) -> None:
    """What the worker does about it. Raises OperationFailed."""
    user = (
        User.objects.using(operation.database).filter(pk__in=[operation.actor_id], is_active=True, role="root").first()
    )
    if user is None:
        raise OperationFailed(
            _("%(name)s may not delete all records any more. Nothing was changed.") % {"name": operation.actor_name}
        )
    RecordService(user, operation.database).delete_all(operation)
