"""The form that chooses which month of which company a roll shows, and of whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from core.attendance.month import ANY, RollFilter
from core.models import Company, ExceptionKind, Role, User
from core.register.database import DEFAULT, Register
from core.web.forms.exceptions import MonthField
from core.web.forms.shared import Styled


class RollForm(Styled, forms.Form):
    """The choice, read from a query string. ``shifts``: those of the month that is shown."""

    company = forms.ModelChoiceField(Company.objects.none(), label=_("Company"), required=False, empty_label=None)
    month = MonthField(label=_("Month"), required=False)
    q = forms.CharField(
        label=_("Employee"),
        required=False,
        max_length=255,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": _("Number or name")}),
    )
    shift = forms.CharField(label=_("Shift"), required=False, strip=False, widget=forms.Select)
    exception = forms.ChoiceField(
        label=_("Exception"),
        required=False,
        choices=[("", _("With or without")), (ANY, _("Any")), *ExceptionKind.choices],
    )

    def __init__(
        self, *args: Any, user: User, shifts: Sequence[str] = (), register: Register = DEFAULT, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        company, shift = self.fields["company"], self.fields["shift"]
        assert isinstance(company, forms.ModelChoiceField)
        assert isinstance(shift.widget, forms.Select)
        company.queryset = register.rows(Company).visible_to(user)
        shift.widget.choices = [("", _("All")), *((shift, shift) for shift in shifts)]
        if user.role != Role.ROOT:
            del self.fields["company"]

    def chosen(self) -> RollFilter:
        """Whom the roll shows: everybody, where what was typed is not valid."""
        self.is_valid()
        return RollFilter(**{name: self.cleaned_data.get(name, "") for name in RollFilter._fields})
