"""What the root user's administration site shows and lets change.

Natural keys can be set when something is added, and never edited: to rename is to delete one key and add another,
which a service does for every record concerned.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminPasswordChangeForm, UserChangeForm
from django.contrib.auth.models import Group
from django.db import IntegrityError
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import moments
from core.accounts.accounts import changing_accounts, require_a_root
from core.backups import catalogue
from core.models import AttendanceRecord, Backup, BackupLog, Company, Operation, Role, User
from core.operations.by_hand import changing
from core.operations.errors import NOTHING_CHANGED, OperationFailed
from core.register.database import DEFAULT
from core.web.forms import MeetsOthers, RecordAdminForm


class RootAdmin(admin.ModelAdmin[Any]):
    """For all models."""

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Lists are filtered by what their own filters offer. Django would take any lookup of any field, of which a
        database does not know every one."""
        field, _separator, how = lookup.partition("__")
        return field in self.list_filter and how in ("", "exact", "id__exact", "isnull", "gte", "lt")


class RegisterAdmin(RootAdmin):
    """For the models that backups carry: the key is fixed once saved, and a change is dated."""

    key_fields: tuple[str, ...]
    readonly_fields = ("created_at", "updated_at")

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Around every form of these models (see :meth:`core.web.admin_site.RootAdminSite.admin_view`)."""
        try:
            with changing(DEFAULT, [Company, AttendanceRecord], NOTHING_CHANGED):
                yield
        except IntegrityError as error:  # the form was in order when it was looked at
            raise OperationFailed(
                _("The same company or record was saved or deleted at the same moment. Nothing was changed. Try again.")
            ) from error

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return (*(self.key_fields if obj else ()), *self.readonly_fields)

    def save_model(self, request: HttpRequest, obj: Any, form: forms.ModelForm[Any], change: bool) -> None:
        """Set the time that the next incremental backup asks for."""
        obj.updated_at = catalogue.stamp(DEFAULT)
        super().save_model(request, obj, form, change)


@admin.register(Company)
class CompanyAdmin(RegisterAdmin):
    key_fields = ("name",)
    list_display = ("name", "created_at", "updated_at")
    search_fields = ("name",)


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

    @admin.display(description=gettext_lazy("in"), ordering="in_time", empty_value="-")
    def first_in(self, record: AttendanceRecord) -> str | None:
        """With its seconds, where it has any: Django's own form of a time leaves them out."""
        return None if record.in_time is None else moments.time_of_day(record.in_time)

    @admin.display(description=gettext_lazy("out"), ordering="out_time", empty_value="-")
    def first_out(self, record: AttendanceRecord) -> str | None:
        return None if record.out_time is None else moments.time_of_day(record.out_time)


class PasswordForm(AdminPasswordChangeForm):
    """Asks whether a root is left before Django makes the session fit the new password: undone is only the account."""

    def save(self, commit: bool = True) -> User:
        account: User = super().save(commit)
        if not account.has_usable_password():
            require_a_root(DEFAULT, NOTHING_CHANGED)
        return account


class AccountAdminForm(MeetsOthers, UserChangeForm):
    """An account of which somebody else may have saved something meanwhile."""


@admin.register(User)
class AccountAdmin(RootAdmin, UserAdmin[User]):
    """Accounts. Rights follow from the role alone, so Django's own flags are not on the form but set from it."""

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
        """Around every form of accounts."""
        return changing_accounts(DEFAULT, NOTHING_CHANGED)

    def save_model(self, request: HttpRequest, obj: User, form: forms.ModelForm[User], change: bool) -> None:
        obj.is_staff = obj.is_superuser = obj.role == Role.ROOT
        super().save_model(request, obj, form, change)


class ReadOnlyAdmin(RootAdmin):
    """For what the services write about backups: to be looked at only."""

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
        "kind",
        "version",
        "purpose",
        "records_count",
        "size",
        "created_by",
        "id",
    )
    list_filter = ("kind", "version", "purpose", "installation_name")
    search_fields = ("id", "file", "location", "created_by")


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
    )
    list_filter = ("operation", "success", "created_at")
    search_fields = ("actor_name", "filename", "error_message")


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    list_display = ("started_at", "kind", "state", "phase", "done", "total", "actor_name", "filename", "message")
    list_filter = ("state", "kind", "started_at")
    search_fields = ("actor_name", "filename", "message")


admin.site.unregister(Group)  # rights follow from the role alone
