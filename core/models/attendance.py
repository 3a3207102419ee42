"""Companies and their attendance records."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar, Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import F, Q
from django.db.models.lookups import Exact
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.models.accounts import Role, User
from core.models.constraints import AsWritten, length_between, one_of
from recordsync.model.fields import MAX_MINUTES


class CompanyQuerySet(models.QuerySet["Company"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The companies that this person may see: all for root, for others their own."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return self if user.role == Role.ROOT else self.filter(pk=user.company_id)


class Company(models.Model):
    """A company. Its name is its natural key, so :func:`core.attendance.companies.rename_company` changes it."""

    name = models.CharField(_("name"), max_length=255, unique=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now)

    objects = CompanyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = _("companies")
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [length_between("name", 1, 255, "company_name_length")]

    def __str__(self) -> str:
        return self.name


class Status(models.TextChoices):
    PRESENT = "P", _("Present")
    ABSENT = "A", _("Absent")
    PUBLIC_HOLIDAY = "PH", _("Public holiday")
    WEEK_OFF = "WO", _("Week off")
    PARTIAL_DAY = "PD", _("Partial day")
    LEAVE = "L", _("Leave")
    HALF_DAY = "-0.5", _("Half day")
    FULL_DAY_LEAVE = "-1", _("Full-day leave")


TIME_FIELDS = ("in_time", "out_time", "in_time_2", "out_time_2", "in_time_3", "out_time_3")


MINUTE_FIELDS = ("overstay", "overtime", "overtime_to_mandays")


MISSING_PUNCH = (
    Q(in_time__isnull=False, out_time__isnull=True)
    | Q(in_time__isnull=True, out_time__isnull=False)
    | Q(in_time_2__isnull=False, out_time_2__isnull=True)
    | Q(in_time_2__isnull=True, out_time_2__isnull=False)
    | Q(in_time_3__isnull=False, out_time_3__isnull=True)
    | Q(in_time_3__isnull=True, out_time_3__isnull=False)
)

"""An in time without its out time, or an out time without its in time."""


def days_visible_to(user: User) -> tuple[dt.date | None, dt.date | None]:
    """The first and the last day of which this person may see records; None: there is no such limit."""
    if user.role == Role.USER1:
        return user.assigned_date_from, user.assigned_date_to
    return None, None


class AttendanceQuerySet(models.QuerySet["AttendanceRecord"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The records that this person may see. Every list, count, search and export uses this rule.

        root: all. admin: those of the person's company. user1: of these, those within the assigned dates. Anybody
        else: none.
        """
        if not user.is_authenticated or not user.is_active:
            return self.none()
        if user.role == Role.ROOT:
            return self
        own = self.filter(company=user.company_id)
        first, last = days_visible_to(user)
        if first:
            own = own.filter(date__gte=first)
        if last:
            own = own.filter(date__lte=last)
        return own

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """The records that this person may change or delete: those that the person may see. A supervisor: none."""
        visible = self.visible_to(user)
        return visible if user.is_authenticated and user.role in (Role.ROOT, Role.ADMIN) else self.none()


class AttendanceRecord(models.Model):
    """One employee's day at one company. ``out_time`` before ``in_time`` is a night shift."""

    ep_no = models.CharField(_("employee number"), max_length=50)
    ep_name = models.CharField(_("employee name"), max_length=255, blank=True)
    company = models.ForeignKey(
        Company, models.PROTECT, verbose_name=_("company"), related_name="attendance_records", db_index=False
    )
    date = models.DateField(_("date"))
    shift = models.CharField(_("shift"), max_length=50, blank=True)
    status = models.CharField(_("status"), max_length=4, choices=Status)
    in_time = models.TimeField(_("in"), null=True, blank=True)
    out_time = models.TimeField(_("out"), null=True, blank=True)
    in_time_2 = models.TimeField(_("in (2)"), null=True, blank=True)
    out_time_2 = models.TimeField(_("out (2)"), null=True, blank=True)
    in_time_3 = models.TimeField(_("in (3)"), null=True, blank=True)
    out_time_3 = models.TimeField(_("out (3)"), null=True, blank=True)
    overstay = models.IntegerField(_("overstay, minutes"), null=True, blank=True)
    overtime = models.IntegerField(_("overtime, minutes"), null=True, blank=True)
    overtime_to_mandays = models.IntegerField(_("overtime to mandays, minutes"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now)

    objects = AttendanceQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-date", "company", "ep_no"]
        indexes: ClassVar = [
            # Every row that a restore or import adds is written to every index, so there are only those that the pages
            # need (benchmarks/RESULTS-pages.md). This one serves the list, newest first, and the dashboard, for all
            # companies; it includes status and overstay, so that filtered rows are counted without being read. The
            # natural key serves one company's days.
            models.Index(fields=["date", "company", "status", "overstay"], name="attendance_day"),
            # For an employee's days, and for searching, sorting and counting by employee number within a company.
            models.Index(fields=["company", "ep_no", "date"], name="attendance_employee"),
            # For searching and sorting by employee name.
            models.Index(fields=["ep_name", "date"], name="attendance_ep_name"),
            # These two have few rows.
            models.Index(fields=["date"], name="attendance_missing_punch", condition=MISSING_PUNCH),
            models.Index(fields=["date", "overstay"], name="attendance_long_overstay", condition=Q(overstay__gte=180)),
            # For incremental backups, which ask for changed records company by company.
            models.Index(fields=["company", "updated_at"], name="attendance_updated"),
        ]
        constraints: ClassVar = [
            # In the order in which files, sheets and previews have records: new days are added at one place of it.
            models.UniqueConstraint(fields=["company", "date", "ep_no"], name="attendance_natural_key"),
            one_of("status", Status.values, "attendance_status_is_known"),
            models.CheckConstraint(
                condition=Q(Exact(F("date"), AsWritten("date", "date"))), name="attendance_date_is_a_day"
            ),
            length_between("ep_no", 1, 50, "attendance_ep_no_length"),
            length_between("ep_name", 0, 255, "attendance_ep_name_length"),
            length_between("shift", 0, 50, "attendance_shift_length"),
            *(
                models.CheckConstraint(
                    condition=Q(**{f"{field}__isnull": True}) | Q(Exact(F(field), AsWritten(field, "time"))),
                    name=f"attendance_{field}_whole_seconds",
                    violation_error_message=_("A time has whole seconds."),
                )
                for field in TIME_FIELDS
            ),
            *(
                models.CheckConstraint(
                    condition=Q(**{f"{field}__isnull": True}) | Q(**{f"{field}__gte": 0, f"{field}__lte": MAX_MINUTES}),
                    name=f"attendance_{field}_range",
                    violation_error_message=_("Minutes are between 0 and 599,999 (9999:59)."),
                )
                for field in MINUTE_FIELDS
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ep_no} {self.date}"
