"""Who may enter the administration site. Apart from :mod:`core.admin`, which needs the site to register with."""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from core.models import Role
from core.services.identity import identity


class RootAdminSite(AdminSite):
    """The administration site: signed in to like every other page, and open to active root users only."""

    site_header = "Muster administration"
    site_title = "Muster"
    index_title = "The register and its accounts"

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_authenticated and request.user.is_active and request.user.role == Role.ROOT)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """What every page knows: also which installation it is of."""
        return {**super().each_context(request), "here": identity()}

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Send people to the one sign-in page; who is signed in and still comes here is not a root user."""
        if request.user.is_authenticated and not self.has_permission(request):
            raise PermissionDenied
        return redirect_to_login(request.GET.get("next") or reverse("admin:index", current_app=self.name))
