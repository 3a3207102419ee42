"""Where a person lands: the figures of their scope."""

from __future__ import annotations

from typing import cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from core.models import User
from core.services.dashboard import dashboard

_STALE_AFTER_DAYS = 7


@require_safe
@login_required
def dashboard_view(request: HttpRequest) -> HttpResponse:
    """Counts, the latest day, thirty days, by company; for root the last backup."""
    figures = dashboard(cast(User, request.user))
    backup = figures.last_backup
    context = {
        "figures": figures,
        "chart": {
            "days": [f"{day.date:%d %b}" for day in figures.trend],
            "present": [day.present for day in figures.trend],
            "absent": [day.absent for day in figures.trend],
            "other": [day.other for day in figures.trend],
        },
        # One from the future was taken while the clock was ahead: nobody knows how old it is.
        "backup_is_old": backup is None or not 0 <= (timezone.now() - backup.taken_at).days < _STALE_AFTER_DAYS,
    }
    return render(request, "dashboard.html", context)
