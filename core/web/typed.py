"""What somebody typed into a form when their session had ended: it is kept while they sign in, then shown again.

Hidden fields of the pages carry it, to the browser that sent it and nowhere else; nothing is stored. The form is only
shown again: nothing is done until the person sends it themselves.
"""

from __future__ import annotations

from typing import Final

from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import Resolver404, resolve
from django.views import csrf

KEPT: Final = "kept"
"""The hidden field of the sign-in page."""
_AGAIN: Final = "shown_again"
_OF_THE_PAGE: Final = {"csrfmiddlewaretoken", KEPT, _AGAIN}
_NOT_TYPED: Final = {*_OF_THE_PAGE, "back"}


def of(request: HttpRequest) -> str:
    """The fields of a form, without passwords and files, as a query string; blank if the person typed nothing."""
    data = request.POST.copy()
    for name in [name for name in data if "password" in name or name in _OF_THE_PAGE]:
        del data[name]
    return data.urlencode() if any(data[name] for name in data if name not in _NOT_TYPED) else ""


def is_only_shown(request: HttpRequest) -> bool:
    """Whether the request only asks to show a form again with what was typed."""
    return _AGAIN in request.POST


def keeps(path: str) -> bool:
    """Whether the page at this path can show again what was typed (:func:`core.web.decorators.role_required`)."""
    try:
        return bool(getattr(resolve(path.partition("?")[0]).func, "keeps_typed", False))
    except Resolver404:
        return False


def to_sign_in(request: HttpRequest, path: str, kept: str) -> HttpResponse:
    """The sign-in page, with what was typed into the form at ``path`` in a hidden field."""
    context = {"form": AuthenticationForm(request), "next": path, KEPT: kept}
    return render(request, "registration/login.html", context, status=403)


def back_to(request: HttpRequest, path: str, kept: str, status: int = 200) -> HttpResponse:
    """A page that leads back to the form at ``path``, with what was typed into it."""
    fields = [(name, value) for name, values in QueryDict(kept).lists() for value in values]
    context = {"path": path, "fields": [*fields, (_AGAIN, "yes")]}
    return render(request, "registration/typed.html", context, status=status)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The answer to a form without a valid token. It keeps what was typed into a form that is older than a sign-in."""
    path = request.get_full_path()
    kept = of(request) if keeps(path) else ""
    if KEPT in request.POST:  # a sign-in page that was left open while they signed in elsewhere
        path, kept = request.POST.get("next", ""), request.POST[KEPT]
    is_ours = request.headers.get("Origin") == f"{request.scheme}://{request.get_host()}"
    if not (is_ours and kept and keeps(path)):
        return csrf.csrf_failure(request, reason)
    if request.user.is_authenticated:
        return back_to(request, path, kept, status=403)
    return to_sign_in(request, path, kept)
