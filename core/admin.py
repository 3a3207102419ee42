"""The models of the administration site, which is for root users: what it shows, and what can be changed there.

A natural key can be set when something is added, and cannot be edited afterwards: to rename is to delete one key and
add another, which a use case does for every record concerned.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminPasswordChangeForm, UserChangeForm
from django.contrib.auth.models import Group
from django.db import IntegrityError
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import moments
from core.accounts.accounts import changing_accounts, require_a_root
from core.attendance.seals import delete_reopened, require_open
from core.backups import catalogue
from core.models import AttendanceRecord, Backup, BackupLog, Company, Operation, Role, Seal, User
from core.operations.by_hand import changing
from core.operations.errors import NOTHING_CHANGED, NOTHING_SAVED, OperationFailed
from core.register.database import DEFAULT
from core.web.forms.records import RecordAdminForm
from core.web.forms.shared import SharedEditing


class RootAdmin(admin.ModelAdmin[Any]):
    """The base of all models' pages."""

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Whether a list has a filter that uses this lookup. Django would allow any lookup of any field, and no
        database supports all of them."""
        field, _separator, comparison = lookup.partition("__")
        return field in self.list_filter and comparison in ("", "exact", "id__exact", "isnull", "gte", "lt")


class RegisterAdmin(RootAdmin):
    """The base for models that a backup holds. Their key is fixed once saved, and each save sets ``updated_at``."""

    key_fields: tuple[str, ...]
    readonly_fields = ("created_at", "updated_at")

    @contextmanager
    def saving(self) -> Iterator[None]:
        """A transaction for a form of these models (see :meth:`core.web.admin_site.RootAdminSite.admin_view`)."""
        try:
            with changing(DEFAULT, [Company, AttendanceRecord], NOTHING_CHANGED):
                yield
        except IntegrityError as error:  # the form was valid when it was checked
            raise OperationFailed(
                _("The same company or record was saved or deleted at the same moment. Nothing was changed. Try again.")
            ) from error

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return (*(self.key_fields if obj else ()), *self.readonly_fields)

    def save_model(self, request: HttpRequest, obj: Any, form: forms.ModelForm[Any], change: bool) -> None:
        """Save with the ``updated_at`` by which the next incremental backup finds the row."""
        obj.updated_at = catalogue.stamp(DEFAULT)
        super().save_model(request, obj, form, change)


@admin.register(Company)
class CompanyAdmin(RegisterAdmin):
    key_fields = ("name",)
    list_display = ("name", "created_at", "updated_at")
    search_fields = ("name",)

    def get_deleted_objects(
        self, objs: Sequence[Company] | QuerySet[Company], request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """What Django shows before it deletes companies. The seals of months that were reopened go with them."""
        found, counts, lacking, protected = super().get_deleted_objects(objs, request)
        reopened = Seal.objects.filter(company__in=[company.pk for company in objs], reopened_at__isnull=False)
        theirs = [reverse("admin:core_seal_change", args=[pk]) for pk in reopened.values_list("pk", flat=True)]
        left = [text for text in protected if not any(f'"{address}"' in text for address in theirs)]
        return list(found), dict(counts), set() if left else set(lacking) - {str(Seal._meta.verbose_name)}, left

    def delete_model(self, request: HttpRequest, obj: Company) -> None:
        delete_reopened([obj.pk], DEFAULT, NOTHING_CHANGED)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Company]) -> None:
        delete_reopened(queryset.values_list("pk", flat=True), DEFAULT, NOTHING_CHANGED)
        super().delete_queryset(request, queryset)


@admin.register(AttendanceRecord)
class AttendanceRecordAdmin(RegisterAdmin):
    form = RecordAdminForm
    key_fields = ("ep_no", "company", "date")
    list_display = ("date", "company", "ep_no", "ep_name", "shift", "status", "first_in", "first_out", "updated_at")
    list_display_links = ("date", "ep_no")
    list_filter = ("status", "company", "date")
    list_select_related = ("company",)
    autocomplete_fields = ("company",)
    search_fields = ("ep_no", "ep_name", "company__name")
    show_full_result_count = False  # counting a large register takes longer than showing a page of it

    def save_model(self, request: HttpRequest, obj: AttendanceRecord, form: forms.ModelForm[Any], change: bool) -> None:
        require_open([(obj.company_id, obj.date)], DEFAULT, NOTHING_SAVED)
        super().save_model(request, obj, form, change)

    def delete_model(self, request: HttpRequest, obj: AttendanceRecord) -> None:
        require_open([(obj.company_id, obj.date)], DEFAULT, NOTHING_CHANGED)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[AttendanceRecord]) -> None:
        require_open(queryset.order_by().values_list("company_id", "date").distinct(), DEFAULT, NOTHING_CHANGED)
        super().delete_queryset(request, queryset)

    @admin.display(description=gettext_lazy("in"), ordering="in_time", empty_value="-")
    def first_in(self, record: AttendanceRecord) -> str | None:
        """The first in time as text, with seconds if it has any: Django itself would leave them out."""
        return None if record.in_time is None else moments.time_of_day(record.in_time)

    @admin.display(description=gettext_lazy("out"), ordering="out_time", empty_value="-")
    def first_out(self, record: AttendanceRecord) -> str | None:
        return None if record.out_time is None else moments.time_of_day(record.out_time)


class PasswordForm(AdminPasswordChangeForm):
    """Requires a root account to be left before Django updates the session for the new password: a transaction undoes
    the change of the account, but not that of the session."""

    def save(self, commit: bool = True) -> User:
        account: User = super().save(commit)
        if not account.has_usable_password():
            require_a_root(DEFAULT, NOTHING_CHANGED)
        return account


class AccountAdminForm(SharedEditing, UserChangeForm):
    """The form of an account, which somebody else may have saved meanwhile."""


@admin.register(User)
class AccountAdmin(RootAdmin, UserAdmin[User]):
    """The pages of accounts. Rights depend on the role alone, so the form sets Django's own flags and does not show
    them."""

    form = AccountAdminForm
    change_password_form = PasswordForm
    list_display = ("username", "first_name", "last_name", "role", "company", "is_active")
    list_filter = ("role", "is_active", "company")
    list_select_related = ("company",)
    search_fields = ("username", "first_name", "last_name", "email", "company__name")
    autocomplete_fields = ("company",)
    filter_horizontal = ()
    readonly_fields = ("date_joined",)
    fieldsets = (
        (None, {"fields": ("username", "password", "is_active")}),
        ("Person", {"fields": ("first_name", "last_name", "email", "date_joined")}),
        ("Rights", {"fields": ("role", "company", "assigned_date_from", "assigned_date_to")}),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("username", "usable_password", "password1", "password2")}),
        ("Rights", {"classes": ("wide",), "fields": ("role", "company", "assigned_date_from", "assigned_date_to")}),
    )

    def saving(self) -> AbstractContextManager[None]:
        """A transaction for a form of accounts."""
        return changing_accounts(DEFAULT, NOTHING_CHANGED)

    def save_model(self, request: HttpRequest, obj: User, form: forms.ModelForm[User], change: bool) -> None:
        obj.is_staff = obj.is_superuser = obj.role == Role.ROOT
        super().save_model(request, obj, form, change)


class ReadOnlyAdmin(RootAdmin):
    """The base for models that only the use cases write. They can be looked at here, and not changed."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Backup)
