"""The pages of the exceptions: the worklist of a month, and one of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from core.attendance import exceptions as use_case
from core.attendance.exceptions import RULES, ExceptionShown
from core.attendance.seals import closed_among
from core.models import ExceptionKind, Role, User
from core.operations.errors import OperationFailed
from core.web import typed
from core.web.decorators import role_required
from core.web.forms.exceptions import ExceptionFilter, FoundRightForm, is_of_a_calendar
from core.web.views.attendance import EDITORS
from core.web.views.failures import because_of
from core.web.views.request import signed_in

_ON_A_PAGE: Final = 50
_DAY: Final = dt.timedelta(1)


class _Row(NamedTuple):
    """A line of the list. The query strings: of the exception's own page, of the attendance list with its records, and
    of the form that adds a record; None: there is nothing to add. ``is_closed``: whether its month is closed, so that
    nothing is added or edited."""

    one: ExceptionShown
    address: str
    records: str
    add: str | None
    is_closed: bool


@require_safe
@role_required(Role.values)
def exceptions_view(request: HttpRequest) -> HttpResponse:
    """The exceptions of a month in the person's scope: how many of each kind, and a page of the list."""
    user = signed_in(request)
    filters = ExceptionFilter(request.GET, user=user, month=use_case.newest_month(user))
    context: dict[str, Any] = {"filters": filters, "rules": [(kind.label, RULES[kind]) for kind in ExceptionKind]}
    if filters.is_valid():
        chosen = filters.cleaned_data
        month, company = chosen["month"], chosen.get("company")
        found = use_case.exceptions(user, month, company.pk if company else None)
        findings = list(found.seen) if chosen["seen"] else found.unseen
        if chosen["kind"]:
            findings = [finding for finding in findings if finding.kind == chosen["kind"]]
        page = Paginator(findings, _ON_A_PAGE).get_page(request.GET.get("page"))
        counts = found.counts()
        context |= {
            "page": page,
            "rows": _rows(use_case.shown(found, list(page.object_list), user), month, user),
            "counts": [(kind, counts[kind]) for kind in ExceptionKind if counts[kind]],
            "total": counts.total(),
            "month": month,
            "previous": month - _DAY,
            "next": month + 31 * _DAY,
            "may_edit": user.role in EDITORS,
        }
    return render(request, "exceptions.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(Role.values, keeps_typed=True)
def exception_view(request: HttpRequest) -> HttpResponse:
    """One exception, which the query string names, with what it is about. Who may edit says that it is right here, or
    takes that back."""
    user = signed_in(request)
    looked_at = _named(request)
    back = reverse("exceptions") + "?" + request.GET.get("back", "")
    if request.method == "POST" and user.role not in EDITORS:
        raise PermissionDenied
    if looked_at is None:
        messages.info(request, _("This is no exception any more."))
        return redirect(back)
    form = FoundRightForm(request.POST or None, initial={"checksum": looked_at.checksum})
    failure = None
    if request.method == "POST" and not typed.is_only_shown(request):
        try:
            if "take_back" in request.POST:
                use_case.take_back(user, looked_at)
                messages.success(request, _("Taken back. The exception is in the list again."))
                return redirect(back)
            if form.is_valid():
                use_case.find_right(user, looked_at, form.cleaned_data["checksum"], form.cleaned_data["reason"])
                messages.success(request, _("Noted that this is right. The exception is out of the list."))
                return redirect(back)
        except OperationFailed as error:
            failure = error
            form = FoundRightForm(initial={"checksum": looked_at.checksum, "reason": request.POST.get("reason", "")})
            messages.error(request, str(error))
    kind = looked_at.finding.kind
    context = {
        "row": _rows([looked_at], looked_at.finding.day.replace(day=1), user)[0],
        "one": looked_at,
        "kind": kind.label,
        "rule": RULES[kind],
        "form": form,
        "may_edit": user.role in EDITORS,
        "back": back,
        "section": "exceptions",
    }
    return because_of(failure, render(request, "exception.html", context, status=409 if failure else 200))


def _named(request: HttpRequest) -> ExceptionShown | None:
    """The exception that the query string names; None if there is none in this person's scope."""
    named = request.GET
    try:
        kind, company = ExceptionKind(named.get("kind", "")), int(named.get("company", ""))
        day = dt.date.fromisoformat(named.get("day", ""))
    except ValueError:
        return None
    if not is_of_a_calendar(day):
        return None
    return use_case.exception(signed_in(request), kind, company, named.get("subject", ""), day)


def _rows(shown: Sequence[ExceptionShown], month: dt.date, user: User) -> list[_Row]:
    may_edit = user.role in EDITORS
    closed = closed_among({(one.finding.company, one.finding.day) for one in shown} if may_edit else ())
    return [_row(one, month, user, is_closed=(one.finding.company, one.finding.day) in closed) for one in shown]


def _row(one: ExceptionShown, month: dt.date, user: User, *, is_closed: bool) -> _Row:
    finding = one.finding
    day, company = finding.day.isoformat(), {"company": finding.company} if user.role == Role.ROOT else {}
    address = {"kind": finding.kind.value, "company": finding.company, "subject": finding.subject, "day": day}
    if one.record is not None or finding.kind == ExceptionKind.NOT_RECORDED:
        first = last = day
    else:
        first, last = month.isoformat(), (month + 31 * _DAY).replace(day=1).isoformat()
    records = {"q": finding.subject, **company, "date_from": first, "date_to": last}
    add = {"company": finding.company, "ep_no": finding.subject, "ep_name": one.name, "date": day}
    is_missing = finding.kind == ExceptionKind.NOT_RECORDED
    return _Row(one, urlencode(address), urlencode(records), urlencode(add) if is_missing else None, is_closed)
