"""The catalogue of backup files, and the audit trail."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core import moments
from core.models.kinds import Kind


class Backup(models.Model):
    """An entry of the catalogue: a backup file that was written here, or that was restored here from elsewhere.

    ``id`` is the id inside the file. A 1.0 file has none; its id is derived from its bytes. ``merged_at``
    says which backups of others this register has whole.
    """

    class Type(models.TextChoices):
        FULL = "full", _("Full")
        INCREMENTAL = "incremental", _("Incremental")

    class Purpose(models.TextChoices):
        USER = "user", _("Taken by a person")
        SAFETY = "safety", _("Taken for safety")
        RECEIVED = "received", _("Received")

    id = models.UUIDField(primary_key=True)
    version = models.CharField(
        max_length=3, default="2.0", help_text="Of the file's format. A 1.0 file is in no ancestry."
    )
    installation_id = models.UUIDField()
    installation_name = models.CharField(max_length=100)
    parent = models.UUIDField(
        null=True, blank=True, help_text="The backup of the same installation that this one continues."
    )
    snapshot = models.CharField(
        max_length=64,
        blank=True,
        help_text="The id of the snapshot that it holds or leads to; blank if it is of none.",
    )
    parent_snapshot = models.CharField(
        max_length=64,
        blank=True,
        help_text="The id of the snapshot that it continues; blank if it continues none.",
    )
    backup_type = models.CharField(_("kind"), max_length=12, choices=Type)
    selection = models.JSONField(null=True, blank=True)
    since = models.DateTimeField(null=True, blank=True)
    file = models.CharField(
        max_length=255, blank=True, help_text="Name in the backups storage; blank if written elsewhere."
    )
    location = models.TextField(blank=True, help_text="Where it was written, if not to the storage.")
    size = models.BigIntegerField(help_text="Bytes of the file as stored.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the uncompressed content, up to a trailer.")
    companies_count = models.BigIntegerField()
    records_count = models.BigIntegerField()
    deleted_count = models.BigIntegerField(default=0)
    taken_at = models.DateTimeField(help_text="Start of the snapshot.")
    created_by = models.CharField(max_length=150, blank=True)
    protected = models.BooleanField(default=False)
    verified_at = models.DateTimeField(null=True, blank=True)
    purpose = models.CharField(max_length=8, choices=Purpose, default=Purpose.USER)
    merged_at = models.DateTimeField(
        null=True, blank=True, help_text="When restoring it made it part of this register's ancestry."
    )

    class Meta:
        ordering: ClassVar = ["-taken_at"]
        indexes: ClassVar = [
            models.Index(fields=["installation_id", "-taken_at"], name="backup_by_installation"),
        ]

    def __str__(self) -> str:
        return f"{self.get_backup_type_display()} {moments.moment(self.taken_at)}"


class BackupLog(models.Model):
    """A row of the audit trail. Every finished backup, restore, import and so on has one, also if it failed."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, db_index=False)
    actor_name = models.CharField(max_length=150, help_text="Kept when the account is deleted.")
    operation = models.CharField(max_length=30)
    operation_id = models.UUIDField(unique=True, help_text="Of the Operation that this row accounts for.")
    filename = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    companies_count = models.BigIntegerField(default=0)
    records_count = models.BigIntegerField(default=0)
    records_added = models.BigIntegerField(default=0)
    records_updated = models.BigIntegerField(default=0)
    records_deleted = models.BigIntegerField(default=0)
    records_skipped = models.BigIntegerField(default=0)
    records_kept = models.BigIntegerField(default=0)
    records_only_here = models.BigIntegerField(default=0, help_text="Changed on this side alone, and kept.")
    records_in_conflict = models.BigIntegerField(default=0, help_text="Changed on both sides.")
    base = models.TextField(blank=True, help_text="What a merge was based on, and why.")
    success = models.BooleanField()
    error_message = models.TextField(blank=True)
    duration = models.FloatField(default=0, help_text="Seconds.")
    backup_id = models.UUIDField(null=True, blank=True)
    backup_type = models.CharField(max_length=12, blank=True)
    since = models.DateTimeField(null=True, blank=True)
    digest = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [
            models.Index(fields=["user", "created_at"], name="backuplog_user_created"),
            models.Index(fields=["created_at"], name="backuplog_created"),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {moments.moment(self.created_at)}"

    @property
    def left_out(self) -> int:
        """How many rows of an imported sheet were refused or repeat another row, which no other count says; 0 for
        other operations."""
        if self.operation != Kind.IMPORT:
            return 0
        return self.records_count - self.records_added - self.records_updated - self.records_skipped
