"""The form that chooses how a roll is printed."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from core.attendance import prints
from core.attendance.print_workbook import PAPERS
from core.attendance.prints import CellSource, Profile
from core.web.forms.shared import Styled


class PrintForm(Styled, forms.Form):
    """The choice, read from a query string. ``month``: its first day. What is not valid is as if it were not chosen."""

    paper = forms.ChoiceField(
        label=_("Paper"), required=False, choices=[(paper, _("%s, on its side") % paper.upper()) for paper in PAPERS]
    )
    profile = forms.ChoiceField(label=_("Form"), required=False)
    title = forms.CharField(label=_("Title"), required=False, max_length=100)
    column = forms.MultipleChoiceField(
        label=_("Columns"),
        required=False,
        choices=[(source.value, source.label) for source in prints.IN_COLUMNS],
        widget=forms.CheckboxSelectMultiple,
    )
    blank = forms.CharField(
        label=_("Blank columns, with commas between them"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"placeholder": _("Sex, Designation")}),
    )

    def __init__(self, data: Any, *, month: dt.date) -> None:
        self.known = {profile.key: profile for profile in prints.profiles_of(month)}
        data = data.copy()
        data.setdefault("paper", next(iter(PAPERS)))
        data.setdefault("profile", prints.PLAIN.key)
        if not data.getlist("column"):
            plain = [column.source for column in prints.PLAIN.columns]
            data.setlist("column", [source.value for source in plain if source is not None])
        super().__init__(data)
        field = self.fields["profile"]
        assert isinstance(field, forms.ChoiceField)
        keys = [(key, profile.title) for key, profile in self.known.items()]
        field.choices = [*keys, (prints.CUSTOM, _("Columns of your own"))]
        self.is_valid()

    @property
    def size(self) -> str:
        """The size of the paper."""
        return self.cleaned_data.get("paper") or next(iter(PAPERS))

    def chosen(self) -> Profile:
        """The profile."""
        chosen = self.cleaned_data.get("profile", "")
        if chosen != prints.CUSTOM:
            return self.known.get(chosen, prints.PLAIN)
        blank = [name.strip() for name in self.cleaned_data.get("blank", "").split(",")]
        sources = [CellSource(value) for value in self.cleaned_data.get("column", [])]
        return prints.custom(self.cleaned_data.get("title", ""), sources, [name for name in blank if name])
