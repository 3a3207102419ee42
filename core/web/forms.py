"""Forms that look like the rest: Bootstrap's classes on every widget, errors tied to their fields."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from django import forms
from django.contrib.auth import authenticate, password_validation
from django.contrib.auth.forms import PasswordChangeForm
from django.http import HttpRequest, QueryDict
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from core import moments
from core.accounts import sign_in
from core.attendance.records import Beside, Changed, collide
from core.models import MINUTE_FIELDS, TIME_FIELDS, AttendanceRecord, Company, Role, User
from core.operations.wording import shown_value
from core.register.declared import ATTENDANCE_RECORDS
from core.services.backup_service import BackupService
from core.sheets.cells import BadCell, duration
from core.sheets.spoilt_text import normalised
from core.templatetags.muster import shown
from recordsync.model.fields import Minutes

MINUTES = Minutes(nullable=True)
_TIME = r"([01]?\d|2[0-3]):?([0-5]\d)(?::?([0-5]\d))?"
"""Of a day; for Python and for browsers."""
_TIME_LABELS = dict(
    zip(TIME_FIELDS, (_("In"), _("Out"), _("In (2)"), _("Out (2)"), _("In (3)"), _("Out (3)")), strict=True)
)


class Styled:
    """Mixed into a form: its widgets get Bootstrap's classes, and those with errors are marked."""

    fields: dict[str, forms.Field]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            widget = field.widget
            if isinstance(widget, forms.CheckboxInput):
                style = "form-check-input"
            elif isinstance(widget, forms.Select):
                style = "form-select"
            else:
                style = "form-control"
            widget.attrs["class"] = f"{widget.attrs.get('class', '')} {style}".strip()

    def full_clean(self) -> None:
        super().full_clean()  # type: ignore[misc]
        for name in getattr(self, "_errors", None) or ():
            if name in self.fields:
                attrs = self.fields[name].widget.attrs
                if "is-invalid" not in attrs.get("class", ""):
                    attrs["class"] = f"{attrs.get('class', '')} is-invalid".strip()


def see_again(form: forms.BaseForm, name: str, now: Any) -> None:
    """Have a form that is shown again say that the person has seen what is saved now."""
    data = cast("QueryDict", form.data).copy()
    data[form[name].html_initial_name] = "" if now is None else str(form.fields[name].prepare_value(now))
    form.data = data


class MeetsOthers:
    """Mixed into a model's form: what two people changed of one row, each in a form of their own.

    The form carries what the person saw (Django's hidden initial values): what they did not touch stays as somebody
    else may have saved it meanwhile, and what both changed is refused once, with what is saved now.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:  # type: ignore[attr-defined]
            for name in self.fields.keys() - {"password"}:  # type: ignore[attr-defined]
                self.fields[name].show_hidden_initial = True  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data  # type: ignore[misc,attr-defined]
        fields = self.fields.items()  # type: ignore[attr-defined]
        for name in [name for name, field in fields if field.show_hidden_initial and name in cleaned]:
            self._meet(name, cleaned)
        return cleaned

    def _meet(self, name: str, cleaned: dict[str, Any]) -> None:
        """What becomes of a field that somebody else may have saved since the form was made."""
        form = cast("forms.ModelForm[Any]", self)
        bound, field, now = form[name], form.fields[name], getattr(form.instance, name)
        if bound.html_initial_name not in form.data:
            return  # it does not say what they saw
        if name not in form.changed_data:
            cleaned[name] = now
            return
        try:
            seen = field.to_python(form.data[bound.html_initial_name])
        except forms.ValidationError:
            seen = None
        if now not in (seen, cleaned[name]):
            value = getattr(form.instance, f"get_{name}_display", lambda: now)()
            if isinstance(value, bool):
                value = _("yes") if value else _("no")
            text = _("Somebody changed this while you were editing. Saved now: %(value)s. Save again to replace that.")
            form.add_error(name, text % {"value": "—" if value in (None, "") else value})
            see_again(form, name, now)


class ChangePasswordForm(Styled, PasswordChangeForm):
    """A new password for the old one, which may be tried as often as at signing in (:mod:`core.accounts.sign_in`)."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request = request

    def clean_old_password(self) -> str:
        old: str = self.cleaned_data["old_password"]
        if authenticate(self._request, username=self.user.get_username(), password=old) is None:
            raise forms.ValidationError(self.error_messages["password_incorrect"], code="password_incorrect")
        sign_in.release(self._request, self.user)
        return old


class DateInput(forms.DateInput):
    """A day, with the browser's own calendar."""

    input_type = "date"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs, format="%Y-%m-%d")


