"""The person who sends a request, and the page that they came from."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme

from core.models import User

_LISTS: Final = ("/attendance/", "/roll/", "/people/", "/exceptions/")
"""The beginnings of the addresses of pages that lead to records."""


def signed_in(request: HttpRequest) -> User:
    """The account that sends a request. The request has passed :func:`core.web.decorators.role_required`."""
    assert isinstance(request.user, User)
    return request.user


def back_to(request: HttpRequest) -> str:
    """The address of the page that the person came from, if the request names one that leads to records; else of the
    plain list."""
    target = request.POST.get("back") or request.GET.get("back") or ""
    if target.startswith(_LISTS) and url_has_allowed_host_and_scheme(target, allowed_hosts=None):
        return target
    return "/attendance/"
