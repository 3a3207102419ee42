"""Operations, and the sheets that people send to be imported. Their tables are in the jobs database."""

from __future__ import annotations

import uuid
from typing import ClassVar, Final, Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core import moments
from core.models.accounts import Role, User
from core.models.kinds import Kind

JOBS: Final = "jobs"
"""The alias of the database that has these tables. It can be written while a restore holds the register."""


class Operation(models.Model):
    """A waiting, running or finished piece of work (a backup, a restore, an import and so on), with its progress and
    state.

    It is in the jobs database, because a restore holds the register's, so it refers to account, log and backup by
    plain values. The process that runs it holds the operation's lock, which the system releases when the process dies:
    "running" with a free lock means abandoned.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Running")
        SUCCEEDED = "succeeded", _("Succeeded")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    kind = models.CharField(max_length=30)
    database = models.CharField(max_length=30, default="default", help_text="Alias of the register it works on.")
    phase = models.CharField(max_length=30, blank=True)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True)
    phase_started_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    cancel_requested = models.BooleanField(default=False)
    state = models.CharField(_("outcome"), max_length=10, choices=State, default=State.RUNNING)
    message = models.TextField(blank=True)
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.CharField(max_length=150)
    filename = models.TextField(blank=True)
    log_id = models.BigIntegerField(null=True, help_text="Its row in the audit trail, once that is written.")
    task_id = models.UUIDField(null=True, help_text="Its row in the queue, if a worker runs it.")
    parameters = models.JSONField(default=dict, help_text="What was asked for, for the worker that runs it.")
    result = models.JSONField(default=dict, help_text="What came of it, for the page that shows it.")

    class Meta:
        ordering: ClassVar = ["-started_at"]
        indexes: ClassVar = [models.Index(fields=["state", "started_at"], name="operation_state")]

    def __str__(self) -> str:
        return f"{self.kind} {moments.moment(self.started_at)}"

    @property
    def seconds(self) -> float:
        """The seconds from its start to its end, or until now if it has not ended. They include the wait for others and
        the commit."""
        return max(0.0, ((self.finished_at or timezone.now()) - self.started_at).total_seconds())


class UploadQuerySet(models.QuerySet["UploadLog"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The sheets that this person may see. root: all. admin: those for the person's company. Anybody else: none."""
        if not user.is_authenticated or not user.is_active or user.role not in (Role.ROOT, Role.ADMIN):
            return self.none()
        return self if user.role == Role.ROOT else self.filter(company_id=user.company_id)


class UploadManager(models.Manager["UploadLog"]):
    """Reads each sheet together with its operation, which the stage depends on."""

    def get_queryset(self) -> UploadQuerySet:
        return UploadQuerySet(self.model, using=self._db).select_related("operation")

    def visible_to(self, user: User | AnonymousUser) -> UploadQuerySet:
        return self.get_queryset().visible_to(user)


class UploadLog(models.Model):
    """A sheet that somebody sent to be imported, and what was decided about it.

    Its check is an operation, and so is its import, if somebody decides to import it. It is in the jobs database, like
    :class:`Operation`, so it refers to account and company by plain values.
    """

    class Stage(models.TextChoices):
        WAITING = "waiting", _("Waiting to be checked")
        CHECKING = "checking", _("Being checked")
        CHECKED = "checked", _("Waiting for a decision")
        QUEUED = "queued", _("Waiting to be imported")
        APPLYING = "applying", _("Being imported")
        IMPORTED = "imported", _("Imported")
        FAILED = "failed", _("Not imported")
        PUT_AWAY = "put_away", _("Put away")

    class PutAway(models.TextChoices):
        """Why a sheet will not be imported."""

        BY_SOMEBODY = "by_somebody", _("It was put away. Nothing was changed.")
        UNDECIDED = "undecided", _("Nobody decided about it. Nothing was changed.")
        NEWER_SENT = "newer_sent", _("You sent newer sheets, and this one was put away. Nothing was changed.")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    actor_id = models.BigIntegerField()
    actor_name = models.CharField(max_length=150)
    company_id = models.BigIntegerField(null=True, help_text="The only company it may concern; null: any.")
    filename = models.CharField(max_length=255)
    file = models.CharField(max_length=255, help_text="Name in the uploads storage; blank once it is not needed.")
    refused_file = models.CharField(max_length=255, blank=True, help_text="The refused rows, in the same storage.")
    size = models.BigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)
    date_order = models.CharField(max_length=10, blank=True, help_text="Chosen for dates that prove no order.")
    plan = models.CharField(max_length=64, blank=True, help_text="Digest of what was previewed.")
    summary = models.JSONField(default=dict, help_text="Counts, the first bad cells and the first changes.")
    operation = models.ForeignKey(
        Operation, on_delete=models.PROTECT, related_name="+", help_text="Its check or import, whichever is the last."
    )
    put_away = models.CharField(max_length=20, choices=PutAway, blank=True)

    objects = UploadManager()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [
            models.Index(fields=["-created_at"], name="uploadlog_created"),
            models.Index(fields=["company_id", "-created_at"], name="uploadlog_company_created"),
        ]

    def __str__(self) -> str:
        return self.filename

    @property
    def stage(self) -> Stage:
        """Its stage: put away, if somebody or something put it away; otherwise by its last operation's state."""
        if self.put_away:
            return self.Stage.PUT_AWAY
        is_import = self.operation.kind == Kind.IMPORT
        match self.operation.state:
            case Operation.State.WAITING:
                return self.Stage.QUEUED if is_import else self.Stage.WAITING
            case Operation.State.RUNNING:
                return self.Stage.APPLYING if is_import else self.Stage.CHECKING
            case Operation.State.SUCCEEDED:
                return self.Stage.IMPORTED if is_import else self.Stage.CHECKED
            case Operation.State.CANCELLED:
                return self.Stage.PUT_AWAY
        return self.Stage.FAILED

    @property
    def message(self) -> str:
        """Why it was not imported, or why somebody has to look at it again; blank where neither is so."""
        if self.put_away:
            return str(self.PutAway(self.put_away).label)
        return self.operation.message or str(self.operation.result.get(self.LOOK_AGAIN, ""))

    LOOK_AGAIN: ClassVar = "look_again"
    """The key in a check's result under which it says why the sheet was checked once more."""

    @property
    def is_at_work(self) -> bool:
        """Whether a worker is to check or import it, or does so now. Its page is then loaded again soon."""
        return not self.put_away and self.operation.state in (Operation.State.WAITING, Operation.State.RUNNING)

    @property
    def is_waiting(self) -> bool:
        """Whether its check or import has not begun yet."""
        return self.stage in (self.Stage.WAITING, self.Stage.QUEUED)

    @property
    def may_be_tried_again(self) -> bool:
        """Whether it failed for a reason that is not the sheet's fault, so that the sheet was kept."""
        return self.stage == self.Stage.FAILED and bool(self.file)

    @property
    def to_import(self) -> int:
        """How many rows are new or changed, as its check counted them."""
        return int(self.summary.get("added", 0) + self.summary.get("updated", 0))