class DurationField(forms.CharField):
    """Minutes, written ``HH:MM`` (hours may pass 24) or as an import takes them; blank is null."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("widget", forms.TextInput(attrs={"placeholder": "HH:MM", "autocomplete": "off"}))
        super().__init__(required=False, max_length=10, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return MINUTES.to_text(value) if isinstance(value, int) else value

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return MINUTES.to_python(duration(text))
        except BadCell as error:
            raise forms.ValidationError(_("Write hours and minutes, such as 01:30.")) from error


class TimeOfDayField(forms.TimeField):
    """A time as lists show it, ``18:00`` or ``18:00:30``, typed with colons or without.

    Not the browser's own input for times, which in some languages shows 06:00 PM.
    """

    default_error_messages: ClassVar = {"invalid": _("Write a time of 24 hours, such as 18:00 or 18:00:30.")}

    def __init__(self, **kwargs: Any) -> None:
        kwargs["widget"] = forms.TextInput(
            attrs={
                "placeholder": "HH:MM",
                "autocomplete": "off",
                "inputmode": "numeric",
                "pattern": _TIME,
                "title": _("24 hours: 18:00 or 18:00:30"),
            }
        )
        super().__init__(**kwargs)

    def prepare_value(self, value: Any) -> Any:
        return moments.time_of_day(value) if isinstance(value, dt.time) else value

    def to_python(self, value: Any) -> dt.time | None:
        text = str(value or "").strip()
        if not text:
            return None
        found = re.fullmatch(_TIME, text, re.ASCII)
        if found is None:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        hours, minutes, seconds = found.groups(default="0")
        return dt.time(int(hours), int(minutes), int(seconds))


class SeenField(forms.DateTimeField):
    """Hidden: which state of a record a form was made from, by the time it was saved. What is no time says nothing."""

    widget = forms.HiddenInput

    def __init__(self) -> None:
        super().__init__(required=False, input_formats=["%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S%z"])

    def clean(self, value: Any) -> dt.datetime | None:
        try:
            seen: dt.datetime | None = super().clean(value)
        except forms.ValidationError:
            return None
        return seen if seen and 1 < seen.year < dt.MAXYEAR else None  # at the ends, zones do not convert


class ContentField(forms.CharField):
    """Hidden: a record that somebody saw, as it stands in a file. What is none, or does not fit its checksum because
    something on the way changed it, says nothing.

    It tells what the person changed from what somebody else did, and decides nothing but what a form shows: whoever
    forges it deceives themselves.
    """

    widget = forms.HiddenInput

    def __init__(self) -> None:
        super().__init__(required=False, strip=False)

    @staticmethod
    def written(record: AttendanceRecord) -> str:
        """In ASCII without line breaks, which a browser would change."""
        return json.dumps(BackupService._serialize_record(record))

    def clean(self, value: Any) -> dict[str, str | None] | None:
        try:
            content = json.loads(value)
            shape = ATTENDANCE_RECORDS.shape()
            record = shape.from_mapping(content)
            is_whole = content["checksum"] == BackupService._generate_checksum(content)
        except (TypeError, KeyError, ValueError, RecursionError):
            return None
        return shape.content(record) if is_whole and not any(shape.errors(record.values)) else None


class AsSeen(forms.Form):
    """Hidden: which state of a record a page shows."""

    seen = SeenField()
    base = ContentField()

    @staticmethod
    def of(record: AttendanceRecord) -> dict[str, str]:
        """The fields' values."""
        return {
            "seen": record.updated_at.isoformat(timespec="microseconds"),
            "base": ContentField.written(record),
        }


