"""The first page after signing in: the figures of the person's scope."""

from __future__ import annotations

import datetime as dt
from typing import cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from core import moments
from core.attendance.dashboard import dashboard
from core.models import User

_STALE_AFTER = dt.timedelta(days=7)


@require_safe
@login_required
def dashboard_view(request: HttpRequest) -> HttpResponse:
    """The dashboard: counts, the latest day, the last 30 days, the companies; for root also the last backup."""
    figures = dashboard(cast(User, request.user))
    age = timezone.now() - figures.last_backup.taken_at if figures.last_backup else None
    context = {
        "figures": figures,
        "chart": {
            "days": [moments.day(day.date) for day in figures.trend],
            "present": [day.present for day in figures.trend],
            "absent": [day.absent for day in figures.trend],
            "other": [day.other for day in figures.trend],
        },
        "backup_is_ahead": age is not None and age < dt.timedelta(),  # then its age is unknown
        "backup_is_old": age is None or not dt.timedelta() <= age < _STALE_AFTER,
    }
    return render(request, "dashboard.html", context)
