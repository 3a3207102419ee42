"""The dashboard: what the records add up to in a person's scope, and for editors the newest imports."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final, NamedTuple, cast
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from core import moments
from core.attendance.dashboard import DashboardFigures, Span, dashboard
from core.attendance.tally import CountsAs
from core.models import ExceptionKind, Role, Status, User
from core.web.filters import OFF_OR_ON_LEAVE, PRESENT

_STALE_AFTER = dt.timedelta(days=7)
_BY_MONTH: Final = "months"


class Tile(NamedTuple):
    """A figure that leads to what it counts. ``kind``: which colour it has."""

    label: str
    number: int
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
        "of_exceptions": _of_exceptions(shown.figures),
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


def _of_exceptions(figures: DashboardFigures) -> list[Tile]:
    """Those of the month of the latest day: all of them, and then each kind that there is."""
    if figures.latest is None:
        return []
    month = figures.latest.first
    address = f"{reverse('exceptions')}?month={month.isoformat()[:7]}"
    kinds = [kind for kind in ExceptionKind if figures.exceptions.get(kind)]
    return [
        Tile(_("Exceptions in %(month)s") % {"month": moments.month(month)}, sum(figures.exceptions.values()), address),
        *(Tile(str(kind.label), figures.exceptions[kind], f"{address}&kind={kind}") for kind in kinds),
    ]


def _list(**parameters: str) -> str:
    """The address of the list with these filters."""
    return f"{reverse('attendance_list')}{'?' if parameters else ''}{urlencode(parameters)}"
