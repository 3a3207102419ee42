"""The forms of the exceptions: which of them a page shows, and why one is right."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from core.models import Company, ExceptionKind, Role, User
from core.web.forms.shared import Styled


def is_of_a_calendar(day: dt.date) -> bool:
    """Whether there are months before and after that of this day."""
    return dt.MINYEAR < day.year < dt.MAXYEAR


class MonthField(forms.CharField):
    """A month, written ``2026-11``: its first day."""

    widget = forms.TextInput(attrs={"type": "month", "placeholder": "YYYY-MM"})

    def prepare_value(self, value: Any) -> Any:
        return value.isoformat()[:7] if isinstance(value, dt.date) else value

    def clean(self, value: Any) -> dt.date | None:
        text = super().clean(value)
        if not text:
            return None
        try:
            month = dt.date.fromisoformat(f"{text}-01")
        except ValueError:
            month = dt.date.min
        if not is_of_a_calendar(month):
            raise forms.ValidationError(_("Write a month, such as 2026-11."))
        return month


class ExceptionFilter(Styled, forms.Form):
    """The filters of the exceptions, read from the query string."""

    month = MonthField(label=_("Month"), required=False)
    company = forms.ModelChoiceField(
        label=_("Company"), queryset=Company.objects.none(), required=False, empty_label=_("All companies")
    )
    kind = forms.ChoiceField(label=_("Kind"), required=False, choices=[("", _("All kinds")), *ExceptionKind.choices])
    seen = forms.ChoiceField(
        label=_("Show"), required=False, choices=[("", _("Not looked at yet")), ("yes", _("Found right"))]
    )

    def __init__(self, data: Any, *, user: User, month: dt.date) -> None:
        """``month``: the one that is shown where the query string names none."""
        super().__init__({"month": month.isoformat()[:7]} | {name: data[name] for name in data if data[name]})
        company = self.fields["company"]
        assert isinstance(company, forms.ModelChoiceField)
        company.queryset = Company.objects.visible_to(user)
        if user.role != Role.ROOT:
            del self.fields["company"]


class FoundRightForm(Styled, forms.Form):
    """Why an exception is right. ``checksum``: of what the page shows."""

    reason = forms.CharField(label=_("It is right, because"), max_length=255)
    checksum = forms.CharField(widget=forms.HiddenInput)
