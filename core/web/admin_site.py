"""The administration site, and who may enter it. :mod:`core.admin` registers the models with it."""

import logging
from contextlib import nullcontext
from functools import update_wrapper
from typing import Any, Final

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import BadRequest, FieldDoesNotExist, PermissionDenied, ValidationError
from django.db import DataError
from django.http import HttpRequest, HttpResponse
from django.template.response import SimpleTemplateResponse
from django.urls import path, reverse
from django.views.generic import RedirectView

from core.models import Role
from core.register.identity import identity

logger = logging.getLogger(__name__)

_UNFIT: Final = (
    DataError,
    FieldDoesNotExist,
    IndexError,
    OverflowError,
    ValidationError,
    ValueError,
)
"""What Django's own pages raise for an impossible id, page, choice or filter."""


class RootAdminSite(AdminSite):
    """The administration site. It is open to active root users only and has no sign-in page of its own."""

    site_header = "Muster administration"
    site_title = "Muster"
    index_title = "The register and its accounts"

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_authenticated and request.user.is_active and request.user.role == Role.ROOT)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """The context of every page, with the installation that it belongs to."""
        return {**super().each_context(request), "here": identity()}

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """A redirect to the sign-in page. Raises PermissionDenied if the person is signed in, but no root user."""
        if request.user.is_authenticated and not self.has_permission(request):
            raise PermissionDenied
        return redirect_to_login(request.GET.get("next") or reverse("admin:index", current_app=self.name))

    def get_urls(self) -> list[Any]:
        """Django's addresses, but for two: the page for one's own password is elsewhere, and no model has a page
        outside this site, which Django would look for under any id."""
        elsewhere = self.admin_view(RedirectView.as_view(pattern_name="change_password"))
        urls = [url for url in super().get_urls() if getattr(url, "name", None) != "view_on_site"]
        return [path("password_change/", elsewhere, name="password_change"), *urls]

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """The view, guarded. A form is saved inside the ``saving`` of its model's class (:mod:`core.admin`). An address
        or form that somebody wrote by hand, with values that no database can look for, is a bad request."""
        saving = getattr(getattr(view, "__self__", None), "saving", nullcontext)

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                with saving() if request.method == "POST" else nullcontext():
                    response: HttpResponse = view(request, *args, **kwargs)
                    if isinstance(response, SimpleTemplateResponse):
                        response.render()  # this looks for rows and choices
            except _UNFIT as error:
                logger.warning("%s %s cannot be answered", request.method, request.path, exc_info=True)
                raise BadRequest from error
            return response

        return super().admin_view(update_wrapper(guarded, view), cacheable)
