"""Who may enter the administration site. Apart from :mod:`core.admin`, which needs the site to register with."""

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
"""What Django's own pages raise for an id, a page, a choice or a filter that cannot be."""


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

    def get_urls(self) -> list[Any]:
        """There is one page for one's own password, and it is not here. Nothing of the register has an address to be
        viewed at on the site, which Django would look for with any id."""
        elsewhere = self.admin_view(RedirectView.as_view(pattern_name="change_password"))
        urls = [url for url in super().get_urls() if getattr(url, "name", None) != "view_on_site"]
        return [path("password_change/", elsewhere, name="password_change"), *urls]

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """What a form of the site saves goes through the ``saving`` of its model's class (:mod:`core.admin`). What no
        database can look for, by an address or a form that somebody wrote by hand, is a bad request."""
        saving = getattr(getattr(view, "__self__", None), "saving", nullcontext)

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                with saving() if request.method == "POST" else nullcontext():
                    response: HttpResponse = view(request, *args, **kwargs)
                    if isinstance(response, SimpleTemplateResponse):
                        response.render()  # which looks for rows and choices
            except _UNFIT as error:
                logger.warning("%s %s cannot be answered", request.method, request.path, exc_info=True)
                raise BadRequest from error
            return response

        return super().admin_view(update_wrapper(guarded, view), cacheable)
