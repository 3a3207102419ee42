"""The tags and filters of the templates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from django import forms, template
from django.core.paginator import Page
from django.template import Context
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from core import moments
from core.models import AttendanceRecord, Role
from core.operations import wording
from core.operations.traits import label_of
from core.register.identity import Identity, identity
from recordsync.errors import FileError

register = template.Library()

_ALL = frozenset(Role)
_EDITORS = frozenset({Role.ROOT, Role.ADMIN})
_ROOT = frozenset({Role.ROOT})

NAVIGATION: list[tuple[str, Any, frozenset[Role]]] = [
    ("dashboard", _("Dashboard"), _ALL),
    ("roll", _("Muster roll"), _ALL),
    ("attendance_list", _("Attendance"), _ALL),
    ("exceptions", _("Exceptions"), _ALL),
    ("upload", _("Import"), _EDITORS),
    ("upload_logs", _("Import log"), _EDITORS),
    ("companies", _("Companies"), _ROOT),
    ("users", _("Accounts"), _EDITORS),
    ("backup_data", _("Backup"), _ROOT),
    ("restore_data", _("Restore"), _ROOT),
    ("backup_logs", _("Backup log"), _ROOT),
    ("history", _("History"), _ROOT),
    ("admin:index", _("Administration"), _ROOT),
]
"""URL name, text and roles of each page. A page without a URL has no link."""


@dataclass(frozen=True)
class Link:
    href: str
    text: str
    current: bool


@register.simple_tag(takes_context=True)
def navigation(context: Context) -> list[Link]:
    """Links to the pages that this person may open. The current page is marked, or the one that the view names by the
    name of its URL as ``section``."""
    request = context.get("request")
    user = getattr(request, "user", None)
    if request is None or user is None or not user.is_authenticated:
        return []
    links = []
    for name, text, roles in NAVIGATION:
        try:
            href = reverse(name)
        except NoReverseMatch:
            continue
        if user.role in roles:
            links.append((href, str(text)))
    path = reverse(context["section"]) if context.get("section") else request.path
    here = [href for href, _text in links if path.startswith(href) and (href != "/" or path == "/")]
    current = max(here, key=len, default="")
    return [Link(href, text, href == current) for href, text in links]


@register.simple_tag
def installation() -> Identity:
    """The installation that the page belongs to."""
    return identity()


@register.simple_tag(takes_context=True)
def query(context: Context, **changes: Any) -> str:
    """This page's query string with some parameters changed, as ``?a=1&b=2``. A blank or None removes a parameter."""
    data = context["request"].GET.copy()
    for name, value in changes.items():
        if value in (None, ""):
            data.pop(name, None)
        else:
            data[name] = value
    return f"?{data.urlencode()}" if data else "?"


@register.filter
def minutes(value: int | None) -> str:
    """Minutes as ``HH:MM`` (hours may pass 24); blank for null."""
    return "" if value is None else f"{value // 60:02d}:{value % 60:02d}"


@register.simple_tag
def moment(value: dt.datetime | str | None = None) -> SafeString:
    """A moment in the project's zone. ``value`` may be a text as in a file's metadata; None means now."""
    value = value or timezone.now()
    when = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
    utc = when.astimezone(dt.UTC).isoformat()
    return format_html('<time class="text-nowrap" datetime="{}">{}</time>', utc, moments.moment(when))


@register.filter
def day(value: dt.date | None) -> str:
    """A day as all pages write it; blank for None."""
    return moments.day(value) if value else ""


@register.filter
def month(value: dt.date) -> str:
    """The month that a day is in, as all pages write it."""
    return moments.month(value)


@register.filter
def shown(value: str | None) -> str:
    """A field's value beside another one: a dash for None, and the word "blank" for text that cannot be seen."""
    if value is None:
        return "—"
    if any(character.isprintable() and not character.isspace() for character in value):
        return value
    if not value:
        return format_html("<em>{}</em>", _("blank"))
    return format_html(
        "<em>{}</em>",
        ngettext("blank: %(n)s character", "blank: %(n)s characters", len(value)) % {"n": len(value)},
    )


@register.filter
def value_of(value: str | None, field: str) -> str | None:
    """A value in a file, as people read it."""
    return wording.shown_value(field, value)


@register.filter
def field_name(name: str) -> str:
    """The name that people use for a field of a record."""
    return str(wording.FIELD_NAMES.get(name, name))


@register.filter
def unit_name(name: str) -> str:
    """The name that people use for a unit, whose fields are taken together."""
    return str(wording.UNIT_NAMES.get(name, name))


@register.filter
def shown_key(key: Sequence[str] | None) -> str:
    """The key of a record, as people read it."""
    return wording.shown_key(key or ())


@register.filter
def where(error: FileError) -> str:
    """The place in the file where the error is."""
    return wording.where(error)


@register.filter
def operation_name(kind: str) -> str:
    """The name that people use for an operation of this kind."""
    return label_of(kind)


@register.filter
def punches(record: AttendanceRecord) -> list[str]:
    """The record's times in and out in pairs, as ``09:00 – 18:00``. A question mark stands for a missing one."""
    pairs = (
        (record.in_time, record.out_time),
        (record.in_time_2, record.out_time_2),
        (record.in_time_3, record.out_time_3),
    )
    written = [
        ["?" if time is None else moments.time_of_day(time) for time in pair] for pair in pairs if pair != (None, None)
    ]
    return [" – ".join(pair) for pair in written]


@register.filter
def percent(part: int, whole: int) -> int:
    """``part`` of ``whole`` in percent, rounded; 0 if ``whole`` is 0."""
    return round(100 * part / whole) if whole else 0


@register.inclusion_tag("partials/pagination.html", takes_context=True)
def pagination(context: Context, page: Page[Any]) -> dict[str, Any]:
    """Links to the previous and next page that keep the rest of the query string."""
    return {"page": page, "request": context["request"]}


@register.inclusion_tag("partials/chosen.html")
def chosen(form: forms.BaseForm) -> dict[str, Any]:
    """The filters that are set, in words, for a printed page, which does not show the form."""
    values = [(bound, form.cleaned_data.get(bound.name)) for bound in form.visible_fields()] if form.is_valid() else []
    return {"chosen": [(bound.label, _in_words(bound.field, value)) for bound, value in values if value]}


def _in_words(field: forms.Field, value: Any) -> str:
    if value is True:
        return ""
    if isinstance(field, forms.ChoiceField) and not isinstance(field, forms.ModelChoiceField):
        return str(dict(cast("list[tuple[str, Any]]", field.choices)).get(value, value))
    return str(value)


@register.inclusion_tag("partials/field.html")
def field(bound: Any) -> dict[str, Any]:
    """A form field with its label, help and errors."""
    return {"field": bound, "is_checkbox": getattr(bound.field.widget, "input_type", "") == "checkbox"}