class BackupAdmin(ReadOnlyAdmin):
    list_display = (
        "taken_at",
        "installation_name",
        "backup_type",
        "version",
        "purpose",
        "records_count",
        "size",
        "created_by",
        "id",
    )
    list_filter = ("backup_type", "version", "purpose", "installation_name")
    search_fields = ("id", "file", "location", "created_by")


@admin.register(Seal)
class SealAdmin(ReadOnlyAdmin):
    list_display = ("company", "month", "closed_at", "closed_by", "reopened_at", "reopened_by")
    list_filter = ("company", "month")
    list_select_related = ("company",)
    search_fields = ("company__name", "closed_by", "reopened_by")


@admin.register(BackupLog)
class BackupLogAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at",
        "operation",
        "success",
        "actor_name",
        "filename",
        "records_count",
        "records_added",
        "records_updated",
        "records_deleted",
        "records_skipped",
        "records_kept",
        "records_only_here",
        "records_in_conflict",
    )
    list_filter = ("operation", "success", "created_at")
    search_fields = ("actor_name", "filename", "error_message")


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    list_display = ("started_at", "kind", "state", "phase", "done", "total", "actor_name", "filename", "message")
    list_filter = ("state", "kind", "started_at")
    search_fields = ("actor_name", "filename", "message")


admin.site.unregister(Group)  # rights depend on the role alone
