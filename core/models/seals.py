"""Seals: which months of a company were closed, by whom, and what they were then."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.lookups import Exact
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.models.attendance import Company
from core.models.constraints import AsWritten, length_between


class SealQuerySet(models.QuerySet["Seal"]):
    def standing(self) -> SealQuerySet:
        """The seals of months that are closed now. A month that was closed twice, here and elsewhere, has two."""
        return self.filter(reopened_at__isnull=True)


class Seal(models.Model):
    """The closing of a company's month. A month that is reopened keeps it, so that it is known who closed what when."""

    company = models.ForeignKey(
        Company, models.PROTECT, verbose_name=_("company"), related_name="seals", db_index=False
    )
    month = models.DateField(_("month"), help_text="Its first day.")
    closed_at = models.DateTimeField(_("closed"), default=timezone.now)
    closed_by = models.CharField(_("closed by"), max_length=150, help_text="Kept when the account is deleted.")
    closed_as = models.CharField(max_length=255, help_text="The name that the company had, of which the digest is.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the month's node when it was closed.")
    reopened_at = models.DateTimeField(_("reopened"), null=True, blank=True)
    reopened_by = models.CharField(_("reopened by"), max_length=150, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now)

    objects = SealQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["company", "month", "closed_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["company", "month", "closed_at"], name="seal_natural_key"),
            models.CheckConstraint(
                condition=Q(Exact(F("month"), AsWritten("month", "date"))), name="seal_month_is_a_day"
            ),
            length_between("closed_by", 1, 150, "seal_closed_by_length"),
            length_between("closed_as", 1, 255, "seal_closed_as_length"),
            length_between("digest", 64, 64, "seal_digest_length"),
            length_between("reopened_by", 0, 150, "seal_reopened_by_length"),
        ]

    def __str__(self) -> str:
        return self.month.isoformat()[:7]
