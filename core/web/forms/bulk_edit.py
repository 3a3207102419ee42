"""The form of a bulk edit: the days that were selected, and what is done to them."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from core.attendance.bulk_edit import BulkEdit, Doing, SelectedDay
from core.models import Status
from core.web.forms.shared import Styled


class DaysField(forms.Field):
    """Selected days, as ``12 2026-11-03 EMP001`` each: company, date, number. Many may be in one value, a line each,
    because a form has no thousands of values."""

    widget = forms.MultipleHiddenInput

    @staticmethod
    def written(day: SelectedDay) -> str:
        """A day as the field has it."""
        return f"{day.company} {day.date.isoformat()} {day.ep_no}"

    def clean(self, value: Any) -> list[SelectedDay]:
        super().clean(value)
        texts = [line for text in value or [] for line in re.split(r"\r?\n", text) if line]
        return list(dict.fromkeys(map(self._day, texts)))

    @staticmethod
    def _day(text: str) -> SelectedDay:
        try:
            company, date, ep_no = text.split(" ", 2)
            return SelectedDay(int(company), dt.date.fromisoformat(date), ep_no)
        except ValueError as error:
            raise forms.ValidationError(_("This is no day that can be selected.")) from error


class BulkEditForm(Styled, forms.Form):
    """See the module."""

    days = DaysField(error_messages={"required": _("Select at least one day.")})
    doing = forms.ChoiceField(label=_("What to do"), choices=Doing.choices)
    status = forms.ChoiceField(label=_("Status"), choices=Status.choices, required=False)
    shift = forms.CharField(label=_("Shift"), max_length=50, required=False)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("doing") == Doing.STATUS and not cleaned.get("status") and "status" not in self.errors:
            self.add_error("status", _("Choose a status."))
        return cleaned

    def edit(self) -> BulkEdit:
        """What a valid form asks for."""
        doing = Doing(self.cleaned_data["doing"])
        value = "" if doing is Doing.DELETE else self.cleaned_data[doing.value]
        return BulkEdit(self.cleaned_data["days"], doing, value)
