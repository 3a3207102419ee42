"""Forms that look like the rest: Bootstrap's classes on every widget, errors tied to their fields."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import PasswordChangeForm


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


class ChangePasswordForm(Styled, PasswordChangeForm):
    pass


class DateInput(forms.DateInput):
    """A day, with the browser's own calendar."""

    input_type = "date"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs, format="%Y-%m-%d")
