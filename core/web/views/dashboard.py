"""The dashboard: what the records add up to in a person's scope, and for editors the newest imports.

To count the exceptions of a large register takes longer than all else that the dashboard shows. So the page comes
without them, and asks for them when it is there.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final, NamedTuple, cast
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from core import moments
from core.attendance.dashboard import DashboardFigures, Span, dashboard
from core.attendance.exceptions import exceptions
from core.attendance.tally import CountsAs
from core.models import ExceptionKind, Role, Status, User
from core.web.decorators import role_required
from core.web.filters import OFF_OR_ON_LEAVE, PRESENT
from core.web.forms.exceptions import is_of_a_calendar
from core.web.views.request import signed_in

_STALE_AFTER = dt.timedelta(days=7)
_BY_MONTH: Final = "months"


class Tile(NamedTuple):
    """A figure that leads to what it counts. ``kind``: which colour it has. ``number``: None before it is counted."""

    label: str
    number: int | None
    href: str
    kind: str = ""


@require_safe
@login_required
def dashboard_view(request: HttpRequest) -> HttpResponse:
    """The dashboard. ``?over=months`` shows the last 12 months in place of the last 30 days."""
    user = cast(User, request.user)
    by_month = request.GET.get("over") == _BY_MONTH
    shown = dashboard(user, by_month=by_month)
    age = timezone.now() - shown.last_backup.taken_at if shown.last_backup else None
    written = moments.month if by_month else moments.day
    spans = [(written(span.first), span) for span in shown.figures.trend]
    context = {
        "figures": shown.figures,
        "last_backup": shown.last_backup,
        "imports": shown.imports,
        "of_the_day": _of_the_day(shown.figures.latest, shown.figures.not_recorded) if shown.figures.latest else [],
        "of_all": _of_all(shown.figures, user),
        "of_exceptions": [_of_exceptions(shown.figures.latest.first)] if shown.figures.latest else [],
        "tomorrow": timezone.localdate() + dt.timedelta(1),
        "by_month": by_month,
        "spans": spans,
        "chart": {
            "spans": [text for text, _span in spans],
            "present": [span.present for _text, span in spans],
            "absent": [span.absent for _text, span in spans],
            "other": [span.other for _text, span in spans],
        },
        "backup_is_ahead": age is not None and age < dt.timedelta(),  # then its age is unknown
        "backup_is_old": age is None or not dt.timedelta() <= age < _STALE_AFTER,
    }
    return render(request, "dashboard.html", context)


@require_safe
@role_required(Role.values)
def exception_counts_view(request: HttpRequest, first: dt.date) -> HttpResponse:
    """The part of the dashboard that says how many exceptions there are in a month, which ``first`` is the first day
    of: all of them, and then each kind that there is."""
    if not is_of_a_calendar(first):
        raise Http404
    counts = exceptions(signed_in(request), first).counts()
    every = _of_exceptions(first, counts.total())
    kinds = [Tile(str(kind.label), counts[kind], f"{every.href}&kind={kind}") for kind in ExceptionKind if counts[kind]]
    return render(request, "partials/tiles.html", {"tiles": [every, *kinds], "quiet": True})


def _of_the_day(latest: Span, not_recorded: int) -> list[Tile]:
    day = moments.day(latest.first)
    on_it: dict[str, Any] = {"date_from": day, "date_to": day}
    return [
        Tile(_("Present"), latest.present, _list(**on_it, status=PRESENT), CountsAs.PRESENT),
        Tile(_("Absent"), latest.absent, _list(**on_it, status=Status.ABSENT), CountsAs.ABSENT),
        Tile(_("Off or on leave"), latest.other, _list(**on_it, status=OFF_OR_ON_LEAVE), CountsAs.OFF),
        Tile(_("Not recorded"), not_recorded, _list(not_on=day), CountsAs.UNMARKED),
    ]


def _of_all(figures: DashboardFigures, user: User) -> list[Tile]:
    companies = [Tile(_("Companies"), figures.companies, reverse("companies"))] if user.role == Role.ROOT else []
    return [
        *companies,
        Tile(_("Employees"), figures.employees, _list(last="on")),
        Tile(_("Records"), figures.records, _list()),
    ]


def _of_exceptions(month: dt.date, number: int | None = None) -> Tile:
    """All exceptions of the month that a day is in."""
    address = f"{reverse('exceptions')}?month={month.isoformat()[:7]}"
    return Tile(_("Exceptions in %(month)s") % {"month": moments.month(month)}, number, address)


def _list(**parameters: str) -> str:
    """The address of the list with these filters."""
    return f"{reverse('attendance_list')}{'?' if parameters else ''}{urlencode(parameters)}"
