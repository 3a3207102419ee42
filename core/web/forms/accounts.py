"""The forms of accounts and of a person's own password."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib.auth import authenticate, password_validation
from django.contrib.auth.forms import PasswordChangeForm
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from core.accounts import sign_in
from core.models import Role, User
from core.web.forms.shared import DateInput, SharedEditing, Styled


class ChangePasswordForm(Styled, PasswordChangeForm):
    """A new password in place of the old one. A wrong old one counts as a failed sign-in."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request = request

    def clean_old_password(self) -> str:
        old: str = self.cleaned_data["old_password"]
        if authenticate(self._request, username=self.user.get_username(), password=old) is None:
            raise forms.ValidationError(self.error_messages["password_incorrect"], code="password_incorrect")
        sign_in.release(self._request, self.user)
        return old


class AccountForm(Styled, SharedEditing, forms.ModelForm):
    """An account, with the fields that ``editor`` may set: an administrator sets neither role nor company."""

    class Meta:
        model = User
        fields = (
            "username",
            "first_name",
            "last_name",
            "role",
            "company",
            "assigned_date_from",
            "assigned_date_to",
            "is_active",
        )
        widgets: ClassVar = {"assigned_date_from": DateInput(), "assigned_date_to": DateInput()}

    password = forms.CharField(
        label=_("Password"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("Leave blank to keep the present password."),
    )

    def __init__(self, *args: Any, editor: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["is_active"].help_text = _("An inactive account is signed out at once and cannot sign in.")
        self.fields["assigned_date_from"].help_text = _("A supervisor sees no day before this one.")
        self.fields["assigned_date_to"].help_text = _("A supervisor sees no day after this one.")
        if self.instance.pk is None:
            self.fields["password"].required = True
            self.fields["password"].help_text = ""
        if editor.role != Role.ROOT:
            del self.fields["role"], self.fields["company"]
            self.instance.role, self.instance.company_id = Role.USER1, editor.company_id
        if self.instance.pk == editor.pk:  # nobody can shut themselves out or change their own role
            for name in ("role", "company", "is_active"):
                self.fields.pop(name, None)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        first, last = cleaned.get("assigned_date_from"), cleaned.get("assigned_date_to")
        if first and last and first > last:
            self.add_error("assigned_date_to", _("The last day is before the first."))
        role = cleaned.get("role", self.instance.role)
        if "company" in self.fields and role != Role.ROOT and not cleaned.get("company"):
            self.add_error("company", _("An administrator or supervisor needs a company."))
        return cleaned

    @property
    def columns(self) -> list[str] | None:
        """The columns of an existing account that :meth:`account` changes; None for a new account."""
        if self.instance.pk is None:
            return None
        return [*sorted(self.fields.keys() & set(self.changed_data)), "is_staff", "is_superuser"]

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc] # the stubs lack it
        if password := self.cleaned_data.get("password"):
            try:
                password_validation.validate_password(password, self.instance)
            except forms.ValidationError as error:
                self.add_error("password", error)

    def account(self) -> User:
        """The account with the form's values and flags, not saved yet. Only for a valid form."""
        account: User = super().save(commit=False)
        account.is_staff = account.is_superuser = account.role == Role.ROOT
        if self.cleaned_data.get("password"):
            account.set_password(self.cleaned_data["password"])
        return account
