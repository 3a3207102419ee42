"""The pages that close a company's month, and reopen it."""

from __future__ import annotations

import datetime as dt

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from core.attendance.seals import close_month, month_seals, reopen_month, to_close
from core.models import Company
from core.operations.errors import OperationFailed
from core.operations.wording import month_of
from core.web.decorators import role_required
from core.web.forms.closing import CloseMonthForm
from core.web.views.attendance import EDITORS
from core.web.views.failures import because_of
from core.web.views.request import signed_in


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(EDITORS)
def close_month_view(request: HttpRequest, company: int, first: dt.date) -> HttpResponse:
    """The page that asks before it closes a month. If the month, or what nobody has looked at, is another one meanwhile
    (409), it asks again. If the month cannot be closed, the answer to a POST is 409, too."""
    user, owner = signed_in(request), _theirs(request, company)
    month = to_close(user, company, first)
    form, failure = CloseMonthForm(request.POST or None, month=month), None
    if request.method == "POST" and form.is_valid():
        chosen = form.cleaned_data
        try:
            close_month(user, company, first, seen=chosen["seen"], accepted=chosen["unseen"])
        except OperationFailed as error:
            failure = error
            messages.error(request, str(error))
            month = to_close(user, company, first)
            form = CloseMonthForm(month=month)
        else:
            messages.success(request, _("%(month)s is closed.") % {"month": month_of(owner.name, first)})
            return redirect("roll_month", company, first)
    context = {"month": month, "first": first, "form": form, "section": "roll"}
    is_refused = request.method == "POST" and (failure is not None or bool(month.why_not))
    return because_of(failure, render(request, "month_close.html", context, status=409 if is_refused else 200))


@require_http_methods(["GET", "HEAD", "POST"])
@role_required(EDITORS)
def reopen_month_view(request: HttpRequest, company: int, first: dt.date) -> HttpResponse:
    """The page that asks before it reopens a month."""
    user, owner = signed_in(request), _theirs(request, company)
    seals, failure = month_seals(owner, first), None
    if request.method == "POST" and seals.is_closed:
        try:
            reopen_month(user, company, first, seen=request.POST.get("seen", ""))
        except OperationFailed as error:
            failure = error
            messages.error(request, str(error))
            seals = month_seals(owner, first)
        else:
            messages.success(request, _("%(month)s is open again.") % {"month": month_of(owner.name, first)})
            return redirect("roll_month", company, first)
    context = {"company": owner, "first": first, "seals": seals, "section": "roll"}
    status = 409 if request.method == "POST" else 200
    return because_of(failure, render(request, "month_reopen.html", context, status=status))


def _theirs(request: HttpRequest, company: int) -> Company:
    """The company. Raises Http404 for one that is not this person's."""
    owner = Company.objects.visible_to(request.user).filter(pk=company).first()
    if owner is None:
        raise Http404
    return owner