class RecordForm(Styled, forms.ModelForm):
    """A record's content. Its key (number, company, date) is set when it is added, and stays."""

    overstay = DurationField(label=_("Overstay"))
    overtime = DurationField(label=_("Overtime"))
    overtime_to_mandays = DurationField(label=_("Overtime to mandays"))
    seen = SeenField()
    base = ContentField()

    class Meta:
        model = AttendanceRecord
        fields: ClassVar[tuple[str, ...]] = ("ep_name", "shift", "status", *TIME_FIELDS, *MINUTE_FIELDS)
        field_classes: ClassVar[dict[str, type[forms.Field]]] = dict.fromkeys(TIME_FIELDS, TimeOfDayField)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What is in the register is shown and kept verbatim, blanks at its ends included.
        for name in ("ep_name", "shift"):
            self.fields[name].strip = False  # type: ignore[attr-defined]
        for name, label in _TIME_LABELS.items():
            self.fields[name].label = label
        if self.instance.pk:
            self.initial.update(AsSeen.of(self.instance))

    def clean(self) -> dict[str, Any]:
        """A browser leaves line breaks out of the one line that it shows: that alone is no change."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name in ("ep_name", "shift"):
            for before in ((cleaned.get("base") or {}).get(name), getattr(self.instance, name)):
                if before is not None and cleaned.get(name) == before.replace("\r", "").replace("\n", ""):
                    cleaned[name] = before
                    break
        return cleaned

    def show_beside(self, beside: Mapping[str, Beside]) -> None:
        """Write below the fields what else is saved there."""
        for name, one in beside.items():
            field, value = self.fields[name], shown(shown_value(name, one.text))
            told = _("Somebody changed this. It was: {}") if one.by is Changed.THEIRS else _("Saved now: {}")
            text = format_html('<span class="muster-beside">{}</span>', format_html(str(told), value))
            field.help_text = self[name].help_text = text
            if one.by is Changed.BOTH:
                field.widget.attrs["class"] += " muster-both"

    def content(self) -> dict[str, Any]:
        """The fields to write."""
        return {name: self.cleaned_data[name] for name in self._meta.fields or () if name in self.cleaned_data}


class NewRecordForm(RecordForm):
    """With the key; the companies are those in the person's scope."""

    class Meta(RecordForm.Meta):
        fields: ClassVar = ("company", "ep_no", "date", *RecordForm.Meta.fields)
        widgets: ClassVar = {"date": DateInput()}

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        company = self.fields["company"]
        assert isinstance(company, forms.ModelChoiceField)
        company.queryset = Company.objects.visible_to(user)
        if user.role != Role.ROOT:
            company.initial, company.empty_label = user.company_id, None

    def clean_date(self) -> dt.date:
        day: dt.date = self.cleaned_data["date"]
        if day > timezone.localdate():
            raise forms.ValidationError(_("This day is still to come."))
        return day

    def clean(self) -> dict[str, Any]:
        """The number is spelt as an import would spell it, unless the company has it as it was typed."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        company, typed = cleaned.get("company"), cleaned.get("ep_no")
        if company and typed and not AttendanceRecord.objects.filter(company=company, ep_no=typed).exists():
            cleaned["ep_no"] = normalised(typed)
        return cleaned

    def _get_validation_exclusions(self) -> set[str]:
        # The service says that a record is there already, with what to do.
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return excluded | {"company"}


class RecordAdminForm(RecordForm):
    """A record as the administration site shows it, key included. What somebody else saved meanwhile stands beside what
    was typed, and is replaced only by saving again."""

    class Meta(RecordForm.Meta):
        fields = NewRecordForm.Meta.fields

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        seen, record = cleaned.get("seen"), self.instance
        if record.pk is None or self.errors or "seen" not in self.data or seen == record.updated_at:
            return cleaned
        collision = collide(record, cleaned, cleaned.get("base"))
        if collision.is_settled:
            return cleaned
        data = cast("QueryDict", self.data).copy()
        for name, one in collision.beside.items():
            if one.by is Changed.THEIRS:  # what they did not touch stays as it is saved
                value = self.fields[name].prepare_value(getattr(record, name))
                data[name] = "" if value is None else str(value)
        for name, text in AsSeen.of(record).items():
            data[name] = text
        self.data = data
        self.show_beside(collision.beside)
        raise forms.ValidationError(
            _(
                "Somebody saved this record while you were editing it. Nothing of yours was saved. What you typed is "
                "below, and beside it what is saved now. Save again to keep what the form shows."
            )
        )


class ConfirmForm(Styled, forms.Form):
    """A name typed to confirm what cannot be taken back."""

    typed = forms.CharField(label=_("Name"), widget=forms.TextInput(attrs={"autocomplete": "off"}))

    def __init__(self, *args: Any, expected: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.expected = expected

    def clean_typed(self) -> str:
        typed: str = self.cleaned_data["typed"]
        if typed.strip() != self.expected.strip():
            raise forms.ValidationError(_("This is not the name. Nothing was deleted."))
        return typed


class CompanyForm(Styled, forms.Form):
    """A company's name, spelt as an import would spell it: else a sheet would make a second company of it."""

    name = forms.CharField(label=_("Name"), max_length=255)

    def clean_name(self) -> str:
        typed: str = self.cleaned_data["name"]
        if Company.objects.filter(name=typed).exists():
            return typed
        name = normalised(typed)
        self.fields["name"].run_validators(name)
        return name


class AccountForm(Styled, MeetsOthers, forms.ModelForm):
    """An account as ``editor`` may see and set it: an administrator gives neither roles nor companies."""

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
        help_text=_("Leave blank to keep the one there is."),
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
        if self.instance.pk == editor.pk:  # nobody shuts themselves out, or gives themselves another role
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
        """What :meth:`account` changes of an account that there is; None: it is a new one."""
        if self.instance.pk is None:
            return None
        return [*sorted(self.fields.keys() & set(self.changed_data)), "is_staff", "is_superuser"]

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if password := self.cleaned_data.get("password"):
            try:
                password_validation.validate_password(password, self.instance)
            except forms.ValidationError as error:
                self.add_error("password", error)

    def account(self) -> User:
        """The account as it is to be saved."""
        account: User = super().save(commit=False)
        account.is_staff = account.is_superuser = account.role == Role.ROOT
        if self.cleaned_data.get("password"):
            account.set_password(self.cleaned_data["password"])
        return account
