"""The preview of a change to many days, and the change."""

from __future__ import annotations

import uuid
from typing import Final, NamedTuple, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from core.attendance.bulk_edit import BulkEdit, BulkEditPreview, Doing, apply_bulk_edit, preview_bulk_edit, told
from core.models import Role, User
from core.operations.errors import DataMoved, OperationFailed
from core.operations.wording import shown_day, shown_value
from core.register.declared import ATTENDANCE_RECORDS
from core.web.decorators import role_required
from core.web.forms.bulk_edit import BulkEditForm, DaysField
from core.web.views.failures import because_of
from core.web.views.operations import refuse
from core.web.views.request import back_to
from recordsync.streams import Change

_SHOWN: Final = 200
"""How many changes the preview lists."""


class _Row(NamedTuple):
    """A change in the list of the preview. ``before``, ``after``: None where there is no record."""

    company: str
    date: str
    ep_no: str
    ep_name: str
    before: str | None
    after: str | None


@require_POST
@role_required([Role.ROOT, Role.ADMIN])
def bulk_edit_view(request: HttpRequest) -> HttpResponse:
    """The preview of a bulk edit. With ``seen``, the digest of a preview, the edit is done (409: something changed
    since, and the page is a new preview)."""
    user = cast(User, request.user)
    back, form = back_to(request), BulkEditForm(request.POST)
    if not form.is_valid():
        for errors in form.errors.values():
            for error in errors:
                messages.error(request, str(error))
        return redirect(back)
    edit, failure = form.edit(), None
    try:
        if seen := request.POST.get("seen"):
            try:
                operation = apply_bulk_edit(user, edit, seen)
            except DataMoved as error:
                failure = error
                messages.error(request, str(error))
            else:
                messages.success(request, _done(edit, operation))
                return redirect(back)
        preview = preview_bulk_edit(user, edit)
    except PermissionError:
        refuse(request)
    except OperationFailed as error:
        messages.error(request, str(error))
        return redirect(back)
    context = {
        "what": told(edit),
        "form": form,
        "days": "\n".join(map(DaysField.written, edit.days)),
        "preview": preview,
        "deletes": edit.doing is Doing.DELETE,
        "unit": None if edit.doing is Doing.DELETE else edit.doing.value,
        "rows": _rows(preview, edit.doing),
        "more": max(0, len(preview.changes) - _SHOWN),
        "back": back,
        "section": "attendance_list",
    }
    return because_of(failure, render(request, "bulk_edit.html", context, status=200 if failure is None else 409))


def _done(edit: BulkEdit, operation: uuid.UUID) -> str:
    """What a person is told of an edit that was done, with a link to where it can be undone."""
    what, page = _("Done: %(what)s.") % {"what": told(edit)}, reverse("operation", args=[operation])
    return format_html('{} <a class="alert-link" href="{}">{}</a>', what, page, _("It can be undone."))


def _rows(preview: BulkEditPreview, doing: Doing) -> list[_Row]:
    """What the preview lists: of each change what becomes of the field that is set, or of the record."""
    name = "status" if doing is Doing.DELETE else doing.value
    return [_row(change, name) for change in preview.changes[:_SHOWN]]


def _row(change: Change, name: str) -> _Row:
    shape = ATTENDANCE_RECORDS.shape()
    sides = [None if side is None else shape.content(side) for side in (change.before, change.after)]
    known = sides[1] or sides[0] or {}
    before, after = (None if side is None else shown_value(name, side[name]) for side in sides)
    company, date, ep_no = change.key
    return _Row(company, shown_day(date), ep_no, known["ep_name"] or "", before, after)
