"""The forms of attendance records, and their fields."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from django import forms
from django.http import QueryDict
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from core import moments
from core.attendance.records import Beside, Changed, collide
from core.models import MINUTE_FIELDS, TIME_FIELDS, AttendanceRecord, Company, Role, User
from core.operations.wording import shown_value
from core.register.declared import ATTENDANCE_RECORDS
from core.services.backup_service import BackupService
from core.sheets.cells import BadCell, duration
from core.sheets.spoilt_text import normalised
from core.templatetags.muster import shown
from core.web.forms.shared import DateInput, Styled
from recordsync.model.fields import Minutes

MINUTES = Minutes(nullable=True)
_TIME = r"([01]?\d|2[0-3]):?([0-5]\d)(?::?([0-5]\d))?"
"""A time of day, as a pattern for Python and for browsers."""
_TIME_LABELS = dict(
    zip(TIME_FIELDS, (_("In"), _("Out"), _("In (2)"), _("Out (2)"), _("In (3)"), _("Out (3)")), strict=True)
)


class DurationField(forms.CharField):
    """A number of minutes, written ``HH:MM`` (hours may pass 24) or in any way that an import reads; null if blank."""

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
    """A time of day as lists show it, ``18:00`` or ``18:00:30``, typed with or without colons.

    It does not use the browser's own input for times, which shows 06:00 PM in some languages.
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
        match = re.fullmatch(_TIME, text, re.ASCII)
        if match is None:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        hours, minutes, seconds = match.groups(default="0")
        return dt.time(int(hours), int(minutes), int(seconds))


class SeenField(forms.DateTimeField):
    """Hidden: the time at which the record was saved that the form was made from; None for a value that is no time."""

    widget = forms.HiddenInput

    def __init__(self) -> None:
        super().__init__(required=False, input_formats=["%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S%z"])

    def clean(self, value: Any) -> dt.datetime | None:
        try:
            seen: dt.datetime | None = super().clean(value)
        except forms.ValidationError:
            return None
        return seen if seen and 1 < seen.year < dt.MAXYEAR else None  # zones cannot convert the first and last year


class ContentField(forms.CharField):
    """Hidden: the content of the record that the person saw; None for a value that is no record or fails its checksum.

    It separates what this person changed from what somebody else changed. It only decides what the form shows, so
    somebody who forges it deceives nobody else.
    """

    widget = forms.HiddenInput

    def __init__(self) -> None:
        super().__init__(required=False, strip=False)

    @staticmethod
    def written(record: AttendanceRecord) -> str:
        """The record as the field carries it: as in a file, in ASCII, without line breaks, which browsers change."""
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
    """Hidden fields that say which state of a record the page shows."""

    seen = SeenField()
    base = ContentField()

    @staticmethod
    def of(record: AttendanceRecord) -> dict[str, str]:
        """The values of the fields for this record."""
        return {
            "seen": record.updated_at.isoformat(timespec="microseconds"),
            "base": ContentField.written(record),
        }


class RecordForm(Styled, forms.ModelForm):
    """The content of a record. Its key (number, company, date) is set when it is added and never changes."""

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
        # These are shown and kept as they are in the register, with blanks at either end.
        for name in ("ep_name", "shift"):
            field = self.fields[name]
            assert isinstance(field, forms.CharField)
            field.strip = False
        for name, label in _TIME_LABELS.items():
            self.fields[name].label = label
        if self.instance.pk:
            self.initial.update(AsSeen.of(self.instance))

    def clean(self) -> dict[str, Any]:
        """The cleaned values. A browser drops line breaks from a one-line input: that alone is no change."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name in ("ep_name", "shift"):
            for before in ((cleaned.get("base") or {}).get(name), getattr(self.instance, name)):
                if before is not None and cleaned.get(name) == before.replace("\r", "").replace("\n", ""):
                    cleaned[name] = before
                    break
        return cleaned

    def show_beside(self, beside: Mapping[str, Beside]) -> None:
        """Show below each field which other value is saved or was saved there."""
        for name, saved in beside.items():
            field, value = self.fields[name], shown(shown_value(name, saved.text))
            label = _("Somebody changed this. It was: {}") if saved.by is Changed.THEIRS else _("Saved now: {}")
            text = format_html('<span class="muster-beside">{}</span>', format_html(str(label), value))
            field.help_text = self[name].help_text = text
            if saved.by is Changed.BOTH:
                field.widget.attrs["class"] += " muster-both"

    def content(self) -> dict[str, Any]:
        """The values to write, by field. Only for a valid form."""
        return {name: self.cleaned_data[name] for name in self._meta.fields or () if name in self.cleaned_data}


class NewRecordForm(RecordForm):
    """A new record: its key as well as its content. It offers the companies in the person's scope."""

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
            raise forms.ValidationError(_("This day is in the future."))
        return day

    def clean(self) -> dict[str, Any]:
        """The cleaned values. The number is spelt as an import would spell it, unless the company has it as typed."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        company, typed = cleaned.get("company"), cleaned.get("ep_no")
        if company and typed and not AttendanceRecord.objects.filter(company=company, ep_no=typed).exists():
            cleaned["ep_no"] = normalised(typed)
        return cleaned

    def _get_validation_exclusions(self) -> set[str]:
        # The service says that a record exists already, and what to do.
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc] # the stubs lack it
        return excluded | {"company"}


class RecordAdminForm(RecordForm):
    """A record on the administration site, with its key. It shows what somebody else saved meanwhile beside what the
    person typed, and replaces it only when they save again."""

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
        for name, saved in collision.beside.items():
            if saved.by is Changed.THEIRS:  # a field that this person did not touch keeps the saved value
                value = self.fields[name].prepare_value(getattr(record, name))
                data[name] = "" if value is None else str(value)
        for name, text in AsSeen.of(record).items():
            data[name] = text
        self.data = data
        self.show_beside(collision.beside)
        raise forms.ValidationError(
            _(
                "Somebody saved this record while you were editing it. Nothing of yours was saved. What you typed is "
                "below, beside what is saved now. Save again to keep what the form shows."
            )
        )


class ConfirmForm(Styled, forms.Form):
    """A name that the person types to confirm that much is deleted. ``expected``: the name."""

    typed = forms.CharField(label=_("Name"), widget=forms.TextInput(attrs={"autocomplete": "off"}))

    def __init__(self, *args: Any, expected: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.expected = expected

    def clean_typed(self) -> str:
        typed: str = self.cleaned_data["typed"]
        if typed.strip() != self.expected.strip():
            raise forms.ValidationError(_("This is not the name. Nothing was changed."))
        return typed
