"""The form that closes a month."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from core.attendance.seals import ToClose
from core.web.forms.shared import Styled


class CloseMonthForm(Styled, forms.Form):
    """What somebody saw who closes a month: its digest, and how many exceptions nobody has looked at. If there are
    some, a box is to be ticked."""

    seen = forms.CharField(widget=forms.HiddenInput)
    unseen = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    accepts = forms.BooleanField(
        error_messages={"required": _("Tick the box, or look at the exceptions first. Nothing was changed.")}
    )

    def __init__(self, data: Any = None, *, month: ToClose) -> None:
        """``month``: as it is now, which a new form shows."""
        super().__init__(data, initial={"seen": month.digest, "unseen": month.unseen})
        shown = self["unseen"].value()
        number = int(shown) if str(shown).isdecimal() else month.unseen
        if not number:
            del self.fields["accepts"]
            return
        text = ngettext(
            "Close it with %(number)s exception that nobody has looked at",
            "Close it with %(number)s exceptions that nobody has looked at",
            number,
        )
        self.fields["accepts"].label = text % {"number": f"{number:,}"}
