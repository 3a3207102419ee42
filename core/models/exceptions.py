"""Exceptions: what in the register looks wrong, and which of it somebody has looked at."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.models.attendance import Company
from core.models.constraints import length_between


class ExceptionKind(models.TextChoices):
    """What looks wrong with a day, or with somebody's days."""

    MISSING_PUNCH = "missing_punch", _("Missing punch")
    OVERLAPPING = "overlapping", _("Overlapping punches")
    OUT_BEFORE_IN = "out_before_in", _("Out before in")
    PRESENCE_WITHOUT_TIME = "presence_without_time", _("Presence without a time")
    TIME_WITHOUT_PRESENCE = "time_without_presence", _("Time without presence")
    OVERSTAY = "overstay", _("Overstay over 4 h")
    NOT_RECORDED = "not_recorded", _("Not recorded on a working day")
    ABSENT_IN_A_ROW = "absent_in_a_row", _("Absent in a row")
    TWO_NAMES = "two_names", _("One number, two names")
    TWO_NUMBERS = "two_numbers", _("One name, two numbers")


class SeenException(models.Model):
    """An exception that somebody has looked at and found right.

    It is known by content: it holds as long as what was looked at has the same checksum, whatever happens to the row
    in between. The database does not enforce the company, because a restore deletes companies without asking this
    table.
    """

    company = models.ForeignKey(Company, models.CASCADE, related_name="+", db_constraint=False, db_index=False)
    kind = models.CharField(max_length=30, choices=ExceptionKind)
    subject = models.CharField(max_length=255, help_text="The employee number; the name, if that has two numbers.")
    day = models.DateField(null=True, blank=True, help_text="None if the exception is of no single day.")
    checksum = models.CharField(max_length=64, help_text="SHA-256 of what was looked at.")
    reason = models.CharField(_("reason"), max_length=255)
    seen_by = models.CharField(max_length=150, help_text="Kept when the account is deleted.")
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-seen_at"]
        indexes: ClassVar = [models.Index(fields=["day", "company"], name="seenexception_day")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["company", "kind", "subject", "checksum"], name="seenexception_once"),
            length_between("reason", 1, 255, "seenexception_reason_length"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.subject}"
