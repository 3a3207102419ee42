"""What runs, and what was sent to be imported. In the jobs database."""

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
"""The database in which these tables are: it can be written while a restore holds the register."""


class Operation(models.Model):
    """A waiting, running or finished backup, check or restore, with its progress and outcome.

    Lives in the jobs database (a restore holds the register's), so it names account, log and backup
    by plain values. The process that runs it holds the operation's lock, which the system releases
    when the process dies: "running" with a free lock means abandoned.
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
        """From its start to its end, the wait for others and the commit included; so far, of one without an end."""
        return max(0.0, ((self.finished_at or timezone.now()) - self.started_at).total_seconds())


class UploadQuerySet(models.QuerySet["UploadLog"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """root: all. admin: those for its own company. Anybody else: none."""
        if not user.is_authenticated or not user.is_active or user.role not in (Role.ROOT, Role.ADMIN):
            return self.none()
        return self if user.role == Role.ROOT else self.filter(company_id=user.company_id)


class UploadManager(models.Manager["UploadLog"]):
    """Each sheet comes with the operation that its state is told from."""

    def get_queryset(self) -> UploadQuerySet:
        return UploadQuerySet(self.model, using=self._db).select_related("operation")

    def visible_to(self, user: User | AnonymousUser) -> UploadQuerySet:
        return self.get_queryset().visible_to(user)


class UploadLog(models.Model):
    """A sheet that somebody sent to be imported, and what was decided about it.

    What is done about it are operations: first its check, then, if somebody decides so, its import. Lives in the jobs
    database, like :class:`Operation`, so it names account and company by plain values.
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
        """Why it is not going to be imported."""

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
        """How it stands: by what was decided about it, else by how its last operation stands."""
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
        """Why it was not imported, or has to be looked at again; blank where there is nothing to be said."""
        if self.put_away:
            return str(self.PutAway(self.put_away).label)
        return self.operation.message or str(self.operation.result.get(self.LOOK_AGAIN, ""))

    LOOK_AGAIN: ClassVar = "look_again"
    """In the result of a check: why its sheet was checked once more."""

    @property
    def is_at_work(self) -> bool:
        """Whether its page should be looked at again soon."""
        return not self.put_away and self.operation.state in (Operation.State.WAITING, Operation.State.RUNNING)

    @property
    def is_waiting(self) -> bool:
        """Whether a worker has still to begin."""
        return self.stage in (self.Stage.WAITING, self.Stage.QUEUED)

    @property
    def may_be_tried_again(self) -> bool:
        """Whether it failed for what is no fault of the sheet, which is kept."""
        return self.stage == self.Stage.FAILED and bool(self.file)

    @property
    def to_import(self) -> int:
        """How many rows its check found new or changed."""
        return int(self.summary.get("added", 0) + self.summary.get("updated", 0))
