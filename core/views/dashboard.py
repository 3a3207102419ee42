"""Where a person lands."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
@login_required
def dashboard_view(request: HttpRequest) -> HttpResponse:
    """The page that says who is signed in."""
    return render(request, "dashboard.html")
