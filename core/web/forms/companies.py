"""The form of a company."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from core.models import Company
from core.sheets.spoilt_text import normalised
from core.web.forms.shared import Styled


class CompanyForm(Styled, forms.Form):
    """A company's name, spelt as an import would spell it. Otherwise an import would create a second company."""

    name = forms.CharField(label=_("Name"), max_length=255)

    def clean_name(self) -> str:
        typed: str = self.cleaned_data["name"]
        if Company.objects.filter(name=typed).exists():
            return typed
        name = normalised(typed)
        self.fields["name"].run_validators(name)
        return name
