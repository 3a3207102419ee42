"""The pages of the register: thin, what they do is done by :mod:`core.services`."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from core.models import Role


@login_required
def dashboard_view(request: HttpRequest) -> HttpResponse:
    """Where a person lands: the root user on the administration site, others on a page that says who they are."""
    if request.user.is_authenticated and request.user.role == Role.ROOT:
        return redirect("admin:index")
    return render(request, "dashboard.html")
