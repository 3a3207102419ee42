"""What forms of every subject are made of: their looks, days, and what two people change at the same time."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _


class Styled(forms.BaseForm):
    """A form in Bootstrap's style: widgets have its classes, and a field with an error is marked. Mixed into forms."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            widget = field.widget
            if isinstance(widget, forms.CheckboxInput | forms.RadioSelect):
                style = "form-check-input"
            elif isinstance(widget, forms.Select):
                style = "form-select"
            else:
                style = "form-control"
            widget.attrs["class"] = f"{widget.attrs.get('class', '')} {style}".strip()

    def full_clean(self) -> None:
        super().full_clean()
        for name in getattr(self, "_errors", None) or ():
            if name in self.fields:
                attrs = self.fields[name].widget.attrs
                if "is-invalid" not in attrs.get("class", ""):
                    attrs["class"] = f"{attrs.get('class', '')} is-invalid".strip()


def mark_as_seen(form: forms.BaseForm, name: str, saved: Any) -> None:
    """Note in a form that is shown again that the person has seen the value that is saved now. ``name``: the field."""
    data = cast("QueryDict", form.data).copy()
    data[form[name].html_initial_name] = "" if saved is None else str(form.fields[name].prepare_value(saved))
    form.data = data


class SharedEditing(forms.BaseModelForm):
    """A model's form that two people can have open for one row at the same time. Mixed into forms.

    The form carries the values that the person saw (Django's hidden initial values). A field that they did not touch
    keeps the value that is saved now. A field that both changed is refused once, with an error that names that value.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:
            for name in self.fields.keys() - {"password"}:
                self.fields[name].show_hidden_initial = True

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name in [name for name, field in self.fields.items() if field.show_hidden_initial and name in cleaned]:
            self._settle(name, cleaned)
        return cleaned

    def _settle(self, name: str, cleaned: dict[str, Any]) -> None:
        """Set the value, or the error, of a field that somebody else may have saved since the form was made."""
        bound, field, saved = self[name], self.fields[name], getattr(self.instance, name)
        if bound.html_initial_name not in self.data:
            return  # the form does not say what the person saw
        if name not in self.changed_data:
            cleaned[name] = saved
            return
        try:
            seen = field.to_python(self.data[bound.html_initial_name])
        except forms.ValidationError:
            seen = None
        if saved not in (seen, cleaned[name]):
            value = getattr(self.instance, f"get_{name}_display", lambda: saved)()
            if isinstance(value, bool):
                value = _("yes") if value else _("no")
            text = _("Somebody changed this while you were editing. Saved now: %(value)s. Save again to replace that.")
            self.add_error(name, text % {"value": "—" if value in (None, "") else value})
            mark_as_seen(self, name, saved)


class DateInput(forms.DateInput):
    """An input for a day, which shows the browser's own calendar."""

    input_type = "date"

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs, format="%Y-%m-%d")
